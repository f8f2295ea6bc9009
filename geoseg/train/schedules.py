"""How the learning rate goes: factors of the highest one, step by step.

A schedule is asked with the number of steps done and that of all steps, both whole, so that cycles
end on a step and not beside it. Its fields are its options: numbers and names, which JSON can hold.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from geoseg.errors import UserError

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Cyclic",
    "DecayThenSwa",
    "Exponential",
    "Poly",
    "Schedule",
    "schedule_of",
]


SHAPES = ("exponential", "linear", "steps")
FLIGHTS = 3  # of "steps": the rate falls by 3.2 twice where it falls by 10 in all


class Schedule(ABC):
    """Factors of the highest learning rate."""

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """Factor of a step.

        Parameters
        ----------
        step : int
            Steps done before it, from 0.
        steps : int
            Steps of the whole run.
        """

    def snapshots(self, steps: int) -> tuple[int, ...]:
        """After how many steps weights are taken into the average; none where nothing cycles."""
        return ()


@dataclass(frozen=True)
class Constant(Schedule):
    """1 throughout."""

    def factor(self, step: int, steps: int) -> float:
        """As `Schedule.factor`."""
        return 1.0


@dataclass(frozen=True)
class Poly(Schedule):
    """``(1 - step / steps) ** power``, by default as in DeepLab (L.-C. Chen et al., TPAMI 2018).

    Parameters
    ----------
    power : float
        Above 0; 1 goes straight down.

    Raises
    ------
    UserError
        When it is not.
    """

    power: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.power < math.inf:
            raise UserError(f"power={self.power}: give a number above 0")

    def factor(self, step: int, steps: int) -> float:
        """As `Schedule.factor`."""
        return math.pow(1.0 - step / steps, self.power)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine wave (I. Loshchilov and F. Hutter, SGDR, ICLR 2017, eq. 5, no restart)."""

    def factor(self, step: int, steps: int) -> float:
        """As `Schedule.factor`."""
        return 0.5 * (1.0 + math.cos(math.pi * step / steps))


@dataclass(frozen=True)
class Exponential(Schedule):
    """Down to `end` at the last step, by the same factor at every step.

    A. Rakhlin, A. Davydov and S. Nikolenko ("Land Cover Classification from Satellite Imagery With
    U-Net and Lovász-Softmax Loss", DeepGlobe workshop, CVPR 2018) go from 1e-3 to 1e-4; that they
    go so and not in a straight line is our reading.

    Parameters
    ----------
    end : float
        Factor of the last step, above 0, at most 1.

    Raises
    ------
    UserError
        When `end` is not.
    """

    end: float = 0.1

    def __post_init__(self) -> None:
        _refuse_factor("end", self.end, 1.0)

    def factor(self, step: int, steps: int) -> float:
        """As `Schedule.factor`."""
        return math.pow(self.end, step / max(steps - 1, 1))


@dataclass(frozen=True)
class Cyclic(Schedule):
    """In every cycle from near 1 straight down to `low`, which its last step has; then back up.

    P. Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI
    2018: step ``i = 1..c`` of a cycle has the factor ``(1 - t) + t * low`` with ``t = i / c``.
    Where the steps cannot be shared out evenly, some cycles have one more than others.

    Parameters
    ----------
    cycles : int
        How many, at most one a step.
    low : float
        Factor at the end of a cycle, above 0, at most 1.

    Raises
    ------
    UserError
        When either is not, or the steps are fewer than the cycles.
    """

    cycles: int = 10
    low: float = 0.1

    def __post_init__(self) -> None:
        _refuse_factor("low", self.low, 1.0)
        if self.cycles < 1:
            raise UserError(f"cycles={self.cycles}: give a whole number of 1 or more")

    def factor(self, step: int, steps: int) -> float:
        """As `Schedule.factor`."""
        ends = (0, *self.snapshots(steps))
        cycle = bisect_right(ends, step)
        share = (step + 1 - ends[cycle - 1]) / (ends[cycle] - ends[cycle - 1])
        return (1.0 - share) + share * self.low

    def snapshots(self, steps: int) -> tuple[int, ...]:
        """As `Schedule.snapshots`: the end of each cycle."""
        if steps < self.cycles:
            raise UserError(
                f"{self.cycles} cycles in {steps} steps: give more steps or fewer cycles"
            )
        return tuple(cycle * steps // self.cycles for cycle in range(1, self.cycles + 1))


@dataclass(frozen=True)
class DecayThenSwa(Schedule):
    """First down, then `Cyclic`, with weights averaged over the ends of the cycles.

    The defaults are those of A. Rakhlin, A. Davydov and S. Nikolenko, "Land Cover Classification
    from Satellite Imagery With U-Net and Lovász-Softmax Loss", DeepGlobe workshop, CVPR 2018,
    section 3: 100 epochs from 1e-3 to 1e-4, then 10 cycles of 6 epochs from 1e-4 to 1e-5. How the
    rate goes down in the first part is left open there.

    Parameters
    ----------
    decay : float
        Share of the steps in the first part, above 0, below 1.
    end : float
        Factor at the end of the first part, above 0, at most 1.
    cycles : int
        As for `Cyclic`.
    low : float
        Factor at the end of a cycle, above 0, at most `end`.
    shape : {"exponential", "linear", "steps"}
        Whether the first part is `Exponential`, a straight line from 1 to `end`, or three equally
        long flights of 1, the root of `end`, and `end`.

    Raises
    ------
    UserError
        When one of them is not, or the steps are too few.
    """

    decay: float = 100 / 160
    end: float = 0.1
    cycles: int = 10
    low: float = 0.01
    shape: str = "exponential"

    def __post_init__(self) -> None:
        if not 0 < self.decay < 1:
            raise UserError(f"decay={self.decay}: give a number between 0 and 1")
        _refuse_factor("end", self.end, 1.0)
        _refuse_factor("low", self.low, self.end)
        if self.shape not in SHAPES:
            raise UserError(f"shape={self.shape}: choose from {', '.join(SHAPES)}")
        self._second()

    def factor(self, step: int, steps: int) -> float:
        """As `Schedule.factor`."""
        first = self._first(steps)
        if step < first:
            return self._down(step, first)
        return self.end * self._second().factor(step - first, steps - first)

    def snapshots(self, steps: int) -> tuple[int, ...]:
        """As `Schedule.snapshots`: the end of each cycle."""
        first = self._first(steps)
        return tuple(first + end for end in self._second().snapshots(steps - first))

    def _down(self, step: int, steps: int) -> float:
        if self.shape == "linear":
            return 1.0 - (1.0 - self.end) * step / max(steps - 1, 1)
        if self.shape == "steps":
            return math.pow(self.end, (FLIGHTS * step // steps) / (FLIGHTS - 1))
        return Exponential(self.end).factor(step, steps)

    def _first(self, steps: int) -> int:
        return round(self.decay * steps)

    def _second(self) -> Cyclic:
        return Cyclic(self.cycles, self.low / self.end)


SCHEDULES: dict[str, type[Schedule]] = {
    "poly": Poly,
    "cosine": Cosine,
    "constant": Constant,
    "exponential": Exponential,
    "cyclic": Cyclic,
    "decay_then_swa": DecayThenSwa,
}


KINDS: dict[type, tuple[Any, str]] = {
    int: (int, "a whole number"),
    float: (int | float, "a number"),
    str: (str, "a name"),
}


def schedule_of(name: str, options: Mapping[str, Any] | None = None) -> Schedule:
    """A schedule by its name.

    Parameters
    ----------
    name : str
        Key of `SCHEDULES`.
    options : mapping, optional
        Fields of the schedule that shall not have their default.

    Raises
    ------
    UserError
        When there is no such schedule or option, or a value cannot be meant.
    """
    if name not in SCHEDULES:
        raise UserError(f"schedule={name}: choose from {', '.join(SCHEDULES)}")
    kind, chosen = SCHEDULES[name], dict(options or {})
    known = {each.name: type(each.default) for each in fields(kind)}  # type: ignore[arg-type]
    for key, value in chosen.items():
        if key not in known:
            choice = f"choose from {', '.join(known)}" if known else "it has none"
            raise UserError(f"schedule {name!r} has no option {key!r}; {choice}")
        fitting, wanted = KINDS[known[key]]
        if not isinstance(value, fitting) or isinstance(value, bool):
            raise UserError(f"{key}={value}: give {wanted}")
    return kind(**chosen)


def _refuse_factor(name: str, value: float, highest: float) -> None:
    if not 0 < value <= highest:
        raise UserError(f"{name}={value}: give a number above 0, at most {highest:g}")
