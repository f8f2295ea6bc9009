"""Options of the function that reads a recipe's folder, told and checked by its signature alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from geoseg.errors import UserError
from geoseg.train import Dataset
from geoseg.train.values import number

__all__ = ["Read", "as_yaml", "checked", "options_of", "told"]

Read = Callable[..., Dataset]

UNIONS = (Union, UnionType)
LISTS = (list, tuple, Sequence)
NOTHING = object()

WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    NoneType: "null",
}


def options_of(read: Read) -> dict[str, tuple[Any, Any]]:
    """The kind and the default of each option of a reader: of all that follows the folder.

    A kind is the annotation: a choice (``Literal``), one of `WORDS`, a union or a list of such.
    """
    _, *options = inspect.signature(read, eval_str=True).parameters.values()
    return {each.name: (each.annotation, each.default) for each in options}


def told(read: Read) -> str:
    """What can be set of a reader, a line each; empty where there is nothing."""
    return "\n".join(
        f"    {name}={as_yaml(default)}: {_words(kind)}"
        for name, (kind, default) in options_of(read).items()
    )


def checked(read: Read, values: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a reader, with values of the kind that it takes.

    Raises
    ------
    UserError
        When a value is of another kind.
    """
    options, found = options_of(read), {}
    for name, value in values.items():
        kind, _ = options[name]
        found[name] = _as(kind, value)
        if found[name] is NOTHING:
            raise UserError(f"{name}={as_yaml(value)}: give {_words(kind)}")
    return found


def _as(kind: Any, value: Any) -> Any:
    """A value as one of a kind; `NOTHING` where it is none."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in UNIONS:
        found = (_as(each, value) for each in inner)
        return next((each for each in found if each is not NOTHING), NOTHING)
    if origin is Literal:
        return value if value in inner else NOTHING
    if origin in LISTS:
        items = [_as(inner[0], each) for each in value] if isinstance(value, list | tuple) else None
        return NOTHING if items is None or any(each is NOTHING for each in items) else tuple(items)
    if kind is float:
        real = number(value)
        return NOTHING if real is None else real
    return value if type(value) is kind else NOTHING


def _words(kind: Any) -> str:
    if get_origin(kind) in UNIONS:
        return " or ".join(map(_words, get_args(kind)))
    if get_origin(kind) in LISTS:
        return f"a list, each {_words(get_args(kind)[0])}"
    if get_origin(kind) is Literal:
        return " or ".join(map(as_yaml, get_args(kind)))
    return WORDS.get(kind, str(kind))


def as_yaml(value: Any) -> str:
    """A plain value as it is written after ``--set``."""
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {as_yaml(each)}' for key, each in value.items())}}}"
    return str(value).lower() if isinstance(value, bool) else str(value)
