"""Landsat 8 reflectance with the Cropland Data Layer (CDL) of the US Department of Agriculture.

The classes are those of Chen, Guo and Wang, "Deep Learning for Semantic Segmentation of Remote
Sensing Imagery" (Stanford), who cut a composite of 2016 into patches of 50 x 50 pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene
from geoseg.raster import open_raster
from geoseg.train.data.dataset import Dataset
from geoseg.train.data.decode import Table, table_of
from geoseg.train.data.readers.files import LabelFiles, by_stem, paired
from geoseg.train.data.readers.parts import in_parts, shared_out

__all__ = ["cdl_table", "landsat_cdl"]

BANDS = ("coastal", "blue", "green", "red", "nir", "swir1", "swir2")
CLASSES = (
    ClassInfo(0, "background", "#000000"),
    ClassInfo(1, "corn", "#ffd300"),
    ClassInfo(2, "soybean", "#256f00"),
    ClassInfo(3, "forest", "#93cc93"),
    ClassInfo(4, "grassland", "#e8ffbe"),
)
CODES = ((), (1,), (5,), (63, 141, 142, 143), (176,))
"""CDL codes of each class; what is in none is background."""
MORE_CODES = (
    (),
    (12, 13, 225, 226, 228, 237, 241),  # sweet corn, popcorn, double crops with corn
    (26, 239, 240, 254),  # double crops with soybeans
    (190,),  # woody wetlands
    (37, 62, 171),  # other hay; pasture and grassland of old vintages
)
NO_DATA = (0, 81)  # no data; clouds
NINE_TENTHS = (0.8, 0.9, 1.0)


def cdl_table(*, more: bool = False) -> Table:
    """The class of each of the 256 codes of the CDL.

    Parameters
    ----------
    more : bool
        Whether the classes take in their rarer kin: sweet corn and double crops, woody wetlands,
        hay.
    """
    both = zip(CODES, MORE_CODES, strict=True)
    classes = [own + (others if more else ()) for own, others in both]
    table = list(table_of(classes, other=0).indices)
    for code in NO_DATA:
        table[code] = IGNORE
    return Table(tuple(table))


def landsat_cdl(root: Path, *, more: bool = False, block: int = 500) -> Dataset:
    """Read Landsat 8 bands 1 to 7 with CDL labels.

    Eight tenths are learnt from, one validates, one is held out: by blocks of a single large image,
    by columns of tiles whose names are row_column, else by file. Pixels are as they are stored;
    training standardises them, so a linear scale changes nothing.

    Parameters
    ----------
    root : Path
        Holds ``image.tif`` and ``cdl.tif``, or pairs ``*_img.tif`` and ``*_cdl.tif``, or ``images``
        and ``labels`` of the same names.
    more : bool
        As for `cdl_table`.
    block : int
        Rows and columns of the blocks that a large image is cut into; 500 are ten patches of 50.

    Returns
    -------
    Dataset

    Raises
    ------
    UserError
        When files are missing or do not fit each other.
    """
    if block < 1:
        raise UserError(f"block is {block}; give 1 pixel or more")
    files = LabelFiles(cdl_table(more=more))
    scenes, places = [], []
    for scene, place in _placed(Path(root), files, block):
        scenes.append(scene)
        places.append(place)
    return Dataset(
        name="landsat-cdl",
        description=(
            "Corn, soybean, forest and grassland in Landsat 8 reflectance, after the Cropland Data "
            "Layer, itself a classification with errors of its own. Both are works of the United "
            "States government, in the public domain."
        ),
        classes=CLASSES,
        bands=BANDS,
        gsd=30.0,
        **shared_out(scenes, in_parts(places, NINE_TENTHS), places),
    )


def _placed(root: Path, files: LabelFiles, block: int) -> Iterator[tuple[Scene, str]]:
    """Scenes, and what tells their place."""
    if (root / "image.tif").is_file():
        yield from _blocks(files.scene(open_raster(root / "image.tif"), root / "cdl.tif"), block)
        return
    if (root / "images").is_dir():
        images, labels = by_stem(root / "images"), by_stem(root / "labels")
    else:
        images, labels = by_stem(root, "_img"), by_stem(root, "_cdl")
    pairs = paired(images, labels, root)
    for (name, _, _), scene in zip(pairs, files.scenes(pairs), strict=True):
        tile = re.fullmatch(r"\d+_(\d+)", name)
        yield scene, tile[1] if tile else name


def _blocks(scene: Scene, side: int) -> Iterator[tuple[Scene, str]]:
    assert scene.labels is not None  # noqa: S101  (scenes of a data set are labelled)
    for top in range(0, scene.shape[0], side):
        for left in range(0, scene.shape[1], side):
            box = {"y": slice(top, top + side), "x": slice(left, left + side)}
            part = Scene(scene.image.isel(box), scene.labels.isel(box))
            yield part, f"{top // side}_{left // side}"
