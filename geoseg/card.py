"""The card: what a model is, in a STAC Item with the Machine Learning Model extension.

A card says all that is needed to use the network rightly: bands and their statistics, classes,
pixel size, how far it sees. It is kept as JSON in the header of the weights. What the extension
(https://github.com/stac-extensions/mlm, v1.5.0) has no field for is written with the prefix
``geoseg:``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, TypeVar

from geoseg.classes import ClassInfo, as_classes, told_classes
from geoseg.errors import UserError

__all__ = ["Card", "brief", "card_from_json", "card_to_json", "describe"]

MLM_SCHEMA = "https://stac-extensions.github.io/mlm/v1.5.0/schema.json"
CLASSES_SCHEMA = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
MAX_BYTES = 1_000_000  # a card is a few kilobytes; a header that claims more is not one of ours
MAX_BANDS = 1_000
MAX_REACH = 1_000_000  # pixels; a window or halo beyond it is no network's

_SPDX = re.compile(r"[\w.+-]+")  # what STAC takes for the identifier of a licence

Metadata = Mapping[str, Any]


@dataclass(frozen=True)
class Card:
    """What a model takes, gives and is good for.

    Parameters
    ----------
    name, description : str
        Short name, and a paragraph in words.
    architecture : str
        Name that `geoseg.nets.build` knows; empty for a wrapped module that cannot be saved.
    options : mapping
        Keyword arguments of the architecture.
    classes : tuple of ClassInfo
        In the order of the network's output channels.
    bands : tuple of str
        Names of the input channels, in order.
    mean, std : tuple of float
        Per band, in the units of the pixels: the network sees ``(pixel - mean) / std``.
    value_range : tuple of (float, float)
        Per band, the 0.1 and 99.9 percentiles of the training pixels; empty when unknown.
    window : int
        Recommended side of a window, in the network's pixels.
    halo : int or None
        How many pixels beyond its own an output depends on; None: on the whole window.
    stride : int
        Total stride: shifting the input by it shifts the output alike.
    gsd : float or None
        Ground sample distance it was trained on, in metres; None: any.
    gsd_range : tuple of float
        Ground sample distances, in metres, that it takes without resampling.
    nodata : {"all", "any"}
        A pixel has no data when all its bands are missing, or when any is.
    withheld : tuple of int
        Values of classes that were learnt and are never given: their pixels have the next best one.
    licence : str
    training, metrics : mapping
        Facts about data and schedule; scores on held-out pixels.
    """

    name: str
    description: str
    architecture: str
    options: Metadata
    classes: tuple[ClassInfo, ...]
    bands: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    value_range: tuple[tuple[float, float], ...] = ()
    window: int = 512
    halo: int | None = None
    stride: int = 1
    gsd: float | None = None
    gsd_range: tuple[float, float] | None = None
    nodata: Literal["all", "any"] = "all"
    withheld: tuple[int, ...] = ()
    licence: str = "other"
    training: Metadata = field(default_factory=dict)
    metrics: Metadata = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= len(self.bands) <= MAX_BANDS:
            raise UserError(f"{len(self.bands)} bands: a model takes 1 to {MAX_BANDS}; name them")
        lengths = {len(self.mean), len(self.std), len(self.value_range) or len(self.bands)}
        if lengths != {len(self.bands)}:
            raise UserError(
                f"{len(self.bands)} bands ({', '.join(self.bands)}) but {len(self.mean)} means, "
                f"{len(self.std)} deviations and {len(self.value_range)} ranges; give one a band"
            )
        if not all(map(isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise UserError(
                f"mean {self.mean} and std {self.std}: each mean must be finite, each std positive"
            )
        if not 1 <= self.stride <= MAX_REACH or not 1 <= self.window <= MAX_REACH:
            raise UserError(
                f"window {self.window} and stride {self.stride}: both must be 1 to {MAX_REACH}"
            )
        if self.halo is not None and not 0 <= self.halo <= MAX_REACH:
            raise UserError(f"halo {self.halo} must be 0 to {MAX_REACH} pixels, or None")
        if self.gsd is not None and not 0 < self.gsd < float("inf"):
            raise UserError(f"ground sample distance {self.gsd} m must be positive")
        if self.gsd_range and not 0 < self.gsd_range[0] <= self.gsd_range[1] < float("inf"):
            raise UserError(f"ground sample distances {self.gsd_range} m must be positive, rising")
        if not all(isfinite(value) for pair in self.value_range for value in pair):
            raise UserError(f"value ranges {self.value_range} must be finite numbers")
        if self.nodata not in ("all", "any"):
            raise UserError(f"no-data policy {self.nodata!r} must be 'all' or 'any'")
        values = {each.value for each in self.classes}
        if self.withheld and not set(self.withheld) < values:
            raise UserError(
                f"withheld {list(self.withheld)} must be some of the classes' values, not all of "
                f"{sorted(values)}"
            )


def card_to_json(card: Card) -> str:
    """The card as a STAC Item.

    Returns
    -------
    str
        JSON on one line; the same card gives the same text.
    """
    shape = [-1, len(card.bands), card.window, card.window]
    properties = {
        "datetime": None,
        "start_datetime": "2000-01-01T00:00:00Z",  # STAC wants a span; a card claims none
        "end_datetime": "2100-01-01T00:00:00Z",
        **({"description": card.description} if card.description else {}),  # STAC: never empty
        "license": card.licence if _SPDX.fullmatch(card.licence) else "other",
        "bands": _stac_bands(card),  # MLM wants them here, STAC 1.1 only beside those of an asset
        "mlm:name": card.name,
        "mlm:architecture": card.architecture or "unknown",
        "mlm:framework": "PyTorch",
        "mlm:tasks": ["semantic-segmentation"],
        "mlm:input": [_mlm_input(card, shape)],
        "mlm:output": [_mlm_output(card, shape)],
        "geoseg:architecture": {"name": card.architecture, "options": dict(card.options)},
        "geoseg:window": card.window,
        "geoseg:halo": card.halo,
        "geoseg:stride": card.stride,
        "geoseg:gsd": card.gsd,
        "geoseg:gsd_range": list(card.gsd_range) if card.gsd_range else None,
        "geoseg:value_range": [list(pair) for pair in card.value_range],
        "geoseg:nodata": card.nodata,
        **({"geoseg:withheld": list(card.withheld)} if card.withheld else {}),
        "geoseg:licence": card.licence,
        "geoseg:training": dict(card.training),
        "geoseg:metrics": dict(card.metrics),
    }
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [MLM_SCHEMA, CLASSES_SCHEMA],
        "id": _slug(card.name),
        "geometry": None,
        "properties": properties,
        "links": [],
        "assets": {"model": _asset(card)},
    }
    return json.dumps(item, ensure_ascii=True, allow_nan=False)


def _mlm_input(card: Card, shape: Sequence[int]) -> dict[str, Any]:
    scaling = [
        {"type": "z-score", "mean": mean, "stddev": std}
        for mean, std in zip(card.mean, card.std, strict=True)
    ]
    return {
        "name": "image",
        "bands": list(card.bands),
        "input": {
            "shape": list(shape),
            "dim_order": ["batch", "bands", "height", "width"],
            "data_type": "float32",
        },
        "value_scaling": scaling,
        "resize_type": None,
    }


def _mlm_output(card: Card, shape: Sequence[int]) -> dict[str, Any]:
    return {
        "name": "scores",
        "tasks": ["semantic-segmentation"],
        "result": {
            "shape": [shape[0], len(card.classes), *shape[2:]],
            "dim_order": ["batch", "classes", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": [
            {
                "value": each.value,
                "name": _slug(each.name),
                "description": each.name,
                "color_hint": each.color[1:].upper(),
            }
            for each in card.classes
        ],
    }


def _asset(card: Card) -> dict[str, Any]:
    return {
        "href": f"./{_slug(card.name)}.safetensors",
        "type": "application/octet-stream",
        "roles": ["mlm:model", "mlm:weights"],
        "mlm:artifact_type": "safetensors.torch.save_file",
        "bands": _stac_bands(card),
    }


def _stac_bands(card: Card) -> list[dict[str, str]]:
    return [{"name": band} for band in card.bands]


def _slug(name: str) -> str:
    """A name that STAC allows: letters, digits, dash and underscore."""
    return re.sub(r"[^0-9A-Za-z_-]+", "-", name).strip("-") or "unnamed"


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


def card_from_json(text: str) -> Card:
    """Read a card; nothing in it is trusted.

    Parameters
    ----------
    text : str
        A STAC Item as `card_to_json` writes it.

    Raises
    ------
    UserError
        When a field is missing or does not hold what it should.
    """
    if len(text) > MAX_BYTES:
        raise UserError(f"the model card has {len(text)} bytes, more than {MAX_BYTES}; not a card")
    try:
        return _card(json.loads(text, parse_float=_finite, parse_constant=_finite)["properties"])
    except UserError as error:
        raise UserError(f"the model card is not usable: {error}") from error
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise UserError(
            f"the model card cannot be read ({type(error).__name__}: {error}); export the model "
            "again with geoseg"
        ) from error


def _card(facts: Metadata) -> Card:
    image, result = facts["mlm:input"][0], facts["mlm:output"][0]
    scaling = image["value_scaling"]
    halo, gsd, span = facts["geoseg:halo"], facts["geoseg:gsd"], facts["geoseg:gsd_range"]
    return Card(
        name=str(facts["mlm:name"]),
        description=str(facts.get("description", "")),
        architecture=str(facts["geoseg:architecture"]["name"]),
        options=_mapping(facts["geoseg:architecture"]["options"]),
        classes=as_classes(_class(each) for each in result["classification:classes"]),
        bands=_tuple(str, image["bands"]),
        mean=_tuple(float, (each["mean"] for each in scaling)),
        std=_tuple(float, (each["stddev"] for each in scaling)),
        value_range=tuple((float(a), float(b)) for a, b in facts["geoseg:value_range"]),
        window=int(facts["geoseg:window"]),
        halo=None if halo is None else int(halo),
        stride=int(facts["geoseg:stride"]),
        gsd=None if gsd is None else float(gsd),
        gsd_range=None if span is None else (float(span[0]), float(span[1])),
        nodata=facts["geoseg:nodata"],
        withheld=_tuple(int, facts.get("geoseg:withheld", ())),
        licence=str(facts.get("geoseg:licence") or facts["license"]),
        training=_mapping(facts["geoseg:training"]),
        metrics=_mapping(facts["geoseg:metrics"]),
    )


T = TypeVar("T")


def _tuple(kind: Callable[[Any], T], values: Any) -> tuple[T, ...]:
    return tuple(kind(each) for each in values)


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, found {type(value).__name__}")
    return value


def _class(each: Metadata) -> ClassInfo:
    color = "#" + str(each["color_hint"]).lower()
    name = each.get("description") or each.get("title") or each["name"]
    return ClassInfo(int(each["value"]), str(name), color)


def describe(card: Card) -> str:
    """The card in words, for the terminal."""
    lines = [
        card.name,
        "",
        card.description,
        "",
        f"Takes      {len(card.bands)} bands: {', '.join(card.bands)}",
        f"           {_pixel_size(card)}",
        *(f"           {_value_range(card, i)}" for i in range(len(card.value_range))),
        f"           no data where {card.nodata} bands are missing",
        f"Gives      {len(card.classes)} classes:",
        *(f"           {_class_line(card, each)}" for each in card.classes),
        f"Network    {card.architecture or 'wrapped module'} {dict(card.options)}",
        f"           windows of {card.window}, total stride {card.stride}, {_reach(card)}",
        f"Licence    {card.licence}",
        *_facts("Training", card.training),
        *_facts("Metrics", card.metrics),
    ]
    return "\n".join(lines)


def brief(card: Card) -> dict[str, Any]:
    """What a program needs to offer a model and to see whether an image fits it, for JSON.

    Returns
    -------
    dict
        ``description``, ``bands``, ``gsd`` and ``gsd_range`` in metres or None for any,
        ``value_range`` by band or None where it is not known, ``classes`` with value, name and
        colour, ``window`` and ``halo`` in pixels, ``licence`` and ``metrics``.
    """
    return {
        "description": card.description,
        "bands": list(card.bands),
        "gsd": card.gsd,
        "gsd_range": None if card.gsd_range is None else list(card.gsd_range),
        "value_range": [list(pair) for pair in card.value_range] or None,
        "classes": told_classes(card.classes),
        "window": card.window,
        "halo": card.halo,
        "licence": card.licence,
        "metrics": dict(card.metrics),
    }


def _class_line(card: Card, each: ClassInfo) -> str:
    never = "; never given, the next best class is" if each.value in card.withheld else ""
    return f"{each.value:5d}  {each.color}  {each.name}{never}"


def _pixel_size(card: Card) -> str:
    if card.gsd is None:
        return "any pixel size"
    low, high = card.gsd_range or (card.gsd, card.gsd)
    return f"trained on pixels of {card.gsd:g} m; takes {low:g} to {high:g} m, resamples others"


def _value_range(card: Card, band: int) -> str:
    low, high = card.value_range[band]
    return f"{card.bands[band]}: values mostly {low:g} to {high:g}, mean {card.mean[band]:g}"


def _reach(card: Card) -> str:
    if card.halo is None:
        return "looks at its whole window: windows are blended"
    return f"sees {card.halo} pixels around: exact when windows are cropped by that much"


def _facts(title: str, facts: Metadata) -> list[str]:
    """Nested facts, one a line, indented by depth."""
    if not facts:
        return []
    lines = [title]
    for key, value in facts.items():
        if isinstance(value, dict):
            lines += [f"  {line}" for line in _facts(f"{key}:", value)]
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            lines.append(f"  {key}: {shown}")
    return lines
