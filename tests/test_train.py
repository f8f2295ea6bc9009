"""The loop: it learns, repeats, resumes, stops when it diverges, and never leaves half a model."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file, save_file

import geoseg
from geoseg import nets, segmenter
from geoseg.classes import as_classes
from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene
from geoseg.metrics import ConfusionMatrix
from geoseg.reach import Reach, measure_reach
from geoseg.recipes import train_files
from geoseg.train import Augmentation, Dataset, Settings, feed, fit, loop, scoring
from geoseg.train.checkpoint import State, checkpoint_of, restore, save
from geoseg.train.losses import cross_entropy
from geoseg.train.stated_loss import LOSSES

QUICK = Settings(options={"widths": (4, 8)}, crop=16, batch=4, steps=8, lr=1e-2, save_every=3)


def chequered(seed: int, shape: tuple[int, int] = (48, 40)) -> Scene:
    """Three classes in squares of 8 pixels; bands are noisy, and class 2 differs by texture."""
    rng = np.random.default_rng(seed)
    squares = rng.choice(3, (shape[0] // 8, shape[1] // 8), p=(0.5, 0.3, 0.2))
    labels = np.kron(squares, np.ones((8, 8), int)).astype(np.uint8)
    pixels = rng.normal(100, 15, (2, *shape)) + 60 * (labels == 1)
    pixels += rng.choice([-60, 60], shape) * (labels == 2)
    labels[:2] = IGNORE
    return Scene(
        xr.DataArray(pixels.clip(0, 255).astype(np.uint8), dims=("band", "y", "x")),
        xr.DataArray(labels, dims=("y", "x")),
    )


@pytest.fixture(scope="module")
def data() -> Dataset:
    classes = as_classes(["land", "water", "town"])
    return Dataset(
        name="chequered",
        description="Made up.",
        classes=tuple(replace(c, value=10 * c.value + 3) for c in classes),
        bands=("vv", "vh"),
        training=[chequered(0), chequered(1)],
        validation=[chequered(2)],
        held_out=[chequered(3)],
    )


@pytest.fixture(autouse=True, scope="module")
def _networks_are_probed_once() -> Iterator[None]:
    known: dict[str, Reach] = {}

    def once(net: torch.nn.Module, bands: int) -> Reach:
        return known.get(repr(net)) or known.setdefault(repr(net), measure_reach(net, bands))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmenter, "measure_reach", once)
        yield


def weights(model: geoseg.Segmenter) -> dict[str, torch.Tensor]:
    return model.net.state_dict()


class StopAfter:
    """A listener that stops the run from outside."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, event: dict[str, Any]) -> None:
        if event.get("done") == self.steps:
            raise KeyboardInterrupt


# -- learning --------------------------------------------------------------------------------------


def test_one_batch_is_learnt_by_heart(data: Dataset, tmp_path: Path) -> None:
    scene = Scene(data.training[0].image[:, :16, :16], data.training[0].labels[:16, :16])
    losses: list[float] = []
    fit(
        replace(QUICK, steps=60, augment=Augmentation()),
        replace(data, training=[scene], validation=(), held_out=()),
        tmp_path / "model.safetensors",
        on_progress=lambda event: losses.append(event["loss"]) if "loss" in event else None,
    )
    assert len(losses) == 60
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:5])


def test_a_trained_model_beats_the_majority_class(data: Dataset, tmp_path: Path) -> None:
    model = fit(replace(QUICK, steps=60), data, tmp_path / "model.safetensors")
    found = model.card.metrics["held_out"]
    scene = data.held_out[0]
    truth = scene.labels.values
    majority = ConfusionMatrix(3)
    majority.update(truth, np.full(truth.shape, np.bincount(truth[truth != IGNORE]).argmax()))
    assert found["pixels"] == (truth != IGNORE).sum()
    assert found["miou"] > majority.miou() + 0.2
    assert found["overall_accuracy"] > majority.accuracy()


def test_the_file_is_the_model_and_its_card_tells_what_it_learnt_from(
    data: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    model = fit(QUICK, data, path)
    loaded = geoseg.load(path)
    assert loaded.card == model.card
    assert all(tensor.equal(weights(loaded)[name]) for name, tensor in weights(model).items())
    card = loaded.card
    assert (card.name, card.architecture, card.bands) == ("chequered", "unet", ("vv", "vh"))
    assert [each.value for each in card.classes] == [3, 13, 23]
    pixels = np.stack([s.image.values for s in data.training], 1).reshape(2, -1)
    assert card.mean == pytest.approx(pixels.mean(1), rel=1e-6)
    assert card.training["scenes"] == 2
    assert card.training["settings"]["steps"] == 8
    assert set(card.metrics) == {"validation", "held_out"}
    assert list(tmp_path.iterdir()) == [path]


def test_scores_are_those_of_the_map_that_a_user_gets(data: Dataset, tmp_path: Path) -> None:
    model = fit(QUICK, data, tmp_path / "model.safetensors")
    scene = data.held_out[0]
    labels = geoseg.predict(scene.image.assign_attrs(long_name=("vv", "vh")), model).values
    matrix = ConfusionMatrix(3)
    matrix.update(scene.labels.values, (labels - 3) // 10)
    assert model.card.metrics["held_out"] == scoring.scores(matrix, model.card.classes)


def test_missing_pixels_stay_missing_and_teach_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = xr.DataArray(np.eye(8, dtype=np.uint8), dims=("y", "x"))
    pixels = np.random.default_rng(0).integers(1, 99, (1, 8, 8)).astype(np.int16)
    pixels[:, :4] = -1
    image = xr.DataArray(pixels, dims=("band", "y", "x")).rio.write_nodata(-1)
    scenes = [Scene(image, labels)]
    data = Dataset("gaps", "", as_classes(["a", "b"]), ("only",), scenes, scenes, scenes)
    seen: list[torch.Tensor] = []

    def watched(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        seen.extend([logits, labels])
        return cross_entropy(logits, labels, weights)

    # The image itself, twice, is what this network makes of it.
    monkeypatch.setitem(nets.REGISTRY, "copy", Copy)
    monkeypatch.setitem(LOSSES, "cross_entropy", watched)
    settings = Settings(
        net="copy",
        crop=8,
        batch=8,
        steps=1,
        validate_every=1,
        augment=Augmentation(offset=1.0),
    )
    model = fit(settings, data, tmp_path / "model")
    logits, known = seen
    assert ((logits == 0).all(1) == (known == IGNORE)).all()
    assert ((known == IGNORE).sum((1, 2)) == 32).all()
    assert model.card.metrics["held_out"]["pixels"] == 32


class Copy(torch.nn.Module):
    """One band as the score of every class."""

    stride = 1

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(classes, in_channels, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(image, self.scale)


# -- repeating and resuming ------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(
    data: Dataset, tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in ("first", "second", "third")]
    torch.manual_seed(1)
    fit(QUICK, data, paths[0])
    torch.manual_seed(2)
    fit(QUICK, data, paths[1])
    fit(replace(QUICK, seed=1), data, paths[2])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes() != paths[2].read_bytes()


def test_training_leaves_the_random_numbers_of_the_caller_alone(
    data: Dataset, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(QUICK, data, tmp_path / "model")
    assert torch.rand(3).equal(expected)


@pytest.mark.parametrize("stops", [(1,), (4, 7)])
def test_a_resumed_run_ends_in_the_bytes_of_an_undisturbed_one(
    data: Dataset, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    fit(QUICK, data, whole)
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            fit(QUICK, data, resumed, resume=True, on_progress=StopAfter(stop))
        assert not resumed.exists()
    steps: list[int] = []
    fit(
        QUICK,
        data,
        resumed,
        resume=True,
        on_progress=lambda event: steps.append(event["done"]) if "done" in event else None,
    )
    assert resumed.read_bytes() == whole.read_bytes()
    assert steps == list(range(stops[-1] // 3 * 3 + 1, 9))  # nothing is done twice


def test_a_checkpoint_in_the_way_is_never_lost(data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        fit(QUICK, data, path, on_progress=StopAfter(5))
    before = checkpoint_of(path).read_bytes()
    with pytest.raises(UserError, match=r"model.checkpoint is there .* give --resume"):
        fit(QUICK, data, path)
    assert checkpoint_of(path).read_bytes() == before


def test_a_model_in_the_way_is_never_lost(data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_text("kept")
    with pytest.raises(UserError, match=r"model exists; name another model file or delete it$"):
        fit(QUICK, data, path)
    with pytest.raises(UserError, match=r"delete it; to train on from it, .* --set start=.*model$"):
        fit(QUICK, data, path, resume=True)
    assert path.read_text() == "kept"


def test_a_model_that_may_be_replaced_is_kept_until_the_new_one_is_trained(
    data: Dataset, tmp_path: Path
) -> None:
    path, report = tmp_path / "model", tmp_path / "report"
    fit(QUICK, data, path, report=report)
    old = path.read_bytes()
    changed = replace(QUICK, seed=QUICK.seed + 1)
    with pytest.raises(UserError, match=r"model is finished, and no run .* leave out --resume"):
        fit(changed, data, path, report=report, resume=True, overwrite=True)
    with pytest.raises(KeyboardInterrupt):
        fit(changed, data, path, report=report, overwrite=True, on_progress=StopAfter(5))
    assert path.read_bytes() == old
    with pytest.raises(UserError, match=r"model.checkpoint is there .* give --resume"):
        fit(changed, data, path, report=report, overwrite=True)
    fit(changed, data, path, report=report, resume=True, overwrite=True)
    new = path.read_bytes()
    assert new != old
    assert not checkpoint_of(path).exists()
    fit(changed, data, path, report=report, overwrite=True)
    assert path.read_bytes() == new


def test_the_folder_of_the_model_must_be_there(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no folder .*nowhere; make it first"):
        fit(QUICK, data, tmp_path / "nowhere" / "model")


def test_going_on_with_another_setting_is_told(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        fit(QUICK, data, path, on_progress=StopAfter(5))
    with caplog.at_level(logging.WARNING):
        fit(replace(QUICK, lr=1e-3, steps=7), data, path, resume=True)
    told = "going on from step 3 with steps=7, was 8; lr=0.001, was 0.01"
    assert told in caplog.messages


def test_going_on_without_a_checkpoint_says_that_it_starts_from_scratch(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model"
    with caplog.at_level(logging.INFO):
        fit(replace(QUICK, steps=1), data, path, resume=True)
    assert f"there is no {path}.checkpoint to go on from: the run starts from scratch" in (
        caplog.messages
    )


def test_what_cannot_be_started_from_is_refused_before_anything_is_made(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, path = tmp_path / "report", tmp_path / "model.safetensors"
    other = tmp_path / "other.safetensors"
    save_file({"strange.weight": torch.zeros(3)}, other)
    with pytest.raises(UserError, match=r"none of its weights fit"):
        fit(replace(QUICK, start=str(other)), data, path, report=report)
    monkeypatch.setattr(loop, "prepare", lambda *_: pytest.fail("the data were looked at"))
    with pytest.raises(UserError, match=r"nix.safetensors"):
        fit(replace(QUICK, start="nix.safetensors"), data, path, report=report)
    other.write_text("damaged")
    with pytest.raises(UserError, match=r"is no .safetensors file or is damaged"):
        fit(replace(QUICK, start=str(other)), data, path, report=report)
    assert [each.name for each in tmp_path.iterdir()] == [other.name]


def test_a_run_does_not_go_on_with_other_pixels(data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        fit(QUICK, data, path, on_progress=StopAfter(5))
    with pytest.raises(UserError, match=r"trained on other bands, classes or pixels"):
        fit(QUICK, replace(data, training=data.training[:1]), path, resume=True)
    with pytest.raises(UserError, match=r"does not fit this run or is damaged"):
        fit(replace(QUICK, options={"widths": (4, 4)}), data, path, resume=True)


# -- checkpoints -----------------------------------------------------------------------------------


def stepped(seed: int, steps: int) -> State:
    torch.manual_seed(seed)
    net = nets.build("unet", in_channels=1, classes=2, widths=(2, 3))
    net = net.to(memory_format=torch.channels_last)
    state = State(net, torch.optim.AdamW(net.parameters()))
    for _ in range(steps):
        net(torch.randn(2, 1, 8, 8)).square().mean().backward()
        state.optimiser.step()
        state.step += 1
    return state


def test_a_checkpoint_holds_the_whole_state(tmp_path: Path) -> None:
    state, fresh = stepped(0, 3), stepped(1, 0)
    state.history.append({"step": 2, "miou": 0.5})
    facts = {"settings": {"lr": 0.1}, "data": {"name": "x"}}
    save(state, tmp_path / "c", facts)
    assert restore(fresh, tmp_path / "c") == facts
    assert (fresh.step, fresh.history) == (3, state.history)
    assert list(tmp_path.iterdir()) == [tmp_path / "c"]
    for one, other in zip(state.net.parameters(), fresh.net.parameters(), strict=True):
        assert one.equal(other)
        moments, found = state.optimiser.state[one], fresh.optimiser.state[other]
        assert all(found[key].equal(value) for key, value in moments.items())
        assert found["exp_avg"].stride() == other.stride()  # rounding follows the layout


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: path.write_bytes(b"pickle"),
        lambda path: save_file(load_file(path), path),  # without its header
        lambda path: save_file(load_file(path), path, {"geoseg-training": "{"}),
        lambda path: save(stepped(0, 1), path, {"settings": {}}),  # of what data it does not say
    ],
)
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    path = tmp_path / "c"
    save(stepped(0, 1), path, {"settings": {}, "data": {}})
    harm(path)
    with pytest.raises(UserError, match=r"does not fit this run or is damaged .*; delete it"):
        restore(stepped(0, 0), path)


# -- divergence ------------------------------------------------------------------------------------


def test_divergence_stops_the_run_and_keeps_the_last_checkpoint(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calls = tmp_path / "model", []

    def failing(*args: Any, **options: Any) -> torch.Tensor:
        calls.append(1)
        return cross_entropy(*args, **options) * (float("nan") if len(calls) == 6 else 1.0)

    monkeypatch.setitem(LOSSES, "cross_entropy", failing)
    with pytest.raises(UserError, match=r"diverged at step 5: .* last checkpoint is .*model.check"):
        fit(QUICK, data, path)
    assert not path.exists()
    kept = load_file(checkpoint_of(path))
    assert all(tensor.isfinite().all() for tensor in kept.values())
    monkeypatch.undo()
    fit(replace(QUICK, lr=1e-3), data, path, resume=True)
    assert path.exists()


def test_divergence_before_the_first_checkpoint_says_that_there_is_none(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*args: Any, **options: Any) -> torch.Tensor:
        return cross_entropy(*args, **options) * float("inf")

    monkeypatch.setitem(LOSSES, "cross_entropy", endless)
    with pytest.raises(UserError, match=r"diverged at step 0: .* nothing was saved yet"):
        fit(QUICK, data, tmp_path / "model")
    assert not list(tmp_path.iterdir())


# -- telling ---------------------------------------------------------------------------------------


def test_progress_is_told_step_by_step_in_json_types(data: Dataset, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    fit(QUICK, data, tmp_path / "model", on_progress=events.append)
    assert events[0] == {"event": "start", "total": 8, "unit": "step"}
    assert [each["done"] for each in events[1:]] == list(range(1, 9))
    assert json.loads(json.dumps(events)) == events


def test_a_batch_is_read_while_the_one_before_is_learnt_from(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = [threading.Event() for _ in range(QUICK.steps)]
    reads = count()
    read, step = feed.batches, loop._step

    def reading(*args: Any) -> Any:
        begun[next(reads)].set()
        return read(*args)

    def learning(run: Any, state: State, *args: Any) -> float:
        if state.step + 1 < QUICK.steps:
            assert begun[state.step + 1].wait(60), "the next batch is not asked for yet"
        return step(run, state, *args)

    monkeypatch.setattr(feed, "batches", reading)
    monkeypatch.setattr(loop, "_step", learning)
    events: list[dict[str, Any]] = []
    fit(replace(QUICK, validate_every=99), data, tmp_path / "model", on_progress=events.append)
    assert next(reads) == QUICK.steps
    assert all(0 <= each["waiting"] <= 1 for each in events[1:])


def test_validation_scores_go_to_the_log(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        fit(replace(QUICK, validate_every=4), data, tmp_path / "model")
    told = [message for message in caplog.messages if "validation mIoU" in message]
    assert [message.split(":")[0] for message in told] == ["step 4", "step 8"]


def test_scores_are_laid_side_by_side() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update([0, 0, 1, 1], [0, 0, 1, 0])
    column = scoring.scores(matrix, as_classes(["land", "water", "town"]))
    assert column["iou"] == {"land": 0.6667, "water": 0.5, "town": None}
    assert scoring.markdown_table({"model": column}).splitlines() == [
        "|  | model |",
        "| --- | ---: |",
        "| mIoU | 0.583 |",
        "| overall accuracy | 0.750 |",
        "| IoU land | 0.667 |",
        "| IoU water | 0.500 |",
        "| IoU town | – |",
    ]


# -- the door of the command line ------------------------------------------------------------------


def test_unknown_settings_are_refused_before_data_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no setting 'step'; choose from"):
        train_files("unet", tmp_path / "none.yaml", tmp_path / "model", ["step=3"])
    with pytest.raises(UserError, match=r"no recipe 'u'"):
        train_files("u", tmp_path / "none.yaml", tmp_path / "model")
    with pytest.raises(UserError, match=r"none.yaml"):
        train_files("unet", tmp_path / "none.yaml", tmp_path / "model", ["root=/"])


def test_the_example_of_the_readme_trains_from_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    code = readme.partition("<!-- example -->\n```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    small = "Settings(steps=2, crop=32, batch=2, options={'widths': [4, 8]})"
    exec(code.replace("Settings(steps=60, crop=64)", small), {})  # noqa: S102  (our own page)
    assert geoseg.load("rivers.safetensors").card.classes == as_classes(["land", "water"])
    score = float(capsys.readouterr().out)
    assert 0 <= score <= 1
    assert (tmp_path / "rivers-report" / "index.html").is_file()


def test_arrays_without_named_dimensions_are_refused_with_the_remedy() -> None:
    pixels, labels = np.zeros((3, 8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    named = xr.DataArray(pixels, dims=("band", "y", "x"))
    with pytest.raises(
        UserError, match=r"image is a ndarray; .*\(image, dims=\('band', 'y', 'x'\)"
    ):
        Scene(pixels, labels)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"labels is a ndarray; .*\(labels, dims=\('y', 'x'\)"):
        Scene(named, labels)  # type: ignore[arg-type]
    with pytest.raises(
        UserError, match=r"arrays: a ndarray is no scene; give Scene\(image, labels"
    ):
        Dataset("arrays", "", as_classes(["a"]), ("red",) * 3, [pixels])  # type: ignore[list-item]


def test_classes_of_a_data_set_may_be_names() -> None:
    image = xr.DataArray(np.zeros((1, 8, 8), np.uint8), dims=("band", "y", "x"))
    scene = Scene(image, xr.DataArray(np.zeros((8, 8), np.uint8), dims=("y", "x")))
    named = Dataset("x", "", ["a", "b"], ("grey",), [scene])  # type: ignore[arg-type]
    assert named.classes == as_classes(["a", "b"])
