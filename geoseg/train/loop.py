"""The training loop, from a data set to a model file."""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from geoseg import nets
from geoseg.devices import find_devices
from geoseg.errors import UserError
from geoseg.segmenter import Segmenter, load
from geoseg.train import averaging, checkpoint, report
from geoseg.train.checkpoint import State
from geoseg.train.dataset import Dataset, Statistics, measure
from geoseg.train.feed import Drawn, Feed
from geoseg.train.losses import Loss, class_weights, over_heads
from geoseg.train.processes import Group, joined
from geoseg.train.settings import Settings
from geoseg.train.stated_loss import image_labels, loss_of

__all__ = ["fit"]

log = logging.getLogger(__name__)

Progress = Callable[[dict[str, Any]], None]

VALIDATED = 256  # rows and columns of validation windows at least: fewer of them are quicker

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Run:
    """What stays the same while a network is trained.

    Parameters
    ----------
    settings : Settings
    data : Dataset
    model : Segmenter
        Around the network that is trained.
    loss : callable
        Of scores and labels, over all heads of the network.
    feed : Feed
    group : Group
    saved : Path
        Where checkpoints go.
    tell : callable
        Takes progress events.
    """

    settings: Settings
    data: Dataset
    model: Segmenter
    loss: Loss
    feed: Feed
    group: Group
    saved: Path
    tell: Progress

    def facts(self) -> dict[str, Any]:
        """What the run is, in JSON's types."""
        card = self.model.card
        seen = {"bands": card.bands, "mean": card.mean, "std": card.std}
        classes = [each.name for each in card.classes]
        facts = {"settings": asdict(self.settings), "data": {**seen, "classes": classes}}
        return _plain(facts)


def fit(
    settings: Settings,
    data: Dataset,
    out: str | PathLike[str],
    *,
    classmate: Dataset | None = None,
    resume: bool = False,
    device: str = "auto",
    on_progress: Progress | None = None,
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
    device : str
        As for `geoseg.predict`; the first one is used.
    on_progress : callable, optional
        Called with a dict at the start (``event, total, unit``) and after every step (``event,
        done, total, unit, loss, eta_s, waiting``: the share of the time so far that was spent
        waiting for pixels; ``miou`` once there is one). Scores on the validation scenes go to the
        log.

    Returns
    -------
    Segmenter
        What `geoseg.load` gives for the file; scores on the held-out scenes are in its card.

    Raises
    ------
    UserError
        When `out` or its checkpoint is in the way, the data cannot be learnt from, or training
        diverges; the last checkpoint is kept then.
    """
    path = Path(fspath(out))
    saved = checkpoint.checkpoint_of(path)
    _refuse_to_replace(path, saved, resume)
    first = find_devices(device)[0]
    with joined(first) as group, _own_randomness(settings.seed):
        sets = [each.in_memory() for each in (data, classmate) if each is not None]
        run = _prepare(settings, sets, saved, group, group.own(first), on_progress or _nobody)
        state = _begin(run)
        if saved.exists():
            _go_on(run, state)
        elif settings.rehearse:
            _rehearse(run, state)
        _train(run, state)
        if state.average is not None:
            _take_average(run, state)
        trained = _described(run, state, device) if group.leads else run.model
        if group.leads:
            trained.save(path)
            saved.unlink(missing_ok=True)
    return trained


def _train(run: Run, state: State) -> None:
    settings, first, begun, waited = run.settings, state.step, time.monotonic(), 0.0
    event: dict[str, Any] = {"total": settings.steps, "unit": "step"}
    run.tell({"event": "start", **event})
    forward = run.group.wrap(state.net)
    snapshots = settings.rates.snapshots(settings.steps)
    losses: list[float] = []
    asked = begun
    with closing(run.feed.from_step(first, settings.steps)) as coming:
        for drawn in coming:
            waited += time.monotonic() - asked
            losses.append(_step(run, state, forward, drawn))
            state.step += 1
            if state.average is not None and state.step in snapshots:
                state.average.update_parameters(state.net)
            if run.group.leads and state.step % settings.validate_every == 0:
                event |= _look_back(run, state, losses)
            if run.group.leads and state.step % settings.save_every == 0:
                checkpoint.save(state, run.saved, run.facts())
            asked = time.monotonic()
            pace = (asked - begun) / (state.step - first)
            told = {
                "loss": losses[-1],
                "eta_s": pace * (settings.steps - state.step),
                "waiting": waited / max(asked - begun, 1e-9),
            }
            run.tell({"event": "progress", "done": state.step, **event, **told})


def _step(run: Run, state: State, forward: nn.Module, drawn: Drawn) -> float:
    """Learn from the windows of a step; the loss before they were learnt from."""
    settings = run.settings
    values, labels = run.feed.changed(drawn)
    torch.manual_seed(int(drawn.rng.integers(2**63)))  # of layers that draw, such as dropout
    for group in state.optimiser.param_groups:
        group["lr"] = settings.lr * settings.rates.factor(state.step, settings.steps)
    forward.train()
    state.optimiser.zero_grad()
    total = 0.0
    parts = zip(values.chunk(settings.accumulate), labels.chunk(settings.accumulate), strict=True)
    for part, truth in parts:
        loss = _loss(run, forward, part, truth) * (len(part) / len(values))
        state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    state.scaler.unscale_(state.optimiser)
    norm = nn.utils.clip_grad_norm_(state.net.parameters(), settings.clip or float("inf"))
    # Before the weights take harm; the scaler of fp16 leaves out steps that went too far itself.
    if not np.isfinite(total) or not (state.scaler.is_enabled() or torch.isfinite(norm)):
        raise UserError(_diverged(run, state))
    state.scaler.step(state.optimiser)
    state.scaler.update()
    return total


def _loss(run: Run, forward: nn.Module, values: Tensor, labels: Tensor) -> Tensor:
    precision = run.settings.precision
    with torch.autocast(values.device.type, DTYPES[precision], enabled=precision != "fp32"):
        scores: Tensor = forward(values)
    # Without padding a network gives scores of the middle of a window only.
    return run.loss(scores, _middle(labels, scores) if hasattr(run.model.net, "margin") else labels)


def _middle(labels: Tensor, scores: Tensor) -> Tensor:
    rows, columns = scores.shape[2:]
    top, left = (labels.shape[1] - rows) // 2, (labels.shape[2] - columns) // 2
    return labels[:, top : top + rows, left : left + columns]


def _look_back(run: Run, state: State, losses: list[float]) -> dict[str, float]:
    """Note how the steps since the last time went, and score the validation scenes."""
    rate = state.optimiser.param_groups[0]["lr"]
    row = {"step": state.step, "lr": rate, "loss": float(np.mean(losses))}
    losses[:-1] = []
    if not run.data.validation:
        state.history.append(row)
        return {}
    state.net.eval()
    # A network that looks at its whole window is scored on windows as large as it learns from.
    narrow = run.model.card.halo is None
    size = run.settings.crop if narrow else max(run.settings.crop, VALIDATED)
    matrix = report.score_windows(
        run.model, run.data.validation, size, run.settings.batch, run.data.unscored
    )
    miou, accuracy = matrix.miou(), matrix.accuracy()
    state.history.append({**row, "miou": miou, "overall_accuracy": accuracy})
    labels = image_labels(run.settings.loss)
    if labels is not None:
        images = report.score_images(
            run.model, run.data.validation, run.settings.crop, run.settings.batch, labels
        )
        state.history[-1]["micro_f1"] = images.micro_f()
        log.info("step %d: validation micro-F1 of images %.3f", state.step, images.micro_f())
    log.info("step %d: validation mIoU %.3f, overall accuracy %.3f", state.step, miou, accuracy)
    return {"miou": miou}


def _rehearse(run: Run, state: State) -> None:
    """Learn the first batch by heart with a copy: what does not even do that will never learn."""
    net = copy.deepcopy(state.net)
    twin = _begin(replace(run, model=Segmenter.from_card(net, run.model.card)))
    drawn = run.feed.draw(0)
    losses = []
    for _ in range(run.settings.rehearse):
        again = Drawn(drawn.batches, np.random.default_rng(run.settings.seed))
        losses.append(_step(run, twin, twin.net, again))
    if not min(losses[1:], default=-np.inf) < losses[0]:
        log.warning(
            "in %d steps on one batch the loss did not fall below %.4g; look at the learning rate "
            "(%g) and the labels",
            len(losses),
            losses[0],
            run.settings.lr,
        )


def _take_average(run: Run, state: State) -> None:
    """Give the network the averaged weights, and statistics gathered from an epoch's batches."""
    assert state.average is not None  # noqa: S101  (for the type checker)
    batch = run.settings.batch
    epoch = range(min(-(-len(run.data.training) // batch), run.settings.steps))
    shown = (run.feed.changed(run.feed.draw(step))[0] for step in epoch)
    averaging.finish(state.average, state.net, shown)


def _diverged(run: Run, state: State) -> str:
    kept = f"the last checkpoint is {run.saved}" if run.saved.exists() else "nothing was saved yet"
    rate = state.optimiser.param_groups[0]["lr"]
    return (
        f"training diverged at step {state.step}: loss or gradient is no longer finite (learning "
        f"rate {rate:g}); {kept}; go on from it, or start over, with a lower lr"
    )


def _prepare(
    settings: Settings,
    sets: Sequence[Dataset],
    saved: Path,
    group: Group,
    device: torch.device,
    tell: Progress,
) -> Run:
    data = sets[0]
    statistics = measure(data)
    model = _untrained(settings, data, statistics, device)
    weights = class_weights(statistics.class_pixels, settings.class_power).to(device)
    loss = _loss_of(settings, model.net, sets, weights)
    feed = Feed(settings, sets, model, group)
    return Run(settings, data, model, loss, feed, group, saved, tell if group.leads else _nobody)


def _loss_of(settings: Settings, net: nn.Module, sets: Sequence[Dataset], weights: Tensor) -> Loss:
    """The loss over all heads of a network.

    Each of several data sets has a head of its own. With one, all heads learn from it, as the
    branches of a late fusion do.
    """
    own = loss_of(settings.loss, weights)
    classes = [len(each.classes) for each in sets]
    heads: Sequence[int] = getattr(net, "heads", (classes[0],))
    if len(sets) > 1:
        if list(heads) != classes:
            raise UserError(
                f"network {settings.net!r} has heads of {list(heads)} classes, the data sets have "
                f"{classes}; choose a network with a head for each, e.g. classmatenet"
            )
        return over_heads([own, *(loss_of(settings.loss) for _ in sets[1:])], heads)
    if any(head != classes[0] for head in heads):
        raise UserError(
            f"network {settings.net!r} has a second head of {heads[-1]} classes; name the data set "
            "that it learns from as classmate"
        )
    if len(heads) == 1:
        return own

    def of_all_heads(scores: Tensor, labels: Tensor) -> Tensor:
        return torch.stack(
            [own(each, labels) for each in torch.split(scores, list(heads), 1)]
        ).sum()

    return of_all_heads


def _untrained(
    settings: Settings, data: Dataset, statistics: Statistics, device: torch.device
) -> Segmenter:
    options = _plain(
        {"in_channels": len(data.bands), "classes": len(data.classes), **settings.options}
    )
    net = nets.build(settings.net, **options)
    if settings.start:
        _start_from(net, settings.start)
    if settings.checkpointing:
        _compute_anew(net, settings.net)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1/4 faster on CPU
    counts = map(int, statistics.class_pixels)
    bands = len(data.bands)
    model = Segmenter(
        net.to(device),
        name=data.name,
        description=data.description,
        architecture=settings.net,
        options=options,
        classes=data.classes,
        bands=data.bands,
        mean=_a_band(settings.mean, bands) or statistics.mean,
        std=_a_band(settings.std, bands) or statistics.std,
        value_range=statistics.value_range,
        gsd=data.gsd,
        licence=data.licence,
        training={
            "scenes": len(data.training),
            "pixels": dict(zip((each.name for each in data.classes), counts, strict=True)),
            "settings": _plain(asdict(settings)),
        },
    )
    if model.card.halo is not None:
        return model
    # What a network that looks at its whole window sees at work is as large as in training.
    return Segmenter.from_card(model.net, replace(model.card, window=settings.crop))


def _a_band(stated: Sequence[float], bands: int) -> Sequence[float]:
    """One number a band of what was stated for all of them, or for each."""
    if len(stated) in (0, bands):
        return stated
    if len(stated) > 1:
        raise UserError(
            f"mean and std have {len(stated)} numbers for {bands} bands; give one, or one a "
            "band, or none: []"
        )
    return list(stated) * bands


def _start_from(net: nn.Module, path: str) -> None:
    """Give a network the weights of another one that have the same names and shapes."""
    own, given = net.state_dict(), load(path).net.state_dict()
    fitting = {
        name: tensor
        for name, tensor in given.items()
        if name in own and own[name].shape == tensor.shape
    }
    if not fitting:
        raise UserError(f"start={path}: none of its weights fit this network; choose another model")
    net.load_state_dict(own | fitting)
    log.info("%d of %d weights are those of %s", len(fitting), len(own), path)


def _compute_anew(net: nn.Module, name: str) -> None:
    able = [module for module in net.modules() if hasattr(module, "checkpointing")]
    if not able:
        raise UserError(f"network {name!r} cannot compute features anew; leave checkpointing out")
    for module in able:
        module.checkpointing = True  # type: ignore[assignment]


def _begin(run: Run) -> State:
    """The network before its first step."""
    settings, net = run.settings, run.model.net
    parameters, rate, shrink = net.parameters(), settings.lr, settings.weight_decay
    optimiser: torch.optim.Optimizer
    if settings.optimiser == "sgd":
        optimiser = torch.optim.SGD(
            parameters, rate, momentum=settings.momentum, weight_decay=shrink
        )
    else:
        kind = torch.optim.AdamW if settings.optimiser == "adamw" else torch.optim.Adam
        optimiser = kind(parameters, rate, weight_decay=shrink)
    scaler = torch.amp.GradScaler(run.model.device.type, enabled=settings.precision == "fp16")
    average = averaging.begin(net) if settings.rates.snapshots(settings.steps) else None
    return State(net, optimiser, scaler=scaler, average=average)


def _go_on(run: Run, state: State) -> None:
    before, now = checkpoint.restore(state, run.saved), run.facts()
    if before["data"] != now["data"]:
        raise UserError(
            f"{run.saved} was trained on other bands, classes or pixels; delete it to start over"
        )
    changed = [k for k, v in now["settings"].items() if before["settings"].get(k) != v]
    if changed:
        log.warning("going on from step %d with another %s", state.step, ", ".join(changed))


def _described(run: Run, state: State, device: str) -> Segmenter:
    """The trained model with its scores in the card."""
    model = Segmenter.from_card(state.net, run.model.card)
    parts = {"validation": run.data.validation, "held_out": run.data.held_out}
    metrics = {
        name: report.scores(
            report.score_maps(model, scenes, device, run.data.unscored), model.card.classes
        )
        for name, scenes in parts.items()
        if scenes
    }
    labels, crop, batch = image_labels(run.settings.loss), run.settings.crop, run.settings.batch
    if labels is not None:
        for name, found in metrics.items():
            images = report.score_images(model, parts[name], crop, batch, labels)
            found["of_images"] = report.image_scores(images, model.card.classes)
    return Segmenter.from_card(state.net, replace(model.card, metrics=metrics))


def _refuse_to_replace(path: Path, saved: Path, resume: bool) -> None:
    if path.exists():
        raise UserError(f"{path} exists; name another model file or delete it")
    if saved.exists() and not resume:
        raise UserError(
            f"{saved} is there from a run that did not finish; give --resume to go on from it, or "
            "delete it to start over"
        )
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent}; make it first")


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The same facts in JSON's types, as they come back from a file."""
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain


@contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    """Seed torch, and leave the caller's generators as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _nobody(_: dict[str, Any]) -> None:
    """Where no one listens."""
