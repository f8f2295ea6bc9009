"""What a long task tells of itself: events about what is done, how fast, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["Emit", "Event", "Progress", "ignore", "time_left"]

Event = dict[str, Any]
"""What happens, as the command line prints it with ``--progress json``."""

Emit = Callable[[Event], object]
"""Who is told."""


class Progress:
    """Tells the begin of a task and every step of it.

    Parameters
    ----------
    emit : callable
    total : int
        Units of work of the whole task.
    unit : str
    done : int
        Units that need not be done any more.
    **about
        What else is to be told at the begin.
    """

    def __init__(self, emit: Emit, total: int, unit: str, done: int = 0, **about: Any) -> None:
        self._emit, self._total, self._already, self._done = emit, total, done, done
        self._started, self._pixels = time.monotonic(), 0
        emit({"event": "start", "total": total, "unit": unit, "done": done, **about})

    @property
    def seconds(self) -> float:
        """Since the begin."""
        return time.monotonic() - self._started

    def step(self, units: int, pixels: int) -> None:
        """Tell that some more units are done, and how many pixels they were."""
        self._done, self._pixels = self._done + units, self._pixels + pixels
        seconds = max(self.seconds, 1e-6)
        fresh = self._done - self._already
        self._emit(
            {
                "event": "progress",
                "done": self._done,
                "total": self._total,
                "mpx_per_s": round(self._pixels / 1e6 / seconds, 3),
                "eta_s": time_left(seconds, fresh, self._total - self._done),
            }
        )


def time_left(seconds: float, done: float, left: float) -> float | None:
    """Seconds that the rest will take at the mean pace so far; None where nothing tells it.

    The pace of the last few units would mislead: those that are worked at together end together.

    Parameters
    ----------
    seconds : float
        Since the begin.
    done, left : float
        Units of work that were done in them, and those that are left.
    """
    return round(seconds / done * left, 1) if done > 0 else None


def ignore(event: Event) -> None:
    """Nobody asked for progress."""
