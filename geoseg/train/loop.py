"""The training loop, from a data set to a model file."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from geoseg.devices import find_devices
from geoseg.errors import UserError
from geoseg.metrics import ConfusionMatrix
from geoseg.multilabel import MultiLabel
from geoseg.nets.turns import of_first
from geoseg.segmenter import Segmenter
from geoseg.train import averaging, checkpoint, scoring
from geoseg.train.checkpoint import Best, State
from geoseg.train.data.dataset import Dataset
from geoseg.train.feed import Drawn
from geoseg.train.prepare import Run, begin, optimiser_of, prepare, start_from, weights_of
from geoseg.train.processes import joined, refuse_several
from geoseg.train.report.account import account_of, counted
from geoseg.train.report.logbook import Logbook, refuse_other_report
from geoseg.train.report.published import Published
from geoseg.train.settings import Settings
from geoseg.train.stated_loss import image_labels
from geoseg.train.svm import fit_pixels

__all__ = ["Progress", "fit"]

log = logging.getLogger(__name__)

Progress = Callable[[dict[str, Any]], None]
T = TypeVar("T")

VALIDATED = 256  # rows and columns of validation windows at least: fewer of them are quicker
# What a rehearsal may leave of the first loss. DFCNet, the U-Net m46, the FCN of buildings and the
# networks of images left less than a third in 10 steps on small batches, the patch network in 50;
# half of it is out of reach of a rate that is far too low.
BY_HEART = 0.5
GATHERED = 32  # batches that statistics are gathered from at least, for a few tell little
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def fit(
    settings: Settings,
    data: Dataset,
    out: str | PathLike[str],
    *,
    classmate: Dataset | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    on_progress: Progress | None = None,
    report: str | PathLike[str] | None = None,
    published: Published | None = None,
) -> Segmenter:
    """Train a network and write it as a model file.

    Parameters
    ----------
    settings : Settings
    data : Dataset
    out : path-like
        The model file. While training, ``OUT.checkpoint`` lies beside it.
    classmate : Dataset, optional
        Another task, for the second head of a network that has one: a batch of it is learnt at
        every step as well. The model has the classes of `data` alone.
    resume : bool
        Go on from the checkpoint, if there is one. On a processor the model is then the same, bit
        by bit, as that of an undisturbed run.
    overwrite : bool
        Whether a model that is there may be replaced, once the new one is trained, and its report.
    device : str
        As for `geoseg.predict`; the first one is used.
    on_progress : callable, optional
        Called with a dict at the start (``event, total, unit``) and after every step (``event,
        done, total, unit, loss, eta_s, waiting``: the share of the time so far that was spent
        waiting for pixels; ``miou`` once there is one). Scores on the validation scenes go to the
        log.
    report : path-like, optional
        A folder for a page that tells of the run: its first batch before anything is learnt, its
        curves while it lasts, scores and samples at the end. It must be new or empty, or of the
        run that is resumed. Where the package tensorboard is installed, its events lie there, too.
    published : Published, optional
        What a paper printed, for the report.

    Returns
    -------
    Segmenter
        What `geoseg.load` gives for the file; scores on the held-out scenes are in its card. Of
        several processes (see `geoseg.train.processes`) the first one has it, and the others a
        model without scores.

    Raises
    ------
    UserError
        When `out`, its checkpoint or another report is in the way, the data cannot be learnt from,
        or training diverges; the last checkpoint is kept then.
    """
    path = Path(fspath(out))
    saved = checkpoint.checkpoint_of(path)
    checkpoint.refuse_to_replace(path, resume, overwrite)
    folder = None if report is None else Path(fspath(report))
    if folder is not None:
        refuse_other_report(folder, path, resume, overwrite)
    if settings.net == "svm":
        if classmate is not None:
            raise UserError(
                f"network 'svm' has one head, and {classmate.name} is a second task; leave "
                "classmate out"
            )
        return _fit_machine(settings, data, path, folder, device, on_progress or _nobody, published)
    resumed = saved.exists()
    # Before anything is made: the file may be missing or damaged.
    given = weights_of(settings.start) if settings.start and not resumed else None
    with (
        joined(find_devices(device)[0]) as group,
        _own_randomness(settings.seed, group.device),
    ):
        sets = [each.in_memory(group.size) for each in (data, classmate) if each is not None]
        run = prepare(settings, sets, group)
        state = begin(run)
        if resumed:
            _go_on(run, state, saved)
        elif given is not None:
            start_from(state.net, given, settings.start)
        if resume and not resumed:
            log.info("there is no %s to go on from: the run starts from scratch", saved)
        if folder is not None and group.leads:
            logbook = Logbook(folder, path, account_of(settings, data, run.model, published))
            logbook.begin(state.step, state.history)
            logbook.show_batch(*_first_batch(run))
            run = replace(run, logbook=logbook)
        if settings.rehearse and group.leads and not resumed:
            _rehearse(run, state)
        group.refuse_other(state.step)
        _train(run, state, saved, on_progress if on_progress and group.leads else _nobody)
        if state.average is not None:
            _take_average(run, state)
        if not group.leads:
            return run.model
        if state.best is not None:
            _take_best(state)
        trained = _finish(_with_history(run, state), settings, data, path, run.logbook, device)
        saved.unlink(missing_ok=True)
    return trained


def _fit_machine(
    settings: Settings,
    data: Dataset,
    path: Path,
    folder: Path | None,
    device: str,
    tell: Progress,
    published: Published | None,
) -> Segmenter:
    """The same for a support vector machine, which takes no steps."""
    refuse_several("a support vector machine is fitted at once")
    model, logbook = fit_pixels(settings, data, tell), None
    if folder is not None:
        logbook = Logbook(folder, path, account_of(settings, data, model, published))
        logbook.begin(0, [])
    return _finish(model, settings, data, path, logbook, device)


def _finish(
    model: Segmenter,
    settings: Settings,
    data: Dataset,
    path: Path,
    logbook: Logbook | None,
    device: str,
) -> Segmenter:
    """Score the model, write it and tell of it."""
    found = scoring.score_parts(model, data, device)
    for part, each in found.items():
        score, right = each.matrix.miou(), each.matrix.accuracy()
        log.info("mIoU %.3f, overall accuracy %.3f on %s", score, right, counted(data, part))
    trained = scoring.with_scores(model, found)
    trained = scoring.with_image_scores(trained, data, settings)
    trained.save(path)
    if logbook:
        logbook.finish(trained, {part: each.matrix for part, each in found.items()}, device)
    return trained


def _first_batch(run: Run) -> tuple[Tensor, Tensor]:
    """What the first step learns from, of the data whose classes the model has."""
    drawn = run.feed.draw(0)
    values, labels = run.feed.changed(drawn)
    own = of_first(values, run.feed.turns)
    return values[own], labels[own]


def _train(run: Run, state: State, saved: Path, tell: Progress) -> None:
    settings, clock = run.settings, _Clock(state.step, run.settings.steps)
    event: dict[str, Any] = {"total": settings.steps, "unit": "step"}
    tell({"event": "start", **event})
    forward = run.group.wrap(state.net)
    snapshots = settings.rates.snapshots(settings.steps)
    with closing(run.feed.from_step(state.step, settings.steps)) as coming:
        for drawn in clock.awaited(coming):
            loss = _step(run, state, forward, drawn)
            if not np.isfinite(loss):
                if run.logbook:
                    run.logbook.show()  # what came before it
                raise UserError(_diverged(state, saved))
            state.step += 1
            state.losses.append(loss)
            if state.average is not None and state.step in snapshots:
                state.average.update_parameters(state.net)
            last = settings.keep == "best" and state.step == settings.steps
            if last or state.step % settings.validate_every == 0:
                event |= _look_back(run, state)
            if run.logbook:
                rate = state.optimiser.param_groups[0]["lr"]
                run.logbook.add(state.step, rate, loss, state.history)
            if run.group.leads and state.step % settings.save_every == 0:
                checkpoint.save(state, saved, run.facts())
            tell(
                {"event": "progress", "done": state.step, **event, "loss": loss}
                | clock.told(state.step)
            )


def _step(run: Run, state: State, forward: nn.Module, drawn: Drawn) -> float:
    """Learn from the windows of a step.

    Returns
    -------
    float
        The loss before they were learnt from; NaN where it or the gradient is no longer finite, and
        then nothing was learnt.
    """
    settings = run.settings
    values, labels = _shown(run, drawn)
    for group in state.optimiser.param_groups:
        group["lr"] = settings.lr * settings.rates.factor(state.step, settings.steps)
    forward.train()
    state.optimiser.zero_grad()
    total = 0.0
    parts = zip(values.chunk(settings.accumulate), labels.chunk(settings.accumulate), strict=True)
    for part, truth in parts:
        loss = _loss(run, forward, part, truth) / settings.accumulate
        state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    state.scaler.unscale_(state.optimiser)
    norm = nn.utils.clip_grad_norm_(state.net.parameters(), settings.clip or float("inf"))
    total = float(np.mean(run.group.gathered(total)))  # what one says, all do
    # Before the weights take harm; the scaler of fp16 leaves out steps that went too far itself.
    if not np.isfinite(total) or not (state.scaler.is_enabled() or torch.isfinite(norm)):
        return float("nan")
    state.scaler.step(state.optimiser)
    state.scaler.update()
    return total


def _shown(run: Run, drawn: Drawn) -> tuple[Tensor, Tensor]:
    """Windows as the network sees them, with torch's generators set for the layers that draw."""
    values, labels = run.feed.changed(drawn)
    torch.manual_seed(int(drawn.rng.integers(2**63)))
    return values, labels


def _loss(run: Run, forward: nn.Module, values: Tensor, labels: Tensor) -> Tensor:
    precision = run.settings.precision
    with torch.autocast(values.device.type, DTYPES[precision], enabled=precision != "fp32"):
        scores: Tensor = forward(values)
    # Without padding a network gives scores of the middle of a window only.
    if hasattr(run.model.net, "margin"):
        labels = _middle(labels, scores)
    elif getattr(run.model.net, "loss_at", "label") == "logit":
        labels = _nearest(labels, scores)
    return run.loss(scores, labels)


def _middle(labels: Tensor, scores: Tensor) -> Tensor:
    rows, columns = scores.shape[2:]
    top, left = (labels.shape[1] - rows) // 2, (labels.shape[2] - columns) // 2
    return labels[:, top : top + rows, left : left + columns]


def _nearest(labels: Tensor, scores: Tensor) -> Tensor:
    """Labels where scores are, on a coarser grid that has its corners in the same places."""
    for axis in (1, 2):
        size, places = labels.shape[axis], scores.shape[axis + 1]
        which = torch.linspace(0, size - 1, places, dtype=torch.float64).round().long()
        labels = labels.index_select(axis, which.to(labels.device))
    return labels


def _look_back(run: Run, state: State) -> dict[str, float | None]:
    """Note how the steps since the last time went, and score the validation scenes."""
    rate, loss = state.optimiser.param_groups[0]["lr"], round(float(np.mean(state.losses)), 4)
    row: dict[str, Any] = {"step": state.step, "lr": rate, "loss": loss}
    state.losses.clear()
    state.history.append(row)
    if not run.data.validation or not run.group.leads:
        return {}
    state.net.eval()
    # A network that looks at its whole window is scored on windows as large as it learns from.
    narrow = run.model.card.halo is None
    size = run.settings.crop if narrow else max(run.settings.crop, VALIDATED)
    together = run.settings.batch // run.settings.accumulate  # what fits into memory in training
    matrix, images = _scored(run, size, together)
    found = scoring.scores(matrix, run.model.card.classes)
    row |= {name: found[name] for name in ("miou", "overall_accuracy")}
    if images is not None:
        row["micro_f1"] = round(images.micro_f(), 4)
        log.info("step %d: validation micro-F1 of images %.3f", state.step, images.micro_f())
    log.info(
        "step %d: validation mIoU %.3f, overall accuracy %.3f",
        state.step,
        matrix.miou(),
        matrix.accuracy(),
    )
    if run.settings.keep == "best":
        _compare(state, matrix.miou() if images is None else images.micro_f())
    return {"miou": row["miou"]}


def _scored(run: Run, size: int, together: int) -> tuple[ConfusionMatrix, MultiLabel | None]:
    """Scores of pixels, in windows of a size, and of images, where they are what is learnt."""
    model, data, crop = run.model, run.data, run.settings.crop
    labels = image_labels(run.settings.loss)
    if labels is not None and size == crop and not hasattr(model.net, "pooled"):
        return scoring.score_both(model, data.validation, size, together, labels, data.unscored)
    matrix = scoring.score_windows(model, data.validation, size, together, data.unscored)
    if labels is None:
        return matrix, None
    return matrix, scoring.score_images(model, data.validation, crop, together, labels)


def _compare(state: State, score: float) -> None:
    """Keep the weights if their score is the best so far; NaN, where nothing is scored, is not."""
    if score > (state.best.score if state.best else -1.0):
        weights = state.net.state_dict()
        copied = {name: each.detach().to("cpu", copy=True) for name, each in weights.items()}
        state.best = Best(state.step, score, copied)


def _take_best(state: State) -> None:
    """Give the network the weights that scored best."""
    assert state.best is not None  # noqa: S101  (for the type checker)
    state.net.load_state_dict(state.best.weights)
    log.info("the weights of step %d are kept, the best one", state.best.step)


def _rehearse(run: Run, state: State) -> None:
    """Learn the first batch by heart with a copy: what does not even do that will never learn."""
    net, drawn = copy.deepcopy(state.net), run.feed.draw(0)
    alone = replace(run, group=replace(run.group, size=1))
    twin = State(net, *optimiser_of(run.settings, net))
    losses = []
    for _ in range(run.settings.rehearse + 1):  # the last one tells what the step before it did
        again = Drawn(drawn.batches, np.random.default_rng(run.settings.seed))
        losses.append(_step(alone, twin, net, again))
    first, lowest = losses[0], min(losses[1:])
    steps = run.settings.rehearse
    if not np.isfinite(losses).all():
        log.warning(
            "rehearsal: within %d steps on one batch the loss is no longer finite; lower lr (%g)",
            steps,
            run.settings.lr,
        )
    elif lowest - run.floor > BY_HEART * (first - run.floor):
        log.warning(
            "rehearsal: in %d steps on one batch the loss went from %.4g to %.4g at the lowest, "
            "where %.4g is learnt by heart; try another lr (%g), look whether labels lie on their "
            "images, or rehearse more steps",
            steps,
            first,
            lowest,
            run.floor,
            run.settings.lr,
        )
    else:
        log.info(
            "rehearsal: in %d steps on one batch the loss fell from %.4g to %.4g (%.4g is learnt "
            "by heart)",
            steps,
            first,
            lowest,
            run.floor,
        )


def _take_average(run: Run, state: State) -> None:
    """Give the network the averaged weights, and statistics gathered from an epoch's batches."""
    assert state.average is not None  # noqa: S101  (for the type checker)
    epoch = range(min(max(run.feed.epoch, GATHERED), run.settings.steps))
    shown = (_shown(run, run.feed.draw(step))[0] for step in epoch)
    averaging.finish(state.average, state.net, shown)


def _go_on(run: Run, state: State, saved: Path) -> None:
    before, now = checkpoint.restore(state, saved), run.facts()
    if before["data"] != now["data"]:
        raise UserError(
            f"{saved} was trained on other bands, classes or pixels; delete it to start over"
        )
    if state.step > run.settings.steps:
        raise UserError(
            f"{saved} has gone {state.step} steps already; set steps to more than that, or delete "
            "it to start over"
        )
    changed = [k for k, v in now["settings"].items() if before["settings"].get(k) != v]
    if "optimiser" in changed:
        raise UserError(
            f"{saved} was trained with optimiser={before['settings']['optimiser']}, whose moments "
            "no other one can go on with; set it, or delete the checkpoint to start over"
        )
    if changed:
        own, theirs = now["settings"], before["settings"]
        told = (f"{k}={own[k]}, was {theirs.get(k, 'none')}" for k in changed)
        log.warning("going on from step %d with %s", state.step, "; ".join(told))


def _with_history(run: Run, state: State) -> Segmenter:
    """The trained model, whose card tells how it was trained."""
    training = {**run.model.card.training, "history": state.history}
    if state.best is not None:
        training["kept_step"] = state.best.step
    return Segmenter.from_card(state.net, replace(run.model.card, training=training))


def _diverged(state: State, saved: Path) -> str:
    kept = f"the last checkpoint is {saved}" if saved.exists() else "nothing was saved yet"
    rate = state.optimiser.param_groups[0]["lr"]
    return (
        f"training diverged at step {state.step}: loss or gradient is no longer finite (learning "
        f"rate {rate:g}); {kept}; go on from it, or start over, with a lower lr"
    )


class _Clock:
    """How long steps take, and how much of it they wait for pixels."""

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last
        self._begun, self._waited = time.monotonic(), 0.0

    def awaited(self, coming: Iterable[T]) -> Generator[T]:
        """The same things, timed while they are waited for."""
        rest = iter(coming)
        while True:
            asked = time.monotonic()
            try:
                found = next(rest)
            except StopIteration:
                return
            self._waited += time.monotonic() - asked
            yield found

    def told(self, done: int) -> dict[str, float]:
        """Seconds to go after a step, and the share of the time so far that was spent waiting."""
        taken = time.monotonic() - self._begun
        pace = taken / (done - self._first)
        return {
            "eta_s": pace * (self._last - done),
            "waiting": self._waited / max(taken, 1e-9),
        }


@contextmanager
def _own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch, and leave the caller's generators as they were: no other GPU is touched."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _nobody(_: dict[str, Any]) -> None:
    """Where no one listens."""
