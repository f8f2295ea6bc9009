"""What a network learns from: labelled scenes, already told apart by place."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geoseg.classes import ClassInfo, as_classes
from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene, is_missing
from geoseg.windows import Box, Windows

__all__ = ["Dataset", "Statistics", "measure"]

log = logging.getLogger(__name__)

IN_MEMORY = 8 * 2**30
"""Bytes of pixels up to which scenes are held in memory: crops then cost no decoding."""
LOOKED_AT = 2**28
"""Pixels that are read for statistics, at most; 4096 patches of 256 x 256."""
COUNTED = 4_000_000
"""Pixels that statistics look at, at most: the 0.1 percentile then rests on 4000 of them."""
IGNORED = 0.1  # share of the labels that may be ignored without a word
SIDE = 1024  # pixels read at a time when statistics are gathered

Cell = tuple[Scene, Box]


@dataclass(frozen=True)
class Dataset:
    """Labelled scenes and what is known about them.

    Parameters
    ----------
    name, description : str
        Name of the model to be, and a paragraph on where it works and where it does not.
    classes : tuple of ClassInfo
        In the order of the label indices 0..K-1; names become classes, see
        `geoseg.classes.as_classes`.
    bands : tuple of str
        Names of the images' bands, in order.
    training : sequence of Scene
        What is learnt from, with labels.
    validation : sequence of Scene
        Scored now and then while training, to choose settings by.
    held_out : sequence of Scene
        Scored once, at the end.
    gsd : float, optional
        Ground sample distance in metres.
    licence : str
        Under which the model may be passed on.
    unscored : tuple of int
        Labels that are learnt, but whose pixels no score counts.
    regions : tuple of str
        The region that each scene of `training` lies in; empty where none are known.

    Raises
    ------
    UserError
        When there is nothing to learn from, or scenes lack labels or bands.
    """

    name: str
    description: str
    classes: tuple[ClassInfo, ...]
    bands: tuple[str, ...]
    training: Sequence[Scene]
    validation: Sequence[Scene] = ()
    held_out: Sequence[Scene] = ()
    gsd: float | None = None
    licence: str = "other"
    unscored: tuple[int, ...] = ()
    regions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", as_classes(self.classes))
        if not self.training:
            raise UserError(f"{self.name}: no scene to train on; check the split of the data set")
        for scene in (*self.training, *self.validation, *self.held_out):
            if not isinstance(scene, Scene):
                raise UserError(
                    f"{self.name}: a {type(scene).__name__} is no scene; give Scene(image, labels)"
                )
            if scene.labels is None:
                raise UserError(f"{self.name}: a scene has no labels; give Scene(image, labels)")
            if len(scene.image) != len(self.bands):
                raise UserError(
                    f"{self.name}: a scene has {len(scene.image)} bands but {len(self.bands)} are "
                    f"named ({', '.join(self.bands)}); choose the same ones in every scene"
                )

        for part in (self.training, self.validation, self.held_out):
            _refuse_mixed(self.name, part)

    def in_memory(self, holders: int = 1) -> Dataset:
        """The same data set with its pixels read, if there are not too many of them.

        Parameters
        ----------
        holders : int
            Processes that hold them in the same memory.
        """
        scenes = (*self.training, *self.validation)
        if sum(scene.image.nbytes for scene in scenes) * holders > IN_MEMORY:
            return self
        return replace(
            self,
            training=[scene.load() for scene in self.training],
            validation=[scene.load() for scene in self.validation],
        )


def _refuse_mixed(name: str, scenes: Sequence[Scene]) -> None:
    """Refuse scenes whose missing pixels have different values: a batch knows one."""
    # NaN is missing whether it is stated or not.
    values = {
        None if each.nodata is None or each.nodata != each.nodata else each.nodata
        for each in scenes
    }
    if len(values) > 1:
        stated = ", ".join(sorted("none" if each is None else f"{each:g}" for each in values))
        raise UserError(
            f"{name}: scenes have different no-data values ({stated}); give all the same one, e.g. "
            "gdal_edit.py -a_nodata 0, or -unsetnodata"
        )


@dataclass(frozen=True)
class Statistics:
    """Of the training pixels.

    Parameters
    ----------
    mean, std : tuple of float
        Per band, in the units of the pixels.
    value_range : tuple of (float, float)
        Per band, the 0.1 and 99.9 percentiles.
    class_pixels : ndarray of int64, shape (K,)
        Labelled pixels of each class, as far as they were looked at.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    value_range: tuple[tuple[float, float], ...]
    class_pixels: NDArray[np.int64]


def measure(dataset: Dataset) -> Statistics:
    """Statistics of the training pixels; missing pixels are left out.

    Of more than `LOOKED_AT` pixels, pieces that are evenly spread over the scenes are looked at,
    the same ones every time. Pixels of classes are those of the pieces then: their shares are
    close, but a class that is rare may not be among them. Classes without a pixel are told of, and
    the share of pixels that are ignored where it is large.

    Raises
    ------
    UserError
        When a band is constant or all missing, a label is no class, or nothing is labelled, in the
        pixels that were looked at.
    """
    values, counts = _looked_at(_some(list(_cells(dataset.training))))
    bands = [band[~np.isnan(band)] for band in values]
    for name, band in zip(dataset.bands, bands, strict=True):
        _refuse_constant(name, band)
    _refuse_strange(dataset, counts)
    _tell_of_labels(dataset, counts)
    return Statistics(
        mean=tuple(float(band.mean(dtype=np.float64)) for band in bands),
        std=tuple(float(band.std(dtype=np.float64)) for band in bands),
        value_range=tuple(_range(band) for band in bands),
        class_pixels=counts[: len(dataset.classes)],
    )


def _some(cells: list[Cell]) -> list[Cell]:
    """One of every few that follow each other, if there are too many."""
    every = -(-sum(map(_size, cells)) // LOOKED_AT)
    rng = np.random.default_rng(0)  # a regular step could fall on one column of every scene
    groups = [cells[start : start + every] for start in range(0, len(cells), every)]
    return [group[rng.integers(len(group))] for group in groups]


def _size(cell: Cell) -> int:
    rows, columns = cell[1]
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _looked_at(cells: Sequence[Cell]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What pieces hold.

    Returns
    -------
    values : ndarray of float32, shape (band, pixel)
        Of evenly spread pixels; NaN where one is missing.
    counts : ndarray of int64, shape (256,)
        Pixels of each label.
    """
    every = max(sum(map(_size, cells)) // COUNTED, 1)
    columns, counts = [], np.zeros(IGNORE + 1, np.int64)
    for scene, box in cells:
        part = scene.part(box)  # pixels and labels together, for decoding them is the work
        pixels = part.read(box).reshape(len(scene.image), -1)[:, ::every]
        missing = is_missing(pixels, part.nodata)
        columns.append(np.where(missing, np.float32(np.nan), pixels.astype(np.float32)))
        counts += np.bincount(part.read_labels(box).ravel(), minlength=counts.size)
    return np.concatenate(columns, axis=1), counts


def _cells(scenes: Sequence[Scene]) -> Iterator[Cell]:
    """Every pixel of every scene once, in pieces."""
    for scene in scenes:
        windows = Windows(scene.shape, (SIDE, SIDE), (SIDE, SIDE))
        for row, column in np.ndindex(windows.counts):
            yield scene, (windows.core(0, row, 0), windows.core(1, column, 0))


def _refuse_constant(name: str, band: NDArray[np.float32]) -> None:
    if band.size == 0:
        raise UserError(f"band {name!r} has no data in any training scene; leave it out")
    if band.min() == band.max():
        raise UserError(
            f"band {name!r} is {band[0]:g} in every training pixel; leave it out, it tells nothing"
        )


def _range(band: NDArray[np.float32]) -> tuple[float, float]:
    low, high = np.percentile(band, (0.1, 99.9))
    return float(low), float(high)


def _refuse_strange(dataset: Dataset, counts: NDArray[np.int64]) -> None:
    known = len(dataset.classes)
    strange = np.flatnonzero(counts[known:IGNORE])
    if strange.size:
        raise UserError(
            f"{dataset.name}: label {known + strange[0]} in a training scene, but there are "
            f"{known} classes; labels are 0 to {known - 1}, or {IGNORE} to be ignored"
        )
    if not counts[:known].any():
        raise UserError(
            f"{dataset.name}: no training pixel that was looked at has a class; check the class "
            "codes"
        )


def _tell_of_labels(dataset: Dataset, counts: NDArray[np.int64]) -> None:
    """Tell of classes that cannot be learnt, and of many pixels that nothing is learnt from."""
    named = zip(dataset.classes, counts, strict=False)
    if empty := ", ".join(repr(each.name) for each, count in named if not count):
        log.warning(
            "%s: no training pixel that was looked at is of class %s, which will not be learnt; "
            "check codes and split, or leave it out", dataset.name, empty,
        )  # fmt: skip
    share = counts[IGNORE] / counts.sum()
    if share > IGNORED:
        log.warning(
            "%s: %.0f %% of the training labels that were looked at are of no class and ignored; "
            "if they mean something, list it in a class", dataset.name, 100 * share,
        )  # fmt: skip
