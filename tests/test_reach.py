"""Halo and stride are measured, and agree with what is known of a network by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from toys import Hourglass, Pooled, TwoLayers

from geoseg.errors import UserError
from geoseg.reach import Reach, measure_reach


class Dilated(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(2, 3, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


@pytest.mark.parametrize("dilation", [1, 5, 150])
def test_a_dilated_convolution_sees_as_far_as_its_dilation(dilation: int) -> None:
    assert measure_reach(Dilated(dilation), 2) == Reach(dilation, 1)


def test_convolutions_add_up() -> None:
    assert measure_reach(TwoLayers(), 3) == Reach(2, 1)


def test_dead_weights_do_not_hide_the_reach() -> None:
    net = TwoLayers()
    nn.init.zeros_(net.first.weight)
    assert measure_reach(net, 3).halo == 2


def test_pooling_by_four_gives_a_stride_of_four() -> None:
    reach = measure_reach(Hourglass(), 3)
    assert reach.stride == 4
    # By hand: last 3x3 one pixel, bilinear interpolation two coarse pixels less one fine, and
    # pool, convolution, pool, convolution below it; never more than this bound.
    assert reach.halo is not None
    assert 8 <= reach.halo <= 16


@pytest.mark.parametrize(
    ("told", "found"),
    [
        pytest.param(4, 4, id="true"),
        pytest.param(8, 8, id="a multiple, which is as exact"),
        pytest.param(2, 4, id="too small"),
        pytest.param(3, 4, id="none of the steps"),
        pytest.param((4, 4), 4, id="a pair, as of a convolution"),
    ],
)
def test_a_stride_that_a_network_tells_is_tried_first_and_only_believed_when_it_holds(
    told: object, found: int
) -> None:
    net = Hourglass()
    net.stride = told  # type: ignore[assignment]
    assert measure_reach(net, 3) == Reach(measure_reach(Hourglass(), 3).halo, found)


def test_a_mean_over_the_window_has_no_halo() -> None:
    assert measure_reach(Pooled(), 3) == Reach(None, 1)


def test_statistics_of_the_window_have_no_halo() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.InstanceNorm2d(4), nn.Conv2d(4, 2, 1))
    assert measure_reach(net, 3).halo is None


def test_the_network_itself_is_left_as_it_was() -> None:
    net = TwoLayers().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    measure_reach(net, 3)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert next(net.parameters()).dtype == torch.float32


def test_a_network_for_other_bands_is_refused() -> None:
    with pytest.raises(UserError, match=r"does not take 5 bands .*as many bands as"):
        measure_reach(TwoLayers(), 5)


def test_a_network_that_shrinks_its_image_is_refused() -> None:
    with pytest.raises(UserError, match=r"gives \(1, 4, 62, 62\) .*wrap it"):
        measure_reach(nn.Conv2d(3, 4, 3), 3)


def test_a_network_that_gives_several_tensors_is_refused() -> None:
    class Twice(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    with pytest.raises(UserError, match=r"gives tuple .*one tensor"):
        measure_reach(Twice(), 3)
