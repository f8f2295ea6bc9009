"""Curves for TensorBoard, where it is installed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Events"]

NAMES = {
    "loss": "loss",
    "lr": "learning rate",
    "miou": "validation/mIoU",
    "overall_accuracy": "validation/overall accuracy",
}


class Events:
    """Rows of a history as events of TensorBoard; nothing where the package is not installed.

    Parameters
    ----------
    folder : Path
    step : int
        Of the run so far: what an earlier part of it told of later steps is no longer shown.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._writer: Any = None
        try:
            writers = importlib.import_module("torch.utils.tensorboard")
        except ImportError:
            return
        self._writer = writers.SummaryWriter(str(folder), purge_step=step + 1)

    def add(self, row: Mapping[str, float]) -> None:
        """Tell a row, so that it can be seen at once."""
        if self._writer is None:
            return
        for name, told in NAMES.items():
            if name in row:
                self._writer.add_scalar(told, row[name], int(row["step"]))
        self._writer.flush()

    def close(self) -> None:
        """Tell that nothing more comes."""
        if self._writer is not None:
            self._writer.close()
