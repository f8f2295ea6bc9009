"""STAC Items: which assets hold the bands, what their values mean, where they lie.

An item is a file of somebody else's, or what a server says: nothing in it is believed before it was
looked at, and its files are none but those that it could name to anybody who opens it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from os import PathLike, fspath
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

from geoseg.addresses import ASSETS, address_of, bare
from geoseg.bands import Named, meant
from geoseg.documents import listed, one_line, read_json
from geoseg.errors import UserError
from geoseg.raster.mosaic import Layer

__all__ = ["RASTERS", "Band", "Item", "items_in", "missing_of", "scaling_of"]

log = logging.getLogger(__name__)

MAX_BANDS = 2_000  # of an item: hyperspectral sensors have hundreds

RASTERS = (".tif", ".tiff", ".jp2", ".img")
LISTS = "bands", "eo:bands", "raster:bands"  # of STAC 1.1, and of extensions of STAC 1.0
NO_DATA_ROLES = {"thumbnail", "overview", "metadata"}
NUMBERS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Band:
    """A band of an asset, as the item tells of it.

    Parameters
    ----------
    key : str
        Of the asset.
    number : int
        Which band of the asset it is, from 1.
    count : int or None
        Of how many; None where it is named by its number and the item does not say that.
    common, name : str
        Empty where they are not stated.
    facts : tuple of mapping
        Where scale, offset and no-data value are looked for, in this order.
    """

    key: str
    number: int
    count: int | None
    common: str
    name: str
    facts: tuple[Json, ...]

    @property
    def label(self) -> str:
        """What it alone is called in its item."""
        return self.key if self.count == 1 else f"{self.key}:{self.number}"

    @property
    def named(self) -> Named:
        """What it is called."""
        return Named(self.common, (self.label, self.name) if self.name else (self.label,))

    @property
    def is_listed(self) -> bool:
        """Whether the item tells of bands of the asset, and not of the asset alone."""
        return len(self.facts) > 2

    def __str__(self) -> str:
        told = self.common or self.name
        return one_line(self.label if told in ("", self.label) else f"{self.label} ({told})")


@dataclass(frozen=True)
class Item:
    """A STAC Item whose fields were looked at.

    Parameters
    ----------
    name : str
        Its id.
    where : str
        Path or address of itself, or of the file that it came in; empty where it has none.
    base : str
        What its relative addresses are relative to; empty where nobody knows.
    facts : mapping
        As JSON has it.
    bands : tuple of Band
        Of assets that are rasters.
    """

    name: str
    where: str
    base: str
    facts: Json
    bands: tuple[Band, ...]

    def __str__(self) -> str:
        return f"item {one_line(self.name)}"

    def band(self, wanted: str) -> Band:
        """The band that a name stands for.

        Raises
        ------
        UserError
            When there is none, or several.
        """
        places = meant(wanted, [band.named for band in self.bands])
        if len(places) == 1:
            return self.bands[places[0]]
        if not places and (numbered := self._numbered(wanted)) is not None:
            return numbered
        if not self.bands:
            raise UserError(
                f"{self} has no assets that are rasters ({listed(self.facts['assets']) or 'none'}"
                "); give an item whose assets are GeoTIFFs or the like"
            )
        if not places:
            raise UserError(
                f"{self} has no band {wanted!r}; it has {listed(self.bands)}: name those that are "
                "meant, --bands (bands) with names in the model's order, or take another item"
            )
        several = listed(self.bands[place] for place in places)
        raise UserError(
            f"{self} has {len(places)} assets for band {wanted!r}: {several}; name the one that is "
            f"meant: --bands (bands) with {self.bands[places[0]].label}, say"
        )

    def _numbered(self, wanted: str) -> Band | None:
        """A band by key and number, of an asset whose bands the item does not list."""
        key, _, number = wanted.strip().rpartition(":")
        alike = [each for each in self.bands if each.key.casefold() == key.casefold()]
        if len(alike) != 1 or alike[0].is_listed or not re.fullmatch(r"[1-9][0-9]{0,4}", number):
            return None
        return replace(alike[0], number=int(number), count=None, common="")

    def layer(self, bands: Sequence[Band]) -> Layer:
        """Bands of one asset, to be read.

        Raises
        ------
        UserError
            When its address or what is said of its values is not to be used.
        """
        _refuse_uneven(self, bands[0].key)
        missing = {str(missing_of(band, self)): missing_of(band, self) for band in bands}
        if len(missing) > 1:
            raise UserError(
                f"{self} has several no-data values for asset {one_line(bands[0].key)} "
                f"({', '.join(missing)}); give its bands as files of their own"
            )
        (nodata,) = missing.values()
        counts = {band.count for band in bands} - {None}
        return Layer(
            _path(self, bands[0].key),
            tuple(band.number for band in bands),
            tuple(scaling_of(band, self) for band in bands),
            nodata,
            counts.pop() if counts else None,
            "" if bands[0].is_listed else one_line(bands[0].key),
        )


def items_in(source: Any) -> list[Item]:
    """The items that something stands for, in its order.

    Parameters
    ----------
    source : path-like, str, dict, object with ``to_dict()``, or iterable of these

    Raises
    ------
    UserError
        When it cannot be read, or is no item.
    """
    if isinstance(source, str | PathLike):
        name = fspath(source)
        where = name if "://" in name else str(Path(name).absolute())
        return _items_of(read_json(where), where)
    if isinstance(source, Mapping):
        return _items_of(source, "")
    if hasattr(source, "to_dict"):
        return _items_of(source.to_dict(), "")
    if isinstance(source, Iterable):
        found = [item for each in source for item in items_in(each)]
        if found:
            return found
        raise UserError("no item is given; the search that it comes from found none")
    raise UserError(
        f"a {type(source).__name__} is no STAC Item; give a file, an address, a dict or an object "
        "of pystac, of a search search.item_collection()"
    )


def _items_of(facts: Any, where: str) -> list[Item]:
    shown = bare(where) or "what is given"
    kind = facts.get("type") if isinstance(facts, Mapping) else type(facts).__name__
    if kind in ("Catalog", "Collection"):
        raise UserError(
            f"{shown} is a STAC {kind}, which holds many items; search it, as with pystac-client, "
            "and give the items that are wanted"
        )
    if kind not in ("Feature", "FeatureCollection"):
        raise UserError(f"{shown} is no STAC Item (its type is {kind!r}); give one, or several")
    if kind == "Feature":
        return [_item(facts, where, where or _self(facts))]
    features = facts.get("features")
    if not isinstance(features, list) or not features:
        raise UserError(f"{shown} holds no items; the search that it comes from found none")
    if any(isinstance(each, Mapping) and each.get("rel") == "next" for each in _links(facts)):
        log.warning(
            "%s is one page of what was found, with %d items; the others are not in the image, "
            "unless all are fetched into one file, as with pystac-client",
            shown,
            len(features),
        )
    found = []
    for each in features:
        own = _self(each)
        # What came over a network names no files of this machine.
        base = own if "://" in own or "://" not in where else where
        found.append(_item(each, base or where, base or where))
    return found


def _item(facts: Any, where: str, base: str) -> Item:
    shown = bare(where) or "what is given"
    if not isinstance(facts, Mapping) or not isinstance(facts.get("assets"), Mapping):
        raise UserError(f"{shown} is GeoJSON and no STAC Item, for it has no assets; give an item")
    name, assets = facts.get("id"), facts["assets"]
    if not isinstance(name, str) or not name:
        raise UserError(f"{shown} is no STAC Item, for it has no id; give an item")
    item_facts = facts.get("properties")
    shared = item_facts if isinstance(item_facts, Mapping) else {}
    bands = [
        band
        for key, asset in assets.items()
        if isinstance(asset, Mapping) and _is_raster(asset)
        for band in _bands(str(key), asset, shared)
    ]
    if len(bands) > MAX_BANDS:
        raise UserError(
            f"item {one_line(name)} names {len(bands)} bands, more than {MAX_BANDS}; leave out "
            "those that are not wanted"
        )
    return Item(name, where or _self(facts), base, facts, tuple(bands))


def _self(facts: Any) -> str:
    """The address that an item says to be its own; empty where it says none that can be used."""
    for link in _links(facts):
        if isinstance(link, Mapping) and link.get("rel") == "self":
            href = link.get("href")
            is_whole = isinstance(href, str) and (href.startswith(ASSETS) or _is_absolute(href))
            return str(href) if is_whole else ""
    return ""


def _links(facts: Any) -> list[Any]:
    links = facts.get("links") if isinstance(facts, Mapping) else None
    return links if isinstance(links, list) else []


def _is_absolute(path: str) -> bool:
    return Path(path).is_absolute() and not path.startswith("/vsi")


def _is_raster(asset: Json) -> bool:
    """Whether an asset is a raster that holds more than a picture of the others."""
    roles, kind, href = asset.get("roles"), asset.get("type"), asset.get("href")
    if isinstance(roles, list) and not NO_DATA_ROLES.isdisjoint(map(str, roles)):
        return False
    if isinstance(kind, str):
        return kind.lower().startswith("image/")
    return isinstance(href, str) and href.split("?")[0].lower().endswith(RASTERS)


def _bands(key: str, asset: Json, shared: Json) -> list[Band]:
    """The bands of an asset by STAC 1.1 (``bands``) and by the extensions of STAC 1.0."""
    lists = [_mappings(asset.get(name)) for name in LISTS]
    count = max(1, *map(len, lists))
    found = []
    for i in range(count):
        own = tuple(each[i] for each in lists if i < len(each))
        facts = (*own, asset, shared)
        common = _text(own, "eo:common_name", "common_name") or (
            _text((asset,), "eo:common_name") if count == 1 else ""
        )
        found.append(Band(key, i + 1, count, common, _text(own, "name"), facts))
    return found


def _mappings(value: Any) -> list[Json]:
    """A list of objects of JSON; what is something else tells nothing."""
    listed = value if isinstance(value, list) else []
    return [each if isinstance(each, Mapping) else {} for each in listed]


def _text(facts: Iterable[Json], *names: str) -> str:
    found = (each.get(name) for each in facts for name in names)
    return next((text for text in found if isinstance(text, str) and text), "")


def scaling_of(band: Band, item: Item) -> tuple[float, float] | None:
    """Scale and offset that an item states; None where it states neither.

    Raises
    ------
    UserError
        When they are no numbers to scale with, or are said to be applied.
    """
    *own, asset, shared = band.facts
    stated = {}
    for name in ("scale", "offset"):
        prefixed = f"raster:{name}"
        found = [each[n] for each in own for n in (prefixed, name) if each.get(n) is not None]
        found += [each[prefixed] for each in (asset, shared) if each.get(prefixed) is not None]
        if found:
            stated[name] = _number(found[0], name, band, item)
    if not stated:
        return None
    scale, offset = stated.get("scale", 1.0), stated.get("offset", 0.0)
    if not (isfinite(scale) and isfinite(offset) and scale):
        raise UserError(
            f"{item} says scale {scale:g} and offset {offset:g} of asset {one_line(band.key)}; "
            "correct it"
        )
    if offset and shared.get("earthsearch:boa_offset_applied") is True:
        raise UserError(
            f"{item} says of asset {one_line(band.key)} that its offset is {offset:g}, and that it "
            "was applied already (earthsearch:boa_offset_applied); correct one of them in a copy "
            "of it"
        )
    return scale, offset


def missing_of(band: Band, item: Item) -> float | None:
    """The no-data value that an item states; None where it states none.

    Raises
    ------
    UserError
        When it is no number.
    """
    found = [each["nodata"] for each in band.facts if each.get("nodata") is not None]
    return _number(found[0], "nodata", band, item) if found else None


def _refuse_uneven(item: Item, key: str) -> None:
    """Refuse an asset of which there is no telling what is said of which band."""
    asset = item.facts["assets"][key]
    lengths = {len(each) for name in LISTS if (each := _mappings(asset.get(name)))}
    if len(lengths) > 1:
        raise UserError(
            f"{item} tells of {' and of '.join(map(str, sorted(lengths)))} bands of asset "
            f"{one_line(key)} ({', '.join(LISTS)}); correct it"
        )


def _number(value: Any, name: str, band: Band, item: Item) -> float:
    if isinstance(value, str) and value.lower() in NUMBERS:
        return NUMBERS[value.lower()]
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass
    raise UserError(
        f"{item} has {name} {one_line(repr(value))} for asset {one_line(band.key)}, which is no "
        "number; correct it"
    )


def _path(item: Item, key: str) -> str:
    """Where an asset lies, as GDAL takes it.

    Raises
    ------
    UserError
        When it is not an address or path of a file, or a path in an item of a server.
    """
    href = item.facts["assets"][key].get("href")
    what = f"asset {one_line(key)} of {item}"
    if not isinstance(href, str) or not href.strip() or any(sign in href for sign in "\n\r\0<>"):
        raise UserError(f"{what} has no address (its href is {one_line(repr(href))}); correct it")
    if address_of(href).startswith(ASSETS):
        return href
    is_remote = "://" in item.base
    path = unquote(href.removeprefix("file://")) if href.startswith("file://") else href
    is_drive = re.match(r"[A-Za-z]:", href)  # of Windows
    if "://" in path or path.startswith("/vsi") or (is_remote and (path != href or is_drive)):
        raise UserError(
            f"{what} is at {one_line(bare(href))}, where geoseg reads no assets; name it by "
            "https://, s3://, or in an item on a disk by a path"
        )
    if path != href:
        return path
    if is_remote:
        return _joined(item.base, href)
    if not item.base and not _is_absolute(href):
        raise UserError(
            f"{what} is at {one_line(href)}, and the item does not say where that is; give the "
            "file or address of the item, or item.make_asset_hrefs_absolute()"
        )
    there = Path(item.base).parent / href
    plain = Path(item.base).parent / unquote(href)
    return str(plain if plain.exists() and not there.exists() else there)


def _joined(base: str, href: str) -> str:
    """An address relative to another, of any scheme."""
    scheme, _, rest = base.partition("://")
    joined = urljoin(f"http://{rest}", href)
    return f"{scheme}://{joined.partition('://')[2]}"
