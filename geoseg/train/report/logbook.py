"""A folder that tells how a training goes, from the first batch to the scores.

Its page, ``index.html``, can be opened at any time; it follows the run. Every file is there as a
whole or not at all.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

from torch import Tensor

from geoseg.charts import draw_confusion, draw_curves
from geoseg.errors import UserError
from geoseg.metrics import ConfusionMatrix
from geoseg.segmenter import Segmenter
from geoseg.train.report.account import Account, page_of
from geoseg.train.report.events import Events
from geoseg.train.report.pictures import draw_batch, draw_samples

__all__ = ["Logbook", "refuse_other_report"]

RUN = "run.json"
POINTS = 100  # of the curve of the loss, besides those with scores
PAUSE = 20.0  # seconds between pictures of the curves at least: to draw one takes half of one
HISTORY = {
    "step": "step",
    "lr": "lr",
    "loss": "loss",
    "miou": "validation_miou",
    "overall_accuracy": "validation_overall_accuracy",
    "micro_f1": "validation_micro_f1",
}
"""Columns of history.csv by the names that a row has for them."""


def refuse_other_report(folder: Path, out: Path, resume: bool, overwrite: bool = False) -> None:
    """Refuse a folder that holds anything but the report of the run that is taken up again.

    Parameters
    ----------
    folder : Path
    out : Path
        The model file of the run.
    resume : bool
        Whether a run that did not finish shall be taken up again.
    overwrite : bool
        Whether a report of this model may be replaced, whatever became of its run.

    Raises
    ------
    UserError
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        run = json.loads((folder / RUN).read_text(encoding="utf-8"))
        owner, finished = run["model"], run["finished"]
    except (OSError, ValueError, LookupError, TypeError):
        raise UserError(
            f"{folder} holds other things than a report of training; choose another folder for it"
        ) from None
    if owner != _seen_from(folder, out):
        raise UserError(f"{folder} is the report of the model {owner}; choose another folder")
    if overwrite:
        return
    if finished:
        raise UserError(f"{folder} is the report of a finished run; delete it or choose another")
    if not resume:
        raise UserError(
            f"{folder} is the report of a run that did not finish; give --resume to go on with it, "
            "delete it, or choose another folder"
        )


def _seen_from(folder: Path, out: Path) -> str:
    """Where a model lies, in words that stay true when both are moved together."""
    model, around = out.resolve(), folder.resolve().parent
    return model.relative_to(around).as_posix() if model.is_relative_to(around) else str(model)


class Logbook:
    """The report of one training run.

    Parameters
    ----------
    folder : Path
        Made when the run begins.
    out : Path
        The model file to be.
    account : Account
        Of the run before its first step.
    """

    def __init__(self, folder: Path, out: Path, account: Account) -> None:
        self._folder, self._out, self._account = folder, out, account

    def begin(self, step: int, history: Sequence[Mapping[str, Any]]) -> None:
        """Make the folder, and the page of a run that is under way.

        Parameters
        ----------
        step : int
            Steps done so far, in a run that goes on.
        history : sequence of mapping
            Rows so far, with ``step`` and ``loss``, some with ``miou`` and ``overall_accuracy``.
        """
        told = [*history, *self._told_before(step)]  # the latter are of the same steps and finer
        rows = {int(row["step"]): {**_known(row), "step": int(row["step"])} for row in told}
        self._account = replace(self._account, step=step, history=[rows[n] for n in sorted(rows)])
        self._losses: list[float] = []
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write_facts()
        self._events = Events(self._folder, step)
        self._write_history()
        self.show()

    def show_batch(self, values: Tensor, labels: Tensor) -> None:
        """Show what the first step learns from, before it does.

        Parameters
        ----------
        values : Tensor of float32, shape (B, C, h, w)
            Normalised.
        labels : Tensor of int64, shape (B, h, w)
        """
        card = self._account.card
        with self._whole("first_batch.png") as path:
            draw_batch(values, labels, card.bands, card.classes, path)

    def _told_before(self, step: int) -> list[dict[str, float]]:
        """Rows of an earlier part of the run, up to where it goes on."""
        try:
            with (self._folder / "history.csv").open(encoding="utf-8", newline="") as file:
                rows = [
                    {name: float(row[told]) for name, told in HISTORY.items() if row[told]}
                    for row in csv.DictReader(file)
                ]
        except (OSError, ValueError, LookupError):
            return []
        return [row for row in rows if row.get("step", step + 1) <= step]

    def add(self, step: int, lr: float, loss: float, history: Sequence[Mapping[str, Any]]) -> None:
        """Tell a step.

        Parameters
        ----------
        step : int
            Steps done.
        lr, loss : float
        history : sequence of mapping
            As for `begin`; its last row may be of this step.
        """
        settings = self._account.settings
        self._losses.append(loss)
        scored = bool(history) and history[-1]["step"] == step
        if not scored and step % -(-settings.steps // POINTS) and step < settings.steps:
            return
        row = {"step": step, "lr": lr, "loss": sum(self._losses) / len(self._losses)}
        if scored:
            row = {**_known(history[-1]), **row}
        self._losses.clear()
        self._account = replace(self._account, step=step, history=[*self._account.history, row])
        self._write_history()
        self._events.add(row)
        if time.monotonic() > self._shown + PAUSE:
            self.show()

    def finish(
        self, model: Segmenter, matrices: Mapping[str, ConfusionMatrix], device: str
    ) -> None:
        """Show what the trained model does.

        Parameters
        ----------
        model : Segmenter
            With its scores in the card.
        matrices : mapping of str to ConfusionMatrix
            Of the maps of ``validation`` and ``held_out`` scenes, as far as there are any.
        device : str
            As for `geoseg.predict`.
        """
        self._events.close()
        self._account = replace(self._account, card=model.card, matrices=matrices)
        part, data = self._account.decisive, self._account.data
        if part:
            with self._whole("samples.png") as path:
                scenes = data.held_out if part == "held_out" else data.validation
                draw_samples(model, scenes, self._account.settings.crop, device, path)
            with self._whole("confusion.png") as path:
                draw_confusion(model.card.classes, matrices[part], path)
            self._write_scores(matrices[part])
        self.show()
        self._write_facts()

    def show(self) -> None:
        """Draw the curves so far, and the page around them."""
        history = self._account.history
        if history:
            with self._whole("curves.png") as path:
                draw_curves(history, path)
        self._write("index.html", page_of(self._account))
        self._shown = time.monotonic()

    def _write_history(self) -> None:
        history = self._account.history
        if not self._account.stepwise:
            return
        rows = [{HISTORY[name]: value for name, value in row.items()} for row in history]
        self._write_rows("history.csv", list(HISTORY.values()), rows)

    def _write_facts(self) -> None:
        owner = {"model": _seen_from(self._folder, self._out)}
        self._write(RUN, json.dumps(owner | self._account.facts(), indent=1))

    def _write_scores(self, matrix: ConfusionMatrix) -> None:
        columns = matrix.by_class()
        names = ["class", *columns]
        rows = [
            dict(zip(names, [each.name, *(_told(c[place]) for c in columns.values())], strict=True))
            for place, each in enumerate(self._account.card.classes)
        ]
        self._write_rows("scores.csv", names, rows)

    def _write_rows(
        self, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        with self._whole(name) as path, path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, columns, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)

    def _write(self, name: str, text: str) -> None:
        with self._whole(name) as path:
            path.write_text(text, encoding="utf-8")

    @contextmanager
    def _whole(self, name: str) -> Iterator[Path]:
        """A draft that takes the place of a file once it is complete."""
        draft = self._folder / f".{name}"  # its ending says what is drawn
        try:
            yield draft
            os.replace(draft, self._folder / name)
        finally:
            draft.unlink(missing_ok=True)


def _known(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row that there are: of scenes without labels there is no score."""
    return {name: row[name] for name in HISTORY if row.get(name) is not None}


def _told(value: float) -> float | str:
    return "" if isnan(value) else value
