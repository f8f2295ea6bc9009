"""What is looked at before any work is done, so that a mistake costs a second and no map."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoseg.addresses import address_of
from geoseg.card import Card
from geoseg.errors import UserError
from geoseg.loader import is_missing
from geoseg.places import Place, Remote

__all__ = ["check_disk", "check_folder", "check_target", "check_values"]

log = logging.getLogger(__name__)

PROBES = 4  # a side: sixteen small windows spread over the image tell its range of values
PROBE = 64  # pixels a side
HOPELESS = 20.0  # values so many times too small or too large are in other units
DOUBTFUL = 4.0
LONGEST = 255 - len(".aux.xml")  # bytes of a name that file systems take, and its sidecar's
LEAST_COMPRESSION = 4  # class maps are a fourth of their pixels or less, temporary copies included


def check_target(target: Place, sources: Iterable[str]) -> None:
    """Refuse an output that cannot be written, or that is one of the files of the input.

    Raises
    ------
    UserError
    """
    if len(os.fsencode(target.name)) > LONGEST:
        raise UserError(
            f"the name {target.name} has {len(os.fsencode(target.name))} bytes, more than "
            f"{LONGEST}, which leaves room for those of sidecars; choose a shorter one"
        )
    if target.is_dir():
        raise UserError(f"{target} is a folder; name a file in it, e.g. {target / 'map.tif'}")
    if isinstance(target, Remote):
        if str(target) in map(address_of, sources):
            raise UserError(f"output {target} is the input itself; choose another name")
        return
    for source in sources:
        if target.exists() and os.path.exists(source) and target.samefile(source):
            raise UserError(
                f"output {target} is the input itself or a part of it; choose another name"
            )
    check_folder(target.parent)


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not there, or that may not be written to.

    Raises
    ------
    UserError
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; make it first: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write into {folder}; choose a folder that you may write to")


def check_disk(folder: Path, raw_bytes: int, kept: int = 0) -> None:
    """Refuse to begin when the disk is too small for the result.

    Parameters
    ----------
    folder : Path
    raw_bytes : int
        Size of all rasters and blocks to be written there, not compressed. How large polygons will
        be nobody knows before they are drawn.
    kept : int
        Bytes of them that are there by now.
    """
    free = shutil.disk_usage(folder).free
    needed = raw_bytes // LEAST_COMPRESSION - kept
    if free < needed:
        raise UserError(
            f"{folder} has {_told(free)} free but the result, and its blocks until it is in place, "
            f"may need {_told(needed)}; free some space or choose another disk"
        )


def _told(size: int) -> str:
    """Bytes in the unit that shows three digits of them."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.{max(3 - len(str(size // unit)), 0)}f} {name}"
    return f"{size} bytes"


def check_values(image: xr.DataArray, card: Card) -> None:
    """Compare a sample of the image with what the model was trained on.

    Parameters
    ----------
    image : DataArray, dims (band, y, x)
        In the model's bands.
    card : Card

    Raises
    ------
    UserError
        When all bands are 20 times or more too dark or too bright, or a band of decibels is
        positive: the units differ.
    """
    if not card.value_range:
        return
    sample = _sample(image)
    if sample.shape[1] == 0:
        return
    lowest, highest = np.nanpercentile(sample, (1, 99), axis=1)
    _refuse_positive_decibels(lowest, highest, card)
    usual = np.array([high for _, high in card.value_range])
    if not (highest > 0).any() or not (usual > 0).all():
        return  # nothing but darkness, or signed units: no ratio to judge by
    ratio = np.maximum(highest, 0) / usual
    seen = ", ".join(f"{value:g}" for value in highest)
    known = ", ".join(f"{value:g}" for value in usual)
    says = f"pixels go up to {seen} where {card.name} was trained on values up to {known}"
    if (ratio < 1 / HOPELESS).all() or (ratio > HOPELESS).all():
        raise UserError(
            f"{says}: the units differ; scale the image to the model's (e.g. gdal_calc.py or "
            "gdal_translate -scale), or choose a model for such images"
        )
    if (ratio < 1 / DOUBTFUL).all() or (ratio > DOUBTFUL).all():
        log.warning("%s: the map may be poor", says)


def _refuse_positive_decibels(
    lowest: NDArray[np.float32], highest: NDArray[np.float32], card: Card
) -> None:
    """Refuse bands that are positive where the model has only seen negative values.

    Backscatter in decibels is: what is positive there is linear, or a band of another sensor.
    """
    for name, low, high, (least, most) in zip(
        card.bands, lowest, highest, card.value_range or (), strict=True
    ):
        if most < 0 <= low and high > 0:
            raise UserError(
                f"band {name!r} goes from {low:g} to {high:g} where {card.name} was trained on "
                f"{least:g} to {most:g}: the units differ, or it is another band; give decibels, "
                "or name the bands by --bands"
            )


def _sample(image: xr.DataArray) -> NDArray[np.float32]:
    """Pixels that have data, from a grid of small windows: (band, pixel)."""
    rows, columns = (
        np.unique(np.linspace(0, max(length - PROBE, 0), PROBES).astype(int))
        for length in image.shape[1:]
    )
    stored = image.rio.nodata
    found = []
    for row in rows:
        for column in columns:
            pixels = image[:, row : row + PROBE, column : column + PROBE].values
            values = pixels.astype(np.float32).reshape(pixels.shape[0], -1)
            values[is_missing(values, None if stored is None else float(stored))] = np.nan
            found.append(values[:, ~np.isnan(values).all(0)])
    sample = np.concatenate(found, axis=1)
    gone = np.isnan(sample).all(1)
    sample[gone] = 0  # a band without any data says nothing about units
    return sample
