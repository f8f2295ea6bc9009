"""Massachusetts Buildings (V. Mnih, Machine Learning for Aerial Image Labeling, 2013).

151 tiles of 1500 x 1500 pixels of 1 m, split into 137, 4 and 10. Published as
``train|valid|test/{sat,map}/<id>.tiff|.tif``; mirrors have ``png/`` or ``tiff/`` with ``train``,
``train_labels``, ``val``, ``val_labels``, ``test``, ``test_labels``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene
from geoseg.train.data.dataset import Dataset
from geoseg.train.data.decode import Threshold
from geoseg.train.data.lazy import lazy_labels
from geoseg.train.data.readers.files import LabelFiles, by_stem, paired

__all__ = ["massachusetts_buildings"]

CLASSES = (ClassInfo(0, "background", "#000000"), ClassInfo(1, "building", "#ff0000"))
FOLDERS = (("train",), ("valid", "val"), ("test",))


def massachusetts_buildings(root: Path, *, ignore_white: bool = False) -> Dataset:
    """Read Massachusetts Buildings; a pixel is building where red is 128 or more.

    Parameters
    ----------
    root : Path
        The folder that holds the parts, or one that holds it as ``tiff/`` or ``png/``.
    ignore_white : bool
        Whether pixels that are purely white, as where a tile has no imagery, are ignored; they are
        background in what is published. White roofs are ignored with them.

    Returns
    -------
    Dataset
        Split as it is published.

    Raises
    ------
    UserError
        When there is no folder to train on, or files do not fit each other.
    """
    base, files = _base(Path(root)), LabelFiles(Threshold())
    training, validation, held_out = (
        [
            _without_white(scene) if ignore_white else scene
            for name in names
            for scene in _scenes(base, name, files)
        ]
        for names in FOLDERS
    )
    return Dataset(
        name="massachusetts-buildings",
        description="Buildings around Boston in aerial RGB images of 1 m, after Mnih 2013.",
        classes=CLASSES,
        bands=("red", "green", "blue"),
        gsd=1.0,
        training=training,
        validation=validation,
        held_out=held_out,
    )


def _base(root: Path) -> Path:
    for base in (root, root / "tiff", root / "png"):
        if (base / "train").is_dir():
            return base
    raise UserError(f"{root} holds no folder train, nor do tiff and png in it; check the folder")


def _scenes(base: Path, name: str, files: LabelFiles) -> list[Scene]:
    images, labels = base / name, base / f"{name}_labels"
    if (images / "sat").is_dir():
        images, labels = images / "sat", images / "map"
    if not images.is_dir():
        return []
    return files.scenes(paired(by_stem(images), by_stem(labels), images))


def _without_white(scene: Scene) -> Scene:
    return Scene(scene.image, lazy_labels(_Imaged(scene), scene.image))


@dataclass(frozen=True)
class _Imaged:
    """Labels where there is imagery."""

    scene: Scene

    def __call__(self, rows: slice, columns: slice) -> NDArray[Any]:
        assert self.scene.labels is not None  # noqa: S101  (scenes of a data set are labelled)
        white = (self.scene.image[:, rows, columns].values == 255).all(0)
        return np.where(white, np.uint8(IGNORE), self.scene.labels[rows, columns].values)
