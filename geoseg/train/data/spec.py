r"""Data sets described in a YAML file: which pixels are which class, and which part learns.

For example::

    name: sentinel2-landcover
    description: What the model is for, where it works and where it does not.
    licence: MIT
    gsd: 10                        # metres; optional, see below
    root: ../imagery               # optional; the YAML file's own folder by default
    images: images/*.tif           # paired with labels by file name without ending
    labels: labels/*.tif
    bands: {blue: 1, green: 2, red: 3}                       # name: number in the file
    classes:
      - {name: forest, color: "#1b5e34", codes: [70]}        # codes of the label rasters
      - {name: field, value: 50, codes: [50, 51]}            # value in the map; counted from 0
      - {name: clouds, codes: [90]}
    unscored: [clouds]             # classes that are learnt, but that no score counts; optional
    split:                         # by place; optional
      by: x                        # x or y of pixel centres, in map units, or name
      pattern: '_(\d+)$'           # with `by: name`: the number of a file, its first group
      validation: [331000, 332500] # from, up to but without; optional
      held_out: [336000, 342000]
      margin: 160                  # left out beside either, so that no context is shared

Codes that no class lists are ignored, and counted. What is in neither part is learnt from.

Without ``gsd`` it is what the images say, where all agree within 1 % and are in metres or feet, not
in degrees. The number of a file is looked for in its name without ending first, then in its path
from ``root`` on, also without ending: ``'tile_(\d+)'`` finds that of ``tile_3/images/part_1.jpg``.
A part that holds nothing is told of.

Bands of a scene may lie in several files. They are stacked on the grid of the first one and
counted through, and missing pixels become NaN::

    images: [s2/*.tif, s1/*.tif]
    bands: {red: 4, nir: 8, vv: 13, vh: 14}                  # of a first file with twelve bands

Where names differ, files belong together by what comes before the ending that a pattern asks for:
``*_optical.tif``, ``*_radar.tif`` and ``*_labels.tif`` do. Files of the same name in different
folders belong together by what the wildcards match there, as ``tile_*/images/*.jpg`` and
``tile_*/masks/*.png`` do. Where a partner is missing, or not known, all is refused.

Labels may be colour masks instead: classes then list ``colors``, and have the first one in maps::

    classes:
      - {name: water, colors: ["#0000ff"]}                   # noise of JPEG does no harm
      - {name: town, colors: ["#00ffff", "#ff00ff"]}

Or polygons, in any coordinate system: one file for all images, or one for each by name::

    labels: buildings.gpkg
    column: type                   # of the polygons
    layer: buildings               # of a file with several; optional
    classes:
      - {name: background, polygons: none}                   # where there is no polygon
      - {name: house, polygons: [house, garage]}             # values of the column

``polygons: all`` takes every polygon and needs no column. Without a class of ``polygons: none``
what lies outside is ignored.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from geoseg.classes import PALETTE, ClassInfo, as_classes
from geoseg.errors import UserError
from geoseg.train.data.decode import RGB, Codes, Palette
from geoseg.train.data.vectors import Meaning

__all__ = ["PARTS", "Spec", "Split", "read_spec"]

PARTS = ("training", "validation", "held_out")

VECTORS = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".gml", ".kml", ".parquet")


@dataclass(frozen=True)
class Split:
    """Which place belongs to which part.

    Parameters
    ----------
    by : {"x", "y", "name"}
    pattern : str
        Regular expression whose first group is the number of a file.
    validation, held_out : tuple of float
        From, up to but without; empty for none.
    margin : float
        Beside either interval, where pixels belong to no part.
    """

    by: str
    pattern: str
    validation: tuple[float, ...]
    held_out: tuple[float, ...]
    margin: float

    def part_of(self, places: NDArray[np.float64]) -> NDArray[np.intp]:
        """Index into `PARTS` of each place, -1 for those that are left out."""
        parts = np.zeros(places.shape, np.intp)
        for index, span in ((1, self.validation), (2, self.held_out)):
            if span:
                parts[_within(places, span, self.margin)] = -1
                parts[_within(places, span, 0.0)] = index
        return parts


def _within(places: NDArray[np.float64], span: Sequence[float], wider: float) -> NDArray[np.bool_]:
    return np.asarray((places >= span[0] - wider) & (places < span[1] + wider))


@dataclass(frozen=True)
class Spec:
    """A data set as its YAML file describes it; see the head of the module."""

    name: str
    description: str
    licence: str
    gsd: float | None
    images: tuple[str, ...]
    labels: str
    bands: Mapping[str, int]
    classes: tuple[ClassInfo, ...]
    meaning: Codes | Palette | Meaning
    split: Split | None
    root: str
    unscored: tuple[str, ...] = ()


def read_spec(file: Path) -> Spec:
    """Read the description of a data set.

    Raises
    ------
    UserError
        When there is no such file, or it is not YAML, or a field is missing, unknown or wrong.
    """
    if not os.path.isfile(file):
        raise UserError(
            f"there is no {file}; describe the data set there: name, images, labels, bands, classes"
        )
    try:
        stated = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    return _as_spec(Fields(stated, file.name))


class Fields:
    """Fields of a mapping, to be taken one by one until none is left.

    Parameters
    ----------
    stated : mapping
    where : str
        How to call it in messages.
    """

    def __init__(self, stated: Any, where: str) -> None:
        if not isinstance(stated, dict):
            raise UserError(f"{where}: {stated!r} must be fields with values, as in name: rivers")
        self._rest, self._where, self._known = dict(stated), where, list[str]()

    def take(self, name: str, kind: type, *default: Any) -> Any:
        """The value of a field; the default where it is not stated, if there is one."""
        self._known.append(name)
        if name not in self._rest:
            if default:
                return default[0]
            raise UserError(f"{self._where}: {name} is missing; add it")
        value = self._rest.pop(name)
        value = float(value) if kind is float and type(value) is int else value
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UserError(f"{self._where}: {name} is {value!r}; give {_KINDS[kind]}")
        return value

    def finish(self) -> None:
        """Refuse what was not taken."""
        if self._rest:
            raise UserError(
                f"{self._where}: there is no field {next(iter(self._rest))!r}; choose from "
                f"{', '.join(self._known)}"
            )


_KINDS = {
    str: "text",
    float: "a number",
    int: "a whole number",
    list: "a list, as in [1, 2]",
    dict: "fields with values, as in {red: 1}",
    object: "a list, all or none",
}


def _as_spec(fields: Fields) -> Spec:
    classes = [_as_class(i, each) for i, each in enumerate(fields.take("classes", list))]
    split = fields.take("split", dict, None)
    spec = Spec(
        name=fields.take("name", str),
        description=fields.take("description", str, ""),
        licence=fields.take("licence", str, "other"),
        gsd=fields.take("gsd", float, None),
        root=fields.take("root", str, "."),
        images=_as_patterns(fields.take("images", object, "images/*")),
        labels=fields.take("labels", str, "labels/*"),
        bands=fields.take("bands", dict),
        classes=as_classes(each for each, _, _ in classes),
        meaning=_as_meaning(classes, fields),
        split=None if split is None else _as_split(Fields(split, "split")),
        unscored=tuple(fields.take("unscored", list, [])),
    )
    fields.finish()
    _refuse_senseless(spec)
    return spec


def _refuse_senseless(spec: Spec) -> None:
    if spec.gsd is not None and not 0 < spec.gsd < inf:
        raise UserError(
            f"gsd is {spec.gsd:g}; give the metres that a pixel is wide, or leave it out"
        )
    if not spec.bands or not all(isinstance(name, str) for name in spec.bands):
        raise UserError(f"bands is {dict(spec.bands)}; name each, as in {{red: 1, green: 2}}")
    for pattern in (*spec.images, spec.labels):
        if not pattern or Path(pattern).is_absolute():
            raise UserError(
                f"the pattern {pattern!r} is none below root; give e.g. images/*.tif, and the "
                "folder as root"
            )
    if Path(spec.labels).suffix.lower() in VECTORS and not isinstance(spec.meaning, Meaning):
        raise UserError(
            f"labels is {spec.labels}, a file of polygons, but classes list codes or colors; give "
            "each polygons: all, none, or values of a column"
        )
    names = [each.name for each in spec.classes]
    for name in spec.unscored:
        if name not in names:
            raise UserError(f"unscored lists {name!r}, but the classes are {', '.join(names)}")


def _as_patterns(stated: Any) -> tuple[str, ...]:
    patterns = [stated] if isinstance(stated, str) else stated
    if not isinstance(patterns, list) or not patterns or {*map(type, patterns)} != {str}:
        raise UserError(f"images is {stated!r}; give a pattern, or a list of them to be stacked")
    return tuple(patterns)


Stated = tuple[ClassInfo, str, Any]
"""A class, how its labels are told, and what tells them."""


def _as_class(index: int, stated: Any) -> Stated:
    fields = Fields(stated, f"class {index + 1}")
    name = fields.take("name", str)
    color = fields.take("color", str, "")
    value = fields.take("value", int, index)
    how = next((each for each in _LISTS if each in stated), None)
    if how is None:
        raise UserError(
            f"class {index + 1}: {name!r} has no codes, colors or polygons; list what its labels "
            "have, as in codes: [1], or polygons: all, or none"
        )
    marks = _LISTS[how](name, fields.take(how, object if how == "polygons" else list))
    fields.finish()
    own = marks[0] if how == "colors" else PALETTE[index % len(PALETTE)]
    return ClassInfo(value, name, color or own), how, marks


def _as_codes(name: str, stated: Sequence[Any]) -> tuple[int, ...]:
    if not stated or not all(type(code) is int for code in stated):
        raise UserError(f"class {name!r}: codes {list(stated)} must be whole numbers, one at least")
    return tuple(stated)


def _as_colors(name: str, stated: Sequence[Any]) -> tuple[str, ...]:
    if not stated:
        raise UserError(f"class {name!r}: colors are missing; list one at least, as '#0000ff'")
    return tuple(ClassInfo(0, name, str(each)).color for each in stated)


def _as_values(name: str, stated: Any) -> tuple[str | int, ...] | str:
    if stated in ("all", "none"):
        return str(stated)
    if not isinstance(stated, list) or not stated or not {str, int} >= {*map(type, stated)}:
        raise UserError(
            f"class {name!r}: polygons is {stated!r}; give values of the column in a list, all or "
            "none"
        )
    return tuple(stated)


_LISTS: Mapping[str, Callable[[str, Any], Any]] = {
    "codes": _as_codes,
    "colors": _as_colors,
    "polygons": _as_values,
}


def _as_meaning(classes: Sequence[Stated], fields: Fields) -> Codes | Palette | Meaning:
    ways = {how: each.name for each, how, _ in reversed(classes)}
    if len(ways) > 1:
        listed = ", ".join(f"{name!r} {how}" for how, name in ways.items())
        raise UserError(f"classes are told in {len(ways)} ways ({listed}); tell all in one way")
    marks = tuple(each for _, _, each in classes)
    if "polygons" in ways:
        return _as_polygons(marks, fields)
    _refuse_shared("code" if "codes" in ways else "colour", marks)
    if "colors" in ways:
        return Palette(tuple(tuple(_rgb(color) for color in each) for each in marks))
    return Codes(marks)


def _rgb(color: str) -> RGB:
    return ClassInfo(0, "colour", color).rgb


def _as_polygons(members: tuple[tuple[str | int, ...] | str, ...], fields: Fields) -> Meaning:
    column, layer = fields.take("column", str, None), fields.take("layer", str, None)
    listed = [each for each in members if not isinstance(each, str)]
    if members.count("all") > 1 or members.count("none") > 1 or ("all" in members and listed):
        raise UserError(
            "polygons: all and none are for one class each, and all leaves no values for others"
        )
    if not listed and "all" not in members:
        raise UserError("polygons: no class has any; list values of a column, or give all to one")
    if bool(listed) != (column is not None):
        raise UserError(
            f"column is {column!r}; name the polygons' column whose values classes list, and only "
            "then"
        )
    _refuse_shared("value", listed)
    return Meaning(members, column, layer)


def _refuse_shared(what: str, members: Iterable[Iterable[Any]]) -> None:
    known = [mark for each in members for mark in each]
    shared = [mark for mark in known if known.count(mark) > 1]
    if shared:
        raise UserError(
            f"{what} {min(shared, key=str)} is listed by two classes; a pixel can be of one only"
        )


def _as_split(fields: Fields) -> Split:
    split = Split(
        by=fields.take("by", str),
        pattern=fields.take("pattern", str, r"(\d+)"),
        validation=_as_span(fields.take("validation", list, [])),
        held_out=_as_span(fields.take("held_out", list, [])),
        margin=fields.take("margin", float, 0.0),
    )
    fields.finish()
    try:
        re.compile(split.pattern)
    except re.error as error:
        raise UserError(
            f"split: the pattern {split.pattern!r} is no regular expression ({error})"
        ) from error
    if split.by not in ("x", "y", "name"):
        raise UserError(f"split: by is {split.by!r}; choose x, y or name")
    if split.margin < 0:
        raise UserError(f"split: margin is {split.margin:g}; give 0 or more")
    _refuse_overlap(split.validation, split.held_out)
    return split


def _as_span(stated: Sequence[Any]) -> tuple[float, ...]:
    numbers = [each for each in stated if type(each) in (int, float)]
    if stated and (len(stated) != 2 or len(numbers) != 2 or not numbers[0] < numbers[1]):
        raise UserError(f"split: {list(stated)} must be two rising numbers, from and up to")
    return tuple(map(float, numbers))


def _refuse_overlap(validation: Sequence[float], held_out: Sequence[float]) -> None:
    if validation and held_out and validation[0] < held_out[1] and held_out[0] < validation[1]:
        raise UserError(
            f"split: validation {list(validation)} and held_out {list(held_out)} overlap; what is "
            "scored at the end must not be chosen by"
        )
