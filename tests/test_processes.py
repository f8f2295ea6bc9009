"""Several processes train what one would; what becomes of the run when one of them dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_training import NETS, quick, three_scenes

from geoseg import load, nets
from geoseg.errors import UserError
from geoseg.train import fit
from geoseg.train.checkpoint import checkpoint_of
from geoseg.train.processes import Group, joined, leads

CHANGES = {"rehearse": 2, "schedule": "decay_then_swa", "decay": 0.2, "cycles": 2}
EACH_SECOND = {"validate_every": 2, "save_every": 2}


def train_in_two(out: Path, *more: str) -> tuple[int, list[dict[str, Any]], str]:
    """Status, events of the first process, and what else was printed."""
    program = Path(__file__).with_name("toy_training.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    changes = [f"{key}={value}" for key, value in (CHANGES | EACH_SECOND).items()]
    done = subprocess.run(
        [*launch, str(program), str(out), *changes, *more],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    return done.returncode, events_of(done.stdout.splitlines()), done.stderr


def events_of(lines: Sequence[str]) -> list[dict[str, Any]]:
    told = [line.partition(" ") for line in lines]
    assert {rank for rank, _, _ in told} == {"0"}, "only the first process tells"
    return [json.loads(event) for _, _, event in told]


def test_two_processes_learn_what_one_does_also_when_one_of_them_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(nets.REGISTRY, "plain", NETS["plain"])
    path = tmp_path / "two"
    status, told, _ = train_in_two(path, "die=1,3")
    assert status != 0
    assert [each.get("done") for each in told] == [None, 1, 2, 3]
    assert list(tmp_path.iterdir()) == [checkpoint_of(path)]
    status, told, printed = train_in_two(path, "resume=1")
    assert status == 0, printed
    assert [each.get("done") for each in told] == [None, 3, 4, 5]
    assert list(tmp_path.iterdir()) == [path]
    alone: list[dict[str, Any]] = []
    settings = quick(**CHANGES, **EACH_SECOND)
    one = fit(settings, three_scenes(), tmp_path / "one", device="cpu", on_progress=alone.append)
    for name, tensor in load_file(path).items():
        torch.testing.assert_close(tensor, one.net.state_dict()[name], rtol=1e-5, atol=1e-6)
    assert [each["loss"] for each in told[1:]] == pytest.approx(
        [each["loss"] for each in alone[3:]], rel=1e-5
    )
    assert load(path).card.metrics == one.card.metrics
    assert len(load(path).card.training["history"]) == 2


def test_two_processes_learn_what_one_does_in_two_parts_with_statistics_of_each(
    tmp_path: Path,
) -> None:
    """A U-Net with batch statistics: on a processor each of two processes has those of its own."""
    net = {"net": "unet", "widths": [4, 6], "batch": 2, "optimiser": "sgd", "lr": 0.1}
    path = tmp_path / "two"
    status, told, printed = train_in_two(path, *(f"{key}={value}" for key, value in net.items()))
    assert status == 0, printed
    found = load_file(path)
    losses, learnt = {}, {}
    for parts in (1, 2):
        alone: list[dict[str, Any]] = []
        settings = quick(**CHANGES, **EACH_SECOND, **net, accumulate=parts)
        out = tmp_path / f"{parts}"
        model = fit(settings, three_scenes(), out, device="cpu", on_progress=alone.append)
        losses[parts] = [each["loss"] for each in alone[1:]]
        learnt[parts] = dict(model.net.named_parameters())
    both = [each["loss"] for each in told[1:]]
    assert both == pytest.approx(losses[2], rel=1e-4)
    assert both != pytest.approx(losses[1], rel=1e-4)
    for name, weight in learnt[2].items():
        torch.testing.assert_close(found[name], weight.detach(), rtol=1e-4, atol=1e-5)
    apart = [(found[name] - weight).abs().max().item() for name, weight in learnt[1].items()]
    assert max(apart) > 1e-3


def test_a_process_of_one_leads_and_hears_itself() -> None:
    with joined(torch.device("cpu")) as group:
        assert group == Group(0, 1, torch.device("cpu"))
        assert group.leads
        assert group.gathered(2.5) == [2.5]
        group.refuse_other(3)
        net = torch.nn.Conv2d(1, 1, 1)
        assert group.wrap(net) is net


def test_shares_are_of_one_size_and_together_the_batch() -> None:
    shares = [list(range(12))[Group(rank, 3).share_of(12, parts=2)] for rank in range(3)]
    assert [len(each) for each in shares] == [4, 4, 4]
    assert sorted(each for share in shares for each in share) == list(range(12))


def test_processes_that_stand_at_different_steps_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Group, "gathered", lambda self, number: [number, 0.0])
    with pytest.raises(UserError, match=r"at different steps \(4, 0\); put the model file on a"):
        Group(0, 2).refuse_other(4)


def test_a_process_without_a_gpu_of_its_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(UserError, match=r"process 3 on this machine has no GPU, torch sees 2; star"),
        joined(torch.device("cuda:0")),
    ):
        pass


def test_the_first_process_leads_before_any_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert leads()
    monkeypatch.setenv("RANK", "1")
    assert not leads()
