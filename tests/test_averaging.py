"""Averages of weights: what they are, their batch statistics, and going on from a checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from geoseg.errors import UserError
from geoseg.train import checkpoint
from geoseg.train.averaging import begin, finish
from geoseg.train.checkpoint import State
from geoseg.train.schedules import DecayThenSwa

STEPS = 160  # one an epoch


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Dropout(0.5)
        )


def values_at(step: int) -> Tensor:
    rng = np.random.default_rng((7, step))
    return torch.from_numpy(rng.normal(1, 2, (4, 2, 5, 5)).astype(np.float32))


def state_of(seed: int = 0) -> State:
    net = network(seed)
    return State(net, torch.optim.Adam(net.parameters(), 1e-3), average=begin(net))


def train(state: State, until: int) -> list[dict[str, Tensor]]:
    """Train to a step; the weights of every snapshot."""
    schedule, taken = DecayThenSwa(), []
    state.net.train()
    for step in range(state.step, until):
        for group in state.optimiser.param_groups:
            group["lr"] = 1e-3 * schedule.factor(step, STEPS)
        torch.manual_seed(step)
        state.optimiser.zero_grad()
        state.net(values_at(step)).square().mean().backward()
        state.optimiser.step()
        state.step = step + 1
        if state.step in schedule.snapshots(STEPS):
            state.average.update_parameters(state.net)
            taken.append({k: v.clone() for k, v in state.net.state_dict().items()})
    return taken


def statistics(net: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in net.named_buffers() if v.is_floating_point()}


@pytest.fixture(autouse=True)
def _own_randomness() -> object:
    with torch.random.fork_rng():
        yield


def test_snapshots_of_1_2_and_6_average_to_3() -> None:
    net = nn.Linear(1, 1, bias=False)
    average = begin(net)
    for weight in (1.0, 2.0, 6.0):
        net.weight.data.fill_(weight)
        average.update_parameters(net)
    finish(average, net, [])
    assert net.weight.item() == pytest.approx(3.0)


def test_160_epochs_give_the_mean_of_ten_snapshots_with_statistics_of_its_own() -> None:
    state = state_of()
    taken = train(state, STEPS)
    last = statistics(state.net)
    finish(state.average, state.net, (values_at(step) for step in range(5)))
    assert len(taken) == int(state.average.n_averaged) == 10
    for name, weight in state.net.named_parameters():
        mean = torch.stack([each[name].double() for each in taken]).mean(0)
        torch.testing.assert_close(weight.detach().double(), mean, rtol=1e-5, atol=1e-7)
    assert all(not tensor.equal(last[name]) for name, tensor in statistics(state.net).items())


def test_statistics_are_the_means_over_batches_that_weigh_the_same() -> None:
    net = network()
    average = begin(net)
    average.update_parameters(net)
    batches = [values_at(0), values_at(1)[:1], values_at(2)]
    finish(average, net, batches)
    channels = [each.numpy().astype(float).transpose(1, 0, 2, 3).reshape(2, -1) for each in batches]
    mean = np.mean([c.mean(1) for c in channels], 0)
    variance = np.mean([c.var(1, ddof=1) for c in channels], 0)
    np.testing.assert_allclose(net[0].running_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(net[0].running_var.numpy(), variance, rtol=1e-5)
    # The second layer sees what the first gives in training: each batch by its own statistics.
    flat = [
        (c - c.mean(1, keepdims=True)) / np.sqrt(c.var(1, keepdims=True) + 1e-5) for c in channels
    ]
    seen = [
        net[1](torch.from_numpy(f.reshape(2, -1, 5, 5).transpose(1, 0, 2, 3).astype(np.float32)))
        for f in flat
    ]
    means = np.mean([s.detach().numpy().mean((0, 2, 3)) for s in seen], 0)
    np.testing.assert_allclose(net[2].running_mean.numpy(), means, atol=1e-5)


def test_a_finished_network_is_one_for_evaluation_that_can_be_trained_as_before() -> None:
    net = network().train()
    average = begin(net)
    average.update_parameters(net)
    finish(average, net, [values_at(0)])
    assert not any(module.training for module in net.modules())
    assert net[0].momentum == nn.BatchNorm2d(2).momentum


def test_networks_without_batch_statistics_need_no_batches() -> None:
    net = nn.Conv2d(1, 1, 1)
    average = begin(net)
    average.update_parameters(net)
    wanted = net.weight.detach().clone()
    finish(average, net, iter(()))
    assert net.weight.detach().equal(wanted)


@pytest.mark.parametrize("stopped", [50, 118, 121])
def test_an_average_goes_on_from_a_checkpoint(tmp_path: Path, stopped: int) -> None:
    undisturbed, stopping, resumed = state_of(), state_of(), state_of(seed=1)
    train(undisturbed, STEPS)
    train(stopping, stopped)
    checkpoint.save(stopping, tmp_path / "checkpoint", {"settings": {}, "data": {}})
    checkpoint.restore(resumed, tmp_path / "checkpoint")
    train(resumed, STEPS)
    for state in (undisturbed, resumed):
        torch.manual_seed(0)
        finish(state.average, state.net, [values_at(0), values_at(1)])
    expected = undisturbed.net.state_dict()
    assert all(tensor.equal(expected[name]) for name, tensor in resumed.net.state_dict().items())


def test_a_checkpoint_without_an_average_is_not_taken_for_one_with_it(tmp_path: Path) -> None:
    state = state_of()
    train(state, 1)
    checkpoint.save(
        State(state.net, state.optimiser), tmp_path / "checkpoint", {"settings": {}, "data": {}}
    )
    with pytest.raises(
        UserError, match=r"does not fit this run or is damaged .*delete it to start"
    ):
        checkpoint.restore(state_of(), tmp_path / "checkpoint")


def test_an_average_of_nothing_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"no weights were averaged yet: train to the end of the fi"
    ):
        finish(begin(network()), network(), [values_at(0)])


def test_statistics_of_no_batch_are_refused() -> None:
    net = network()
    average = begin(net)
    average.update_parameters(net)
    with pytest.raises(
        UserError, match=r"batch statistics need one batch at least; none was given"
    ):
        finish(average, net, [])
