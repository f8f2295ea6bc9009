"""Options of the function that reads a recipe's folder, told and checked by its signature alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from geoseg.errors import UserError
from geoseg.train import Dataset

__all__ = ["Read", "checked", "options_of", "told"]

Read = Callable[..., Dataset]

WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    NoneType: "null",
}


def options_of(read: Read) -> dict[str, tuple[Any, Any]]:
    """The kind and the default of each option of a reader: of all that follows the folder.

    A kind is the annotation: a choice (``Literal``), one of `WORDS`, or a union of such.
    """
    _, *options = inspect.signature(read, eval_str=True).parameters.values()
    return {each.name: (each.annotation, each.default) for each in options}


def told(read: Read) -> str:
    """What can be set of a reader, a line each; empty where there is nothing."""
    return "\n".join(
        f"    {name}={_yaml(default)}: {_words(kind)}"
        for name, (kind, default) in options_of(read).items()
    )


def checked(read: Read, values: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a reader, with values of the kind that it takes.

    Raises
    ------
    UserError
        When a value is of another kind.
    """
    options = options_of(read)
    return {name: _checked(name, value, options[name][0]) for name, value in values.items()}


def _checked(name: str, value: Any, kind: Any) -> Any:
    for each in get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,):
        if get_origin(each) is Literal:
            if value in get_args(each):
                return value
        elif each is float and (number := _number(value)) is not None:
            return number
        elif type(value) is each:
            return value
    raise UserError(f"{name}={_yaml(value)}: give {_words(kind)}")


def _number(value: Any) -> float | None:
    """A number, also when it is text: YAML takes 1e-3 for that."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _words(kind: Any) -> str:
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(_words, get_args(kind)))
    if get_origin(kind) is Literal:
        return " or ".join(map(_yaml, get_args(kind)))
    return WORDS.get(kind, str(kind))


def _yaml(value: Any) -> str:
    """A plain value as it is written after ``--set``."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
