"""SEN12MS (Schmitt et al., ISPRS Annals IV-2/W7, 2019): Sentinel-1, Sentinel-2 and MODIS labels.

180,662 triples of 256 x 256 pixels of 10 m in UTM, named
``ROIs1158_spring/s2_124/ROIs1158_spring_s2_124_p100.tif``; the partners have ``s1`` and ``lc`` in
the names of folder and file. S1 is VV, VH in dB; S2 thirteen bands of reflectance x 10,000; the
first band of ``lc`` the land cover of the International Geosphere-Biosphere Programme (IGBP), at
500 m.

Half a million files take long to open, so one patch of a scene tells the size of the others; a
patch that differs is told of when it is read. Scenes have no coordinates.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import fspath
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.loader import Scene
from geoseg.raster import open_dataset
from geoseg.train.data.dataset import Dataset
from geoseg.train.data.decode import Table, table_of
from geoseg.train.data.lazy import lazy_image, lazy_labels
from geoseg.train.data.readers.files import read_window
from geoseg.train.data.readers.parts import in_parts, shared_out

__all__ = ["HELD_OUT", "STATISTICS", "UNIT", "igbp_table", "sen12ms"]

log = logging.getLogger(__name__)

S2_NUMBERS = (2, 3, 4, 5, 6, 7, 8, 9, 12, 13)  # without B1, B9 and B10, of 60 m
S2 = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
S1 = ("VV", "VH")
RGB = ("B02", "B03", "B04")  # in this order
LOWEST, HIGHEST = -25.0, 0.0  # dB
WHITE = 10_000.0  # a reflectance of 1

# Mean and standard deviation of the bands, S1 after it is clipped, as the authors of the toolbox
# of SEN12MS give them (Schmitt and Wu, ISPRS Annals V-2-2021, 2021).
STATISTICS = {
    "B02": (1226.4215, 741.6254),
    "B03": (1137.3799, 740.883),
    "B04": (1139.6792, 960.1045),
    "B05": (1350.9973, 946.76056),
    "B06": (1932.9058, 985.52747),
    "B07": (2211.1584, 1082.4341),
    "B08": (2154.9846, 1057.7628),
    "B8A": (2409.1128, 1136.1942),
    "B11": (2001.8622, 1132.7898),
    "B12": (1356.0801, 991.48016),
    "VV": (-11.76858, 4.525339),
    "VH": (-18.294598, 4.3586307),
}

UNIT = {band: (0.0, WHITE) if band in S2 else (LOWEST, HIGHEST - LOWEST) for band in STATISTICS}
"""What to subtract from the pixels of a band and to divide them by, so that they are 0 to 1."""

# Simplified IGBP classes, with the colours of the 2020 IEEE GRSS data fusion contest.
CLASSES = (
    ("forest", "#009900", (1, 2, 3, 4, 5)),
    ("shrubland", "#c6b044", (6, 7)),
    ("savanna", "#fbff13", (8, 9)),
    ("grassland", "#b6ff05", (10,)),
    ("wetlands", "#27ff87", (11,)),
    ("croplands", "#c24f44", (12, 14)),
    ("urban or built-up", "#a5a5a5", (13,)),
    ("snow or ice", "#69fff8", (15,)),
    ("barren", "#f9ffa4", (16,)),
    ("water", "#1c0dff", (17,)),
)

HELD_OUT = {
    "spring": (63, 146, 97, 124, 15, 17),
    "summer": (43, 131, 19, 104, 72, 15, 79),
    "fall": (120, 39, 144, 35, 61, 47, 30, 141),
    "winter": (64, 146, 32, 107, 135),
}
"""Scenes of the test list."""

BROKEN = ("summer", 146, 202)  # season, scene, patch: radar of NaN

# The number of each band in the file of its sensor, in the order in which bands are stacked.
_FILES = {
    "s2": dict(zip(S2, S2_NUMBERS, strict=True)),
    "s1": dict(zip(S1, (1, 2), strict=True)),
}

_BANDS = {"both": (*S2, *S1), "s2": S2, "s1": S1, "rgb": RGB}

_NAME = re.compile(r"(ROIs\d+_([a-z]+))_s2_(\d+)_p(\d+)\.tif")


@dataclass(frozen=True)
class Patch:
    """One triple: where it is, and which.

    Parameters
    ----------
    root : Path
    name : str
        File name of its S2 image.
    """

    root: Path
    name: str

    @property
    def season(self) -> str:
        """Such as spring."""
        return self._parts[1]

    @property
    def number(self) -> int:
        """Of the scene."""
        return int(self._parts[2])

    @property
    def is_broken(self) -> bool:
        """Whether it is the one that nobody can learn from."""
        return (self.season, self.number, int(self._parts[3])) == BROKEN

    @property
    def scene(self) -> str:
        """Season and number of the scene, such as spring_124."""
        return f"{self.season}_{self.number}"

    @property
    def _parts(self) -> tuple[str, ...]:
        found = _NAME.fullmatch(self.name)
        assert found is not None  # noqa: S101  (only such files are listed)
        return found.groups()

    def path(self, sensor: str) -> Path:
        """The file of ``s1``, ``s2`` or ``lc``."""
        folder, _, number, _ = self._parts
        name = self.name.replace("_s2_", f"_{sensor}_")
        return self.root / folder / f"{sensor}_{number}" / name


@dataclass(frozen=True)
class Pixels:
    """Reads the bands of a patch: S2, then S1 without NaN and clipped."""

    patch: Patch
    bands: tuple[str, ...]
    nan_fill: float
    saturate: bool

    def __call__(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Pixels of a window, shape (band, rows, columns)."""
        read = [self._read(sensor, rows, columns) for sensor in _sensors(self.bands)]
        return np.concatenate(read)

    def _read(self, sensor: str, rows: slice, columns: slice) -> NDArray[np.float32]:
        numbers = [_FILES[sensor][band] for band in self.bands if band in _FILES[sensor]]
        path = fspath(self.patch.path(sensor))
        pixels = read_window(path, numbers, rows, columns).astype(np.float32)
        if sensor == "s1":
            pixels[np.isnan(pixels)] = self.nan_fill
            return pixels.clip(LOWEST, HIGHEST)
        return pixels.clip(0, WHITE) if self.saturate else pixels


@dataclass(frozen=True)
class Labels:
    """Reads the land cover of a patch."""

    patch: Patch
    table: Table

    def __call__(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """Class indices of a window, shape (rows, columns)."""
        path = fspath(self.patch.path("lc"))
        return self.table(read_window(path, (1,), rows, columns))[0]


def igbp_table(*, savanna: bool = True) -> Table:
    """The class of each IGBP code; 0 and what is beyond 17 is ignored.

    Parameters
    ----------
    savanna : bool
        Without it savanna is ignored, and there are nine classes.
    """
    return table_of(codes for _, _, codes in _classes(savanna))


def _classes(savanna: bool) -> list[tuple[str, str, tuple[int, ...]]]:
    return [each for each in CLASSES if savanna or each[0] != "savanna"]


def sen12ms(
    root: Path,
    *,
    bands: Literal["both", "s1", "s2", "rgb"] = "both",
    savanna: bool = True,
    nan_fill: float = HIGHEST,
    saturate: bool = False,
    validation: Literal["scene", "patch_third"] = "scene",
) -> Dataset:
    """Read SEN12MS.

    The test scenes are held out; where the folder holds ``train_list.txt`` and ``test_list.txt``,
    one S2 file name a line, they decide. Lists and labels that come as pickles are never read.

    Parameters
    ----------
    root : Path
        The folder that holds the seasons.
    bands : {"both", "s1", "s2", "rgb"}
        Both sensors are twelve bands, those of S2 first; "rgb" is B02, B03, B04 of S2, which are
        blue, green and red.
    savanna : bool
        As for `igbp_table`.
    nan_fill : float
        What missing radar becomes, in dB: 0, the brightest, as in the published toolbox; -25, the
        darkest, is better; NaN leaves it missing, as in prediction.
    saturate : bool
        Whether S2 is clipped to 0..10,000, a reflectance of 0 to 1, as in the dense baselines of
        the 2020 IEEE GRSS data fusion contest.
    validation : {"scene", "patch_third"}
        A tenth of the training scenes; or a third of the patches, as in Pooser and Li, "Deep Fusion
        Networks for Land Cover Classification", where neighbours are on both sides.

    Returns
    -------
    Dataset
        S1 is clipped to -25..0 dB, and otherwise pixels are as they are stored; `STATISTICS` are
        the published means and deviations, `UNIT` what brings pixels to 0..1.

    Raises
    ------
    UserError
        When there is no patch, a partner is missing, or an option is unknown.
    """
    chosen = _BANDS.get(bands)
    if chosen is None or validation not in ("scene", "patch_third"):
        raise UserError(
            f"bands {bands!r} with validation {validation!r}: choose both, s1, s2 or rgb, and "
            "scene or patch_third"
        )
    patches, held_out = _listed(Path(root), _sensors(chosen))
    table = igbp_table(savanna=savanna)
    learnt = iter(_learnt(patches, held_out, validation))
    parts = ["held_out" if out else next(learnt) for out in held_out]
    classes = _classes(savanna)
    return Dataset(
        name="sen12ms",
        description=(
            "Land cover of the world's regions in Sentinel-1 and Sentinel-2, after MODIS labels of "
            "500 m, which are blocky and partly wrong."
        ),
        classes=tuple(ClassInfo(i + 1, name, color) for i, (name, color, _) in enumerate(classes)),
        bands=chosen,
        gsd=10.0,
        licence="CC-BY-4.0",
        **shared_out(
            _scenes([Pixels(each, chosen, nan_fill, saturate) for each in patches], table), parts
        ),
    )


def _sensors(bands: Sequence[str]) -> list[str]:
    """Those that have some of the bands, in the order in which they are stacked."""
    return [sensor for sensor, own in _FILES.items() if not own.keys().isdisjoint(bands)]


def _learnt(patches: Sequence[Patch], held_out: Sequence[bool], validation: str) -> list[str]:
    """Parts of the patches that are not held out."""
    kept = [each for each, out in zip(patches, held_out, strict=True) if not out]
    if validation == "scene":
        return in_parts([each.scene for each in kept], (0.9, 1.0, 1.0))
    return in_parts([each.name for each in kept], (0.67, 1.0, 1.0))  # 108,912 of 162,555


def _scenes(pixels: Sequence[Pixels], table: Table) -> list[Scene]:
    scenes, sizes = [], dict[str, tuple[int, int]]()
    for each in pixels:
        patch = each.patch
        if patch.scene not in sizes:
            with open_dataset(fspath(patch.path("s2"))) as dataset:
                sizes[patch.scene] = dataset.shape
        image = lazy_image(each, (len(each.bands), *sizes[patch.scene]), "float32")
        scenes.append(Scene(image, lazy_labels(Labels(patch, table), image)))
    return scenes


def _listed(root: Path, sensors: Sequence[str]) -> tuple[list[Patch], list[bool]]:
    """Patches that can be read, and whether each is held out."""
    found = {each.name: each for each in _found(root, sensors) if not each.is_broken}
    if not found:
        raise UserError(
            f"{root} holds no patch of SEN12MS, such as ROIs1158_spring/s2_1/"
            "ROIs1158_spring_s2_1_p30.tif; check the folder"
        )
    lists = [root / f"{part}_list.txt" for part in ("train", "test")]
    if not all(each.is_file() for each in lists):
        patches = list(found.values())
        return patches, [each.number in HELD_OUT.get(each.season, ()) for each in patches]
    train, test = (each.read_text(encoding="utf-8").split() for each in lists)
    names = [name for name in dict.fromkeys((*train, *test)) if name in found]
    _tell_absent({*train, *test} - found.keys(), root)
    tested = set(test)
    return [found[name] for name in names], [name in tested for name in names]


def _tell_absent(names: set[str], root: Path) -> None:
    absent = sorted(name for name in names if not _is_broken(name))
    if absent:
        log.warning("%s: %d listed patches are not there, first %s", root, len(absent), absent[0])


def _is_broken(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and Patch(Path(), name).is_broken


def _found(root: Path, sensors: Sequence[str]) -> Iterator[Patch]:
    for folder in sorted(root.glob("ROIs*/s2_*")):
        names = sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name))
        for sensor in ({*sensors} | {"lc"}) - {"s2"}:
            _refuse_alone(names, folder, sensor)
        yield from (Patch(root, name) for name in names)


def _refuse_alone(names: Sequence[str], folder: Path, sensor: str) -> None:
    other = folder.with_name(folder.name.replace("s2_", f"{sensor}_"))
    there = {path.name for path in other.iterdir()} if other.is_dir() else set()
    for name in names:
        partner = name.replace("_s2_", f"_{sensor}_")
        if partner not in there:
            raise UserError(f"{other / partner} is missing, the partner of {name}; fetch it")
