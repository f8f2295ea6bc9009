"""Densely connected networks: the published sizes, and what two tasks owe each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from toys import BANDS, random_image, whole_image_scores

import geoseg
from geoseg import nets
from geoseg.errors import UserError
from geoseg.nets.densenet import ClassmateNet, DFCNet, FCDenseNet
from geoseg.nets.fold import fold_batch_norms
from geoseg.segmenter import Segmenter, load
from geoseg.train.prepare import start_from, weights_of

SMALL: dict[str, Any] = {"enc_layers": (1, 2, 1, 1), "growth": 2}
OPTIONS: dict[type[nn.Module], dict[str, Any]] = {
    FCDenseNet: {"dec_layers": (1, 2, 1), **SMALL},
    ClassmateNet: {"dec_layers": (1, 2, 1, 1), "width": 6, **SMALL},
    DFCNet: {"dec_layers": (1, 2, 1, 1), "width": 6, **SMALL},
}
CLASSES, AUXILIARY = 4, 2


def small(kind: type[nn.Module], **options: Any) -> Any:
    torch.manual_seed(0)
    return kind(in_channels=3, classes=CLASSES, **(OPTIONS[kind] | options))


@pytest.fixture(params=OPTIONS, ids=lambda kind: kind.__name__)
def net(request: pytest.FixtureRequest) -> nn.Module:
    return small(request.param)


def full(kind: type[nn.Module], *args: Any, **options: Any) -> Any:
    """A network of the published size, without values."""
    with torch.device("meta"):
        return kind(*args, **options)


def empty(count: int, rows: int, columns: int) -> Tensor:
    return torch.empty(count, 3, rows, columns, device="meta")


def count(*modules: nn.Module) -> int:
    return sum(weight.numel() for module in modules for weight in module.parameters())


def aligned(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Bilinear interpolation of the last two axes, the outermost pixels kept in place."""

    def stretched(line: np.ndarray, length: int) -> np.ndarray:
        places = np.linspace(0, line.size - 1, length)
        return np.interp(places, np.arange(line.size), line)

    values = np.apply_along_axis(stretched, -1, values, columns)
    return np.apply_along_axis(stretched, -2, values, rows)


def shapes_of(modules: nn.ModuleList, net: nn.Module, image: Tensor) -> list[torch.Size]:
    """Shapes that modules give, in the order in which they run."""
    shapes: list[torch.Size] = []
    hooks = [
        each.register_forward_hook(lambda _module, _inputs, output: shapes.append(output.shape))
        for each in modules
    ]
    net(image)
    for hook in hooks:
        hook.remove()
    return shapes


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (FCDenseNet, {"classes": 6}, 17_289_286),
        (FCDenseNet, {"classes": 7}, 17_290_119),  # one more class: 832 weights and a bias
        (ClassmateNet, {"classes": 6}, 19_363_400),
        (DFCNet, {"classes": 6}, 21_288_008),
        (DFCNet, {"classes": 6, "fusion": "cascade"}, 21_288_008),
        (DFCNet, {"classes": 6, "loss_at": "logit", "dropout": 0.2}, 21_288_008),
        # Blocks 6 to 9 once more, and what fuses them.
        (ClassmateNet, {"classes": 6, "slice_at": "block5"}, 19_363_400 + 17_590_848 - 6_951_808),
        (
            DFCNet,
            {"classes": 6, "slice_at": "block5"},
            21_288_008 + 17_590_848 - 6_951_808 + 2_514_432,
        ),
        # Without seven convolutions of 256 x 256 and what normalises 256 channels.
        (DFCNet, {"classes": 6, "post_merge": "none"}, 21_288_008 - 7 * (256 * 256 + 2 * 256)),
    ],
)
def test_the_networks_have_their_number_of_parameters(
    kind: type[nn.Module], options: dict[str, Any], expected: int
) -> None:
    assert count(full(kind, in_channels=3, **options)) == expected


def test_the_parts_have_their_number_of_parameters() -> None:
    net = full(DFCNet, 3, 6)
    trunk = net.trunk
    # The features of DenseNet-121 have 6 953 856, of which 2 048 are of the last normalisation.
    assert count(trunk.stem, trunk.encoder, trunk.downs) == 6_953_856 - 2_048
    assert count(trunk) == 17_590_848
    assert count(net.fusion) == 2_514_432
    assert count(net.land) == 591_878
    assert count(net.road) == 590_850


@pytest.mark.parametrize(
    ("side", "grids"),
    [
        (513, (129, 65, 33, 17, 33, 65, 129, 257)),
        (1025, (257, 129, 65, 33, 65, 129, 257, 513)),
    ],
)
def test_blocks_have_the_channels_and_nested_grids_of_the_paper(
    side: int, grids: tuple[int, ...]
) -> None:
    channels = (256, 512, 1024, 1024, 2304, 1664, 832, 384)
    blocks = full(DFCNet, 3, 6).trunk(empty(1, side, side))
    assert [tuple(each.shape[1:]) for each in blocks] == [
        (width, grid, grid) for width, grid in zip(channels, grids, strict=True)
    ]


@pytest.mark.parametrize(
    ("kind", "side", "grid"),
    [
        (FCDenseNet, 513, 129),
        (ClassmateNet, 513, 257),
        (DFCNet, 513, 257),
        (FCDenseNet, 1025, 257),
        (ClassmateNet, 1025, 513),
        (DFCNet, 1025, 513),
    ],
)
def test_the_baseline_scores_quarters_and_the_others_halves(
    kind: type[nn.Module], side: int, grid: int
) -> None:
    net = full(kind, 3, 6, **OPTIONS[kind])
    image = empty(3, side, side)
    more = 0 if kind is FCDenseNet else 2
    assert net.coarse(image).shape == (3, 6 + more, grid, grid)
    assert net(image).shape == (3, 6 + more, side, side)
    assert net.eval().coarse(image).shape == (3, 6, grid, grid)
    assert net(image).shape == (3, 6, side, side)


@pytest.mark.parametrize(
    ("fusion", "grids"),
    [
        ("tree", (129, 33, 65, 257, 129, 257, 257)),  # four pairs, then two, then one
        ("cascade", (33, 65, 129, 129, 129, 129, 257)),  # 4, 3, 2, 6, 7, 8, 9 onto 5
    ],
)
@pytest.mark.parametrize("post_merge", ["conv", "none"])
def test_blocks_are_fused_in_pairs_or_one_after_the_other(
    fusion: str, grids: tuple[int, ...], post_merge: str
) -> None:
    net = full(DFCNet, 3, 6, fusion=fusion, post_merge=post_merge, **OPTIONS[DFCNet])
    shapes = shapes_of(net.fusion.merges, net, empty(1, 513, 513))
    assert shapes == [(1, 6, grid, grid) for grid in grids]


def test_blocks_of_one_grid_are_summed_in_any_order() -> None:
    widths = (3, 1, 4, 1, 5, 2, 6, 5)
    torch.manual_seed(0)
    blocks = [torch.randn(2, width, 3, 4) for width in widths]
    order = {
        name: nets.densenet.DenseFusion(widths, 7, name, "none").eval()
        for name in ("tree", "cascade")
    }
    order["cascade"].load_state_dict(order["tree"].state_dict())
    leaves = order["tree"].leaves
    expected = sum(leaf(block) for leaf, block in zip(leaves, blocks, strict=True))
    for fusion in order.values():
        torch.testing.assert_close(fusion(blocks), expected)


def test_the_coarser_one_of_a_pair_is_stretched_over_the_finer_one() -> None:
    torch.manual_seed(0)
    coarse, fine = torch.randn(1, 2, 3, 4), torch.randn(1, 2, 5, 9)
    expected = fine.numpy() + aligned(coarse.numpy(), 5, 9)
    for pair in ((coarse, fine), (fine, coarse)):
        np.testing.assert_allclose(nets.densenet._sum(*pair).numpy(), expected, atol=1e-6)


def test_a_layer_sees_the_input_and_all_layers_before_it() -> None:
    block = small(FCDenseNet).eval().trunk.encoder[1]
    features = torch.randn(1, 3, 4, 5)
    expected = features
    for layer in block.layers:
        first, second = layer[2], layer[5]
        # Fresh normalisation in evaluation mode divides by sqrt(1 + 1e-5).
        inner = F.conv2d((expected / (1 + 1e-5) ** 0.5).relu(), first.weight)
        new = F.conv2d((inner / (1 + 1e-5) ** 0.5).relu(), second.weight, padding=1)
        expected = torch.cat((expected, new), 1)
    assert len(block.layers) == 2
    with torch.no_grad():
        torch.testing.assert_close(block(features), expected)


def test_an_incomplete_square_at_the_border_is_averaged_over_what_it_has() -> None:
    down = nets.densenet._down(2).eval()
    with torch.no_grad():
        down[2].weight.copy_(torch.tensor([[[[1.0]], [[0.0]]]]))
        image = torch.arange(18.0).reshape(1, 2, 3, 3)
        found = down(image)[0, 0] * (1 + 1e-5) ** 0.5
    torch.testing.assert_close(found, torch.tensor([[2.0, 3.5], [6.5, 8.0]]))


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_a_block_hands_up_only_what_it_made_itself(level: int) -> None:
    net = small(ClassmateNet).eval()
    seen: list[Tensor] = []
    net.trunk.decoder[level].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net.trunk.stem.register_forward_hook(lambda _, inputs, output: seen.append(output))
    image = torch.randn(1, 3, 70, 45)
    with torch.no_grad():
        blocks = net.trunk(image)
    stem, entry = seen
    made = {0: 2, 1: 2, 2: 4, 3: 2}[level]  # growth 2 times the layers of blocks 5, 6, 7, 8
    skip = (blocks[2], blocks[1], blocks[0], stem)[level]
    below = blocks[3 + level][:, -made:].numpy()
    np.testing.assert_allclose(
        entry[:, :made].numpy(), aligned(below, *skip.shape[2:]), rtol=1e-4, atol=1e-5
    )
    assert torch.equal(entry[:, made:], skip)


@given(
    kind=st.sampled_from(list(OPTIONS)),
    rows=st.integers(1, 70),
    columns=st.integers(1, 70),
)
@settings(max_examples=30, deadline=None)
def test_scores_have_the_size_of_any_image(kind: type[nn.Module], rows: int, columns: int) -> None:
    net = small(kind).eval()
    image = torch.randn(1, 3, rows, columns)
    with torch.no_grad():
        scores, coarse = net(image), net.coarse(image)
    assert net.stride == 1
    np.testing.assert_allclose(
        scores.numpy(), aligned(coarse.numpy(), rows, columns), rtol=1e-4, atol=1e-5
    )


def test_images_of_a_batch_do_not_touch_each_other(net: nn.Module) -> None:
    net.eval()
    images = torch.randn(3, 3, 40, 33)
    with torch.no_grad():
        alone = torch.cat([net(image[None]) for image in images])
        torch.testing.assert_close(net(images), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"fusion": "cascade"}, {"post_merge": "none"}, {"slice_at": "block5"}]
)
def test_every_parameter_of_the_fused_network_learns(options: dict[str, Any]) -> None:
    assert idle(small(DFCNet, **options)) == []


@pytest.mark.parametrize("kind", [FCDenseNet, ClassmateNet])
def test_every_parameter_learns(kind: type[nn.Module]) -> None:
    assert idle(small(kind)) == []


def test_every_parameter_of_two_decoders_learns() -> None:
    assert idle(small(ClassmateNet, slice_at="block5")) == []


def test_block_5_sees_2071_pixels_in_steps_of_32() -> None:
    # A row of the image does: all layers are square. Nothing can cancel where all is positive.
    trunk = nets.densenet.Trunk(1, 1, (6, 12, 24, 16), (1, 1, 1)).double().eval()
    trunk.pool = nn.AvgPool2d(3, stride=2, padding=1)  # looks at all that a maximum is taken of
    for weight in trunk.parameters():
        nn.init.constant_(weight, 0.5)
    image = torch.ones(1, 1, 1, 32 * 80 + 1, dtype=torch.float64, requires_grad=True)
    last = trunk.encoded(image)[-1].sum((0, 1, 2))
    seen = []
    for place in (40, 41):
        (gradient,) = torch.autograd.grad(last[place], image, retain_graph=True)
        columns = gradient[0, 0, 0].nonzero().flatten()
        seen.append((int(columns[0]), int(columns[-1])))
    assert seen[0][1] - seen[0][0] + 1 == 2071
    assert [after - before for before, after in zip(*seen, strict=True)] == [32, 32]


def idle(net: nn.Module) -> list[str]:
    net.train()(torch.randn(2, 3, 65, 65)).square().sum().backward()
    return [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize("kind", [ClassmateNet, DFCNet])
def test_land_cover_does_not_depend_on_the_classmate(kind: type[nn.Module]) -> None:
    net = small(kind).train()
    land, roads, others = (torch.randn(2, 3, 33, 33) for _ in range(3))
    with torch.no_grad():
        net(torch.cat((land, roads)))  # statistics that are not those of fresh layers
        for norm in net.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.eval()
        joint, swapped = net(torch.cat((land, roads))), net(torch.cat((land, others)))
        alone = net.eval()(land)
    assert net.heads == (CLASSES, AUXILIARY)
    assert joint.shape[1] == sum(net.heads)
    torch.testing.assert_close(joint[:2, :CLASSES], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(swapped[:2], joint[:2], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(swapped[2:], joint[2:])


@pytest.mark.parametrize("kind", [ClassmateNet, DFCNet])
def test_in_training_the_classmates_share_their_statistics(kind: type[nn.Module]) -> None:
    net = small(kind).train()
    land, roads, others = (torch.randn(2, 3, 33, 33) for _ in range(3))
    with torch.no_grad():
        joint, swapped = net(torch.cat((land, roads))), net(torch.cat((land, others)))
    assert not torch.allclose(swapped[:2], joint[:2])


@pytest.mark.parametrize("kind", [ClassmateNet, DFCNet])
def test_each_head_learns_from_its_own_channels(kind: type[nn.Module]) -> None:
    net = small(kind).train()
    scores = net(torch.randn(2, 3, 33, 33))
    scores[:, CLASSES:].square().sum().backward()
    assert all(weight.grad is None or not weight.grad.any() for weight in net.land.parameters())
    assert all(weight.grad.any() for weight in net.road.parameters())


# -- whose images come when ------------------------------------------------------------------------

SLICED = [(ClassmateNet, "trunk_end"), (ClassmateNet, "block5"), (DFCNet, "block5")]


def still(net: nn.Module, *kept: nn.Module) -> None:
    """Normalisation by what was gathered, but in some parts."""
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eval()
    for part in kept:
        part.train()


@pytest.mark.parametrize(("kind", "slice_at"), SLICED)
@pytest.mark.parametrize("turns", [(1, 1), (2, 1), (1, 3)])
def test_each_head_scores_the_images_of_its_task_alone(
    kind: type[nn.Module], slice_at: str, turns: tuple[int, int]
) -> None:
    net = small(kind, slice_at=slice_at).train()
    images = torch.randn(2 * sum(turns), 3, 33, 33)
    first = torch.arange(len(images)) % sum(turns) < turns[0]
    with torch.no_grad():
        net(images)  # statistics that are not those of fresh layers
        still(net)
        expected = net(images)
        net.turns = turns
        found = net(images)
    assert not found[first, CLASSES:].any()
    assert not found[~first, :CLASSES].any()
    torch.testing.assert_close(found[first, :CLASSES], expected[first, :CLASSES])
    torch.testing.assert_close(found[~first, CLASSES:], expected[~first, CLASSES:])


@pytest.mark.parametrize(("kind", "slice_at"), [*SLICED, (DFCNet, "trunk_end")])
def test_what_lies_behind_the_slice_takes_statistics_of_its_own_task(
    kind: type[nn.Module], slice_at: str
) -> None:
    net = small(kind, slice_at=slice_at).train()
    net.turns = (1, 1)
    images, others = torch.randn(4, 3, 33, 33), torch.randn(4, 3, 33, 33)
    others[::2] = images[::2]  # other roads
    behind = [net.land, net.trunk.decoder] if slice_at == "block5" else [net.land]
    still(net, *behind)
    before = (net.trunk.decoder if slice_at == "trunk_end" else net.trunk.encoder)[0]
    with torch.no_grad():
        one, other = net(images), net(others)
        torch.testing.assert_close(one[::2], other[::2])
        before.train()
        assert not torch.allclose(net(others)[::2], net(images)[::2], atol=1e-3)


@pytest.mark.parametrize("kind", [ClassmateNet, DFCNet])
def test_tasks_that_part_at_block_5_share_nothing_behind_it(kind: type[nn.Module]) -> None:
    net = small(kind, slice_at="block5").train()
    net.turns = (1, 1)
    net(torch.randn(2, 3, 65, 65))[1::2].square().sum().backward()
    learns = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    parts = {".".join(name.split(".")[: 2 if name[0] == "t" else 1]) for name in learns}
    shared = {"trunk.stem", "trunk.encoder", "trunk.downs"}
    assert parts == shared | {"road_decoder", "road"} | (
        {"road_fusion"} if kind is DFCNet else set()
    )


# -- where the loss is taken, and what is dropped --------------------------------------------------


def test_training_gives_coarse_scores_where_the_loss_is_taken_of_them(net: nn.Module) -> None:
    coarse = type(net)(3, CLASSES, **OPTIONS[type(net)], loss_at="logit").train()
    coarse.load_state_dict(net.state_dict())
    images = torch.randn(2, 3, 65, 33)
    found, enlarged = coarse(images), net.train()(images)
    part = 4 if isinstance(net, FCDenseNet) else 2
    assert found.shape[2:] == (64 // part + 1, 32 // part + 1)
    np.testing.assert_allclose(
        enlarged.detach().numpy(), aligned(found.detach().numpy(), 65, 33), rtol=1e-4, atol=1e-5
    )
    with torch.no_grad():
        assert torch.equal(coarse.eval()(images), net.eval()(images))


@pytest.mark.parametrize("again", [False, True])
def test_new_features_are_dropped_and_the_others_enlarged(again: bool) -> None:
    block = nets.densenet.DenseBlock(3, 4, 2, dropout=0.25).eval()
    plain = nets.densenet.DenseBlock(3, 4, 2).eval()
    plain.load_state_dict(block.state_dict())
    for weight in (*block.parameters(), *plain.parameters()):
        nn.init.constant_(weight, 0.1)
    features = torch.rand(2, 3, 30, 30)
    assert torch.equal(block(features), plain(features))  # nothing is dropped at work
    block.training = True  # its normalisation stays as it is
    made = block(features, again)
    assert torch.equal(made[:, :3], features)
    first, expected = made[:, 3:5], plain(features)[:, 3:5] / 0.75
    kept = first != 0
    torch.testing.assert_close(first[kept], expected[kept])
    assert float(kept.float().mean()) == pytest.approx(0.75, abs=0.04)


def test_dropping_and_computing_layers_again_go_together(net: nn.Module) -> None:
    images = torch.randn(2, 3, 40, 33)
    gradients = []
    for again in (False, True):
        other = small(type(net), dropout=0.3).train()
        other.checkpointing = again
        torch.manual_seed(5)
        other(images).square().mean().backward()
        gradients.append([weight.grad for weight in other.parameters()])
    for kept, anew in zip(*gradients, strict=True):
        torch.testing.assert_close(kept, anew)


# -- torchvision's weights -------------------------------------------------------------------------


def torchvision_state(
    layers: tuple[int, ...] = (1, 2, 1, 1), growth: int = 2, old: bool = False
) -> dict[str, Tensor]:
    """Random weights by the names and shapes of torchvision's DenseNets."""
    state: dict[str, Tensor] = {}
    dot = "." if old else ""

    def convolution(name: str, inputs: int, outputs: int, kernel: int) -> None:
        spread = (2 / (inputs * kernel**2)) ** 0.5
        state[f"features.{name}.weight"] = spread * torch.randn(outputs, inputs, kernel, kernel)

    def norm(name: str, channels: int) -> None:
        state[f"features.{name}.weight"] = 0.5 + torch.rand(channels)
        for entry in ("bias", "running_mean"):
            state[f"features.{name}.{entry}"] = torch.randn(channels)
        state[f"features.{name}.running_var"] = 0.5 + torch.rand(channels)
        if not old:
            state[f"features.{name}.num_batches_tracked"] = torch.tensor(7)

    convolution("conv0", 3, 2 * growth, 7)
    norm("norm0", 2 * growth)
    channels = 2 * growth
    for block, depth in enumerate(layers, start=1):
        for layer in range(1, depth + 1):
            name = f"denseblock{block}.denselayer{layer}"
            norm(f"{name}.norm{dot}1", channels)
            convolution(f"{name}.conv{dot}1", channels, 4 * growth, 1)
            norm(f"{name}.norm{dot}2", 4 * growth)
            convolution(f"{name}.conv{dot}2", 4 * growth, growth, 3)
            channels += growth
        if block < len(layers):
            norm(f"transition{block}.norm", channels)
            convolution(f"transition{block}.conv", channels, channels // 2, 1)
            channels //= 2
    norm("norm5", channels)
    state["classifier.weight"], state["classifier.bias"] = torch.randn(9, channels), torch.randn(9)
    return state


def torchvision_features(
    image: Tensor, state: dict[str, Tensor], layers: tuple[int, ...] = (1, 2, 1, 1)
) -> list[Tensor]:
    """Outputs of the dense blocks, written out by torchvision's names."""

    def activated(x: Tensor, name: str) -> Tensor:
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"features.{name}.{key}"] for key in keys)).relu()

    def convolved(x: Tensor, name: str, padding: int = 0, stride: int = 1) -> Tensor:
        return F.conv2d(x, state[f"features.{name}.weight"], padding=padding, stride=stride)

    x = F.max_pool2d(activated(convolved(image, "conv0", 3, 2), "norm0"), 3, stride=2, padding=1)
    outputs: list[Tensor] = []
    for block, depth in enumerate(layers, start=1):
        for layer in range(1, depth + 1):
            name = f"denseblock{block}.denselayer{layer}"
            y = convolved(activated(x, f"{name}.norm1"), f"{name}.conv1")
            y = convolved(activated(y, f"{name}.norm2"), f"{name}.conv2", 1)
            x = torch.cat((x, y), 1)
        outputs.append(x)
        if block < len(layers):
            name = f"transition{block}"
            x = F.avg_pool2d(convolved(activated(x, f"{name}.norm"), f"{name}.conv"), 2)
    return outputs


@pytest.mark.parametrize("old", [False, True])
def test_torchvision_weights_give_the_features_of_torchvision(net: nn.Module, old: bool) -> None:
    torch.manual_seed(0)
    state, old_state = torchvision_state(), torchvision_state(old=True)
    if old:  # the names of old files, which have no counts either
        for name, theirs in zip(
            (name for name in state if "num_batches" not in name), list(old_state), strict=True
        ):
            old_state[theirs] = state[name]
    before = {name: w.clone() for name, w in net.state_dict().items()}
    net.load_torchvision(old_state if old else state)
    image = torch.randn(2, 3, 64, 96)  # halved evenly, so that the border is torchvision's, too
    with torch.no_grad():
        found = net.eval().trunk.encoded(image)[1:]
    for ours, theirs in zip(found, torchvision_features(image, state), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    after = net.state_dict()
    encoder = ("trunk.stem", "trunk.encoder", "trunk.downs")
    rest = [name for name in before if not name.startswith(encoder)]
    assert rest
    assert all(torch.equal(before[name], after[name]) for name in rest)


def test_the_whole_of_densenet_121_has_a_place() -> None:
    state = torchvision_state((6, 12, 24, 16), 32)
    assert len(state) == 727  # entries of torchvision's file
    net = FCDenseNet(3, 6, dec_layers=(1, 1, 1))
    net.load_torchvision(state)
    own = net.state_dict()
    stored = "features.denseblock4.denselayer16.conv2.weight"
    assert torch.equal(own["trunk.encoder.3.layers.15.5.weight"], state[stored])
    stored = "features.transition3.norm.running_mean"
    assert torch.equal(own["trunk.downs.2.0.running_mean"], state[stored])
    encoder = [name for name in own if name.startswith("trunk.") and "decoder" not in name]
    assert len(encoder) == 727 - 5 - 2  # without the last normalisation and the classifier


@pytest.mark.parametrize("bands", [1, 4])
def test_bands_that_are_all_alike_are_the_grey_image(bands: int) -> None:
    torch.manual_seed(0)
    state = torchvision_state()
    net = FCDenseNet(bands, CLASSES, **OPTIONS[FCDenseNet]).eval()
    net.load_torchvision(state)
    grey = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        found = net.trunk.encoded(grey.expand(-1, bands, -1, -1))[-1]
    expected = torchvision_features(grey.expand(-1, 3, -1, -1), state)[-1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        (
            {"enc_layers": (1, 2, 1, 2)},
            {},
            r"lack features\.denseblock4\.denselayer2\.\S+ \(of 10 such names\); give those of "
            r"torchvision's densenet121, or build the network with the enc_layers and growth",
        ),
        (
            {"enc_layers": (1, 1, 1, 1)},
            {},
            r"have besides features\.denseblock2\.denselayer2\.conv1\.weight \(of 12 such",
        ),
        ({"growth": 3}, {}, r"has the shape \(4, 3, 7, 7\) where the network needs \(6, 3, 7, 7\)"),
        ({}, {"fc.weight": torch.ones(1)}, r"have besides fc\.weight \(of 1 such"),
    ],
)
def test_weights_of_another_network_are_refused(
    options: dict[str, Any], change: dict[str, Tensor], message: str
) -> None:
    net = small(FCDenseNet, **options)
    before = {name: w.clone() for name, w in net.state_dict().items()}
    with pytest.raises(UserError, match=message):
        net.load_torchvision(torchvision_state() | change)
    assert all(torch.equal(w, before[name]) for name, w in net.state_dict().items())


def test_training_starts_from_a_file_of_torchvision_weights(net: nn.Module, tmp_path: Path) -> None:
    state = torchvision_state()
    save_file(state, tmp_path / "densenet121.safetensors")
    start_from(net, weights_of(str(tmp_path / "densenet121.safetensors")), "file")
    stored = state["features.denseblock2.denselayer2.conv1.weight"]
    assert torch.equal(net.trunk.encoder[1].layers[1][2].weight, stored)
    deeper = small(type(net), enc_layers=(2, 2, 1, 1))
    with pytest.raises(UserError, match=r"lack features\.denseblock1\.denselayer2"):
        start_from(deeper, weights_of(str(tmp_path / "densenet121.safetensors")), "file")


def test_computing_layers_again_changes_nothing(net: nn.Module) -> None:
    again = type(net)(3, CLASSES, **OPTIONS[type(net)])
    again.load_state_dict(net.state_dict())
    again.checkpointing = True
    images = torch.randn(2, 3, 40, 33)
    for each in (net, again):
        for _ in range(2):  # momentum shows whether statistics were counted once or twice
            each.train()(images).square().mean().backward()
    for name, weight in net.named_parameters():
        torch.testing.assert_close(again.get_parameter(name).grad, weight.grad, msg=name)
    for name, buffer in net.named_buffers():
        assert torch.equal(again.get_buffer(name), buffer), name
    norms = [each for each in again.modules() if isinstance(each, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}
    with torch.no_grad():
        assert torch.equal(again.eval()(images), net.eval()(images))


def test_computing_layers_again_keeps_less(net: nn.Module) -> None:
    def kept() -> int:
        storages: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            net(torch.zeros(2, 3, 33, 33))
        return sum(each.untyped_storage().nbytes() for each in storages.values())

    net.train()
    everything = kept()
    net.checkpointing = True
    assert kept() < 0.8 * everything


@pytest.mark.parametrize("kind", [ClassmateNet, DFCNet])
def test_blocks_of_the_baseline_have_the_same_names(kind: type[nn.Module]) -> None:
    baseline, net = small(FCDenseNet), small(kind)
    for weight in baseline.parameters():
        nn.init.normal_(weight)
    trunk = {name: w for name, w in baseline.state_dict().items() if name.startswith("trunk.")}
    missing = net.load_state_dict(trunk, strict=False).missing_keys
    parts = {".".join(name.split(".")[: 3 if name[0] == "t" else 1]) for name in missing}
    fused = {"fusion"} if kind is DFCNet else set()
    assert parts == {"trunk.decoder.3", "land", "road"} | fused
    image = torch.randn(1, 3, 33, 33)
    with torch.no_grad():
        expected, found = baseline.eval().trunk(image), net.eval().trunk(image)
    assert len(expected) == len(found) - 1 == 7
    assert all(map(torch.equal, expected, found[:-1]))


def test_fresh_weights_are_he_normal(net: nn.Module) -> None:
    wide = type(net)(3, CLASSES, **(OPTIONS[type(net)] | {"growth": 32}))
    first, normalised = wide.trunk.encoder[0].layers[0][5].weight.detach(), wide.trunk.stem[1]
    expected = (2 / (9 * 128)) ** 0.5  # fan-in of a 3 x 3 convolution of 4 x 32 channels
    assert float(first.std()) == pytest.approx(expected, rel=0.02)
    assert abs(float(first.mean())) < 0.02 * expected
    assert bool((normalised.weight == 1).all())
    assert not normalised.bias.any()
    biases = [m.bias for m in wide.modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
    assert len(biases) == len(getattr(wide, "heads", (CLASSES,)))
    assert not any(bias.any() for bias in biases)


def test_windows_of_one_more_than_a_multiple_of_32_shift_their_scores_by_32(
    net: nn.Module,
) -> None:
    net.double().eval()
    image = torch.randn(1, 3, 65, 32 * 15 + 1, dtype=torch.float64)
    inner = 6 * 32  # farther from the cut than these small networks see
    with torch.no_grad():
        whole, part = net(image), net(image[..., 32:])
    torch.testing.assert_close(
        whole[..., 32 + inner : -inner], part[..., inner:-inner], rtol=1e-9, atol=1e-9
    )


def test_folding_the_normalisation_changes_nothing_but_rounding(net: nn.Module) -> None:
    image = torch.randn(2, 3, 33, 40)
    with torch.no_grad():
        net.train()(image)
        expected = net.eval()(image)
        fold_batch_norms(net)
        torch.testing.assert_close(net(image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.__name__)
def test_a_model_file_gives_the_same_map_by_blended_windows(
    kind: type[nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(nets.REGISTRY, "dense", kind)
    options = {"in_channels": 3, "classes": CLASSES}
    options |= {name: [*v] if isinstance(v, tuple) else v for name, v in OPTIONS[kind].items()}
    model = segmenter(small(kind), architecture="dense", options=options, halo=None, stride=1)
    model.save(tmp_path / "model.safetensors")
    image = random_image((70, 47))
    scores = geoseg.predict(image, model, output="scores", blend="mean", window=33, stride=22)
    again = load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        geoseg.predict(image, again, output="scores", blend="mean", window=33, stride=22), scores
    )
    np.testing.assert_allclose(scores, mean_of_windows(model, image.values), atol=1e-5)
    assert set(np.unique(geoseg.predict(image, again))) <= set(range(CLASSES))


def segmenter(net: nn.Module, **facts: Any) -> Segmenter:
    classes = ("water", "forest", "field", "town")
    scale: dict[str, Any] = {"mean": [120.0] * 3, "std": [60.0] * 3, "window": 33}
    return Segmenter(net, classes=classes, bands=BANDS, **scale, **facts)


def mean_of_windows(model: Segmenter, pixels: np.ndarray) -> np.ndarray:
    """Probabilities of 33 x 33 windows every 22 pixels, the last ones moved to the border."""
    rows, columns = pixels.shape[1:]
    total, weight = np.zeros((CLASSES, rows, columns)), np.zeros((rows, columns))
    for top in (0, 22, rows - 33):
        for left in (0, columns - 33):
            place = slice(top, top + 33), slice(left, left + 33)
            total[:, *place] += whole_image_scores(model, pixels[:, *place])
            weight[place] += 1
    return total / weight


def test_the_reach_is_measured_as_the_whole_window_in_steps_of_a_pixel() -> None:
    options = {"enc_layers": (1, 1, 1, 1), "dec_layers": (1, 1, 1), "growth": 1}
    model = segmenter(small(FCDenseNet, **options))
    assert model.card.halo is None
    assert model.card.stride == model.net.stride == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dec_layers": (1, 1)}, r"dec_layers=\[1, 1\]: give . whole numbers from 1 to 64"),
        ({"dec_layers": (1, 1, 1, 1, 1)}, "dec_layers=.*: give . whole numbers"),
        ({"enc_layers": (6, 12, 24)}, r"enc_layers=\[6, 12, 24\]: give 4 whole numbers"),
        ({"enc_layers": (6, 12, 24, 0)}, "enc_layers=.*: give 4 whole numbers from 1 to 64"),
        ({"enc_layers": (6, 12, 24, 10**9)}, "enc_layers=.*: give 4 whole numbers from 1 to 64"),
        ({"enc_layers": (6, 12, 24, 1.5)}, "enc_layers=.*: give 4 whole numbers from 1 to 64"),
        ({"growth": 0}, "growth=0: give a whole number from 1 to 256"),
        ({"growth": 10**6}, "growth=1000000: give a whole number from 1 to 256"),
        ({"in_channels": 0}, "in_channels=0: give a whole number from 1 to 65536"),
        ({"classes": "five"}, "classes='five': give a whole number from 1 to 65536"),
    ],
)
def test_options_that_make_no_network_are_refused(
    net: nn.Module, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        small_with(type(net), options)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (ClassmateNet, {"auxiliary": 0}, "auxiliary=0: give a whole number from 1 to 65536"),
        (ClassmateNet, {"width": -3}, "width=-3: give a whole number from 1 to 65536"),
        (DFCNet, {"auxiliary": 2.0}, "auxiliary=2.0: give a whole number from 1 to 65536"),
        (DFCNet, {"width": 0}, "width=0: give a whole number from 1 to 65536"),
        (DFCNet, {"fusion": "star"}, "fusion='star': choose from tree, cascade"),
        (DFCNet, {"post_merge": "relu"}, "post_merge='relu': choose from conv, none"),
        (DFCNet, {"slice_at": "block9"}, "slice_at='block9': choose from trunk_end, block5"),
        (FCDenseNet, {"loss_at": "pixel"}, "loss_at='pixel': choose from label, logit"),
        (FCDenseNet, {"dropout": 1.0}, "dropout=1.0: give a number from 0 to below 1"),
        (ClassmateNet, {"dropout": "none"}, "dropout='none': give a number from 0 to below 1"),
        (DFCNet, {"dropout": True}, "dropout=True: give a number from 0 to below 1"),
    ],
)
def test_tasks_and_fusions_that_are_none_are_refused(
    kind: type[nn.Module], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        small_with(kind, options)


def small_with(kind: type[nn.Module], options: dict[str, Any]) -> nn.Module:
    return kind(**({"in_channels": 3, "classes": CLASSES, **OPTIONS[kind]} | options))
