"""What a class of a map is: a value, a name, a colour. Shared by cards, rasters and polygons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from geoseg.errors import UserError

__all__ = ["PALETTE", "ClassInfo", "as_classes", "told_classes"]

# Paul Tol's "muted" qualitative scheme, made for colour-blind readers, followed by his "light" one
# (P. Tol, Colour Schemes, technical note SRON/EPS/TN/09-002).
PALETTE = (
    "#332288", "#117733", "#ddcc77", "#cc6677", "#88ccee", "#aa4499", "#44aa99", "#999933",
    "#882255", "#77aadd", "#ee8866", "#eedd88", "#ffaabb", "#99ddff", "#44bb99", "#bbcc33",
    "#aaaa00", "#dddddd",
)  # fmt: skip

_COLOR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class ClassInfo:
    """One class of a map.

    Parameters
    ----------
    value : int
        The pixel value of the class, 0 to 65534.
    name : str
        Its name, one line.
    color : str
        Its colour as ``#rrggbb``, lower case.
    """

    value: int
    name: str
    color: str

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 65534:
            raise UserError(f"class value {self.value} is outside 0..65534; choose another value")
        if not self.name or "\n" in self.name or len(self.name) > 200:
            raise UserError(f"class name {self.name[:40]!r} must be one line of 1..200 characters")
        if not _COLOR.fullmatch(self.color):
            raise UserError(f"colour {self.color!r} of class {self.name!r} must look like #1a9641")

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue, 0 to 255."""
        red, green, blue = bytes.fromhex(self.color[1:])
        return red, green, blue


def as_classes(classes: Iterable[str | ClassInfo]) -> tuple[ClassInfo, ...]:
    """Complete classes from names: values count from 0, colours come from `PALETTE`.

    Parameters
    ----------
    classes : iterable of str or ClassInfo
        Names, or complete classes, in the order of the network's output channels.

    Returns
    -------
    tuple of ClassInfo

    Raises
    ------
    UserError
        When there is no class, or two share a value.
    """
    complete = tuple(
        each
        if isinstance(each, ClassInfo)
        else ClassInfo(index, each, PALETTE[index % len(PALETTE)])
        for index, each in enumerate(classes)
    )
    _check_distinct([each.value for each in complete])
    return complete


def told_classes(classes: Sequence[ClassInfo], others: Iterable[int] = ()) -> list[dict[str, Any]]:
    """Classes as programs are told of them, for JSON.

    Parameters
    ----------
    classes : sequence of ClassInfo
    others : iterable of int
        Values of classes that nobody named, perhaps among those of `classes`.

    Returns
    -------
    list of dict
        With ``value``, ``name`` and ``color`` as ``#rrggbb``; those without a name come last.
    """
    unnamed = sorted(set(others) - {each.value for each in classes})
    return [asdict(each) for each in classes] + [
        {"value": value, "name": f"class {value}", "color": PALETTE[index % len(PALETTE)]}
        for index, value in enumerate(unnamed, start=len(classes))
    ]


def _check_distinct(values: Sequence[int]) -> None:
    if not values:
        raise UserError("no classes were given; name at least one, e.g. classes=('water', 'land')")
    if len(set(values)) < len(values):
        raise UserError(f"class values {list(values)} are not distinct; give every class its own")
