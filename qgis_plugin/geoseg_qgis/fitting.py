# SPDX-License-Identifier: GPL-2.0-or-later
"""Does this image fit this model? Asked before the run, without Qt and without the engine.

The limits are those by which the engine itself refuses or warns, so that nothing is promised here
which fails there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STOP, WARNING, NOTE = "stop", "warning", "note"

FARTHEST_ZOOM = 8.0  # beyond it the engine resamples no more
COLOURS = ("red", "green", "blue")
HOPELESS = 20.0  # values so many times too small or too large are in other units: refused
DOUBTFUL = 4.0
PIXELS_TO_WARN = 25_000_000  # an exported image of more takes long and much disk
PIXELS_TO_STOP = 100_000_000

# As the engine reads the names of bands. B8 is near infrared on Sentinel-2 and panchromatic on
# Landsat, so it stands for neither.
_SYNONYMS = {
    "coastal": ("b01", "b1", "ultra_blue", "coastal_aerosol"),
    "blue": ("b02", "b2", "b"),
    "green": ("b03", "b3", "g"),
    "red": ("b04", "b4", "r"),
    "nir": ("b08", "near_infrared", "nir08"),
}
_COMMON = {other: common for common, others in _SYNONYMS.items() for other in others}

Range = tuple[float, float]


@dataclass(frozen=True)
class ModelCard:
    """What a model takes and gives, as `geoseg model list --json` tells it."""

    name: str
    path: str
    description: str
    bands: tuple[str, ...]
    gsd: float | None
    gsd_range: Range | None
    value_range: tuple[Range, ...]
    classes: tuple[Mapping[str, Any], ...]
    licence: str = ""


@dataclass(frozen=True)
class Band:
    """A band of a layer: the file's number for it, name (may be empty), the colour it is shown as.

    One that is marked as transparency is taken only where it is chosen; many files mark another
    fourth band so.
    """

    number: int
    name: str = ""
    colour: str = ""
    is_alpha: bool = False


@dataclass(frozen=True)
class LayerFacts:
    """What is known of a layer before it is read.

    Parameters
    ----------
    bands : tuple of Band
    pixel_size : tuple of float, or None
        Width and height of a pixel on the ground in metres; None when nobody knows.
    values : mapping
        Band number to (low, high) of a sample of its pixels; empty as long as unknown.
    exported : bool
        Whether QGIS has to export it first, as it does with web maps; the pixels are then what the
        user asks for.
    """

    bands: tuple[Band, ...]
    pixel_size: Range | None = None
    values: Mapping[int, Range] = field(default_factory=dict)
    exported: bool = False


@dataclass(frozen=True)
class Finding:
    """Something to know before the run: a text to be translated, and what to put into it."""

    severity: str
    template: str
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """It in English."""
        return self.template.format(**self.values)


def card_from(told: Mapping[str, Any]) -> ModelCard:
    """The card of a model from the engine's JSON."""
    span = told.get("gsd_range")
    return ModelCard(
        name=str(told["name"]),
        path=str(told.get("path") or told["name"]),
        description=str(told.get("description") or ""),
        bands=tuple(map(str, told["bands"])),
        gsd=told.get("gsd"),
        gsd_range=None if not span else (float(span[0]), float(span[1])),
        value_range=tuple((float(low), float(high)) for low, high in told.get("value_range") or ()),
        classes=tuple(told.get("classes") or ()),
        licence=str(told.get("licence") or ""),
    )


def suggested_bands(bands: Sequence[Band], wanted: Sequence[str]) -> list[int | None]:
    """Number of the layer's band for each of the model's, None where nobody can tell.

    By name where the layer names its bands, else by the colours they are marked as, as the engine
    does; in order where neither is said of any and there are as many. A model that was trained on
    bands without names calls them "band 1" and so on: those are meant by number.

    Examples
    --------
    >>> suggested_bands([Band(1, "B04"), Band(2, "B03")], ["green", "red"])
    [2, 1]
    >>> suggested_bands([Band(1), Band(2), Band(3)], ["red", "nir"])
    [None, None]
    >>> suggested_bands([Band(1, "", "red"), Band(2, "", "green")], ["green", "red"])
    [2, 1]
    >>> suggested_bands([Band(1), Band(2), Band(3)], ["band 3", "band 1"])
    [3, 1]
    """
    bands = [band for band in bands if not band.is_alpha]
    known: dict[str, int] = {}
    for band in bands:
        known.setdefault(_common_name(band.name or band.colour), band.number)
    for band in bands:
        known.setdefault(f"band_{band.number}", band.number)
    found = [known.get(_common_name(name)) for name in wanted]
    # Where one is found by its name, the order of the others proves nothing.
    if not any(found) and not any(_says_something(band.name or band.colour) for band in bands):
        in_order = [band.number for band in bands]
        return list(in_order) if len(in_order) == len(wanted) else [None] * len(wanted)
    return found


def bands_argument(chosen: Sequence[int | None]) -> str:
    """The mapping as the algorithm takes it, so that what is shown is what is run."""
    return "" if None in chosen else ",".join(map(str, chosen))


def findings(layer: LayerFacts, card: ModelCard, chosen: Sequence[int | None]) -> list[Finding]:
    """What does not fit, the worst first.

    Parameters
    ----------
    layer : LayerFacts
    card : ModelCard
    chosen : sequence of int or None
        Band of the layer for each band of the model.
    """
    found = [
        *_about_bands(layer, card, chosen),
        *_about_pixel_size(layer, card),
        *_about_values(layer, card, chosen),
    ]
    order = (STOP, WARNING, NOTE)
    return sorted(found, key=lambda each: order.index(each.severity))


def _about_bands(layer: LayerFacts, card: ModelCard, chosen: Sequence[int | None]) -> list[Finding]:
    if len(layer.bands) < len(card.bands):
        template = _tr(
            "The model needs {wanted} bands ({names}), the layer has {there}. Choose another layer "
            "or model."
        )
        names = {"wanted": str(len(card.bands)), "names": ", ".join(card.bands)}
        return [Finding(STOP, template, {**names, "there": str(len(layer.bands))})]
    missing = [name for name, number in zip(card.bands, chosen) if number is None]
    if missing:
        template = _tr("Choose under Bands which band of the layer is: {names}.")
        return [Finding(STOP, template, {"names": ", ".join(missing)})]
    if len(set(chosen)) < len(chosen):
        return [Finding(WARNING, _tr("One band is used twice. Check the choice under Bands."))]
    return _about_colours(layer, card, chosen)


def _about_colours(
    layer: LayerFacts, card: ModelCard, chosen: Sequence[int | None]
) -> list[Finding]:
    """Files without names of bands still say which they show as red, green and blue."""
    by_number = {band.number: band for band in layer.bands}
    for wanted, number in zip(card.bands, chosen):
        band = by_number[number or 0]
        is_unnamed = not _says_something(band.name)
        if is_unnamed and wanted in COLOURS and band.colour in COLOURS and band.colour != wanted:
            template = _tr(
                "Band {number} is taken as {wanted}, but the file marks it as {colour}. If the "
                "file is right, change it under Bands."
            )
            told = {"number": str(number), "wanted": wanted, "colour": band.colour}
            return [Finding(NOTE, template, told)]
    return []


def _about_pixel_size(layer: LayerFacts, card: ModelCard) -> list[Finding]:
    if card.gsd is None:
        return []
    known = {"known": metres(card.gsd)}
    if layer.pixel_size is None:
        template = _tr(
            "The layer has no coordinate system, so nobody knows the size of its pixels. The model "
            "expects {known}. Set the layer's CRS if you know it."
        )
        return [Finding(WARNING, template, known)]
    low, high = card.gsd_range or (card.gsd, card.gsd)
    if all(low <= side <= high for side in layer.pixel_size):
        return []
    ratios = [side / card.gsd for side in layer.pixel_size]
    told = {**known, "size": size_words(layer.pixel_size)}
    if any(not 1 / FARTHEST_ZOOM <= ratio <= FARTHEST_ZOOM for ratio in ratios):
        template = _tr(
            "Pixels of {size} are more than {times} times off the {known} that the model was "
            "trained on. Choose an image nearer to that, or another model."
        )
        return [Finding(STOP, template, {**told, "times": f"{FARTHEST_ZOOM:g}"})]
    coarse = _tr(
        "Pixels of {size} are coarser than the {known} that the model was trained on. The image "
        "will be resampled, and small things will be missed."
    )
    fine = _tr(
        "Pixels of {size} are finer than the {known} that the model was trained on. The image will "
        "be resampled, and its finer detail not used."
    )
    return [Finding(WARNING, coarse if max(ratios) > 1 else fine, told)]


def _about_values(
    layer: LayerFacts, card: ModelCard, chosen: Sequence[int | None]
) -> list[Finding]:
    known = layer.values
    seen = [known[number] for number in chosen if number is not None and number in known]
    if not card.value_range or len(seen) != len(card.value_range):
        return []
    decibels = _about_decibels(seen, card)
    highest, usual = [high for _, high in seen], [high for _, high in card.value_range]
    if decibels or max(highest) <= 0 or min(usual) <= 0:
        return decibels  # nothing but darkness, or signed units: no ratio to judge by
    ratios = [max(high, 0) / known for high, known in zip(highest, usual)]
    told = {"seen": _ends(highest), "usual": _ends(usual)}
    if _all_off(ratios, HOPELESS):
        template = _tr(
            "Pixel values go up to {seen}, but the model was trained on values up to {usual}: the "
            "units differ. Scale the image first, or choose another model."
        )
        return [Finding(STOP, template, told)]
    if _all_off(ratios, DOUBTFUL):
        template = _tr(
            "Pixel values go up to {seen}, but the model was trained on values up to {usual}. The "
            "map may be poor: scale the image to such values, or choose another model."
        )
        return [Finding(WARNING, template, told)]
    return []


def _about_decibels(seen: Sequence[Range], card: ModelCard) -> list[Finding]:
    for name, (low, high), (_, most) in zip(card.bands, seen, card.value_range):
        if most < 0 <= low and high > 0:
            template = _tr(
                "Band {name} has values from {low} to {high}, but the model was trained on "
                "decibels below zero. Give decibels, or choose another band."
            )
            return [Finding(STOP, template, {"name": name, "low": f"{low:g}", "high": f"{high:g}"})]
    return []


def about_export(pixels: int | None) -> list[Finding]:
    """What to know about an image that QGIS has to export first.

    Parameters
    ----------
    pixels : int or None
        How many it will have; None when extent or pixel size are not chosen yet.
    """
    if pixels is None:
        template = _tr("This layer is a web map. Choose an area of it, and the size of its pixels.")
        return [Finding(STOP, template)]
    told = {"millions": f"{pixels / 1e6:,.0f}"}
    if pixels > PIXELS_TO_STOP:
        template = _tr(
            "{millions} million pixels are too many to load from a web map. Choose a smaller area "
            "or larger pixels."
        )
        return [Finding(STOP, template, told)]
    if pixels > PIXELS_TO_WARN:
        template = _tr(
            "{millions} million pixels will be loaded from the web map. This takes long, and its "
            "provider may object."
        )
        return [Finding(WARNING, template, told)]
    return []


def _tr(text: str) -> str:
    """Mark a text for translators; `words` translates it where it is shown."""
    return text


def percentiles(values: Sequence[float], low: float = 1, high: float = 99) -> Range | None:
    """Two percentiles of a sample, None where it is empty.

    Examples
    --------
    >>> percentiles(range(101))
    (1, 99)
    """
    ordered = sorted(values)
    if not ordered:
        return None
    last = len(ordered) - 1
    return ordered[round(last * low / 100)], ordered[round(last * high / 100)]


def metres(length: float) -> str:
    """A length in metres for reading: ``0.3 m``, ``10 m``, ``1500 m``."""
    return f"{_digits(length)} m"


def size_words(size: Range) -> str:
    """Width and height of a pixel for reading; one number where they are about the same."""
    width, height = size
    if abs(width / height - 1) < 0.01:
        return metres(width)
    return f"{_digits(width)} × {_digits(height)} m"


def _digits(length: float) -> str:
    """Three digits that count, and no power of ten."""
    return f"{length:.0f}" if length >= 100 else f"{length:.3g}"


def first_sentence(text: str) -> str:
    """What a description begins with."""
    return re.split(r"(?<=[.!?])\s", text.strip(), maxsplit=1)[0]


def _common_name(name: str) -> str:
    folded = re.sub(r"[^0-9a-z]+", "_", name.casefold()).strip("_")
    return _COMMON.get(folded, folded)


def _says_something(name: str) -> bool:
    """Whether a name is more than a number ("Band 1", "layer_2", "3")."""
    return bool(re.sub(r"^(band|layer|channel|b)?[ _-]*\d*$", "", name.strip().casefold()))


def _all_off(ratios: Sequence[float], times: float) -> bool:
    return all(ratio < 1 / times for ratio in ratios) or all(ratio > times for ratio in ratios)


def _ends(values: Sequence[float]) -> str:
    """Values in few words; a list of seven numbers says no more than its ends."""
    low, high = min(values), max(values)
    return f"{high:.4g}" if low == high else f"{low:.4g}–{high:.4g}"
