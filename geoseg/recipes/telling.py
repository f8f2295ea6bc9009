"""What a recipe can be set to and how its folder lies, told from the docstrings of what it uses."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from textwrap import fill, indent
from typing import Any

from geoseg import nets
from geoseg.recipes.reading import Read, as_yaml
from geoseg.recipes.recipe import Recipe
from geoseg.train import Augmentation, Settings
from geoseg.train.schedules import SCHEDULES
from geoseg.train.settings import DATA_OPTIONS, MAPPINGS

__all__ = ["layout_of", "told_settings"]

WIDTH, COLUMN = 100, 38  # of the terminal; where the meaning of a setting begins


def told_settings(recipe: Recipe) -> str:
    """Every setting of a recipe's first variant, as published, with what it means.

    Values of the preset "quick" stand beside those that they replace.
    """
    paper = _values(recipe.chosen())
    quick = _values(recipe.chosen(preset="quick")) if "quick" in recipe.presets else paper
    meaning = _meanings(recipe.chosen())
    return "\n".join(
        _line(key, value, quick.get(key, value), meaning.get(key, ""))
        for key, value in paper.items()
    )


def layout_of(read: Read) -> str:
    """What a reader takes: the heads of its module and of its own docstring, and of ``root``."""
    while isinstance(read, partial):
        read = read.func
    _, *about = _docs(sys.modules[read.__module__]).split("\n\n")
    own = _docs(read)
    head = re.split(r"\n\n(?:Parameters|Returns|Raises)\n-+\n", own)[0]
    root = _parameters(own).get("root", "")
    return "\n\n".join(each for each in (*about, head, root) if each)


def _docs(thing: object) -> str:
    return (inspect.getdoc(thing) or "").strip()


def _values(settings: Settings) -> dict[str, Any]:
    """The settings by the names that change them."""
    own = {key: value for key, value in asdict(settings).items() if key not in MAPPINGS}
    options = {**nets.options_of(settings.net), **settings.options}
    of_net = {key: value for key, value in options.items() if key not in DATA_OPTIONS}
    augment = {k: v for k, v in asdict(settings.augment).items() if k not in of_net}
    return {**own, **augment, **asdict(settings.rates), **of_net}  # type: ignore[call-overload]


def _meanings(settings: Settings) -> dict[str, str]:
    """First sentences of what docstrings say of each, the network's going first."""
    kinds: tuple[Callable[..., Any], ...] = (
        Settings,
        Augmentation,
        SCHEDULES[settings.schedule],
        *((nets.REGISTRY[settings.net],) if settings.net in nets.REGISTRY else ()),
    )
    found: dict[str, str] = {}
    for kind in kinds:
        found |= {name: _first_sentence(text) for name, text in _parameters(_docs(kind)).items()}
    return found


def _parameters(docs: str) -> Mapping[str, str]:
    """Text by name of the section "Parameters" of a NumPy docstring."""
    _, _, rest = docs.partition("Parameters\n----------\n")
    section = re.split(r"\n\n\w+\n-+\n", rest)[0]
    return dict(_entries(section))


def _entries(section: str) -> Iterator[tuple[str, str]]:
    for entry in re.split(r"\n(?=\S)", section):
        head, _, text = entry.partition("\n")
        for name in head.partition(" : ")[0].split(", "):
            yield name, inspect.cleandoc(text)


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[^A-Z][.;]) (?=[A-Z])", " ".join(text.split()))[0]


def _line(key: str, value: Any, quick: Any, meaning: str) -> str:
    setting = f"    {key}={as_yaml(value)}"
    setting += f" (quick: {as_yaml(quick)})" if quick != value else ""
    if not meaning:
        return setting
    told = indent(fill(meaning, WIDTH - COLUMN), " " * COLUMN)
    if len(setting) >= COLUMN:
        return f"{setting}\n{told}"
    return setting + told[len(setting) :]
