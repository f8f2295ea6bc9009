"""Every setting of a training run, and the recipes that are named sets of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any

import yaml

from geoseg import nets
from geoseg.errors import UserError
from geoseg.train.schedules import SCHEDULES

__all__ = ["RECIPES", "Settings", "change", "find_recipe"]

DATA_OPTIONS = ("in_channels", "classes")  # follow from the data set


@dataclass(frozen=True)
class Settings:
    """The settings of a training run; the defaults train a small U-Net from scratch.

    Parameters
    ----------
    net : str
        Name that `geoseg.nets.build` knows.
    options : mapping
        Options of the network other than bands and classes.
    crop, batch, steps : int
        Rows and columns of a window, windows a step, steps in all.
    lr, schedule, weight_decay, clip :
        Of AdamW: the highest learning rate, how it goes down, how weights shrink, and the gradient
        norm above which a gradient is scaled down.
    class_power : float
        A pixel of a class with a share s of the labels weighs ``s ** -class_power``.
    gain, offset : float
        Strength of the per-band jitter, see `geoseg.train.augment.jitter`.
    validate_every, save_every : int
        Steps between scores on the validation scenes, and between checkpoints.
    seed : int
        Of weights, windows and augmentation: the same seed gives the same model.

    Raises
    ------
    UserError
        When a value cannot be meant.
    """

    net: str = "unet"
    options: Mapping[str, Any] = field(default_factory=dict)
    crop: int = 256  # twice the reach of the default network: some pixels see all they can
    batch: int = 8  # enough windows for batch statistics, few enough for a laptop's memory
    steps: int = 4000
    lr: float = 2e-3  # a little below the 3e-3 that both shipped models were trained with
    schedule: str = "cosine"
    weight_decay: float = 1e-2  # AdamW's own default; small networks hardly feel it
    clip: float = 1.0  # a rare, steep batch may turn the path, not throw it off
    class_power: float = 0.5  # between the accuracy of the map (0) and that of rare classes (1)
    gain: float = 0.1
    offset: float = 0.1
    validate_every: int = 200
    save_every: int = 50  # a minute or two of work on two cores
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("crop", "batch", "steps", "validate_every", "save_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: give a whole number of 1 or more")
        for name in ("lr", "clip"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"{name}={getattr(self, name)}: give a number above 0")
        for name in ("weight_decay", "class_power", "gain", "offset", "seed"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"{name}={getattr(self, name)}: give a number of 0 or more")
        if self.schedule not in SCHEDULES:
            raise UserError(f"schedule={self.schedule}: choose from {', '.join(SCHEDULES)}")
        known = _net_options(self.net)
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            raise UserError(
                f"network {self.net!r} has no option {unknown[0]}; choose from {', '.join(known)}"
            )


def find_recipe(name: str) -> Settings:
    """The settings of a recipe.

    Raises
    ------
    UserError
        When there is no such recipe.
    """
    if name not in RECIPES:
        raise UserError(f"there is no recipe {name!r}; choose from {', '.join(RECIPES)}")
    return RECIPES[name]


def change(settings: Settings, changes: Sequence[str]) -> Settings:
    """Settings with some of them changed.

    Parameters
    ----------
    settings : Settings
    changes : sequence of str
        As ``key=value``; a key is a setting or an option of the network, a value a YAML scalar or
        list.

    Raises
    ------
    UserError
        When a key is unknown or a value does not fit it.
    """
    pairs = [_pair(change) for change in changes]
    kinds = {each.name: type(getattr(settings, each.name)) for each in fields(settings)}
    del kinds["options"]
    own = {key: _typed(key, value, kinds[key]) for key, value in pairs if key in kinds}
    options = {key: value for key, value in pairs if key not in kinds}
    known = _net_options(own.get("net", settings.net))
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UserError(
            f"there is no setting {unknown[0]!r}; choose from {', '.join([*kinds, *known])}"
        )
    return replace(settings, **own, options={**settings.options, **options})


def _net_options(net: str) -> list[str]:
    return [name for name in nets.options_of(net) if name not in DATA_OPTIONS]


def _pair(change: str) -> tuple[str, Any]:
    key, equals, text = change.partition("=")
    if not equals:
        raise UserError(f"--set {change!r}: write it as key=value, e.g. steps=2000")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {change!r}: {text!r} is no YAML value") from error


def _typed(key: str, value: Any, kind: type) -> Any:
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    try:
        number = kind(value)  # YAML takes 1e-3 for text
    except (TypeError, ValueError):
        number = None
    if kind is float and number is not None and isfinite(number):
        return number
    raise UserError(f"{key}={value}: give {_ARTICLES[kind]}")


RECIPES = {"unet": Settings()}
_ARTICLES = {int: "a whole number", float: "a number", str: "a name"}
