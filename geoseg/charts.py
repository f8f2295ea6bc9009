"""Figures of reports: scores, confusions, how a training went, windows beside their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from geoseg.classes import ClassInfo
from geoseg.metrics import ConfusionMatrix
from geoseg.rendering import HATCH, MISSING, Rgb

__all__ = ["draw_confusion", "draw_curves", "draw_differences", "draw_iou", "draw_panels"]

DPI = 120
DIFFERENCES = {
    "as in the truth": "#d9d9d9",
    "not as in the truth": "#d7191c",
    "left out": "#ffffff",
}
PANEL = 2.4  # inches a side
SCORES = {"miou": ("mIoU", "#332288"), "overall_accuracy": ("overall accuracy", "#999933")}
LOSS, RATE = "#882255", "#999999"


def draw_confusion(classes: Sequence[ClassInfo], matrix: ConfusionMatrix, path: Path) -> None:
    """Shares of each true class (a row) that were given to each class (a column), as a PNG."""
    names = [each.name for each in classes]
    has_missed = bool(matrix.counts[:, -1].any())
    counts = matrix.counts if has_missed else matrix.counts[:, :-1]
    support = np.maximum(matrix.support(), 1)[:, None]
    shares = counts / support
    figure = Figure(figsize=(2.6 + 0.62 * counts.shape[1], 2.0 + 0.5 * len(names)), dpi=DPI)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        color = "white" if share > 0.6 else "black"
        axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=color, fontsize=8)
    columns = [*names, "no class"] if has_missed else names
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("map")
    axes.set_ylabel("truth")
    axes.set_title("Share of each true class")
    figure.tight_layout()
    figure.savefig(path)


def draw_iou(classes: Sequence[ClassInfo], matrix: ConfusionMatrix, path: Path) -> None:
    """IoU of each class as bars in the classes' colours, as a PNG."""
    scores = matrix.iou()
    figure = Figure(figsize=(7, 1.4 + 0.36 * len(classes)), dpi=DPI)
    axes = figure.add_subplot()
    places = range(len(classes))
    colors = [each.color for each in classes]
    axes.barh(places, np.nan_to_num(scores), color=colors, edgecolor="#555555", linewidth=0.5)
    for place, score in zip(places, scores, strict=True):
        text = "never occurs" if np.isnan(score) else f"{score:.3f}"
        axes.text(0.01 + np.nan_to_num(score), place, text, va="center", fontsize=9)
    axes.set_yticks(places, [each.name for each in classes])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    axes.axvline(matrix.miou(), color="black", linestyle=":", linewidth=1)
    axes.set_title(f"IoU by class; mean {matrix.miou():.3f} (dotted)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)


def draw_differences(differences: NDArray[np.uint8], path: Path) -> None:
    """Where map and truth differ, as a PNG: 0 agrees, 1 differs, 2 is left out."""
    rows, columns = differences.shape
    width = 8.0
    height = float(np.clip(width * rows / columns, 2.0, 12.0))
    figure = Figure(figsize=(width, height + 0.6), dpi=DPI)
    axes = figure.add_subplot()
    palette = ListedColormap(list(DIFFERENCES.values()))
    axes.imshow(differences, cmap=palette, vmin=0, vmax=2, interpolation="nearest")
    axes.set_axis_off()
    handles = [Patch(facecolor=c, edgecolor="#555555", label=n) for n, c in DIFFERENCES.items()]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False
    )
    figure.tight_layout()
    figure.savefig(path)


def draw_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """How a training went: loss and learning rate, and scores where there are any, as a PNG.

    Parameters
    ----------
    history : sequence of mapping
        With ``step``, ``loss`` and ``lr``, some with ``miou`` and ``overall_accuracy``.
    path : Path
    """
    scored = any("miou" in row for row in history)
    figure = Figure(figsize=(10.4 if scored else 6.2, 3.6), dpi=DPI, layout="constrained")
    left, *right = figure.subplots(1, 1 + scored, squeeze=False)[0]
    _draw_loss(left, history)
    for axes in right:
        _draw_scores(axes, history)
    figure.savefig(path)


def _draw_loss(axes: Axes, history: Sequence[Mapping[str, float]]) -> None:
    rates = axes.twinx()
    curves = [
        each.plot(
            *_curve(history, name), label=label, color=color, linewidth=width, **_marks(history)
        )
        for each, name, label, color, width in (
            (axes, "loss", "loss", LOSS, 1.8),
            (rates, "lr", "learning rate", RATE, 1.0),
        )
    ]
    axes.set_zorder(rates.get_zorder() + 1)  # the loss lies above the rate
    axes.patch.set_visible(False)
    axes.set(title="Loss on the windows learnt from", xlabel="step", ylabel="loss")
    rates.set_ylabel("learning rate", color="#666666")
    rates.tick_params(colors="#666666")
    rates.set_ylim(bottom=0)
    _explain(axes, [line for lines in curves for line in lines])
    for each in (axes, rates):
        each.spines["top"].set_visible(False)


def _draw_scores(axes: Axes, history: Sequence[Mapping[str, float]]) -> None:
    lines: list[Line2D] = []
    for name, (label, color) in SCORES.items():
        steps, values = _curve(history, name)
        lines += axes.plot(steps, values, label=label, color=color, linewidth=1.8, **_marks(steps))
    axes.set(title="Scores on validation windows", xlabel="step", ylim=(0, 1))
    axes.grid(axis="y", color="#eeeeee")
    _explain(axes, lines)
    axes.spines[["top", "right"]].set_visible(False)


def _explain(axes: Axes, lines: Sequence[Line2D]) -> None:
    """A legend below the axes, where it hides no line of either scale."""
    axes.legend(
        handles=lines,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=len(lines),
        frameon=False,
    )


def _curve(history: Sequence[Mapping[str, float]], name: str) -> tuple[list[float], list[float]]:
    rows = [row for row in history if name in row]
    return [row["step"] for row in rows], [row[name] for row in rows]


def _marks(points: Sequence[object]) -> dict[str, Any]:
    """Dots where there are so few that a line alone would hide how few."""
    return {"marker": "o", "markersize": 3.5} if len(points) <= 30 else {}


def draw_panels(
    rows: Sequence[Sequence[Rgb]],
    titles: Sequence[str],
    classes: Sequence[ClassInfo],
    path: Path,
) -> None:
    """Pictures in rows and columns, with the classes' colours below them, as a PNG.

    Parameters
    ----------
    rows : sequence of sequences of ndarray of uint8, shape (rows, columns, 3)
        As many pictures a row as titles; the last row may have fewer.
    titles : sequence of str
        Of the columns.
    classes : sequence of ClassInfo
    path : Path
    """
    handles = [Patch(facecolor=c.color, edgecolor="#555555", label=c.name) for c in classes]
    handles.append(
        Patch(facecolor=MISSING, edgecolor=HATCH, hatch="/////", label="no class or no data")
    )
    width = PANEL * len(titles)
    # A letter takes about 0.075 inches, what stands before the name and between names 0.6.
    beside = int(width / (0.6 + 0.075 * max(len(str(each.get_label())) for each in handles)))
    columns = min(max(beside, 1), len(handles))
    legend = 0.25 + 0.22 * -(-len(handles) // columns)
    figure = Figure(
        figsize=(width, 0.3 + PANEL * len(rows) + legend), dpi=DPI, layout="constrained"
    )
    places = figure.subplots(len(rows), len(titles), squeeze=False)
    for axes in places.flat:
        axes.set_axis_off()
    for axes, title in zip(places[0], titles, strict=True):
        axes.set_title(title, fontsize=11)
    for line, pictures in zip(places, rows, strict=True):
        for axes, picture in zip(line, pictures, strict=False):
            axes.imshow(picture, interpolation="nearest")
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )
    figure.savefig(path)
