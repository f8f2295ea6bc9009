"""Every setting of a training run, and how they are changed by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from typing import Any

import yaml

from geoseg import nets
from geoseg.errors import UserError
from geoseg.train.data.augment import Augmentation, refuse_range
from geoseg.train.schedules import Schedule, schedule_of
from geoseg.train.stated_loss import loss_of
from geoseg.train.values import number

__all__ = ["Settings", "as_pair", "change", "changed", "names"]

DATA_OPTIONS = ("in_channels", "classes")  # follow from the data set
MAPPINGS = ("options", "schedule_options", "augment")  # whose own names are given
OPTIMISERS = ("adamw", "adam", "sgd")
SAMPLERS = ("uniform", "scene", "stratified", "equibatch", "equibatch-scored")
PRECISIONS = ("fp32", "bf16", "fp16")
KEPT = ("last", "best")


@dataclass(frozen=True)
class Settings:
    """The settings of a training run; the defaults train a small U-Net from scratch.

    Parameters
    ----------
    net : str
        Name that `geoseg.nets.build` knows.
    options : mapping
        Options of the network other than bands and classes.
    start : str
        A file whose weights the network starts with, as far as it has them, see
        `geoseg.train.prepare.weights_of`; empty for none.
    loss : str or mapping
        See `geoseg.train.stated_loss`.
    crop : int
        Rows and columns of a window.
    batch : int
        Windows a step.
    steps : int
        Steps in all.
    accumulate : int
        Parts that a batch is learnt in one after the other, for networks whose batch does not fit
        into memory. Gradients are the mean of those of the parts, which is that of the batch where
        a loss is a mean over pixels and parts have as many labelled ones; batch statistics are
        those of a part.
    sampler : {"uniform", "scene", "stratified", "equibatch", "equibatch-scored"}
        See `geoseg.train.data.sampling`; the last one shows no window for the sake of a class that
        no score counts.
    min_pixels : int
        Pixels of a class that a scene needs to be shown for its sake, in "equibatch".
    lr : float
        The highest learning rate.
    optimiser : {"adamw", "adam", "sgd"}
        What makes steps of gradients: adamw, adam or sgd.
    momentum : float
        Of "sgd": the share of the step before that is added to a step.
    weight_decay : float
        How weights shrink, in "adam" and "sgd" as a part of the gradient.
    clip : float
        The norm above which a gradient is scaled down; 0 for never.
    schedule, schedule_options
        How the learning rate goes, see `geoseg.train.schedules`.
    class_power : float
        A pixel of a class with a share s of the labels weighs ``s ** -class_power`` in the
        cross-entropy.
    augment : Augmentation
        Which changes of windows are drawn at random.
    classmate_scale : tuple of float
        The scale of `augment` for windows of the second data set, where another one fits it; empty
        for the same.
    classmate_batch : int
        Windows a step of the second data set; 0 for as many as `batch`.
    classmate_weight : float
        What the loss of the second task weighs in the sum, that of the first one being 1.
    mean, std : tuple of float
        What pixels are normalised by: one number for all bands, or one a band; where either is
        empty, that of the training pixels.
    withhold_unscored : bool
        Whether the model never gives a class that no score counts: its pixels have the next best
        one, see `geoseg.card.Card`.
    precision : {"fp32", "bf16", "fp16"}
        Of the network's arithmetic; weights, losses and normalisation stay in float32.
    checkpointing : bool
        Compute features anew in the backward pass instead of keeping them, where the network can.
    rehearse : int
        Steps in which a copy of the network learns the first batch by heart before the run begins;
        0 for none. Where the loss is not halved by then, counted from the lowest that there is, a
        warning says so: who cannot learn one batch will not learn many.
    validate_every : int
        Steps between scores on the validation scenes.
    save_every : int
        Steps between checkpoints.
    keep : {"last", "best"}
        Weights of the last step; or of the step whose score on the validation scenes was the best,
        the first of equals: the micro-F1 of images where the loss is one of images, else mIoU. The
        last step is then scored as well. Not with a schedule whose weights are averaged at the end.
    seed : int
        Of weights, windows and augmentation: the same seed gives the same model.

    Raises
    ------
    UserError
        When a value cannot be meant.
    """

    net: str = "unet"
    options: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""
    loss: str | Mapping[str, Any] = "cross_entropy"
    crop: int = 256  # twice the reach of the default network: some pixels see all they can
    batch: int = 8  # enough windows for batch statistics, few enough for a laptop's memory
    steps: int = 4000
    accumulate: int = 1
    sampler: str = "uniform"
    min_pixels: int = 1000
    lr: float = 2e-3  # a little below the 3e-3 that both shipped models were trained with
    optimiser: str = "adamw"
    momentum: float = 0.9
    weight_decay: float = 1e-2  # AdamW's own default; small networks hardly feel it
    clip: float = 1.0  # a rare, steep batch may turn the path, not throw it off
    schedule: str = "cosine"
    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    class_power: float = 0.5  # between the accuracy of the map (0) and that of rare classes (1)
    augment: Augmentation = field(default_factory=lambda: Augmentation(gain=0.1, offset=0.1))
    classmate_scale: tuple[float, ...] = ()
    classmate_batch: int = 0
    classmate_weight: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    withhold_unscored: bool = False
    precision: str = "fp32"
    checkpointing: bool = False
    rehearse: int = 0
    validate_every: int = 200
    save_every: int = 50  # a minute or two of work on two cores
    keep: str = "last"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (
            "crop",
            "batch",
            "steps",
            "accumulate",
            "min_pixels",
            "validate_every",
            "save_every",
        ):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: give a whole number of 1 or more")
        if not 0 < self.lr < float("inf"):
            raise UserError(f"lr={self.lr}: give a number above 0")
        for name in (
            "clip",
            "weight_decay",
            "class_power",
            "momentum",
            "classmate_batch",
            "classmate_weight",
            "rehearse",
            "seed",
        ):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"{name}={getattr(self, name)}: give a number of 0 or more")
        for name, choices in (
            ("optimiser", OPTIMISERS),
            ("sampler", SAMPLERS),
            ("precision", PRECISIONS),
            ("keep", KEPT),
        ):
            if getattr(self, name) not in choices:
                raise UserError(f"{name}={getattr(self, name)}: choose from {', '.join(choices)}")
        for name in ("batch", "classmate_batch"):
            if getattr(self, name) % self.accumulate:
                raise UserError(
                    f"accumulate={self.accumulate}: a batch of {getattr(self, name)} windows has "
                    f"no such parts of one size; set {name} to a multiple"
                )
        if any(not each > 0 for each in self.std):
            raise UserError(f"std={list(self.std)}: give numbers above 0")
        if self.classmate_scale:
            refuse_range("classmate_scale", self.classmate_scale)
        if self.rates.snapshots(self.steps) and self.keep == "best":
            raise UserError(
                f"keep=best chooses one step, and schedule={self.schedule} averages several; set "
                "keep=last, or another schedule"
            )
        loss_of(self.loss)
        known = _net_options(self.net)
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            raise UserError(
                f"network {self.net!r} has no option {unknown[0]}; choose from {', '.join(known)}"
            )

    @property
    def rates(self) -> Schedule:
        """How the learning rate goes."""
        return schedule_of(self.schedule, self.schedule_options)


def change(settings: Settings, changes: Sequence[str]) -> Settings:
    """Settings with some of them changed, as the command line states them.

    Parameters
    ----------
    settings : Settings
    changes : sequence of str
        As ``key=value``; keys as for `changed`, a value in YAML.

    Raises
    ------
    UserError
        When a key is unknown or a value does not fit it.
    """
    return changed(settings, dict(map(as_pair, changes)))


def changed(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Settings with some of them changed.

    Parameters
    ----------
    settings : Settings
    values : mapping
        By name: of a setting, of a field of `Augmentation`, or an option of the schedule or of the
        network. With another network or schedule, options of the one before are dropped. A name
        that the network and the augmentation share, as "gamma" of the kernel of a support vector
        machine and of images, is the network's.

    Raises
    ------
    UserError
        When a name is unknown or a value does not fit it.
    """
    rest = dict(values)
    own = _taken(rest, settings, but=MAPPINGS)
    net, schedule = own.get("net", settings.net), own.get("schedule", settings.schedule)
    kept = settings.options if net == settings.net else {}
    paced = settings.schedule_options if schedule == settings.schedule else {}
    known = _net_options(net)
    augment = replace(settings.augment, **_taken(rest, settings.augment, but=known))
    of_schedule = asdict(schedule_of(schedule))  # type: ignore[call-overload]
    named = [key for key in of_schedule if key in rest]
    paced = {**paced, **{key: _typed(key, rest.pop(key), of_schedule[key]) for key in named}}
    unknown = sorted(set(rest) - set(known))
    if unknown:
        there = ", ".join(names(settings, values))
        raise UserError(f"there is no setting {unknown[0]!r}; choose from {there}")
    options = {**kept, **rest}
    return replace(settings, **own, augment=augment, schedule_options=paced, options=options)


def names(settings: Settings, values: Mapping[str, Any]) -> list[str]:
    """What `changed` can change by name, with the network and the schedule that `values` name."""
    net, schedule = (
        _typed(key, values.get(key, getattr(settings, key)), "") for key in ("net", "schedule")
    )
    own = [each.name for each in fields(settings) if each.name not in MAPPINGS]
    of_schedule = asdict(schedule_of(schedule))  # type: ignore[call-overload]
    return [*own, *asdict(settings.augment), *of_schedule, *_net_options(net)]


def _taken(rest: dict[str, Any], of: Any, but: Sequence[str] = ()) -> dict[str, Any]:
    """The values that are fields of a dataclass, taken out of `rest`."""
    names = [each.name for each in fields(of) if each.name in rest and each.name not in but]
    return {name: _typed(name, rest.pop(name), getattr(of, name)) for name in names}


def _net_options(net: str) -> list[str]:
    return [name for name in nets.options_of(net) if name not in DATA_OPTIONS]


def as_pair(change: str) -> tuple[str, Any]:
    """Key and value of a change as the command line states it, ``key=value`` with YAML's values.

    Raises
    ------
    UserError
        When it is not written like that.
    """
    key, equals, text = change.partition("=")
    if not equals:
        raise UserError(f"--set {change!r}: write it as key=value, e.g. steps=2000")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {change!r}: {text!r} is no YAML value") from error


def _typed(key: str, value: Any, like: Any) -> Any:
    """A value of the kind that a setting has."""
    if key == "loss":
        return value
    kind = type(like)
    if kind is tuple:
        given = value if isinstance(value, list | tuple) else [value]
        return tuple(_finite(key, each) for each in given)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    if kind is float:
        return _finite(key, value)
    raise UserError(f"{key}={value}: give {_ARTICLES[kind]}")


def _finite(key: str, value: Any) -> float:
    found = number(value)
    if found is None or not isfinite(found):
        raise UserError(f"{key}={value}: give {_ARTICLES[float]}")
    return found


_ARTICLES = {
    int: "a whole number",
    float: "a number",
    str: "a name",
    bool: "true or false",
}
