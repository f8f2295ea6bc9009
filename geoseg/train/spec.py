r"""Data sets described in a YAML file: which pixels are which class, and which part learns.

For example::

    name: sentinel2-landcover
    description: What the model is for, where it works and where it does not.
    licence: MIT
    gsd: 10                        # metres; optional
    root: ../imagery               # optional; the YAML file's own folder by default
    images: images/*.tif           # paired with labels by file name without ending
    labels: labels/*.tif
    bands: {blue: 1, green: 2, red: 3}                       # name: number in the file
    classes:
      - {name: forest, color: "#1b5e34", codes: [70]}        # codes of the label rasters
      - {name: field, value: 50, codes: [50, 51]}            # value in the map; counted from 0
    split:                         # by place; optional
      by: x                        # x or y of pixel centres, in map units, or name
      pattern: '_(\d+)$'           # with `by: name`: the number of a file, its first group
      validation: [331000, 332500] # from, up to but without; optional
      held_out: [336000, 342000]
      margin: 160                  # left out beside either, so that no context is shared

Codes that no class lists are ignored, and counted. What is in neither part is learnt from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from geoseg.classes import PALETTE, ClassInfo, as_classes
from geoseg.errors import UserError

__all__ = ["PARTS", "Spec", "Split", "read_spec"]

PARTS = ("training", "validation", "held_out")


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
    images: str
    labels: str
    bands: Mapping[str, int]
    classes: tuple[ClassInfo, ...]
    codes: tuple[tuple[int, ...], ...]
    split: Split | None
    root: str


def read_spec(file: Path) -> Spec:
    """Read the description of a data set.

    Raises
    ------
    UserError
        When there is no such file, or it is not YAML, or a field is missing, unknown or wrong.
    """
    if not file.is_file():
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
        images=fields.take("images", str, "images/*"),
        labels=fields.take("labels", str, "labels/*"),
        bands=fields.take("bands", dict),
        classes=as_classes(each for each, _ in classes),
        codes=tuple(codes for _, codes in classes),
        split=None if split is None else _as_split(Fields(split, "split")),
    )
    fields.finish()
    _refuse_shared_codes(spec)
    return spec


def _as_class(index: int, stated: Any) -> tuple[ClassInfo, tuple[int, ...]]:
    fields = Fields(stated, f"class {index + 1}")
    name = fields.take("name", str)
    color = fields.take("color", str, PALETTE[index % len(PALETTE)])
    value = fields.take("value", int, index)
    codes = tuple(fields.take("codes", list))
    fields.finish()
    if not codes or not all(type(code) is int for code in codes):
        raise UserError(f"class {name!r}: codes {list(codes)} must be whole numbers, one at least")
    return ClassInfo(value, name, color), codes


def _refuse_shared_codes(spec: Spec) -> None:
    codes = [code for each in spec.codes for code in each]
    shared = sorted({code for code in codes if codes.count(code) > 1})
    if shared:
        raise UserError(f"code {shared[0]} is listed by two classes; a pixel can be of one only")


def _as_split(fields: Fields) -> Split:
    split = Split(
        by=fields.take("by", str),
        pattern=fields.take("pattern", str, r"(\d+)"),
        validation=_as_span(fields.take("validation", list, [])),
        held_out=_as_span(fields.take("held_out", list, [])),
        margin=fields.take("margin", float, 0.0),
    )
    fields.finish()
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
