"""Which bands of an image are the bands of a model: by name, or in order where there are none."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import xarray as xr

from geoseg.card import Card
from geoseg.errors import UserError
from geoseg.raster.arrays import require_image
from geoseg.raster.files import find_band

__all__ = ["Named", "band_names", "choose_bands", "meant", "refuse_other_count"]

log = logging.getLogger(__name__)

# Common names of bands (STAC electro-optical extension v2.0.0, table "Common Band Names") and the
# names on which Sentinel-2 and Landsat 8/9 products agree; B8 is near infrared in one and
# panchromatic in the other, so it stands for neither.
_SYNONYMS = {
    "coastal": ("b01", "b1", "ultra_blue", "coastal_aerosol"),
    "blue": ("b02", "b2", "b"),
    "green": ("b03", "b3", "g"),
    "red": ("b04", "b4", "r"),
    "nir": ("b08", "near_infrared", "nir08"),
}
_COMMON = {other: common for common, others in _SYNONYMS.items() for other in others}


def band_names(image: xr.DataArray) -> list[str]:
    """Names of the bands of an image, empty where it names none.

    Parameters
    ----------
    image : DataArray, dims (band, y, x)
        Names are looked for in ``attrs["long_name"]`` and in the coordinate ``band``.
    """
    stated = image.attrs.get("long_name", ())
    if not isinstance(stated, str) and len(stated) == image.shape[0]:
        return [str(name or "") for name in stated]
    labels = image.coords.get(str(image.dims[0]))
    if labels is not None and labels.dtype.kind in "UOST":
        return [str(name) for name in labels.values]
    if isinstance(stated, str) and image.shape[0] == 1:
        return [stated]
    return [""] * int(image.shape[0])


def choose_bands(
    image: xr.DataArray, card: Card, bands: Sequence[str | int] | None = None
) -> xr.DataArray:
    """The bands that a model wants, in its order.

    Parameters
    ----------
    image : DataArray, dims (band, y, x)
    card : Card
    bands : sequence of str or int, optional
        Names, or numbers from 1, one for each band of the model. By default bands are matched by
        name; where the image names none and has as many as the model, they are taken in order.

    Returns
    -------
    DataArray, dims (band, y, x)

    Raises
    ------
    UserError
        When bands are missing, with both lists.
    """
    require_image(image)
    names = band_names(image)
    if bands is not None:
        refuse_other_count(bands, card)
        numbers = _numbers(image)
        return image[[find_band(band, numbers, names, "the image") for band in bands]]
    places = _match(names, card)
    return image if places == list(range(image.shape[0])) else image[places]


def refuse_other_count(bands: Sequence[str | int], card: Card) -> None:
    """Refuse names of more or fewer bands than a model takes.

    Raises
    ------
    UserError
    """
    if len(bands) != len(card.bands):
        raise UserError(
            f"{len(bands)} bands are named ({', '.join(map(str, bands))}) but {card.name} "
            f"takes {len(card.bands)}: {', '.join(card.bands)}"
        )


@dataclass(frozen=True)
class Named:
    """What a band is called.

    Parameters
    ----------
    common : str
        Its common name; empty where none is stated.
    own : tuple of str
        Its own names, the one that tells it from all others first.
    """

    common: str
    own: tuple[str, ...]


def meant(wanted: str, bands: Sequence[Named]) -> list[int]:
    """Places of the bands that a name may stand for: one where it is clear.

    Common names come first, as they are written and then as they are understood (B04 is red, nir08
    may be nir); of several bands of one common name the one that is called so itself.

    Parameters
    ----------
    wanted : str
    bands : sequence of Named
    """
    common = _common_name(wanted)
    stated = [(place, band.common) for place, band in enumerate(bands) if band.common]
    found = _alike(wanted, stated)
    if found:
        return _by_own_name(wanted, bands, found) or found
    # Whatever states that it is something else is not red, though it be called so.
    free = [p for p, band in enumerate(bands) if common not in _SYNONYMS or not band.common]
    return _by_own_name(wanted, bands, free)


def _by_own_name(wanted: str, bands: Sequence[Named], places: Iterable[int]) -> list[int]:
    known = [(place, bands[place].own) for place in places]
    for rank in range(max((len(own) for _, own in known), default=0)):
        named = [(place, own[rank]) for place, own in known if rank < len(own)]
        if found := _alike(wanted, named):
            return found
    return []


def _alike(wanted: str, named: Sequence[tuple[int, str]]) -> list[int]:
    """Places of what is named so to the letter; else of what means it."""
    text, common = wanted.strip().casefold(), _common_name(wanted)
    tests: tuple[Callable[[str], bool], ...] = (
        lambda name: name.strip().casefold() == text,
        lambda name: name.strip().casefold() == common,
        lambda name: _common_name(name) == common,
    )
    for is_it in tests:
        if found := [place for place, name in named if is_it(name)]:
            return found
    return []


def _numbers(image: xr.DataArray) -> list[int]:
    """The file's own numbers where they are known, also after alpha was left out; else from 1."""
    dim = image.dims[0]
    if dim in image.coords and image.coords[dim].dtype.kind in "iu":
        return [int(number) for number in image.coords[dim].values]
    return list(range(1, image.shape[0] + 1))


def _match(names: Sequence[str], card: Card) -> list[int]:
    known = [_common_name(name) for name in names]
    wanted = [_common_name(name) for name in card.bands]
    if set(wanted) <= set(known):
        places = [known.index(name) for name in wanted]
        if places != list(range(len(places))):
            taken = ", ".join(f"{place + 1} {names[place]}" for place in places)
            log.info(
                "bands %s are the image's %s, by its names or colours; if it is wrong there, say "
                "so: --bands 1,2,3, say",
                ", ".join(card.bands),
                taken,
            )
        return places
    # Where one is found by its name, the order of the others proves nothing.
    says_nothing = not set(known) & set(wanted) and not any(map(_says_something, names))
    if len(names) == len(card.bands) and says_nothing:
        log.info("bands are taken in the image's order as %s", ", ".join(card.bands))
        return list(range(len(names)))
    remedy = (
        _asked(known, wanted)
        if len(wanted) <= len(names)
        else "take an image that has them, or another model (geoseg model list)"
    )
    raise UserError(
        f"{card.name} takes {len(wanted)} bands ({', '.join(card.bands)}) but the image has "
        f"{len(names)} ({_listed(names)}); {remedy}"
    )


def _asked(known: Sequence[str], wanted: Sequence[str]) -> str:
    """How to say which bands are meant; numbers only of those whose names match."""
    found = [str(known.index(name) + 1) if name in known else "?" for name in wanted]
    if {*found} == {"?"}:
        return "say which they are, --bands with numbers or names in that order"
    return f"say which they are, --bands {','.join(found)} with a number or name for each ?"


def _common_name(name: str) -> str:
    folded = re.sub(r"[^0-9a-z]+", "_", name.casefold()).strip("_")
    return _COMMON.get(folded, folded)


def _says_something(name: str) -> bool:
    """Whether a name is more than a number ("Band 1", "layer_2", "3")."""
    return bool(re.sub(r"^(band|layer|channel|b)?[ _-]*\d*$", "", name.strip().casefold()))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"{i} {name}".strip() for i, name in enumerate(names, 1))
