"""Densely connected networks: the published sizes, and what two tasks owe each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from toys import BANDS, random_image, whole_image_scores

import geoseg
from geoseg import nets
from geoseg.errors import UserError
from geoseg.nets.densenet import ClassmateNet, DFCNet, FCDenseNet
from geoseg.nets.fold import fold_batch_norms
from geoseg.segmenter import Segmenter, load

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


@pytest.mark.parametrize("options", [{}, {"fusion": "cascade"}, {"post_merge": "none"}])
def test_every_parameter_of_the_fused_network_learns(options: dict[str, Any]) -> None:
    assert idle(small(DFCNet, **options)) == []


@pytest.mark.parametrize("kind", [FCDenseNet, ClassmateNet])
def test_every_parameter_learns(kind: type[nn.Module]) -> None:
    assert idle(small(kind)) == []


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
    ],
)
def test_tasks_and_fusions_that_are_none_are_refused(
    kind: type[nn.Module], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        small_with(kind, options)


def small_with(kind: type[nn.Module], options: dict[str, Any]) -> nn.Module:
    return kind(**({"in_channels": 3, "classes": CLASSES, **OPTIONS[kind]} | options))
