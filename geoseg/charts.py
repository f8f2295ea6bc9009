"""Figures of an evaluation: confusion matrix, IoU by class, where map and truth differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from geoseg.classes import ClassInfo
from geoseg.metrics import ConfusionMatrix

__all__ = ["draw_confusion", "draw_differences", "draw_iou"]

DPI = 120
DIFFERENCES = {
    "as in the truth": "#d9d9d9",
    "not as in the truth": "#d7191c",
    "left out": "#ffffff",
}


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
