"""Some of the cases of `fuzz.py`, which goes on for as long as it is let."""

from __future__ import annotations

from pathlib import Path

from fuzz import Hunt


def test_files_that_are_nearly_right_give_a_map_or_one_line(tmp_path: Path) -> None:
    hunt = Hunt(tmp_path)
    assert hunt.run(0, 120) == 120
    assert not hunt.found
    assert min(hunt.outcomes["right"], hunt.outcomes["refused"]) > 5
