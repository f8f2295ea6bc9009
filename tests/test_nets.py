"""What every network of the registry keeps to; a new one costs one line in `OPTIONS`."""

from __future__ import annotations

import inspect
import json
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import nn
from toys import segmenter_of

import geoseg
from geoseg import nets
from geoseg.errors import UserError
from geoseg.nets.fold import fold_batch_norms
from geoseg.reach import measure_reach
from geoseg.windows import grown

BANDS, CLASSES = 3, 4
SMALL = {"blocks": (1, 1, 1, 1), "width": 4}
DENSE = {"enc_layers": (1, 2, 1, 1), "growth": 4}
OPTIONS: dict[str, dict[str, object]] = {
    "unet": {"widths": (4, 6, 8)},
    "unet_resnet34": {"widths": (4, 4, 6, 6), "blocks": (1, 1, 1, 1)},
    "unet_inception_resnet_v2": {"repeats": (1, 1, 1), "width": 1 / 16},
    "fcdensenet": {**DENSE, "dec_layers": (1, 2, 1)},
    "classmatenet": {**DENSE, "dec_layers": (1, 2, 1, 1), "width": 6},
    "dfcnet": {**DENSE, "dec_layers": (1, 2, 1, 1), "width": 6},
    "early_fusion": SMALL,
    "middle_fusion": {**SMALL, "sensors": (2, 1)},
    "late_fusion": {**SMALL, "sensors": (2, 1)},
    "maggiori_fcn": {},
    "patch_cnn": {},
    "svm": {"vectors": 20},
    "cam_baseline": {"head": "gap"},
    "cam_resnet50": {"num_stages": 2},
    "cam": {"num_stages": 2},
}
SIDE = 64
"""Rows and columns that any of them takes."""


@pytest.fixture(params=sorted(nets.REGISTRY))
def net(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    small = OPTIONS[request.param]
    return nets.build(request.param, in_channels=BANDS, classes=CLASSES, **small).eval()


def count(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def test_scores_have_the_size_of_the_image_for_any_multiple_of_the_stride(net: nn.Module) -> None:
    for rows, columns in product((1, 2, 5), (1, 3)):
        image = torch.randn(2, BANDS, rows * net.stride, columns * net.stride)
        with torch.no_grad():
            assert net(image).shape == (2, CLASSES, *image.shape[2:])


def test_images_of_a_batch_do_not_touch_each_other(net: nn.Module) -> None:
    images = torch.randn(3, BANDS, 2 * net.stride, 2 * net.stride)
    with torch.no_grad():
        alone = torch.cat([net(image[None]) for image in images])
        torch.testing.assert_close(net(images), alone, rtol=1e-4, atol=1e-4)


def test_every_parameter_learns(net: nn.Module) -> None:
    side = SIDE + 2 * getattr(net, "margin", 0)
    net.train()(torch.randn(2, BANDS, side, side)).square().sum().backward()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    # A bias right before a normalisation that subtracts the mean would be idle; none is there.
    assert idle == []


def test_weights_go_from_one_network_to_another(net: nn.Module) -> None:
    image = torch.randn(1, BANDS, net.stride, net.stride)
    state = net.state_dict()
    for tensor in net.parameters():
        assert tensor.dtype == torch.float32
    name = next(name for name, kind in nets.REGISTRY.items() if type(net) is kind)
    other = nets.build(name, in_channels=BANDS, classes=CLASSES, **OPTIONS[name]).eval()
    with torch.no_grad():
        assert not torch.equal(net(image), other(image))
        other.load_state_dict(state)
        assert torch.equal(net(image), other(image))


def test_a_network_comes_back_from_its_file(net: nn.Module, tmp_path: Path) -> None:
    name = next(name for name, kind in nets.REGISTRY.items() if type(net) is kind)
    options = {"in_channels": BANDS, "classes": CLASSES, **OPTIONS[name]}
    reach = {"halo": None, "stride": net.stride}
    model = segmenter_of(net, architecture=name, options=options, **reach)
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = geoseg.load(path)
    assert type(again.net) is type(net)
    assert again.digest == model.digest
    assert dict(again.card.options) == json.loads(json.dumps(options))
    image = torch.randn(2, BANDS, net.stride, 2 * net.stride)
    with torch.no_grad():
        assert torch.equal(again.net(image), model.net(image))


def test_a_shift_by_the_stride_shifts_the_scores_or_the_network_says_that_none_does(
    net: nn.Module,
) -> None:
    reach = measure_reach(nn.Sequential(net), BANDS)  # which tells nothing of what is in it
    assert reach.stride == net.stride
    if reach.halo is None:
        assert net.halo is None  # windows are blended, and the map is not that of the whole image
        return
    net = net.double()
    inner = grown(reach.halo, net.stride)
    image = torch.randn(1, BANDS, SIDE, 2 * inner + 3 * SIDE, dtype=torch.float64)
    moved = image[..., net.stride :]
    with torch.no_grad():
        whole, part = net(image), net(moved[..., : moved.shape[3] // net.stride * net.stride])
    seen = part[..., inner : part.shape[3] - inner]
    there = whole[..., net.stride + inner :][..., : seen.shape[3]]
    torch.testing.assert_close(there, seen, rtol=1e-9, atol=1e-9)


def test_the_small_networks_of_these_tests_are_those_of_the_registry() -> None:
    assert set(OPTIONS) == set(nets.REGISTRY)


def test_unet_has_the_published_number_of_parameters() -> None:
    # Printed as "1M" by Rakhlin et al. 2018, table 1; block by block for 3 bands.
    net = nets.build("unet", in_channels=3, classes=7)
    assert [count(block) for block in net.encoder] == [784, 5_824, 22_912, 90_880, 361_984]
    assert count(net) == 1_111_063
    assert count(nets.build("unet", in_channels=3, classes=7, skip_p1=True)) == 1_111_607


@pytest.mark.parametrize("widths", [(4, 4), (4, 4, 4, 4)])
def test_every_width_of_the_unet_is_one_halving(widths: tuple[int, ...]) -> None:
    net = nets.build("unet", in_channels=1, classes=2, widths=widths)
    assert net.stride == measure_reach(nn.Sequential(net), bands=1).stride == 2 ** len(widths)


@pytest.mark.parametrize(
    ("option", "layer"), [("skip_p1", "project"), ("skip_full", "project_full")]
)
def test_the_finest_skips_are_used_when_asked_for(option: str, layer: str) -> None:
    options = {"in_channels": 1, "classes": 2, "widths": (4, 4), option: True}
    net = nets.build("unet", **options).eval()
    image = torch.randn(1, 1, 8, 8)
    with torch.no_grad():
        before = net(image)
        net.get_parameter(f"{layer}.bias").add_(1.0)
        assert not torch.allclose(net(image), before)


def test_options_are_those_of_the_constructor() -> None:
    for name, kind in nets.REGISTRY.items():
        assert list(nets.options_of(name)) == list(inspect.signature(kind).parameters)


def test_an_unknown_network_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match=r"no network 'vgg'; choose from unet"):
        nets.build("vgg")


def test_an_unknown_option_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match=r"no option depth; choose from in_channels, classes, wid"):
        nets.build("unet", in_channels=3, classes=2, depth=4)


def test_a_missing_option_is_named() -> None:
    with pytest.raises(UserError, match=r"'unet' needs the option classes"):
        nets.build("unet", in_channels=3)


@pytest.mark.parametrize(
    "options",
    [
        {"widths": (16,)},
        {"widths": (4,) * 9},
        {"widths": (4, 0)},
        {"widths": (4, 10**9)},
        {"widths": 16},
        {"widths": (4, 2.5)},
        {"classes": "five"},
        {"in_channels": -1},
    ],
)
def test_options_that_make_no_network_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"give |cannot be built"):
        nets.build("unet", **{"in_channels": 3, "classes": 2, **options})


def test_folded_batch_norms_change_nothing_but_rounding() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(5)
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3, bias=False),
        norm,
        nn.ReLU(),
        nn.Conv2d(5, 2, 1),
        nn.ELU(),
        nn.BatchNorm2d(2),
    )
    for layer in net:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.normal_(layer.weight)
    image = torch.randn(2, 3, 9, 9)
    expected = net.eval()(image)
    fold_batch_norms(net)
    assert [type(layer).__name__ for layer in net].count("BatchNorm2d") == 1  # after ELU it stays
    torch.testing.assert_close(net(image), expected, rtol=1e-5, atol=1e-6)
