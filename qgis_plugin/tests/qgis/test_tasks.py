# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a run takes, and how that is said."""

from __future__ import annotations

import pytest

from geoseg_qgis import fitting, sources
from geoseg_qgis.tasks import Pace, time_left


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a few seconds left"),
        (9.9, "a few seconds left"),
        (11, "about 10 s left"),
        (47, "about 50 s left"),
        (89, "about 90 s left"),
        (95, "about 2 min left"),
        (1500, "about 25 min left"),
        (3600, "about 1 h 0 min left"),
        (3599, "about 1 h 0 min left"),
        (9000, "about 2 h 30 min left"),
    ],
)
def test_the_time_left_is_rounded_as_people_do(seconds: float, words: str) -> None:
    assert time_left(seconds) == words


def paced(*steps: tuple[float, float]) -> list[float | None]:
    """Seconds left at moments (seconds, percent)."""
    times = iter([seconds for seconds, _ in steps])
    pace = Pace(lambda: next(times))
    return [pace.seconds_left(percent) for _, percent in steps]


def test_the_time_before_the_first_progress_does_not_count() -> None:
    """It took 100 s until 10 %, and then 5 s for each 10 %."""
    assert paced((100, 10), (105, 20), (110, 30)) == [None, 40, 35]


def test_nothing_is_said_without_progress() -> None:
    assert paced((0, 0), (10, 0), (20, 5), (30, 5)) == [None, None, None, None]


def test_the_dock_stops_where_the_export_would() -> None:
    assert fitting.PIXELS_TO_STOP == sources.LIMIT_PIXELS
