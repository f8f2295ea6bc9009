"""U-Nets on the encoders m46, ResNet-34 and Inception-ResNet-v2."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (its usual name)
from safetensors.torch import save_file
from torch import Tensor, nn

import geoseg
from geoseg import nets
from geoseg.errors import UserError
from geoseg.nets.fold import fold_batch_norms
from geoseg.nets.inception import Block, UNetInceptionResNetV2
from geoseg.nets.unet import UNet
from geoseg.nets.unet_resnet import UNetResNet34
from geoseg.reach import Reach, measure_reach
from geoseg.segmenter import Segmenter
from geoseg.train.prepare import start_from, weights_of

BANDS, CLASSES = 3, 4
NARROW = {"widths": [4, 4, 6, 6], "blocks": [1, 2, 1, 1]}
THIN = {"repeats": [1, 1, 2], "width": 1 / 32}
NETWORKS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "m46": (UNet, {"widths": [4, 6, 8]}),
    "m46, concatenated": (
        UNet,
        {"widths": [4, 6, 8], "skip": "cat", "skip_p1": True, "skip_full": True},
    ),
    "ResNet": (UNetResNet34, NARROW),
    "ResNet, concatenated": (UNetResNet34, NARROW | {"skip": "cat"}),
    "ResNet, short shortcuts": (UNetResNet34, NARROW | {"variant": "paper_1x1"}),
    "ResNet as in torchvision": (UNetResNet34, NARROW | {"variant": "torchvision"}),
    "ResNet as in torchvision, ELU": (UNetResNet34, NARROW | {"variant": "torchvision_elu"}),
    "Inception": (UNetInceptionResNetV2, THIN),
    "Inception, added": (UNetInceptionResNetV2, THIN | {"skip": "add"}),
    "Inception as published": (UNetInceptionResNetV2, THIN | {"act_order": "bn_relu"}),
}

# Biases that the next normalisation subtracts again; the published numbers count them.
IDLE = {
    "ResNet": {"stem.0.bias"},
    "ResNet, concatenated": {"stem.0.bias"},
    "ResNet, short shortcuts": {"stem.0.bias"},
    "Inception as published": {"encoder.4.2.residual.1.bias"},
}


def build_small(name: str) -> nn.Module:
    kind, options = NETWORKS[name]
    return kind(BANDS, CLASSES, **options).eval()


@pytest.fixture(params=NETWORKS)
def net(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return build_small(request.param)


def count(*modules: nn.Module) -> int:
    return sum(each.numel() for module in modules for each in module.parameters())


# What every network keeps to.


def test_scores_have_the_size_of_the_image_for_any_multiple_of_the_stride(net: nn.Module) -> None:
    for rows, columns in product((1, 2), (1, 3)):
        image = torch.randn(2, BANDS, rows * net.stride, columns * net.stride)
        with torch.no_grad():
            assert net(image).shape == (2, CLASSES, *image.shape[2:])


def test_images_of_a_batch_do_not_touch_each_other(net: nn.Module) -> None:
    net = net.double()
    images = torch.randn(3, BANDS, net.stride, 2 * net.stride, dtype=torch.float64)
    with torch.no_grad():
        alone = torch.cat([net(image[None]) for image in images])
        torch.testing.assert_close(net(images), alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_learns_but_a_bias_that_is_subtracted_again(name: str) -> None:
    torch.manual_seed(0)
    net = build_small(name).double().train()
    image = torch.randn(4, BANDS, 2 * net.stride, 2 * net.stride, dtype=torch.float64)
    net(image).square().mean().backward()
    gradients = {name: p.grad.abs().max() for name, p in net.named_parameters()}
    idle = {name for name, gradient in gradients.items() if gradient < 1e-12}
    assert idle == IDLE.get(name, set())


def test_folding_batch_norms_changes_nothing_but_rounding(net: nn.Module) -> None:
    net = net.double()
    image = torch.randn(4, BANDS, 2 * net.stride, 2 * net.stride, dtype=torch.float64)
    with torch.no_grad():
        net.train()(image)  # means and variances that are not those of a fresh network
        expected = net.eval()(image)
        folded = copy.deepcopy(net)
        fold_batch_norms(folded)
        torch.testing.assert_close(folded(image), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_model_file_holds_the_whole_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, options = NETWORKS[name]
    options = {"in_channels": BANDS, "classes": CLASSES, **options}
    monkeypatch.setitem(nets.REGISTRY, "under_test", kind)
    small = nets.build("under_test", **options)
    Segmenter(
        small,
        classes="abcd",
        bands=["red", "green", "blue"],
        mean=[0.0] * BANDS,
        std=[1.0] * BANDS,
        architecture="under_test",
        options=options,
        halo=64,
        stride=small.stride,
    ).save(tmp_path / "model.safetensors")
    loaded = geoseg.load(tmp_path / "model.safetensors").net
    image = torch.randn(1, BANDS, small.stride, small.stride)
    with torch.no_grad():
        assert torch.equal(small.eval()(image), loaded(image))


def test_what_the_encoder_keeps_is_used_at_every_step(net: nn.Module) -> None:
    image = torch.randn(1, BANDS, 2 * net.stride, 2 * net.stride)
    with torch.no_grad():
        whole = net(image)
        _, kept = decoded(net, image)
        for place in [i for i, each in enumerate(kept) if each is not None]:

            def drop(_: nn.Module, inputs: Any, place: int = place) -> Any:
                features, kept = inputs
                without = [
                    each.new_zeros(each.shape) if i == place else each
                    for i, each in enumerate(kept)
                ]
                return features, without

            with net.decoder.register_forward_pre_hook(drop):
                assert not torch.allclose(net(image), whole)


def decoded(net: nn.Module, image: Tensor) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """What the decoder is given: the coarsest features, and those kept for its steps."""
    seen: list[Any] = []
    with (
        net.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs)),
        torch.no_grad(),
    ):
        net(image)
    return seen[0]


# Sizes and numbers, for 3 bands and 7 classes.


def m46_levels(net: nn.Module) -> list[nn.Module]:
    return [net.pool]


def resnet_levels(net: nn.Module) -> list[nn.Module]:
    return [net.stem[0], *net.stages]


def inception_levels(net: nn.Module) -> list[nn.Module]:
    return list(net.encoder)


@pytest.mark.parametrize(
    ("kind", "levels", "channels"),
    [
        (UNet, m46_levels, [16, 32, 64, 128, 256]),
        (UNetResNet34, resnet_levels, [64, 64, 128, 256, 512]),
        (UNetInceptionResNetV2, inception_levels, [64, 192, 320, 1088, 1536]),
    ],
)
def test_an_image_of_288_pixels_is_halved_down_to_9_and_comes_back(
    kind: type[nn.Module],
    levels: Callable[[nn.Module], list[nn.Module]],
    channels: list[int],
) -> None:
    with torch.device("meta"):
        net, image = kind(3, 7), torch.empty(2, 3, 288, 288)
    grids = []
    for level in levels(net):
        level.register_forward_hook(lambda _, __, features: grids.append(features.shape))
    assert net(image).shape == (2, 7, 288, 288)
    sides = [144, 72, 36, 18, 9]
    assert grids == [(2, c, side, side) for c, side in zip(channels, sides, strict=True)]


# Printed as 1M, 25M and 61M by Rakhlin et al. 2018, table 1.
@pytest.mark.parametrize(
    ("kind", "options", "parameters"),
    [
        (UNet, {}, 1_111_063),
        (UNet, {"skip_p1": True}, 1_111_607),
        (UNet, {"skip_p1": True, "skip": "cat"}, 1_217_047),
        (UNet, {"widths": [32, 64, 128, 128, 256]}, 1_548_199),
        (UNet, {"widths": [32, 64, 128, 128, 256, 384]}, 4_058_791),
        (UNetResNet34, {}, 25_170_791),
        (UNetResNet34, {"variant": "paper_1x1"}, 23_761_767),
        (UNetResNet34, {"skip": "cat"}, 25_576_295),
        (UNetInceptionResNetV2, {}, 60_715_207),
        (UNetInceptionResNetV2, {"act_order": "bn_relu"}, 60_715_207),
        (UNetInceptionResNetV2, {"skip": "add"}, 59_466_439),
    ],
)
def test_networks_have_the_published_numbers_of_parameters(
    kind: type[nn.Module], options: dict[str, Any], parameters: int
) -> None:
    with torch.device("meta"):
        assert count(kind(3, 7, **options)) == parameters


def convolved(inputs: int, outputs: int, kernel: int) -> int:
    """Parameters of a convolution with biases and of the normalisation after it."""
    return kernel**2 * inputs * outputs + outputs + 2 * outputs


@pytest.mark.parametrize(
    ("widths", "steps", "parameters"),
    [
        ([16, 32, 64, 128, 256], [128, 64, 32], 1_111_063),
        ([32, 64, 128, 128, 256], [128, 128, 64], 1_548_199),
        ([32, 64, 128, 128, 256, 384], [256, 128, 128, 64], 4_058_791),
    ],
)
def test_m46_adds_up_block_by_block_whatever_its_widths(
    widths: list[int], steps: list[int], parameters: int
) -> None:
    blocks = [
        convolved(inputs, width, 3) + convolved(width, width, 1)
        for inputs, width in pairwise([3, *widths])
    ]
    # Steps up end with the channels of the skip that they meet; the last two and the head have 32.
    up = [
        convolved(inputs, width, 3) + convolved(width, width, 3)
        for inputs, width in pairwise([widths[-1], *steps, 32, 32])
    ]
    head = 9 * 32 * 32 + 32 + 32 * 7 + 7
    assert sum(blocks) + sum(up) + head == parameters
    if len(widths) == 5 and widths[0] == 16:
        assert blocks == [784, 5824, 22_912, 90_880, 361_984]
    with torch.device("meta"):
        net = UNet(3, 7, widths=widths)
    assert [count(each) for each in net.encoder] == blocks
    assert [count(each) for each in net.decoder] == up


def test_the_finest_steps_of_a_narrow_m46_are_as_wide_as_its_second_block() -> None:
    with torch.device("meta"):
        shapes = [each.weight.shape[0] for each in UNet(3, 7, widths=[8, 12, 40]).head[::2]]
        steps = [step[1].out_channels for step in UNet(3, 7, widths=[8, 12, 40]).decoder]
    assert (shapes, steps) == ([12, 7], [12, 12, 12])


def test_encoders_have_the_numbers_of_parameters_of_the_networks_they_come_from() -> None:
    with torch.device("meta"):
        inception, paper = UNetInceptionResNetV2(3, 7), UNetResNet34(3, 7)
        others = [UNetResNet34(3, 7, variant=each) for each in ("torchvision", "torchvision_elu")]
    assert count(inception.encoder) == 54_306_464
    assert count(paper.stem, paper.stages) == 22_706_496
    for other in others:  # torchvision's without its classifier of 1000 classes
        assert count(other.stem, other.stages) == 21_797_672 - 1000 * (512 + 1)


@pytest.mark.parametrize(("act_order", "act"), [("elu_bn", F.elu), ("bn_relu", F.relu)])
def test_inception_adds_a_share_of_a_block_and_the_last_one_whole(
    act_order: str, act: Callable[[Tensor], Tensor]
) -> None:
    net = UNetInceptionResNetV2(3, 2, act_order, repeats=[2, 3, 4], width=1 / 32).eval()
    blocks = [each for each in net.modules() if isinstance(each, Block)]
    shares = [0.17] * 2 + [0.1] * 3 + [0.2] * 3 + [1.0]
    for block, share in zip(blocks, shares, strict=True):
        features = torch.randn(1, block.residual[1].out_channels, 8, 8)
        with torch.no_grad():
            total = features + share * block.residual(features)
            expected = total if block is blocks[-1] else act(total)
            torch.testing.assert_close(block(features), expected)


# How far they see. Pixel j of features of the stride 32 lies at pixel 32 j of the image, and sees
# so far to each side: (kernel - 1) / 2 times the stride that its layer works at, layer by layer.
M46 = 2 * (1 + 2 + 4 + 8 + 16)  # a 3 x 3 convolution and a pooling at each
RESNET_34 = 3 + 2 + 6 * 4 + (4 + 7 * 8) + (8 + 11 * 16) + (16 + 5 * 32)
RESNET_SMALL = 3 + 2 + 2 * 4 + (4 + 3 * 8) + (8 + 16) + (16 + 32)
BEFORE_BLOCKS = (1 + 2 + 2) + (2 + 4) + (4 + 2 * 8)  # Inception up to mixed 5b
INCEPTION = BEFORE_BLOCKS + 10 * 16 + 2 * 8 + 20 * 3 * 16 + 2 * 16 + 10 * 32
INCEPTION_SMALL = BEFORE_BLOCKS + 16 + 2 * 8 + 3 * 16 + 2 * 16 + 2 * 32


@pytest.mark.parametrize(
    ("net", "side", "field"),
    [
        (UNet(1, 2, widths=[2] * 5), M46, 125),
        (UNetResNet34(1, 2, widths=[2] * 4), RESNET_34, 899),
        (UNetInceptionResNetV2(1, 2, width=1 / 64), INCEPTION, 3039),
    ],
)
@pytest.mark.parametrize("rows_are_long", [False, True])
def test_the_coarsest_features_see_as_far_as_their_layers_add_up_to(
    net: nn.Module, side: int, field: int, rows_are_long: bool
) -> None:
    assert 2 * side + 1 == field
    middle = side // 32 + 2
    strips = torch.zeros(4, 1, 32, 64 * middle)
    for strip, distance in zip(strips, (-side - 1, -side, side, side + 1), strict=True):
        strip[..., 32 * middle + distance] = torch.nan
    features, _ = decoded(net.eval(), strips.mT if rows_are_long else strips)
    features = features.mT if rows_are_long else features
    assert features[:, :, 0, middle].isnan().any(1).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("net", "side", "halo"),
    [
        (UNet(1, 2, widths=[2] * 5), M46, 127),
        (UNetResNet34(1, 2, widths=[2] * 4, blocks=[1, 2, 1, 1]), RESNET_SMALL, 191),
        (UNetInceptionResNetV2(1, 2, repeats=[1, 1, 2], width=1 / 64), INCEPTION_SMALL, 287),
    ],
)
def test_the_measured_reach_is_that_of_the_layers(net: nn.Module, side: int, halo: int) -> None:
    # On the way up, pixel o meets 3 convolutions at stride 1 and 2 at each of 2, 4, 8 and 16, so
    # that the coarse pixels below it are floor((o - 63) / 32) to floor((o + 63) / 32). The first of
    # them sees a missing pixel -1 as long as 32 floor((o - 63) / 32) - side < 0.
    assert halo == 63 + 32 * -(-side // 32)
    assert measure_reach(net, bands=1) == Reach(halo, 32)


def test_poolings_take_the_pixels_around_every_other_one() -> None:
    ramp = torch.arange(16.0).reshape(1, 1, 4, 4)
    for kind in (UNet, UNetResNet34, UNetInceptionResNetV2):
        with torch.device("meta"):
            poolings = [each for each in kind(3, 2).modules() if isinstance(each, nn.MaxPool2d)]
        assert poolings
        for pooling in poolings:
            # Padding on both sides; on the far side alone it would be 10, 11, 14, 15.
            assert pooling(ramp).flatten().tolist() == [5, 7, 13, 15]


# Torchvision's weights.


def torchvision_state(widths: list[int], blocks: list[int]) -> dict[str, Tensor]:
    """Random weights by the names and shapes of torchvision's ResNets of two convolutions."""
    state: dict[str, Tensor] = {}

    def convolution(name: str, inputs: int, outputs: int, kernel: int) -> None:
        spread = (2 / (inputs * kernel**2)) ** 0.5
        state[f"{name}.weight"] = spread * torch.randn(outputs, inputs, kernel, kernel)

    def norm(name: str, channels: int) -> None:
        state[f"{name}.weight"] = 0.5 + torch.rand(channels)
        state[f"{name}.bias"] = torch.randn(channels)
        state[f"{name}.running_mean"] = torch.randn(channels)
        state[f"{name}.running_var"] = 0.5 + torch.rand(channels)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution("conv1", 3, widths[0], 7)
    norm("bn1", widths[0])
    inputs = widths[0]
    for layer, (width, depth) in enumerate(zip(widths, blocks, strict=True), start=1):
        for block in range(depth):
            name = f"layer{layer}.{block}"
            convolution(f"{name}.conv1", inputs, width, 3)
            norm(f"{name}.bn1", width)
            convolution(f"{name}.conv2", width, width, 3)
            norm(f"{name}.bn2", width)
            if layer > 1 and block == 0:
                convolution(f"{name}.downsample.0", inputs, width, 1)
                norm(f"{name}.downsample.1", width)
            inputs = width
    state["fc.weight"], state["fc.bias"] = torch.randn(1000, inputs), torch.randn(1000)
    return state


def torchvision_features(
    image: Tensor, state: dict[str, Tensor], act: Callable[[Tensor], Tensor]
) -> Tensor:
    """Features of the last stage, written out by torchvision's names."""

    def norm(x: Tensor, name: str) -> Tensor:
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{name}.{key}"] for key in keys))

    x = F.conv2d(image, state["conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(act(norm(x, "bn1")), 3, stride=2, padding=1)
    for name in dict.fromkeys(key.rsplit(".conv1", 1)[0] for key in state if ".conv1" in key):
        stride = 2 if f"{name}.downsample.0.weight" in state else 1
        y = F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)
        y = F.conv2d(act(norm(y, f"{name}.bn1")), state[f"{name}.conv2.weight"], padding=1)
        if stride == 2:
            x = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=2)
            x = norm(x, f"{name}.downsample.1")
        x = act(norm(y, f"{name}.bn2") + x)
    return x


@pytest.mark.parametrize(("variant", "act"), [("torchvision", F.relu), ("torchvision_elu", F.elu)])
def test_torchvision_weights_give_the_features_of_torchvision(
    variant: str, act: Callable[[Tensor], Tensor]
) -> None:
    torch.manual_seed(0)
    widths, blocks = [4, 6, 8, 8], [2, 1, 2, 1]
    state = torchvision_state(widths, blocks)
    net = UNetResNet34(3, 2, widths=widths, blocks=blocks, variant=variant).eval()
    before = copy.deepcopy(net.decoder.state_dict())
    net.load_torchvision(state)
    image = torch.randn(2, 3, 64, 96)
    features, _ = decoded(net, image)
    torch.testing.assert_close(features, torchvision_features(image, state, act))
    assert all(torch.equal(before[name], each) for name, each in net.decoder.state_dict().items())


def test_the_whole_of_resnet_34_has_a_place() -> None:
    widths, blocks = [64, 128, 256, 512], [3, 4, 6, 3]
    state = torchvision_state(widths, blocks)
    assert len(state) == 218  # entries of torchvision's file
    net = UNetResNet34(3, 7, variant="torchvision")
    net.load_torchvision(state)
    own = net.state_dict()
    assert torch.equal(own["stages.3.2.residual.3.weight"], state["layer4.2.conv2.weight"])
    assert torch.equal(own["stages.1.0.shortcut.1.bias"], state["layer2.0.downsample.1.bias"])


@pytest.mark.parametrize("bands", [1, 2, 4, 13])
def test_bands_that_are_all_alike_are_the_grey_image(bands: int) -> None:
    torch.manual_seed(0)
    state = torchvision_state([4] * 4, [1] * 4)
    net = UNetResNet34(bands, 2, widths=[4] * 4, blocks=[1] * 4, variant="torchvision").eval()
    net.load_torchvision(state)
    grey = torch.randn(1, 1, 64, 64)
    features, _ = decoded(net, grey.expand(-1, bands, -1, -1))
    expected = torchvision_features(grey.expand(-1, 3, -1, -1), state, F.relu)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def test_old_files_without_counts_of_batches_are_taken() -> None:
    state = torchvision_state([4] * 4, [1] * 4)
    old = {name: each for name, each in state.items() if "num_batches" not in name}
    net = UNetResNet34(3, 2, widths=[4] * 4, blocks=[1] * 4, variant="torchvision")
    net.load_torchvision(old)
    assert torch.equal(net.stem[1].running_mean, state["bn1.running_mean"])


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({"variant": "paper"}, {}, r"'paper' has other layers .*build the network with variant"),
        ({"variant": "paper_1x1"}, {}, r"'paper_1x1' has other layers .*with variant 'torchv"),
        ({"blocks": [1, 1, 1, 2]}, {}, r"lack layer4\.1\.bn1\.bias \(of 10 .*give those of"),
        ({"blocks": [1] * 4}, {"layer5.x": torch.ones(1)}, r"have besides layer5\.x \(of 1 such"),
        (
            {"widths": [4, 4, 4, 6]},
            {},
            r"layer4\S* has the shape \(.*build the network with the wid",
        ),
        ({}, {"conv1.weight": torch.ones(4, 5, 7, 7)}, r"\(4, 5, 7, 7\) .*needs \(4, 3, 7, 7\)"),
    ],
)
def test_weights_of_another_network_are_refused(
    options: dict[str, Any], change: dict[str, Tensor], message: str
) -> None:
    small = {"widths": [4] * 4, "blocks": [1] * 4, "variant": "torchvision"}
    net = UNetResNet34(3, 2, **(small | options))
    with pytest.raises(UserError, match=message):
        net.load_torchvision(torchvision_state([4] * 4, [1] * 4) | change)


# Options.


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (UNet, {"skip": "concat"}, r"skip='concat': choose from add, cat"),
        (UNetResNet34, {"skip": ["add"]}, r"skip=\['add'\]: choose from add, cat"),
        (
            UNetResNet34,
            {"variant": "keras"},
            r"variant='keras': choose from paper, paper_1x1, torchv",
        ),
        (UNetResNet34, {"widths": [64, 128]}, r"widths=\[64, 128\]: give 4 numbers"),
        (UNetResNet34, {"widths": [64, 128, 0, 1]}, r"0 channels .* from 1 to 65536"),
        (UNetResNet34, {"blocks": [3, 4, 6]}, r"blocks=\[3, 4, 6\]: give 4 whole numbers"),
        (UNetResNet34, {"blocks": [3, 4, 6, 65]}, r"give 4 whole numbers from 1 to 64"),
        (UNetResNet34, {"blocks": [3, 4, 6, 2.5]}, r"give 4 whole numbers from 1 to 64"),
        (UNetResNet34, {"in_channels": 0}, r"0 channels .* from 1 to 65536"),
        (UNetInceptionResNetV2, {"act_order": "relu"}, r"act_order='relu': choose from elu_bn, bn"),
        (UNetInceptionResNetV2, {"skip": "sum"}, r"skip='sum': choose from add, cat"),
        (UNetInceptionResNetV2, {"repeats": [10, 20, 0]}, r"repeats=.*: give 3 whole numbers"),
        (UNetInceptionResNetV2, {"width": 0.0}, r"width=0\.0: give a factor from 1/64 to 4"),
        (UNetInceptionResNetV2, {"width": float("nan")}, r"width=nan: give a factor"),
        (UNetInceptionResNetV2, {"classes": 10**9}, r"1000000000 channels"),
    ],
)
def test_options_that_make_no_network_are_refused(
    kind: type[nn.Module], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        kind(**({"in_channels": 3, "classes": 2} | options))


def test_training_starts_from_a_file_of_torchvision_weights(tmp_path: Path) -> None:
    state = torchvision_state([4, 4, 6, 6], [1, 1, 1, 1])
    save_file(state, tmp_path / "resnet34.safetensors")
    options = {"widths": (4, 4, 6, 6), "blocks": (1, 1, 1, 1), "variant": "torchvision"}
    one, other = (UNetResNet34(3, 2, **options) for _ in range(2))
    one.load_torchvision(state)
    start_from(other, weights_of(str(tmp_path / "resnet34.safetensors")), "file")
    encoder = [name for name in one.state_dict() if name.startswith(("stem", "stages"))]
    assert len(encoder) > 20
    for name in encoder:
        assert torch.equal(one.state_dict()[name], other.state_dict()[name])


def test_plain_weights_fit_by_name_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    options = {"widths": (4, 4, 6, 6), "blocks": (1, 1, 1, 1)}
    one, other = (UNetResNet34(3, 2, **options) for _ in range(2))
    save_file(one.state_dict(), tmp_path / "plain.safetensors")
    start_from(other, weights_of(str(tmp_path / "plain.safetensors")), "file")
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in one.state_dict().items())
    (tmp_path / "resnet34.pth").write_bytes(b"\x80\x02 not what it should be")
    with pytest.raises(UserError, match=r"resnet34\.pth is no \.safetensors file or is damaged"):
        start_from(other, weights_of(str(tmp_path / "resnet34.pth")), "file")
