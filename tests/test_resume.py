"""A run that was stopped goes on as if it had not been: the same bytes, for every setting."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures_published import write_image
from rasterio.crs import CRS
from rasterio.transform import from_origin
from safetensors.torch import load_file, save_file
from toy_training import NETS, chequered, data_of, quick, roads, three_scenes

import geoseg
from geoseg import nets
from geoseg.errors import UserError
from geoseg.recipes import train_files
from geoseg.train import Settings, fit
from geoseg.train.checkpoint import State, checkpoint_of, restore, save
from geoseg.train.scoring import score_windows

SWA = {"schedule": "decay_then_swa", "decay": 0.2, "cycles": 2}
COLOURS = {"hue": 0.1, "saturation": 0.2, "value": 0.1, "gamma": [0.7, 1.5], "colour_chance": 0.5}
CASES: dict[str, dict[str, Any]] = {
    "adamw": {},
    "adam": {"optimiser": "adam", "weight_decay": 0.1},
    "sgd with momentum": {"optimiser": "sgd", "momentum": 0.9},
    "sgd without momentum": {"optimiser": "sgd", "momentum": 0.0},
    "averaged weights": {"net": "noisy", **SWA},
    "equibatch": {"sampler": "equibatch", "min_pixels": 10},
    "scenes in turn": {"sampler": "scene"},
    "another scale at every step": {"scale": [0.6, 1.6]},
    "colours": {**COLOURS, "gain": 0.2, "offset": 0.2, "drop_band": 0.3, "symmetries": "all"},
    "parts": {"accumulate": 2},
    "a layer that draws": {"net": "noisy"},
    "a rehearsal": {"net": "noisy", "rehearse": 2},
    "the best weights": {"net": "noisy", "keep": "best", "validate_every": 2, "lr": 0.3},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "a unet": {"net": "unet", "widths": [4, 6], "validate_every": 2},
}


class StopAfter:
    """A listener that stops the run from outside."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, event: dict[str, Any]) -> None:
        if event.get("done") == self.steps:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in NETS.items():
        monkeypatch.setitem(nets.REGISTRY, name, kind)


def stopped_after_every_step(settings: Settings, out: Path, **more: Any) -> bytes:
    for step in range(1, settings.steps + 1):
        with pytest.raises(KeyboardInterrupt):
            fit(settings, three_scenes(), out, resume=True, on_progress=StopAfter(step), **more)
    fit(settings, three_scenes(), out, resume=True, **more)
    return out.read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_a_run_stopped_after_every_step_ends_in_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, case: str
) -> None:
    settings = quick(**CASES[case])
    fit(settings, three_scenes(), tmp_path / "whole")
    found = stopped_after_every_step(settings, tmp_path / "stopped")
    assert found == (tmp_path / "whole").read_bytes()


def test_two_tasks_go_on_together(tmp_path: Path) -> None:
    settings = quick("tasks", steps=3)
    fit(settings, three_scenes(), tmp_path / "whole", classmate=roads())
    found = stopped_after_every_step(settings, tmp_path / "stopped", classmate=roads())
    assert found == (tmp_path / "whole").read_bytes()


def test_averages_weigh_the_ends_of_cycles_alike_whenever_the_run_was_stopped(
    tmp_path: Path,
) -> None:
    settings = quick(**SWA, steps=5)  # snapshots after steps 3 and 5
    found = {}
    for last in (3, 5):
        with pytest.raises(KeyboardInterrupt):
            fit(
                settings,
                three_scenes(),
                tmp_path / "model",
                resume=True,
                on_progress=StopAfter(last),
            )
        kept = load_file(checkpoint_of(tmp_path / "model"))
        found[last] = {
            name.removeprefix("net."): tensor
            for name, tensor in kept.items()
            if name.startswith("net.")
        }
        assert int(kept["average.n_averaged"]) == len(found)
    model = fit(settings, three_scenes(), tmp_path / "model", resume=True)
    for name, tensor in model.net.state_dict().items():
        torch.testing.assert_close(tensor, (found[3][name] + found[5][name]) / 2)


def test_the_best_weights_are_kept_whenever_the_run_was_stopped(tmp_path: Path) -> None:
    """Against the weights that the checkpoint has after each step, each scored anew."""
    settings = quick("noisy", keep="best", validate_every=1, steps=8, lr=0.3)
    path, weights, scores = tmp_path / "model", {}, {}
    for step in range(1, 9):
        with pytest.raises(KeyboardInterrupt):
            fit(settings, three_scenes(), path, resume=True, on_progress=StopAfter(step))
        kept = load_file(checkpoint_of(path))
        weights[step] = {
            name.removeprefix("net."): each for name, each in kept.items() if name[:4] == "net."
        }
    model = fit(settings, three_scenes(), path, resume=True)
    for step, own in weights.items():
        model.net.load_state_dict(own)
        scores[step] = score_windows(model, three_scenes().validation, 256, 4).miou()
    best = max(scores, key=lambda step: scores[step])
    assert best < 8  # or nothing would be seen
    assert model.card.training["kept_step"] == best
    for name, tensor in geoseg.load(path).net.state_dict().items():
        assert tensor.equal(weights[best][name]), name


def lose(saved: Path, fact: str) -> None:
    """Take a fact out of the header of a checkpoint."""
    length = int.from_bytes(saved.read_bytes()[:8], "little")
    metadata = json.loads(saved.read_bytes()[8 : 8 + length])["__metadata__"]
    header = json.loads(metadata["geoseg-training"])
    del header[fact]
    save_file(load_file(saved), saved, {"geoseg-training": json.dumps(header)})


def test_a_checkpoint_from_before_the_best_weights_were_kept_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        fit(quick(), three_scenes(), path, on_progress=StopAfter(1))
    saved = checkpoint_of(path)
    lose(saved, "best")
    model = fit(quick(), three_scenes(), path, resume=True)
    assert len(model.card.training["history"]) == 0


def test_the_learning_curve_is_in_the_card_of_a_stopped_run_too(tmp_path: Path) -> None:
    settings = quick(validate_every=2, save_every=3)
    told: list[dict[str, Any]] = []
    whole = fit(settings, three_scenes(), tmp_path / "whole", on_progress=told.append)
    with pytest.raises(KeyboardInterrupt):
        fit(settings, three_scenes(), tmp_path / "stopped", on_progress=StopAfter(4))
    stopped = fit(settings, three_scenes(), tmp_path / "stopped", resume=True)
    curve = whole.card.training["history"]
    assert curve == stopped.card.training["history"]
    assert [each["step"] for each in curve] == [2, 4]
    losses = [each["loss"] for each in told[1:]]
    assert [each["loss"] for each in curve] == pytest.approx(
        [np.mean(losses[:2]), np.mean(losses[2:4])], abs=5e-5
    )
    assert [each["miou"] for each in curve] == [told[2]["miou"], told[4]["miou"]]


def test_another_optimiser_does_not_go_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(quick(), three_scenes(), tmp_path / "model", on_progress=StopAfter(2))
    with pytest.raises(UserError, match=r"trained with optimiser=adamw, whose moments .*; set it"):
        fit(quick(optimiser="sgd"), three_scenes(), tmp_path / "model", resume=True)


def test_other_scenes_are_noticed_where_pixels_are_normalised_by_stated_numbers(
    tmp_path: Path,
) -> None:
    settings = quick(mean=[127.5], std=[127.5])
    with pytest.raises(KeyboardInterrupt):
        fit(settings, three_scenes(), tmp_path / "model", on_progress=StopAfter(2))
    with pytest.raises(UserError, match=r"trained on other bands, classes or pixels; delete it"):
        fit(settings, data_of(chequered(7)), tmp_path / "model", resume=True)


@pytest.mark.parametrize("lost", ["step", "losses", "history", "scaler", "facts"])
def test_a_checkpoint_that_lacks_a_fact_is_refused(tmp_path: Path, lost: str) -> None:
    path = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        fit(quick(), three_scenes(), path, on_progress=StopAfter(1))
    saved = checkpoint_of(path)
    lose(saved, lost)
    with pytest.raises(UserError, match=rf"is damaged \('{lost}'\); delete it to start over"):
        fit(quick(), three_scenes(), path, resume=True)


def test_the_scale_of_gradients_is_kept(tmp_path: Path) -> None:
    states = []
    for steps in (3, 0):
        net = NETS["plain"](3, 2)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
        state = State(net, torch.optim.SGD(net.parameters(), 0.1), scaler)
        for _ in range(steps):
            scaler.scale(net(torch.ones(1, 3, 4, 4)).mean()).backward()
            scaler.step(state.optimiser)
            scaler.update()
        states.append(state)
    save(states[0], tmp_path / "c", {"settings": {}, "data": {}})
    restore(states[1], tmp_path / "c")
    assert states[1].scaler.state_dict() == states[0].scaler.state_dict()
    assert states[1].scaler.get_scale() == 16.0


def test_a_killed_command_goes_on_where_its_checkpoint_is(tmp_path: Path) -> None:
    for place in (0, 1):
        where = CRS.from_epsg(32633), from_origin(1000 * place, 0, 10, 10)
        scene = chequered(place)
        write_image(tmp_path / "images" / f"{place}.tif", scene.image.values, where)
        write_image(tmp_path / "labels" / f"{place}.tif", scene.labels.values[None], where)
    described = tmp_path / "dataset.yaml"
    described.write_text(DESCRIPTION)
    options = ["steps=60", "save_every=2", "crop=8", "batch=2", "widths=[4, 6]"]
    command = [sys.executable, "-m", "geoseg", "train", "unet", "--data", str(described)]
    command += ["--out", str(tmp_path / "killed"), "--progress", "json", "--device", "cpu"]
    for each in options:
        command += ["--set", each]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        # What is not read stops the command, so that it cannot end before it is killed.
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        for line in iter(process.stdout.readline, b""):
            if json.loads(line).get("done") == 3:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert checkpoint_of(tmp_path / "killed").exists()
    assert not (tmp_path / "killed").exists()
    told: list[dict[str, Any]] = []
    for name in ("killed", "whole"):
        train_files(
            "unet",
            described,
            tmp_path / name,
            options,
            resume=True,
            device="cpu",
            on_progress=told.append,
        )
    assert told[1]["done"] > 2
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()


DESCRIPTION = """
name: squares
description: Made up.
bands: {red: 1, green: 2, blue: 3}
classes:
  - {name: one, codes: [0]}
  - {name: two, codes: [1]}
  - {name: three, codes: [2]}
"""
