"""The memory of networks is measured, and windows are made to fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from toys import Hourglass, TwoLayers

from geoseg import footprint
from geoseg.errors import UserError
from geoseg.footprint import bytes_per_pixel, memory_budget


def test_a_chain_of_layers_holds_what_goes_in_and_what_comes_out() -> None:
    chain = nn.Sequential(nn.Conv2d(3, 32, 1), nn.Conv2d(32, 2, 1)).eval()
    # At most 3 + 32 or 32 + 2 channels of 4 bytes, and the image that the caller holds.
    assert (3 + 32) * 4 <= bytes_per_pixel(chain, 3) <= 1.25 * (3 + 32 + 2) * 4


@pytest.mark.parametrize("net", [TwoLayers(), Hourglass()])
def test_looking_at_a_network_leaves_nothing_behind(net: nn.Module) -> None:
    before = torch.get_rng_state()
    bytes_per_pixel(net.eval(), 3)
    assert not any(layer._forward_hooks for layer in net.modules())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("free", "budget"),
    [(20 << 30, 4 << 30), (7 << 30, 2 << 30), (3 << 30, 1 << 30), (1 << 20, 1 << 28), (0, 1 << 28)],
)
def test_the_budget_is_half_of_what_is_free_within_bounds(
    free: int, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "_free", lambda: free)
    assert memory_budget() == budget
    assert memory_budget(123) == 123


def test_no_memory_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="memory 0 must be a number of bytes"):
        memory_budget(0)


@pytest.mark.parametrize(("limit", "expected"), [("3000", 2000), ("max", 10**6), ("500", 0)])
def test_a_container_has_what_is_left_of_its_limit(
    limit: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text("1000")
    groups = ((str(tmp_path), "memory.max", "memory.current"), ("/nowhere", "a", "b"))
    monkeypatch.setattr(footprint, "CONTROL_GROUPS", groups)
    monkeypatch.setattr(footprint, "_free_in_machine", lambda: 10**6)
    assert footprint._free() == expected


def test_networks_of_any_stride_can_be_looked_at() -> None:
    class Strided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Conv2d(3, 4, 3, 3)
            self.up = nn.ConvTranspose2d(4, 3, 3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.up(self.down(x)) + x

    assert bytes_per_pixel(Strided().eval(), 3, stride=3) > 0
