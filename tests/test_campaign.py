"""A short campaign of kills; `campaign.py` is the long one."""

from __future__ import annotations

from pathlib import Path

from campaign import STAGES, campaign


def test_runs_that_are_killed_in_any_stage_end_in_the_same_bytes(tmp_path: Path) -> None:
    tally = campaign(tmp_path / "runs", runs=len(STAGES), seed=1)
    assert not tally.wrong
    assert set(tally.stages) == set(STAGES)
    # A block that was told of as finished was kept, whatever happened then.
    assert tally.twice == 0
