"""The loss that a recipe states: by name, or as a sum by weight, with options where one differs.

For example::

    loss: lovasz

    loss: {cross_entropy: 0.5, lovasz: 0.5}

    loss:
      cross_entropy: 0.5
      lovasz: {weight: 0.5, unscored: 0}     # class 0 is learnt, and not scored; or: data
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from torch import Tensor

from geoseg.errors import UserError
from geoseg.train import losses
from geoseg.train.losses import Loss
from geoseg.train.pooling import POOLINGS, Pooling
from geoseg.train.values import number

__all__ = ["LOSSES", "ImageLabels", "floor_of", "image_labels", "loss_of"]

DATA = "data"  # the class that the data set says does not count

LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": losses.cross_entropy,
    "sigmoid_cross_entropy": losses.sigmoid_cross_entropy,
    "jaccard_pixel": losses.jaccard_pixel,
    "jaccard_region": losses.jaccard_region,
    "lovasz": losses.lovasz,
    "lovasz_hinge": losses.lovasz_hinge,
    "multi_label": losses.multi_label,
    "single_label": losses.single_label,
}


def loss_of(
    stated: str | Mapping[str, Any],
    weights: Tensor | None = None,
    unscored: Sequence[int] = (),
) -> Loss:
    """The loss that a recipe states.

    Parameters
    ----------
    stated : str or mapping
        A key of `LOSSES`; or several, each with its weight in the sum, or with a mapping of options
        in which the ``weight`` is 1 unless it is given. Values are those of YAML or JSON.
    weights : Tensor, shape (K,), optional
        What a pixel of each class weighs in the cross-entropy.
    unscored : sequence of int
        Classes of the data set that no score counts: what the option ``unscored: data`` stands for.

    Returns
    -------
    callable
        From logits (B, K, h, w) and labels (B, h, w) to a scalar.

    Raises
    ------
    UserError
        When a loss, an option or a value is none that there is.

    Examples
    --------
    Eq. 2 of Rakhlin et al. (CVPR workshops 2018), with the class "unknown" as number 0::

        loss_of({"cross_entropy": 0.5, "lovasz": {"weight": 0.5, "unscored": 0}})
    """
    named = {stated: 1} if isinstance(stated, str) else stated
    if not isinstance(named, Mapping) or not named:
        raise UserError(
            f"loss={stated}: give a name, or names with weights, of {', '.join(LOSSES)}"
        )
    if {"multi_label", "single_label"} <= named.keys():
        raise UserError(
            f"loss={stated}: windows have one class each or may have several; leave out "
            "multi_label or single_label"
        )
    terms = [_term(name, options, weights, unscored) for name, options in named.items()]

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([weight * term(logits, labels) for weight, term in terms]).sum()

    return loss


def floor_of(stated: str | Mapping[str, Any], classes: int, unscored: Sequence[int] = ()) -> float:
    """What a stated loss never falls below: minus the Jaccard indices that it has, else 0.

    Parameters
    ----------
    stated, unscored
        As for `loss_of`.
    classes : int
    """
    total = 0.0
    for name, options in ({stated: 1} if isinstance(stated, str) else stated).items():
        weight, term = _term(name, options, None, unscored)
        if name == "jaccard_region":
            total -= weight
        elif name == "jaccard_pixel":
            total -= weight / (classes - (term.keywords.get("unscored") is not None))
    return total


@dataclass(frozen=True)
class ImageLabels:
    """Which classes a window has, and how scores of pixels become those of windows.

    Parameters
    ----------
    pooling : str
        Key of `geoseg.train.pooling.POOLINGS`.
    min_pixels, min_fraction
        As for `geoseg.train.losses.classes_in`.
    single : bool
        Whether a window has one class, that of most of its pixels, and is given the one that scores
        highest; of equals the first. Shares are of no account then.
    """

    pooling: str = "mean"
    min_pixels: int = 1
    min_fraction: float = 0.0
    single: bool = False

    def present(self, labels: Tensor, classes: int) -> Tensor:
        """Which classes windows have: flags (B, K), of labels (B, h, w).

        A window without any label has none, or in case of a single class the first one.
        """
        if self.single:
            return F.one_hot(losses.commonest(labels, classes), classes).bool()
        return losses.classes_in(labels, classes, self.min_pixels, self.min_fraction)

    def decided(self, scores: Tensor) -> Tensor:
        """Which classes windows are given: flags (B, K), by pooled scores (B, K)."""
        if self.single:
            return F.one_hot(scores.argmax(1), scores.shape[1]).bool()
        return scores >= 0


def image_labels(stated: str | Mapping[str, Any]) -> ImageLabels | None:
    """What a stated loss learns about windows as a whole; None where it learns from pixels only.

    Parameters
    ----------
    stated : str or mapping
        As for `loss_of`, which refuses what cannot be meant.
    """
    named: Mapping[str, Any] = {stated: 1} if isinstance(stated, str) else stated
    for name in ("multi_label", "single_label"):
        if name in named:
            own = named[name] if isinstance(named[name], Mapping) else {}
            options = {key: value for key, value in own.items() if key != "weight"}
            return ImageLabels(**options, single=name == "single_label")
    return None


def _term(
    name: Any, stated: Any, class_weights: Tensor | None, unscored: Sequence[int]
) -> tuple[float, partial[Tensor]]:
    if name not in LOSSES:
        raise UserError(f"there is no loss {name!r}; choose from {', '.join(LOSSES)}")
    given = {"weight": 1, **stated} if isinstance(stated, Mapping) else {"weight": stated}
    parameters = inspect.signature(LOSSES[name]).parameters.values()
    known = ["weight", *(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)]
    unknown = [str(each) for each in given if each not in known]
    if unknown:
        raise UserError(f"loss {name} has no option {unknown[0]}; choose from {', '.join(known)}")
    options = {key: _checked(name, key, value) for key, value in given.items()}
    weight = options.pop("weight")
    if options.get("unscored") == DATA:
        options["unscored"] = _the_one(unscored)
    if name == "cross_entropy":
        options["weights"] = class_weights
    return weight, partial(LOSSES[name], **options)


def _the_one(unscored: Sequence[int]) -> int | None:
    """The class that does not count, if there is one."""
    if len(unscored) > 1:
        raise UserError(
            f"classes {list(unscored)} of the data set do not count, and a loss leaves out one at "
            "most; make them one class"
        )
    return unscored[0] if unscored else None


def _checked(loss: str, option: str, value: Any) -> Any:
    read, expected = _OPTIONS[option]
    found = read(value)
    if found is None:
        raise UserError(f"loss {loss}: {option}={value}: give {expected}")
    return found


def _positive(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and 0 < found < inf else None


def _fraction(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and 0 <= found <= 1 else None


def _count(value: Any, least: int) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and least <= value else None


def _unscored(value: Any) -> int | str | None:
    return DATA if value == DATA else _count(value, 0)


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _classes(value: Any) -> str | list[int] | None:
    if value in ("present", "all"):
        return str(value)
    numbers = isinstance(value, list) and value and all(_count(v, 0) is not None for v in value)
    return value if numbers and len(set(value)) == len(value) else None


def _pooling(value: Any) -> Pooling | None:
    return POOLINGS.get(value) if isinstance(value, str) else None


# How each option is read, None for what it cannot be, and what it can be.
_OPTIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "weight": (_positive, "a number above 0"),
    "unscored": (_unscored, "the number of a class, from 0, or data"),
    "per_image": (_flag, "true or false"),
    "only_present": (_flag, "true or false"),
    "classes": (_classes, "present, all, or a list of numbers of classes"),
    "pooling": (_pooling, f"the name of a pooling, of {', '.join(POOLINGS)}"),
    "min_pixels": (partial(_count, least=1), "a whole number of 1 or more"),
    "min_fraction": (_fraction, "a number from 0 to 1"),
}
