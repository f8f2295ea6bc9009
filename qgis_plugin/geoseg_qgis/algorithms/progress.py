# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine tells of itself, as the feedback of an algorithm."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from qgis.core import QgsProcessingFeedback

from ..words import translated as _tr

__all__ = ["Progress"]

QUIET = 2.0
"""Seconds between two lines about the pace; the toolbox keeps each of them in its log."""

Shares = Mapping[str, tuple[float, float]]


class Progress:
    """Turns events into percent, texts and warnings.

    Parameters
    ----------
    feedback : QgsProcessingFeedback
    shares : mapping
        From and to which percent the work of a unit goes (``"block"``, ``"row"``, ``"step"``);
        others take all that is left.
    """

    def __init__(self, feedback: QgsProcessingFeedback, shares: Shares) -> None:
        self._feedback, self._shares = feedback, shares
        # The feedback of the dock wants the events themselves, too.
        self._hear = getattr(feedback, "hear", None)
        self._unit, self._told_at = "", float("-inf")

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take an event of the engine."""
        if self._hear is not None:
            self._hear(event)
        if event["event"] == "log":
            self._log(event)
        elif event["event"] == "output":
            self._feedback.pushConsoleInfo(event["text"])
        elif event["event"] in ("start", "progress"):
            self._step(event)

    def _log(self, event: Mapping[str, Any]) -> None:
        if event["level"] == "info":
            self._feedback.pushInfo(event["message"])
        else:
            self._feedback.pushWarning(event["message"])

    def _step(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "start":
            self._unit, self._told_at = str(event.get("unit", "")), float("-inf")
        first, last = self._shares.get(self._unit, (0.0, 100.0))
        share = event.get("done", 0) / max(event["total"], 1)
        self._feedback.setProgress(first + (last - first) * share)
        now = time.monotonic()
        if event["event"] == "start":
            self._feedback.setProgressText(_told(self._unit, event))
        elif now - self._told_at >= QUIET:
            self._told_at = now
            self._feedback.setProgressText(_told(self._unit, event))


def _told(unit: str, event: Mapping[str, Any]) -> str:
    """One line about what is done and how fast."""
    tr = _tr
    work = {
        "block": tr("Classifying"),
        "row": tr("Making polygons"),
        "step": tr("Training"),
        "map": tr("Comparing"),
    }.get(unit, tr("Working"))
    parts = []
    if event.get("mpx_per_s"):
        parts.append(tr("{:.3g} Mpx/s").format(event["mpx_per_s"]))
    if "loss" in event:
        parts.append(tr("step {} of {}").format(event["done"], event["total"]))
        parts.append(tr("loss {:.3g}").format(event["loss"]))
    if event.get("miou") is not None:
        parts.append(tr("mIoU {:.3f}").format(event["miou"]))
    if event.get("eta_s"):
        parts.append(tr("{} left").format(_duration(event["eta_s"])))
    return f"{work}: {', '.join(parts)}" if parts else f"{work}…"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return _tr("{} s").format(max(round(seconds), 1))
    if seconds < 90 * 60:
        return _tr("{} min").format(round(seconds / 60))
    return _tr("{:.1f} h").format(seconds / 3600)
