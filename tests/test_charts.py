"""Figures of an evaluation, read back as pixels."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from geoseg.charts import draw_confusion, draw_curves
from geoseg.classes import as_classes
from geoseg.metrics import ConfusionMatrix


def drawn(path: Path, counts: list[list[int]]) -> np.ndarray:
    """The figure of a confusion matrix (rows, columns, RGB)."""
    matrix = ConfusionMatrix(len(counts))
    matrix.counts[:] = counts
    draw_confusion(as_classes(["water", "land"][: len(counts)]), matrix, path)
    return imread(path)[..., :3]


def places(picture: np.ndarray, share: float) -> np.ndarray:
    """Rows and columns of the pixels in the colour of a share."""
    color = mpl.colormaps["Blues"](share)[:3]
    return np.argwhere(np.abs(picture - np.array(color)).max(-1) < 1 / 255)


def test_cells_show_the_share_of_each_true_class_whatever_its_size(tmp_path: Path) -> None:
    # Of water 90% was found; of land, a thousand times as large, 30%.
    picture = drawn(tmp_path / "confusion.png", [[9, 1, 0], [7000, 3000, 0]])
    cells = {share: places(picture, share) for share in (0.9, 0.1, 0.7, 0.3)}
    sizes = [len(each) for each in cells.values()]
    assert min(sizes) > 1000
    assert min(sizes) > 0.7 * max(sizes)  # of one size, but for the numbers in them
    (top, left), (top_too, right), (bottom, left_too), (bottom_too, right_too) = (
        each.mean(0) for each in cells.values()
    )
    assert left == pytest.approx(left_too, abs=3)
    assert right == pytest.approx(right_too, abs=3)
    assert top == pytest.approx(top_too, abs=3)
    assert bottom == pytest.approx(bottom_too, abs=3)
    assert right - left > 50
    assert bottom - top > 30


def test_pixels_that_were_given_no_class_have_a_column_of_their_own(tmp_path: Path) -> None:
    picture = drawn(tmp_path / "confusion.png", [[3, 1, 4], [0, 2, 2]])
    without, both = places(picture, 0.125), places(picture, 0.5)
    # A half of water (first row, third column) and of land (second row, second and third).
    assert len(both) > 2 * len(without)
    assert both[:, 1].max() > without[:, 1].max() + 50
    plain = drawn(tmp_path / "plain.png", [[3, 1, 0], [0, 2, 0]])
    assert plain.shape[1] < picture.shape[1]


def test_a_class_without_truth_has_an_empty_row(tmp_path: Path) -> None:
    picture = drawn(tmp_path / "confusion.png", [[4, 0, 0], [0, 0, 0]])
    empty, full = places(picture, 0.0), places(picture, 1.0)
    assert len(empty) > 2 * len(full) > 1000


def test_legends_of_curves_lie_beside_the_axes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, path: Path) -> None:
        drawn.append(self)
        save(self, path)

    monkeypatch.setattr(Figure, "savefig", keep)
    history = [
        {"step": step, "loss": 1 / step, "lr": 1e-3, "miou": 0.5, "overall_accuracy": 0.6}
        for step in range(1, 9)
    ]
    draw_curves(history, tmp_path / "curves.png")
    legends = [axes for axes in drawn[0].axes if axes.get_legend()]
    assert len(legends) == 2
    for axes in legends:
        legend = axes.get_legend()
        assert legend is not None
        box = legend.get_window_extent()
        assert box.y1 < axes.get_window_extent().y0
        assert box.y0 >= 0
        assert not box.overlaps(axes.xaxis.label.get_window_extent())
