"""The demo: a scene whose truth is known, classified by a shipped model, drawn and scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import RasterioIOError

import geoseg
from geoseg import figures, landscape
from geoseg.job import predict_file
from geoseg.metrics import ConfusionMatrix
from geoseg.places import make_folder, refuse_long
from geoseg.raster import Grid, Layout, to_cog
from geoseg.raster.place import publish, refuse_existing, working_folder

__all__ = ["MODEL", "SEED", "ClassScore", "DemoResult", "run"]

MODEL = "demo-landscape"
SEED = 2026
"""The demo's landscape; the model was trained on others."""
SCENE_TAG = "GEOSEG_LANDSCAPE"
"""TIFF tag that names version and seed of the landscape in a scene."""

CORNER = (500_000.0, 5_400_000.0)  # metres; UTM zone 33 north, in lower Austria
EPSG = 32633
FILES = {
    "scene": "scene.tif",
    "classes": "classes.tif",
    "polygons": "classes.gpkg",
    "preview": "preview.png",
}

Event = dict[str, Any]


@dataclass(frozen=True)
class ClassScore:
    """A class of the map.

    Parameters
    ----------
    name : str
    km2 : float
        Area on the map, in square kilometres.
    share : float
        Of the classified area.
    iou : float
        Intersection over union with the truth; NaN when the class is in neither.
    """

    name: str
    km2: float
    share: float
    iou: float


@dataclass(frozen=True)
class DemoResult:
    """What the demo left behind, and how good it is.

    Parameters
    ----------
    outputs : mapping of str to Path
        ``scene``, ``classes``, ``polygons`` and ``preview``.
    classes : tuple of ClassScore
    miou : float
        Mean intersection over union with the truth.
    seconds : float
    """

    outputs: Mapping[str, Path]
    classes: tuple[ClassScore, ...]
    miou: float
    seconds: float

    def report(self) -> str:
        """A table in words."""
        head = f"{'class':12}{'km2':>9}{'share':>8}{'IoU':>8}"
        rows = [
            f"{each.name:12}{each.km2:9.2f}{each.share:8.1%}{each.iou:8.3f}"
            for each in self.classes
        ]
        mean = f"mIoU against the truth {self.miou:.3f}, in {self.seconds:.0f} s"
        files = ", ".join(str(path) for path in self.outputs.values())
        return "\n".join([head, *rows, mean, f"wrote {files}"])


def run(
    folder: str | PathLike[str],
    *,
    seed: int = SEED,
    shape: tuple[int, int] = (2048, 2048),
    overwrite: bool = False,
    on_progress: Callable[[Event], object] | None = None,
) -> DemoResult:
    """Write a synthetic scene, classify it, draw the result and score it.

    Parameters
    ----------
    folder : path-like
        Where the files go; made when missing, its other files are left alone.
    seed : int
        Of the landscape.
    shape : tuple of int
        Rows and columns, at 10 m.
    overwrite : bool
        Whether files of an earlier demo may be replaced.
    on_progress : callable, optional
        Is given events, as by `geoseg.predict_file`.

    Returns
    -------
    DemoResult

    Raises
    ------
    UserError
        When a file of the demo is there already, or the folder cannot be made.
    """
    started = time.monotonic()
    emit = on_progress or (lambda event: None)
    refuse_long(Path(folder))
    outputs = {name: Path(folder) / file for name, file in FILES.items()}
    kept = _holds_scene(outputs["scene"], seed, shape)
    written = [path for name, path in outputs.items() if not (kept and name == "scene")]
    _make_room(Path(folder), written, overwrite)
    image, truth = landscape.make(shape, seed)
    if not kept:
        _write_scene(outputs["scene"], image, seed)
    predict_file(
        outputs["scene"],
        outputs["classes"],
        MODEL,
        polygons=outputs["polygons"],
        overwrite=overwrite,
        on_progress=lambda event: None if event["event"] == "done" else emit(event),
    )
    figures.preview(*outputs.values())
    scores, miou = _score(outputs["classes"], truth)
    seconds = time.monotonic() - started
    named = {name: str(path) for name, path in outputs.items()}
    emit({"event": "done", "outputs": named, "seconds": round(seconds, 3)})
    return DemoResult(outputs, scores, miou, seconds)


def _holds_scene(path: Path, seed: int, shape: tuple[int, int]) -> bool:
    """Whether an interrupted demo left its scene, from which the same call goes on."""
    if not path.is_file():
        return False
    try:
        with rasterio.open(path) as dataset:
            tag = dataset.tags().get(SCENE_TAG)
            return bool(dataset.shape == shape and tag == _scene_tag(seed))
    except RasterioIOError:
        return False


def _scene_tag(seed: int) -> str:
    return f"{geoseg.__version__} seed {seed}"


def _make_room(folder: Path, outputs: Iterable[Path], overwrite: bool) -> None:
    make_folder(folder)
    for path in outputs:
        refuse_existing(path, overwrite)


def _write_scene(path: Path, image: NDArray[np.uint16], seed: int) -> None:
    grid = Grid(image.shape[1:], CRS.from_epsg(EPSG), _transform())
    tags = {SCENE_TAG: _scene_tag(seed)}
    layout = Layout(grid, "uint16", landscape.NODATA, landscape.BANDS, tags=tags)
    with working_folder(path) as folder:
        draft = folder / path.name
        to_cog(draft, layout, lambda box: image[:, box[0], box[1]])
        publish(draft, path)


def _transform() -> Affine:
    return Affine(landscape.GSD, 0.0, CORNER[0], 0.0, -landscape.GSD, CORNER[1])


def _score(class_map: Path, truth: NDArray[np.uint8]) -> tuple[tuple[ClassScore, ...], float]:
    """Area and score of every class, and the mean score."""
    with rasterio.open(class_map) as dataset:
        predicted = dataset.read(1)
    confusion = ConfusionMatrix(len(landscape.CLASSES))
    confusion.update(truth, predicted)
    pixels = np.bincount(predicted[predicted != landscape.IGNORE], minlength=len(landscape.CLASSES))
    scores = (
        ClassScore(each.name, count * landscape.GSD**2 / 1e6, count / pixels.sum(), float(iou))
        for each, count, iou in zip(landscape.CLASSES, pixels, confusion.iou(), strict=True)
    )
    return tuple(scores), float(confusion.miou())
