"""Early, middle and late fusion of sensors keep to their report and to the contract of networks."""

from __future__ import annotations

import copy
from itertools import accumulate, product
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from toys import random_image, segmenter_of, whole_image_scores

import geoseg
from geoseg import nets
from geoseg.errors import UserError
from geoseg.nets.fold import fold_batch_norms
from geoseg.nets.fusion import STAGES, EarlyFusion, LateFusion, MiddleFusion, Pyramid
from geoseg.reach import Reach, measure_reach

BANDS, CLASSES = 3, 4
SENSORS = {"sensors": [2, 1]}
SMALL = {"blocks": [1, 1, 1, 1], "width": 4}
KINDS = {
    "early": (EarlyFusion, {}),
    "middle": (MiddleFusion, SENSORS),
    "late": (LateFusion, SENSORS),
}
REDUCTIONS = ("mean", "sum", "max", "concat1x1", "weighted")
DECODERS = ("pool", "fpn")


def small(kind: str, bands: int = BANDS, **options: Any) -> nn.Module:
    make, own = KINDS[kind]
    return make(bands, CLASSES, **{**own, **SMALL, **options}).eval()


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=[f"{kind} {decoder}" for kind, decoder in product(KINDS, DECODERS)])
def net(request: pytest.FixtureRequest) -> nn.Module:
    kind, decoder = request.param.split()
    return small(kind, decoder=decoder)


def count(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def watch(modules: list[nn.Module]) -> list[Tensor]:
    """A list that each module's output goes to when it is run."""
    seen: list[Tensor] = []
    for module in modules:
        module.register_forward_hook(lambda _, __, output: seen.append(output))
    return seen


# -- what the report and its code say --------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "options", "expected"),
    [
        (EarlyFusion, {"in_channels": 2}, 42_517_514),
        (EarlyFusion, {"in_channels": 10}, 42_542_602),
        (EarlyFusion, {"in_channels": 12}, 42_548_874),
        (MiddleFusion, {"in_channels": 12}, 43_984_394),
        (MiddleFusion, {"in_channels": 12, "split": "layer1"}, 42_764_810),
        (MiddleFusion, {"in_channels": 12, "split": "layer3"}, 70_074_890),
        (LateFusion, {"in_channels": 12}, 85_060_116),
    ],
)
def test_the_networks_have_the_number_of_parameters_of_101_layers(
    make: type[nn.Module], options: dict[str, Any], expected: int
) -> None:
    with torch.device("meta"):
        assert count(make(classes=10, **options)) == expected


def test_a_pyramid_costs_what_its_convolutions_do() -> None:
    # Four laterals, four 3 x 3 and the scores, each with biases, in place of the classifier.
    laterals = (256 + 512 + 1024 + 2048) * 128 + 4 * 128
    smooth = 4 * (128 * 128 * 9 + 128)
    with torch.device("meta"):
        pooled, pyramid = (count(EarlyFusion(12, 10, decoder=each)) for each in DECODERS)
    assert pyramid - pooled == laterals + smooth + (128 * 10 + 10) - (2048 * 10 + 10)


def test_a_pyramid_adds_coarse_features_to_finer_ones_and_sums_all_at_a_quarter() -> None:
    net = Pyramid([3, 5, 7, 9], CLASSES).double()
    maps = [
        torch.randn(2, channels, 2**halvings, 3 * 2**halvings, dtype=torch.float64)
        for channels, halvings in zip((3, 5, 7, 9), (4, 3, 2, 1), strict=True)
    ]

    def to(features: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(features, like.shape[2:], mode="bilinear")

    with torch.no_grad():
        l1, l2, l3, l4 = (net.lateral[i](maps[i]) for i in range(4))
        p3 = l3 + to(l4, l3)
        p2 = l2 + to(p3, l2)
        p1 = l1 + to(p2, l1)
        total = sum(to(net.smooth[i](level), l1) for i, level in enumerate((p1, p2, p3, l4)))
        expected = functional.interpolate(net.score(total), (64, 192), mode="bilinear")
        torch.testing.assert_close(net(maps), expected, rtol=1e-9, atol=1e-9)


def test_radar_and_optical_features_meet_with_512_channels_at_an_eighth() -> None:
    net = MiddleFusion(12, 10, blocks=[1, 1, 1, 1]).eval()
    met = watch([branch.layer2 for branch in net.branches])
    with torch.no_grad():
        assert net(torch.randn(1, 12, 64, 96)).shape == (1, 10, 64, 96)
    assert [each.shape for each in met] == [(1, 512, 8, 12)] * 2


@pytest.mark.parametrize("size", [(32, 32), (64, 160)])
def test_the_mean_over_the_map_is_what_the_classifier_of_pooled_features_gives(
    size: tuple[int, int],
) -> None:
    net = small("early")
    nn.init.normal_(net.decoder.score.bias)
    image = torch.randn(3, BANDS, *size)
    with torch.no_grad():
        pooled = functional.adaptive_avg_pool2d(net.trunk(image), 1).flatten(1)
        score = net.decoder.score
        logits = functional.linear(pooled, score.weight[:, :, 0, 0], score.bias)
        torch.testing.assert_close(net(image).mean((2, 3)), logits, rtol=1e-5, atol=1e-5)


# -- finer features of the last stage --------------------------------------------------------------


def test_a_dilated_last_stage_gives_what_the_strided_one_does_and_pixels_between() -> None:
    blocks = [1, 1, 1, 3]
    coarse, fine = (small("early", blocks=blocks, output_stride=each).double() for each in (32, 16))
    fine.load_state_dict(coarse.state_dict())
    image = torch.randn(2, BANDS, 96, 128, dtype=torch.float64)
    with torch.no_grad():
        one, other = coarse.trunk(image), fine.trunk(image)
    assert other.shape[2:] == (6, 8)
    torch.testing.assert_close(other[:, :, ::2, ::2], one, rtol=1e-9, atol=1e-9)
    assert not torch.equal(other[:, :, 1::2, ::2], one)


@pytest.mark.parametrize(("kind", "decoder"), list(product(KINDS, DECODERS)))
def test_finer_features_make_scores_that_shift_by_16(kind: str, decoder: str) -> None:
    net = small(kind, decoder=decoder, output_stride=16)
    assert net.stride == 16
    assert measure_reach(net, BANDS).stride == 16
    with torch.no_grad():
        assert net(torch.randn(2, BANDS, 48, 16)).shape == (2, CLASSES, 48, 16)
    assert idle(net) == []


def test_the_mean_of_finer_scores_is_what_the_classifier_of_pooled_features_gives() -> None:
    net, image = small("early", output_stride=16), torch.randn(3, BANDS, 48, 64)
    with torch.no_grad():
        logits = net.decoder.score(net.trunk(image).mean((2, 3), keepdim=True))[:, :, 0, 0]
        torch.testing.assert_close(net(image).mean((2, 3)), logits, rtol=1e-5, atol=1e-5)


def test_a_pyramid_takes_two_stages_of_one_size() -> None:
    net = Pyramid([3, 5, 7, 9], CLASSES, (4, 8, 16, 16)).double()
    maps = [
        torch.randn(2, channels, size, size, dtype=torch.float64)
        for channels, size in zip((3, 5, 7, 9), (16, 8, 4, 4), strict=True)
    ]

    def to(features: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(features, like.shape[2:], mode="bilinear")

    with torch.no_grad():
        l1, l2, l3, l4 = (net.lateral[i](maps[i]) for i in range(4))
        p3 = l3 + l4
        p2 = l2 + to(p3, l2)
        p1 = l1 + to(p2, l1)
        total = sum(to(net.smooth[i](level), l1) for i, level in enumerate((p1, p2, p3, l4)))
        expected = functional.interpolate(net.score(total), (64, 64), mode="bilinear")
        torch.testing.assert_close(net(maps), expected, rtol=1e-9, atol=1e-9)


def test_convolutions_start_from_the_normal_distribution_of_he(net: nn.Module) -> None:
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
            is_pyramid = "lateral" in name or "smooth" in name
            if module.weight.numel() >= 4000:  # the spread of fewer numbers says little
                variance = float(module.weight.detach().var()) * fan_in
                assert variance == pytest.approx(1 if is_pyramid else 2, rel=0.1)
            assert module.bias is None or not module.bias.any()


@pytest.mark.parametrize("split", STAGES)
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("reduce", ["mean", "max", "weighted"])
def test_equal_sensors_fused_in_the_middle_are_one_network(
    split: str, decoder: str, reduce: str
) -> None:
    single = small("early", decoder=decoder)
    options = {"sensors": [BANDS, BANDS], "split": split, "reduce": reduce, "decoder": decoder}
    double = small("middle", 2 * BANDS, weights=[1.0, 2.0], **options)
    trunk = dict(single.trunk.named_children())
    for part in (*double.branches, double.shared):
        for name, stage in part.named_children():
            stage.load_state_dict(trunk[name].state_dict())
    double.decoder.load_state_dict(single.decoder.state_dict())
    image = torch.randn(2, BANDS, 64, 32, dtype=torch.float64)
    with torch.no_grad():
        scores = double.double()(torch.cat([image, image], 1))
        torch.testing.assert_close(scores, single.double()(image), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_features_are_fused_as_asked_for(reduce: str) -> None:
    net = small("middle", reduce=reduce, weights=[1.0, 3.0])
    apart, fused = watch([branch[-1] for branch in net.branches]), watch([net.merges[0]])
    with torch.no_grad():
        net(torch.randn(2, BANDS, 64, 64))
    a, b = (each.numpy() for each in apart)
    both = np.concatenate([a, b], 1)
    if reduce == "concat1x1":
        weight = net.merges[0].project.weight.detach().numpy()[:, :, 0, 0]
        expected = np.einsum("oc,bchw->bohw", weight, both)
    else:
        expected = {
            "mean": (a + b) / 2,
            "sum": a + b,
            "max": np.maximum(a, b),
            "weighted": (a + 3 * b) / 4,
        }[reduce]
    np.testing.assert_allclose(fused[0].numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("split", "decoder", "levels"),
    [("stem", "fpn", 1), ("layer1", "fpn", 1), ("layer3", "fpn", 3), ("layer3", "pool", 1)],
)
def test_a_pyramid_has_the_finer_features_fused_as_well(
    split: str, decoder: str, levels: int
) -> None:
    net = small("middle", split=split, decoder=decoder)
    fused = watch(list(net.merges))
    with torch.no_grad():
        net(torch.randn(1, BANDS, 64, 64))
    assert len(fused) == levels
    assert [each.shape[2] for each in fused] == sorted({each.shape[2] for each in fused})[::-1]


@pytest.mark.parametrize("kind", ["middle", "late"])
@pytest.mark.parametrize("sensor", [0, 1])
def test_bands_reach_only_the_branch_of_their_sensor(kind: str, sensor: int) -> None:
    net = small(kind)
    branches = net.branches if kind == "middle" else net.trunks
    outputs = watch([branch[-1] for branch in branches])
    image = torch.randn(1, BANDS, 64, 64, requires_grad=True)
    net(image)
    outputs[sensor].square().sum().backward()
    felt = image.grad.flatten(2).any(2)[0].tolist()
    assert felt == ([True, True, False] if sensor == 0 else [False, False, True])


# -- late fusion -----------------------------------------------------------------------------------


def alone(net: nn.Module, sensor: int, bands: int) -> nn.Module:
    """A network of one sensor with the weights that it has in a late fusion."""
    single = small("early", bands).to(next(net.parameters()).dtype)
    single.trunk.load_state_dict(net.trunks[sensor].state_dict())
    single.decoder.load_state_dict(net.decoders[sensor].state_dict())
    return single


def test_late_scores_are_the_mean_of_those_of_each_sensor_for_the_same_image() -> None:
    net = small("late").double()
    images = torch.randn(6, BANDS, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = (alone(net, 0, 2)(images[:, :2]) + alone(net, 1, 1)(images[:, 2:])) / 2
        for size, order in product((1, 2, 4, 6), (torch.arange(6), torch.randperm(6))):
            scores = torch.empty_like(expected)
            scores[order] = torch.cat([net(batch) for batch in images[order].split(size)])
            torch.testing.assert_close(scores, expected, rtol=1e-9, atol=1e-9)


def test_probabilities_are_averaged_where_asked() -> None:
    net = small("late", decoder="fpn", average="probabilities").double()
    plain = small("late", decoder="fpn").double()
    plain.load_state_dict(net.state_dict())
    images = 9 * torch.randn(3, BANDS, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        each = plain.train()(images).split(CLASSES, 1)
        assert torch.equal(net.train()(images), torch.cat(each, 1))  # each has its own loss
        net.eval(), plain.eval()
        apart = [
            decoder(list(accumulate(trunk, lambda x, stage: stage(x), initial=bands))[1:])
            for trunk, decoder, bands in zip(
                net.trunks, net.decoders, images.split([2, 1], 1), strict=True
            )
        ]
        found = net(images).softmax(1)
        expected = (apart[0].softmax(1) + apart[1].softmax(1)) / 2
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
        assert (found - plain(images).softmax(1)).abs().max() > 1e-3


def test_late_scores_in_training_are_those_of_each_sensor_in_order() -> None:
    net = small("late").double().train()
    images = torch.randn(2, BANDS, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = [
            alone(net, 0, 2).train()(images[:, :2]),
            alone(net, 1, 1).train()(images[:, 2:]),
        ]
        torch.testing.assert_close(net(images), torch.cat(expected, 1), rtol=1e-9, atol=1e-9)


def test_late_networks_trained_by_the_sum_of_their_losses_learn_as_if_alone() -> None:
    net = small("late").double().train()
    singles = [alone(net, 0, 2).train(), alone(net, 1, 1).train()]
    loss = nn.CrossEntropyLoss()

    def adam(each: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(each.parameters(), 2e-3, weight_decay=1e-6)

    together, apart = adam(net), [adam(each) for each in singles]
    for _ in range(3):
        image = torch.randn(2, BANDS, 64, 64, dtype=torch.float64)
        labels = torch.randint(CLASSES, (2, 64, 64))
        together.zero_grad()
        first, second = net(image).split(net.heads, 1)
        (loss(first, labels) + loss(second, labels)).backward()
        together.step()
        for single, optimiser, bands in zip(singles, apart, image.split([2, 1], 1), strict=True):
            optimiser.zero_grad()
            loss(single(bands), labels).backward()
            optimiser.step()
    for i, single in enumerate(singles):
        trained = {**net.trunks[i].state_dict(prefix="trunk.")}
        trained |= net.decoders[i].state_dict(prefix="decoder.")
        for name, tensor in single.state_dict().items():
            torch.testing.assert_close(trained[name], tensor, rtol=1e-9, atol=1e-12)


# -- the contract of networks ----------------------------------------------------------------------


def test_scores_have_the_size_of_the_image_for_any_multiple_of_the_stride(net: nn.Module) -> None:
    for rows, columns in product((1, 2, 5), (1, 3)):
        image = torch.randn(2, BANDS, rows * net.stride, columns * net.stride)
        with torch.no_grad():
            assert net(image).shape == (2, CLASSES, *image.shape[2:])


def test_training_gives_the_channels_that_heads_tells(net: nn.Module) -> None:
    heads = getattr(net, "heads", (CLASSES,))
    assert heads == ((CLASSES, CLASSES) if isinstance(net, LateFusion) else (CLASSES,))
    assert net.train()(torch.randn(2, BANDS, 64, 64)).shape == (2, sum(heads), 64, 64)


def test_images_of_a_batch_do_not_touch_each_other(net: nn.Module) -> None:
    net, images = net.double(), torch.randn(3, BANDS, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        one_by_one = torch.cat([net(image[None]) for image in images])
        torch.testing.assert_close(net(images), one_by_one, rtol=1e-9, atol=1e-9)


def idle(net: nn.Module) -> list[str]:
    """Parameters that training gives no gradient."""
    net.train()(torch.randn(2, BANDS, 64, 64)).square().sum().backward()
    return [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_every_parameter_learns(net: nn.Module) -> None:
    assert idle(net) == []


@pytest.mark.parametrize("split", STAGES)
@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("decoder", DECODERS)
def test_every_parameter_learns_wherever_and_however_sensors_are_fused(
    split: str, reduce: str, decoder: str
) -> None:
    assert idle(small("middle", split=split, reduce=reduce, decoder=decoder)) == []


def test_three_sensors_are_fused_like_two() -> None:
    for kind in ("middle", "late"):
        net = small(kind, sensors=[1, 1, 1])
        with torch.no_grad():
            assert net(torch.randn(1, BANDS, 32, 32)).shape == (1, CLASSES, 32, 32)
        assert idle(net) == []


def test_folded_batch_norms_change_nothing_but_rounding(net: nn.Module) -> None:
    image = torch.randn(2, BANDS, 64, 64)
    with torch.no_grad():
        net.train()(image)  # statistics other than 0 and 1
        expected = net.eval()(image)
        fold_batch_norms(net)
        assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
        torch.testing.assert_close(net(image), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_change_neither_scores_nor_gradients_nor_statistics(kind: str) -> None:
    plain = small(kind, decoder="fpn").double().train()
    thrifty = copy.deepcopy(plain)
    thrifty.checkpointing = True
    stages = [each for each in thrifty.modules() if isinstance(each, nn.Sequential)]
    runs = watch([stage[0] for stage in stages if isinstance(stage[0], nn.Conv2d)])
    image = torch.randn(2, BANDS, 64, 64, dtype=torch.float64)
    scores = plain(image), thrifty(image)
    assert torch.equal(*scores)
    before = len(runs)
    for each in scores:
        each.square().mean().backward()
    assert len(runs) == 2 * before  # everything was computed once more
    for one, other in zip(plain.parameters(), thrifty.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-12, atol=1e-14)
    for (name, one), other in zip(plain.named_buffers(), thrifty.buffers(), strict=True):
        assert torch.equal(one, other), name


# -- how far they see ------------------------------------------------------------------------------

LAYERS = [(7, 2, 3), (3, 2, 1), (3, 1, 1), *[(3, 2, 1)] * 3]  # kernel, stride, padding of SMALL

Span = tuple[int, int]


def below(span: Span, layers: list[tuple[int, int, int]]) -> Span:
    """First and last input of the outputs from first to last."""
    first, last = span
    for kernel, stride, padding in reversed(layers):
        first, last = first * stride - padding, last * stride - padding + kernel - 1
    return first, last


def coarser(span: Span, factor: int) -> Span:
    """Coarse pixels between whose centres those of fine pixels lie."""
    first, last = (floor((each + 0.5) / factor - 0.5) for each in span)
    return first, last + 1


def union(spans: list[Span]) -> Span:
    return min(first for first, _ in spans), max(last for _, last in spans)


def seen_through_pool(pixel: int) -> Span:
    return below(coarser((pixel, pixel), 32), LAYERS)


def seen_through_pyramid(pixel: int) -> Span:
    def level(i: int, span: Span) -> Span:
        spans = [below(span, LAYERS[: 3 + i])]
        return union([*spans, *([level(i + 1, coarser(span, 2))] if i < 3 else [])])

    quarter = coarser((pixel, pixel), 4)
    smooth = [(3, 1, 1)]
    spans = [level(0, below(quarter, smooth))]
    spans += [level(i, below(coarser(quarter, 2**i), smooth)) for i in (1, 2, 3)]
    return union(spans)


@pytest.mark.parametrize(
    ("kind", "decoder"), [*((kind, "pool") for kind in KINDS), ("middle", "fpn")]
)
def test_halo_and_stride_are_those_of_the_layers(kind: str, decoder: str) -> None:
    seen = seen_through_pool if decoder == "pool" else seen_through_pyramid
    pixels = range(-1024, 1024)
    # A line before pixel 0, which is a multiple of the stride as the borders of windows are.
    before = -min(pixel for pixel in pixels if seen(pixel)[1] >= 0)
    after = 1 + max(pixel for pixel in pixels if seen(pixel)[0] < 0)
    expected = Reach(max(before, after), 32)
    net = small(kind, decoder=decoder)
    assert net.stride == 32
    assert measure_reach(net, BANDS) == expected


# -- in use ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_network_predicts_a_raster_as_one_forward_pass_does(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, own = KINDS[kind]
    monkeypatch.setitem(nets.REGISTRY, f"{kind}_fusion", make)
    options = {"in_channels": BANDS, "classes": CLASSES, **own, **SMALL}
    net = nets.build(f"{kind}_fusion", **options)
    model = segmenter_of(net, window=256, architecture=f"{kind}_fusion", options=options)
    model.save(tmp_path / "model.safetensors")
    loaded = geoseg.load(tmp_path / "model.safetensors")
    image = random_image((300, 200))
    scores = geoseg.predict(image, loaded, output="scores").values
    np.testing.assert_allclose(scores, whole_image_scores(model, image.values), atol=1e-4)
    assert scores.std((1, 2)).max() > 0.01  # something is to be seen


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("early", {"bands": 0}, r"in_channels=0: give a whole number from 1 to 65536"),
        ("early", {"width": 513}, r"width=513: give a whole number from 1 to 512"),
        ("early", {"width": 2.5}, r"width=2.5: give a whole number"),
        ("early", {"blocks": [3, 4, 23]}, r"blocks=\[3, 4, 23\]: give 4 whole numbers"),
        ("early", {"blocks": [1, 1, 0, 1]}, r"blocks=.*: give 4 whole numbers from 1 to 64"),
        ("early", {"decoder": "unet"}, r"decoder='unet': choose from pool, fpn"),
        ("middle", {"decoder": "unet"}, r"decoder='unet': choose from pool, fpn"),
        ("middle", {"output_stride": 8}, r"output_stride=8: give 32 or 16"),
        ("early", {"output_stride": 16.0}, r"output_stride=16.0: give 32 or 16"),
        ("late", {"average": "labels"}, r"average='labels': choose from scores, probabilities"),
        ("late", {"average": "probabilities"}, r"decoder=pool labels images; set decoder=fpn"),
        ("middle", {"split": "layer5"}, r"split='layer5': choose from stem, layer1, layer2"),
        ("middle", {"reduce": "median"}, r"reduce='median': choose from mean, sum, max, concat"),
        ("middle", {"reduce": "weighted", "weights": [1.0]}, r"weights=\[1.0\]: give 2 numbers"),
        ("middle", {"reduce": "weighted", "weights": [1.0, 0.0]}, r"give 2 numbers above 0"),
        ("middle", {"reduce": "weighted", "weights": [1e308, 1e308]}, r"give 2 numbers above 0"),
        ("middle", {"sensors": [3]}, r"sensors=\[3\]: give the bands of 2 to 8 sensors; one alone"),
        ("late", {"sensors": [10, 2]}, r"have 12 bands together, but the image has 3; give the b"),
        ("late", {"sensors": [4, -1]}, r"sensors=-1: give a whole number from 1 to 65536"),
        ("late", {"bands": 9, "sensors": [1] * 9}, r"give the bands of 2 to 8 sensors"),
    ],
)
def test_options_that_make_no_network_are_refused(
    kind: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        small(kind, **options)
