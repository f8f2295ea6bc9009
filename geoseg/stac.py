"""STAC Items as images, and what images of them come from."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from math import isfinite
from pathlib import Path
from typing import Any

import xarray as xr

from geoseg.addresses import ITEMS, bare
from geoseg.assets import RASTERS, Band, Item, items_in, missing_of, scaling_of
from geoseg.bands import meant
from geoseg.documents import one_line
from geoseg.errors import UserError
from geoseg.raster.files import Listing
from geoseg.raster.mosaic import Layer, Wanted, open_mosaic
from geoseg.taken import Taken, taken_in

__all__ = ["Chosen", "Opened", "Origin", "choose", "is_stac", "open_stac"]

log = logging.getLogger(__name__)

Json = Mapping[str, Any]


def is_stac(source: str) -> bool:
    """Whether a path or an address is that of an item or of several, by its name.

    So ends what a catalogue keeps in files, and what its server calls an item.
    """
    name = bare(source)
    is_of_server = re.search(r"://.*/collections/[^/]+/items(/[^/]+)?$", name)
    is_raster = name.lower().endswith(RASTERS)
    return name.lower().endswith(ITEMS) or (is_of_server is not None and not is_raster)


@dataclass(frozen=True)
class Origin:
    """An item that an image is made of.

    Parameters
    ----------
    name : str
        Its id.
    where : str
        Path or address, for a link.
    told : mapping
        What tells it from others, for JSON: which assets, and what their values mean.
    taken : Taken or None
        When its image was taken; None where it does not say.
    """

    name: str
    where: str
    told: Json
    taken: Taken | None


@dataclass(frozen=True)
class Opened:
    """Items as one image, what it is read from, of which files that is made, and of which items."""

    image: xr.DataArray
    files: Mapping[str, Listing]
    origins: tuple[Origin, ...]

    @property
    def assets(self) -> tuple[str, ...]:
        """Every file that the image is read from."""
        return tuple(chain(*(each.files for each in self.files.values())))


@dataclass(frozen=True)
class Chosen:
    """What is wanted of items.

    Parameters
    ----------
    title : str
        Of the image.
    names : tuple of str
        Of its bands.
    scenes : tuple of tuple of Layer
        What holds them, item by item.
    origins : tuple of Origin
    """

    title: str
    names: tuple[str, ...]
    scenes: tuple[tuple[Layer, ...], ...]
    origins: tuple[Origin, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """What is to be opened."""
        return tuple(layer.path for scene in self.scenes for layer in scene)

    def opened(self, wanted: Wanted | None = None) -> Opened:
        """All of it as one image, on the grid that is wanted."""
        image, files = open_mosaic(self.scenes, self.names, self.title, wanted or Wanted())
        return Opened(image, files, self.origins)


def open_stac(
    items: Any,
    bands: Sequence[str] | None = None,
    crs: str | None = None,
    resolution: float | None = None,
) -> xr.DataArray:
    """Open STAC Items as one lazy image; nothing but headers is read until values are asked for.

    Parameters
    ----------
    items : path-like, str, dict, object with ``to_dict()``, or iterable of these
        Items and ItemCollections: files, addresses (``https://``, ``s3://``), dicts, objects of
        pystac. Where items overlap, the first one that has data wins, band by band.
    bands : sequence of str, optional
        Common names (``red``), names of bands (``B04``) or keys of assets, in the order wanted; a
        band of an asset that has several also as ``key:2``, listed or not. By default those that
        state a common name, or all where none does.
    crs : str, optional
        Coordinate system of the image, as ``"EPSG:32633"``; by default the first item's.
    resolution : float, optional
        Side of a pixel, in units of the coordinate system; by default that of the first item's
        finest band.

    Returns
    -------
    DataArray, dims (band, y, x)
        float32 with NaN where there is no data, as `geoseg.open_stack` gives it, with the names of
        the bands in ``attrs["long_name"]``. Values are ``stored * scale + offset`` by what the item
        says of the band (``raster:bands``, or ``bands`` of STAC 1.1), by what its file says where
        the item says nothing. One item is on the grid of its finest band; several are on one that
        holds them all.

    Raises
    ------
    UserError
        When items cannot be read or are none, a band is missing or there twice, item and file
        contradict each other, or a file cannot be used.
    """
    return choose(items, bands).opened(Wanted(crs, resolution)).image


def choose(items: Any, bands: Sequence[str] | None) -> Chosen:
    """What is wanted of items, of which none of the files is opened yet.

    Parameters
    ----------
    items, bands
        As for `open_stac`.
    """
    found = items_in(items)
    names = tuple(_told_apart(found[0]) if bands is None else map(str, bands))
    if not names:
        raise UserError("no band is named; name one, as in bands=['red']")
    chosen = [[item.band(name) for name in names] for item in found]
    runs = _runs(chosen)
    scenes = tuple(
        tuple(item.layer(own[start:stop]) for start, stop in runs)
        for item, own in zip(found, chosen, strict=True)
    )
    for item, own in zip(found, chosen, strict=True):
        _tell_unstated_offset(item, own)
    origins = tuple(
        Origin(
            item.name,
            item.where or item.name,
            _facts(item, names, own),
            taken_in(item.facts.get("properties")),
        )
        for item, own in zip(found, chosen, strict=True)
    )
    return Chosen(one_line(found[0].name), names, scenes, origins)


def _tell_unstated_offset(item: Item, bands: Sequence[Band]) -> None:
    """Since baseline 04.00 of January 2022 values of Sentinel-2 are 1000 higher than before."""
    properties = item.facts.get("properties")
    stated = properties if isinstance(properties, Mapping) else {}
    baseline = stated.get("s2:processing_baseline")
    is_applied = stated.get("earthsearch:boa_offset_applied") is True
    if not isinstance(baseline, str) or baseline < "04" or is_applied:
        return
    if all(scaling_of(band, item) is None for band in bands):
        log.warning(
            "%s is of processing baseline %s, whose values are 1000 higher than those before "
            "04.00, and states no offset: they are taken as they are stored, unless the files "
            "state one",
            item,
            one_line(baseline),
        )


def _told_apart(item: Item) -> list[str]:
    """Bands that are taken when none are named: of one common name the one that is called so."""
    stated = [band for band in item.bands if band.common] or list(item.bands)
    known = [band.named for band in stated]
    names = []
    for band in stated:
        is_clear = band.common and len(meant(band.common, known)) == 1
        names.append(band.common if is_clear else band.label)
    if not names:
        item.band("")  # tells that there are no rasters
    return list(dict.fromkeys(names))


def _runs(chosen: Sequence[Sequence[Band]]) -> list[tuple[int, int]]:
    """Bands side by side that all items have in one asset, which are read together."""
    keys = [tuple(band.key for band in bands) for bands in zip(*chosen, strict=True)]
    lengths = [len(list(same)) for _, same in groupby(keys)]
    stops = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    return [(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]


def _facts(item: Item, names: Sequence[str], bands: Sequence[Band]) -> Json:
    told = {
        name: {
            "asset": band.label,
            "scaling": scaling_of(band, item),
            "nodata": _number(missing_of(band, item)),
        }
        for name, band in zip(names, bands, strict=True)
    }
    where = bare(item.where)
    return {"name": item.name, "item": where if "://" in where else Path(where).name, "bands": told}


def _number(value: float | None) -> float | str | None:
    """A number for JSON, which has no word for those that are none."""
    return value if value is None or isfinite(value) else str(value)
