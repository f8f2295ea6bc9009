"""What is made of scores: classes, confidence, entropy, decided where the scores are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoseg.card import Card
from geoseg.errors import UserError
from geoseg.pixels import largest

__all__ = ["NonsenseError", "Output", "Scores", "decide", "dtype_of", "missing_value"]

Output = Literal["classes", "scores", "confidence", "entropy"]


def dtype_of(card: Card, output: Output) -> np.dtype[Any]:
    """The dtype of an output."""
    if output != "classes":
        return np.dtype("float32")
    return np.dtype("uint16" if max(each.value for each in card.classes) > 254 else "uint8")


def missing_value(card: Card, output: Output) -> float:
    """What an output holds where there is no data."""
    return float(np.iinfo(dtype_of(card, output)).max) if output == "classes" else float("nan")


@dataclass(frozen=True)
class Scores:
    """What is known of the classes of some pixels.

    Parameters
    ----------
    values : Tensor, shape (window, class, rows, columns)
    are_logits : bool
        Whether these are scores before softmax; else they are probabilities. The class is the same,
        but for rounding.
    """

    values: Tensor
    are_logits: bool

    @property
    def probabilities(self) -> Tensor:
        """Of each class, shape (window, class, rows, columns)."""
        return self.values.softmax(1) if self.are_logits else self.values


class NonsenseError(UserError):
    """The scores of a pixel are no numbers, or those of its best class are infinite.

    Parameters
    ----------
    model : str
    place : tuple of int
        Window, row and column among the scores.
    """

    def __init__(self, model: str, place: tuple[int, int, int]) -> None:
        super().__init__(model, place)
        self.model, self.place = model, place

    def __str__(self) -> str:
        return f"{self.model} gave scores that are not numbers"


def decide(output: Output, scores: Scores, card: Card) -> NDArray[Any]:
    """What crosses from the device to the host, all windows at once.

    Returns
    -------
    ndarray, shape (window, rows, columns), or (window, class, rows, columns) for scores

    Raises
    ------
    NonsenseError
        When nobody can tell which class is the best.
    """
    if output == "classes":
        return _classes(scores.values, card)
    values = scores.probabilities
    _refuse_nonsense(not bool(values.isnan().any()), scores.values, card)
    if output == "confidence":
        return values.amax(1).cpu().numpy()
    if output == "entropy":
        chaos = float(np.log(max(values.shape[1], 2)))
        return np.asarray((torch.special.entr(values).sum(1) / chaos).cpu())
    return np.asarray(values.cpu())


def _classes(scores: Tensor, card: Card) -> NDArray[Any]:
    """The value of the class with the highest score."""
    values = np.array([each.value for each in card.classes], dtype_of(card, "classes"))
    if scores.device.type == "cpu":
        found = np.empty((len(scores), *scores.shape[2:]), values.dtype)
        each = zip(scores.permute(0, 2, 3, 1).numpy(), found, strict=True)
        numbers = all(largest(own, values, target) for own, target in each)
    else:
        highest, index = scores.max(1)
        known = torch.from_numpy(values.astype(np.int32)).to(scores.device)
        chosen = known.to(torch.uint8)[index] if values.itemsize == 1 else known[index]
        found = chosen.cpu().numpy().astype(values.dtype, copy=False)
        numbers = bool(highest.isfinite().all())
    _refuse_nonsense(numbers, scores, card)
    return found


def _refuse_nonsense(numbers: bool, scores: Tensor, card: Card) -> None:
    if not numbers:
        bad = ~(scores.amax(1).isfinite() & ~scores.isnan().any(1))
        window, row, column = map(int, bad.nonzero()[0])
        raise NonsenseError(card.name, (window, row, column))
