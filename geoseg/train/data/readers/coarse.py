"""Data sets seen from farther away: fewer, larger pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoseg.loader import Scene
from geoseg.train.data.dataset import Dataset
from geoseg.train.data.lazy import lazy_image, lazy_labels

__all__ = ["coarser"]


def coarser(data: Dataset, by: int) -> Dataset:
    """The same data set with pixels that are several times as large.

    Parameters
    ----------
    data : Dataset
    by : int
        How many pixels become one, along rows and along columns.

    Returns
    -------
    Dataset
        Read by window still. Pixels are those that `geoseg.predict` makes of an image that is finer
        than a model: means of what has data, rounded where whole numbers have no gaps. A label is
        that of the pixel in the middle. Where scenes lie on the ground is left out.
    """
    parts = {
        name: [_coarser(scene, by) for scene in getattr(data, name)]
        for name in ("training", "validation", "held_out")
    }
    return replace(data, gsd=None if data.gsd is None else data.gsd * by, **parts)  # type: ignore[arg-type]


def _coarser(scene: Scene, by: int) -> Scene:
    assert scene.labels is not None  # noqa: S101  (a Dataset's scenes all have labels)
    seen = Scene(scene.image, zoom=(1 / by, 1 / by))
    whole = scene.image.dtype.kind in "ui" and scene.nodata is None
    kind = str(scene.image.dtype) if whole else "float32"
    image = lazy_image(_Pixels(seen, whole), (len(scene.image), *seen.shape), kind)
    return Scene(image, lazy_labels(_Middles(scene.labels, by), image))


@dataclass(frozen=True)
class _Pixels:
    scene: Scene
    whole: bool

    def __call__(self, rows: slice, columns: slice) -> NDArray[Any]:
        pixels = self.scene.read((rows, columns))
        return np.rint(pixels) if self.whole else pixels


@dataclass(frozen=True)
class _Middles:
    labels: xr.DataArray
    by: int

    def __call__(self, rows: slice, columns: slice) -> NDArray[Any]:
        spans = zip((rows, columns), self.labels.shape, strict=True)
        y, x = (
            np.minimum(np.arange(span.start, span.stop) * self.by + self.by // 2, length - 1)
            for span, length in spans
        )
        box = self.labels[y[0] : y[-1] + 1, x[0] : x[-1] + 1].values
        return np.asarray(box[np.ix_(y - y[0], x - x[0])])
