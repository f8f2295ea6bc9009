"""The training loop, from a data set to a model file."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from geoseg import nets
from geoseg.devices import find_devices
from geoseg.errors import UserError
from geoseg.loader import Batch, batches
from geoseg.segmenter import Segmenter
from geoseg.train import checkpoint, report
from geoseg.train.augment import Augmentation, augment, resized, window_size
from geoseg.train.checkpoint import State
from geoseg.train.dataset import Dataset, Statistics, measure
from geoseg.train.losses import class_weights, cross_entropy
from geoseg.train.sampling import Uniform
from geoseg.train.schedules import schedule_of
from geoseg.train.settings import Settings, find_recipe

__all__ = ["fit"]

log = logging.getLogger(__name__)

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Run:
    """What stays the same while a network is trained.

    Parameters
    ----------
    settings : Settings
    data : Dataset
    model : Segmenter
        Around the network that is trained.
    weights : Tensor, shape (K,)
        What a pixel of each class weighs in the loss.
    saved : Path
        Where checkpoints go.
    tell : callable
        Takes progress events.
    """

    settings: Settings
    data: Dataset
    model: Segmenter
    weights: Tensor
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
    recipe: str | Settings,
    data: Dataset,
    out: str | PathLike[str],
    *,
    resume: bool = False,
    device: str = "auto",
    on_progress: Progress | None = None,
) -> Segmenter:
    """Train a network and write it as a model file.

    Parameters
    ----------
    recipe : str or Settings
        A key of `geoseg.train.RECIPES`, or the settings themselves.
    data : Dataset
    out : path-like
        The model file. While training, ``OUT.checkpoint`` lies beside it.
    resume : bool
        Go on from the checkpoint, if there is one. On a processor the model is then the same, bit
        by bit, as that of an undisturbed run.
    device : str
        As for `geoseg.predict`; the first one is used.
    on_progress : callable, optional
        Called with a dict at the start (``event, total, unit``) and after every step (``event,
        done, total, unit, loss, eta_s, waiting``: the share of the time so far that was spent
        waiting for pixels). Scores on the validation scenes go to the log.

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
    settings = find_recipe(recipe) if isinstance(recipe, str) else recipe
    path = Path(fspath(out))
    saved = checkpoint.checkpoint_of(path)
    _refuse_to_replace(path, saved, resume)
    with _own_randomness(settings.seed):
        run = _prepare(settings, data.in_memory(), saved, device, on_progress or _nobody)
        state = State(run.model.net, _optimiser(run.model.net, settings))
        if saved.exists():
            _go_on(run, state)
        _train(run, state)
    trained = _described(run, state, device)
    trained.save(path)
    saved.unlink(missing_ok=True)
    return trained


def _train(run: Run, state: State) -> None:
    settings, first, begun, waited = run.settings, state.step, time.monotonic(), 0.0
    event = {"total": settings.steps, "unit": "step"}
    run.tell({"event": "start", **event})
    asked = begun
    with closing(_batches(run, first)) as coming:
        for batch, rng in coming:
            waited += time.monotonic() - asked
            loss = _step(run, state, batch, rng)
            state.step += 1
            if state.step % settings.validate_every == 0:
                _validate(run, state)
            if state.step % settings.save_every == 0:
                checkpoint.save(state, run.saved, run.facts())
            asked = time.monotonic()
            pace = (asked - begun) / (state.step - first)
            told = {
                "loss": loss,
                "eta_s": pace * (settings.steps - state.step),
                "waiting": waited / max(asked - begun, 1e-9),
            }
            run.tell({"event": "progress", "done": state.step, **event, **told})


def _batches(run: Run, first: int) -> Generator[tuple[Batch, np.random.Generator], None, None]:
    """The batch of each step from one on, read while the one before is learnt from."""
    settings = run.settings
    sampler, scale = Uniform(run.data.training), _augmentation(settings).scale

    def read(step: int) -> tuple[Batch, np.random.Generator]:
        # Drawn from seed and step alone, so that a resumed run sees what an undisturbed one saw.
        rng = np.random.default_rng((settings.seed, step))
        size = window_size(rng, settings.crop, scale)
        drawn = sampler.draw(rng, step * settings.batch, settings.batch, size)
        return next(batches(drawn, settings.batch)), rng

    steps = iter(range(first, settings.steps))
    with ThreadPoolExecutor(1, "geoseg-read") as reader:
        coming = deque(reader.submit(read, step) for step in islice(steps, 1))
        while coming:
            coming.extend(reader.submit(read, step) for step in islice(steps, 1))
            yield coming.popleft().result()


def _step(run: Run, state: State, batch: Batch, rng: np.random.Generator) -> float:
    """Learn from one batch; the loss before it was learnt from."""
    settings = run.settings
    values, labels = _augmented(run, batch, rng)
    torch.manual_seed(int(rng.integers(2**63)))  # of layers that draw, such as dropout
    schedule = schedule_of(settings.schedule)
    for group in state.optimiser.param_groups:
        group["lr"] = settings.lr * schedule.factor(state.step, settings.steps)
    state.net.train()
    state.optimiser.zero_grad()
    loss = cross_entropy(state.net(values), labels, run.weights)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(state.net.parameters(), settings.clip)
    if not torch.isfinite(loss.detach() + norm):  # before the weights take harm
        raise UserError(_diverged(run, state))
    state.optimiser.step()
    return float(loss.detach())


def _augmented(run: Run, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Values (B, C, n, n) as the network sees them, and labels (B, n, n)."""
    assert batch.labels is not None  # noqa: S101  (a Dataset's scenes all have labels)
    device = run.model.device
    values, valid = run.model.normalise(batch.pixels.to(device), batch.nodata)
    windows = resized(values, batch.labels.to(device), valid, run.settings.crop)
    values, labels = augment(*windows, rng, _augmentation(run.settings))
    return values.contiguous(memory_format=torch.channels_last), labels


def _augmentation(settings: Settings) -> Augmentation:
    return Augmentation(gain=settings.gain, offset=settings.offset)


def _validate(run: Run, state: State) -> None:
    if not run.data.validation:
        return
    state.net.eval()
    size, count = run.settings.crop, run.settings.batch
    matrix = report.score_windows(run.model, run.data.validation, size, count)
    score = {"step": state.step, "miou": matrix.miou(), "overall_accuracy": matrix.accuracy()}
    state.history.append(score)
    log.info("step %d: validation mIoU %.3f, overall accuracy %.3f", *score.values())


def _diverged(run: Run, state: State) -> str:
    kept = f"the last checkpoint is {run.saved}" if run.saved.exists() else "nothing was saved yet"
    rate = state.optimiser.param_groups[0]["lr"]
    return (
        f"training diverged at step {state.step}: loss or gradient is no longer finite (learning "
        f"rate {rate:g}); {kept}; go on from it, or start over, with a lower lr"
    )


def _prepare(settings: Settings, data: Dataset, saved: Path, device: str, tell: Progress) -> Run:
    statistics = measure(data)
    model = _untrained(settings, data, statistics, find_devices(device)[0])
    weights = class_weights(statistics.class_pixels, settings.class_power).to(model.device)
    return Run(settings, data, model, weights, saved, tell)


def _untrained(
    settings: Settings, data: Dataset, statistics: Statistics, device: torch.device
) -> Segmenter:
    options = _plain(
        {"in_channels": len(data.bands), "classes": len(data.classes), **settings.options}
    )
    net = nets.build(settings.net, **options)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1/4 faster on CPU
    counts = map(int, statistics.class_pixels)
    return Segmenter(
        net.to(device),
        name=data.name,
        description=data.description,
        architecture=settings.net,
        options=options,
        classes=data.classes,
        bands=data.bands,
        mean=statistics.mean,
        std=statistics.std,
        value_range=statistics.value_range,
        gsd=data.gsd,
        licence=data.licence,
        training={
            "scenes": len(data.training),
            "pixels": dict(zip((each.name for each in data.classes), counts, strict=True)),
            "settings": _plain(asdict(settings)),
        },
    )


def _optimiser(net: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(net.parameters(), settings.lr, weight_decay=settings.weight_decay)


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
        name: report.scores(report.score_maps(model, scenes, device), model.card.classes)
        for name, scenes in parts.items()
        if scenes
    }
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


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
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
