"""DeepGlobe land cover and roads (Demir et al., DeepGlobe 2018, CVPR workshops 2018).

Published as ``train/<id>_sat.jpg`` with ``<id>_mask.png``, land cover 2448 x 2448 and roads
1024 x 1024 pixels of 0.5 m; the folders ``valid`` and ``test`` hold images without masks. A flat
folder, or ``images/`` with ``masks/``, is read as well.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.loader import Scene
from geoseg.train.data.dataset import Dataset
from geoseg.train.data.decode import Palette, Threshold
from geoseg.train.data.readers.files import LabelFiles, by_stem, paired
from geoseg.train.data.readers.parts import FOUR_FIFTHS, SEVEN_TENTHS, in_parts, shared_out

__all__ = ["LAND", "deepglobe_land", "deepglobe_roads"]

LAND = (
    ClassInfo(0, "unknown", "#000000"),
    ClassInfo(1, "urban land", "#00ffff"),
    ClassInfo(2, "agriculture land", "#ffff00"),
    ClassInfo(3, "rangeland", "#ff00ff"),
    ClassInfo(4, "forest land", "#00ff00"),
    ClassInfo(5, "water", "#0000ff"),
    ClassInfo(6, "barren land", "#ffffff"),
)
"""Classes and colours of the masks."""

ROADS = (ClassInfo(0, "background", "#000000"), ClassInfo(1, "road", "#ffffff"))
RGB_BANDS = ("red", "green", "blue")
GSD = 0.5  # metres
GSD_OF = {2448: GSD, 512: 2448 / 2 * GSD / 512}
"""By rows and columns of images of land cover: as published, and a quarter of one, resized."""

log = logging.getLogger(__name__)


def deepglobe_land(
    root: Path, *, unknown: Literal["class", "ignore"] = "class", train: float | None = None
) -> Dataset:
    """Read DeepGlobe land cover.

    Images of 2448 x 2448 pixels, as published, are taken for 0.5 m, and such of 512 x 512 for
    quarters of these that were resized, 1.195 m. The pixel size of others is not known.

    Parameters
    ----------
    root : Path
        The folder of the files, or one that holds ``train/``, or ``images/`` and ``masks/``. A
        table of the columns ``id,region`` in it, or beside it under its name with ``.csv``, says
        which images touch each other, as in a re-cut to quadrants of 512 x 512 pixels.
    unknown : {"class", "ignore"}
        Whether what the masks leave black is class 0, as Rakhlin et al. (CVPR workshops 2018) train
        it, or ignored, as in the dense fusion classmate network (DFCNet, CVPR workshops 2018). It
        is never scored in the challenge.
    train : float, optional
        Images to learn from, or below 1 their share; the rest is held out. DFCNet took 600 of 803.
        By default four fifths, and where regions are known seven tenths, with one tenth for
        validation; regions are never parted.

    Returns
    -------
    Dataset

    Raises
    ------
    UserError
        When there are no pairs of image and mask, or they do not fit each other.
    """
    pairs = _pairs(Path(root))
    names = [name for name, _, _ in pairs]
    regions = _regions(Path(root))
    ends = FOUR_FIFTHS if regions is None else SEVEN_TENTHS
    groups = names if regions is None else [_region(regions, name) for name in names]
    scenes = _masks(unknown).scenes(pairs)
    gsd = _gsd(scenes)
    return Dataset(
        name="deepglobe-land",
        description=(
            f"Land cover of rural Thailand, Indonesia and India in RGB images{_about(gsd)}, after "
            "DeepGlobe 2018, whose terms limit what its images may be used for."
        ),
        classes=LAND if unknown == "class" else LAND[1:],
        bands=RGB_BANDS,
        gsd=gsd,
        unscored=(0,) if unknown == "class" else (),
        **shared_out(
            scenes,
            in_parts(groups, _ends(train, names, ends)),
            () if regions is None else groups,
        ),
    )


def _gsd(scenes: Sequence[Scene]) -> float | None:
    """The pixel size of images, by their own size."""
    sizes = {scene.shape for scene in scenes}
    rows, columns = min(sizes)
    if len(sizes) == 1 and rows == columns and rows in GSD_OF:
        return GSD_OF[rows]
    told = f"{rows} x {columns}" if len(sizes) == 1 else f"{len(sizes)} sizes, {rows} x {columns},"
    log.warning(
        "images of %s pixels: the pixel size is known of 2448 x 2448 (0.5 m) and 512 x 512 "
        "(1.195 m), and left out; describe them in YAML to state gsd", told,
    )  # fmt: skip
    return None


def _about(gsd: float | None) -> str:
    return "" if gsd is None else f" of about {gsd:.1f} m"


def _masks(unknown: str) -> LabelFiles:
    colors = tuple((each.rgb,) for each in LAND)
    if unknown == "class":
        return LabelFiles(Palette(colors, other=0), "taken for unknown")
    if unknown == "ignore":
        return LabelFiles(Palette(colors[1:], void=colors[0]))
    raise UserError(f"unknown is {unknown!r}; choose class or ignore")


def deepglobe_roads(root: Path, *, train: float | None = None) -> Dataset:
    """Read DeepGlobe roads; masks are grey, and road where they are 128 or more.

    Parameters
    ----------
    root : Path
        As for `deepglobe_land`.
    train : float, optional
        Images to learn from, or below 1 their share; the rest is held out. The dense fusion
        classmate network (DFCNet, CVPR workshops 2018) took 5000 of 6226. By default four fifths.

    Returns
    -------
    Dataset

    Raises
    ------
    UserError
        As `deepglobe_land`.
    """
    pairs = _pairs(Path(root))
    names = [name for name, _, _ in pairs]
    return Dataset(
        name="deepglobe-roads",
        description=(
            "Roads of rural Thailand, Indonesia and India in RGB images of 0.5 m, after DeepGlobe "
            "2018, whose terms limit what its images may be used for. Tracks in fields are not "
            "drawn."
        ),
        classes=ROADS,
        bands=RGB_BANDS,
        gsd=GSD,
        **shared_out(
            LabelFiles(Threshold()).scenes(pairs),
            in_parts(names, _ends(train, names, FOUR_FIFTHS)),
        ),
    )


def _ends(
    train: float | None, names: Sequence[str], otherwise: tuple[float, ...]
) -> tuple[float, ...]:
    if train is None:
        return otherwise
    if not 0 < train <= len(names):
        raise UserError(
            f"train is {train}; give 1 to {len(names)}, as many images there are, or a share below "
            "1"
        )
    share = train / len(names) if train >= 1 else train
    return share, share, 1.0


def _pairs(root: Path) -> list[tuple[str, Path, Path]]:
    folder = root / "train" if (root / "train").is_dir() else root
    if (folder / "images").is_dir() and (folder / "masks").is_dir():
        images, masks = (
            by_stem(folder / part, ending, others=True)
            for part, ending in (("images", "_sat"), ("masks", "_mask"))
        )
    else:
        images, masks = by_stem(folder, "_sat"), by_stem(folder, "_mask")
    return paired(images, masks, folder)


def _regions(root: Path) -> dict[str, str] | None:
    """Region of each image, where a table tells it."""
    for path in (root.parent / f"{root.name}.csv", *sorted(root.glob("*.csv"))):
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = csv.DictReader(file)
                if {"id", "region"} <= set(rows.fieldnames or ()):
                    return {row["id"]: row["region"] for row in rows}
    return None


def _region(regions: dict[str, str], name: str) -> str:
    if name not in regions:
        raise UserError(f"the table of regions does not list {name}; add its row id,region")
    return regions[name]
