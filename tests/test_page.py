"""Pages of reports: plain text stays text, numbers read well, parts that are empty are left out."""

from __future__ import annotations

from html import unescape

import numpy as np
import pytest

from geoseg import page
from geoseg.classes import ClassInfo
from geoseg.metrics import ConfusionMatrix

HOSTILE = "<script>alert('x')</script> & \"more\""


@pytest.mark.parametrize(
    "made",
    [
        page.page(HOSTILE, []),
        page.paragraph(HOSTILE),
        page.figure(f"{HOSTILE}.png", HOSTILE),
        page.bullets([(HOSTILE, HOSTILE)]),
        page.numbers([(HOSTILE, HOSTILE)]),
        page.section(HOSTILE, ["inside"]),
        page.table([HOSTILE, HOSTILE], [[HOSTILE, HOSTILE]], caption=HOSTILE),
    ],
)
def test_text_of_others_cannot_become_markup(made: str) -> None:
    assert "<script" not in made
    assert '"more"' not in made
    assert HOSTILE in unescape(made)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.12345, "0.123"),
        (1234567, "1,234,567"),
        (np.int64(1234), "1,234"),
        (np.float64(1), "1.000"),
    ],
)
def test_scores_have_three_decimals_and_counts_their_thousands(
    value: float | None, told: str
) -> None:
    assert page.number(value) == told


def test_a_section_without_parts_is_left_out() -> None:
    assert page.section("Nothing", ["", ""]) == ""
    assert "<h2>Something</h2>" in page.section("Something", ["", "inside"])


def test_classes_stand_beside_their_colours_and_scores() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update([0, 0, 0, 1], [0, 0, 1, 1])
    classes = [ClassInfo(0, "sea", "#0000ff"), ClassInfo(1, "land", "#00ff00")]
    sea, land = page.class_scores(classes, matrix).split("<tr>")[2:]
    assert "background:#0000ff" in sea
    assert [each in sea for each in ("sea", "0.667", "0.800", "1.000", "<td>3</td>")] == [True] * 5
    assert "background:#00ff00" in land
    assert "0.500" in land
