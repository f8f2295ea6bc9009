"""Classifiers of images as maps, class activation maps, and pixel labels made of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from geoseg.errors import UserError
from geoseg.loader import IGNORE
from geoseg.nets.cam import (
    METHODS,
    CamBaseline,
    CamNet,
    CamResNet50,
    Classifier,
    fused_layer_cam,
    gated,
    max_normalised,
    sampled,
)
from geoseg.nets.densenet import FCDenseNet
from geoseg.nets.fold import fold_batch_norms
from geoseg.reach import Reach, measure_reach
from geoseg.train.data.augment import SYMMETRIES, symmetry
from geoseg.train.pooling import POOLINGS, highest, log_sum_exp, mean, noisy_or, top_share
from geoseg.train.pseudo import averaged_maps, pseudo_labels, refined

BANDS, CLASSES = 3, 4
seeds = st.integers(0, 2**32 - 1)

SMALL: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "baseline": (CamBaseline, {}),
    "baseline with a mean": (CamBaseline, {"head": "gap"}),
    "resnet": (CamResNet50, {"num_stages": 2}),
    "maps": (CamNet, {"num_stages": 2}),
}


@pytest.fixture(params=sorted(SMALL))
def net(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    kind, options = SMALL[request.param]
    return kind(in_channels=BANDS, classes=CLASSES, **options).eval()


def count(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def tiny(**options: Any) -> CamNet:
    """Maps of a classifier so small that probing it takes no time; four pixels a cell."""
    torch.manual_seed(0)
    net = CamNet(BANDS, CLASSES, num_stages=2, **options)
    features = nn.Sequential(nn.Conv2d(BANDS, 8, 5, stride=4, padding=2), nn.ReLU())
    net.base = Classifier(features, nn.Conv2d(8, CLASSES, 1), (0.0, 4), "exact")
    return net.eval()


class Encoder(nn.Module):
    """Stem and blocks 2 to 5 of a DenseNet-121, as land cover is learnt with."""

    def __init__(self, growth: int) -> None:
        super().__init__()
        self.net = FCDenseNet(1, 2, growth=growth)

    def forward(self, image: Tensor) -> Tensor:
        found: list[Tensor] = []
        block = self.net.trunk.encoder[3]
        handle = block.register_forward_hook(lambda _, __, output: found.append(output))
        self.net(image)
        handle.remove()
        return found[0]


# -- the networks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_stages", "parameters"),
    [(2, 239_173), (3, 1_460_037), (4, 8_560_965), (5, 23_530_821)],
)
def test_the_resnet_has_the_derived_parameters_and_sizes(num_stages: int, parameters: int) -> None:
    with torch.device("meta"):
        net = CamResNet50(7, 5, num_stages=num_stages).train()
        sizes = [net(torch.zeros(2, 7, side, side)).shape for side in (50, 64, 100)]
    assert count(net) == parameters
    assert sizes == [(2, 5, cells, cells) for cells in (12, 15, 24)]


@pytest.mark.parametrize(
    ("head", "parameters", "cells"), [("flatten", 401_093, 1), ("gap", 390_853, 3)]
)
def test_the_baseline_has_the_derived_parameters_and_sizes(
    head: str, parameters: int, cells: int
) -> None:
    with torch.device("meta"):
        net = CamBaseline(7, 5, head=head).train()
        assert net(torch.zeros(2, 7, 50, 50)).shape == (2, 5, cells, cells)
    assert count(net) == parameters


def test_the_mean_of_the_map_is_what_a_linear_layer_behind_a_global_mean_gives() -> None:
    torch.manual_seed(0)
    net = CamResNet50(7, 5, num_stages=3).train()
    image = torch.randn(4, 7, 50, 50)
    linear = nn.Linear(512, 5)
    with torch.no_grad():
        linear.weight.copy_(net.head.weight[..., 0, 0])
        linear.bias.copy_(net.head.bias.uniform_())
        expected = linear(net.features(image).mean((2, 3)))
        torch.testing.assert_close(mean(net(image)), expected, rtol=1e-5, atol=1e-5)


def test_the_baseline_gives_for_its_window_what_a_dense_layer_gives() -> None:
    torch.manual_seed(0)
    net = CamBaseline(7, 5).eval()
    image = torch.randn(2, 7, 50, 50)
    with torch.no_grad():
        dense = F.linear(net.features(image).flatten(1), net.head.weight.flatten(1), net.head.bias)
        scores = net(image)
    expected = dense[..., None, None].expand(2, 5, 50, 50)
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)


def test_scores_have_the_size_of_the_image(net: nn.Module) -> None:
    for rows, columns in product((1, 2, 5), (1, 3)):
        image = torch.randn(2, BANDS, rows * net.stride, columns * net.stride)
        with torch.no_grad():
            assert net(image).shape == (2, CLASSES, *image.shape[2:])
            assert net(image).isfinite().all()


def test_images_of_a_batch_do_not_touch_each_other(net: nn.Module) -> None:
    images = torch.randn(3, BANDS, 2 * net.stride, 2 * net.stride)
    with torch.no_grad():
        alone = torch.cat([net(image[None]) for image in images])
        torch.testing.assert_close(net(images), alone, rtol=1e-4, atol=1e-5)


def test_every_parameter_learns(net: nn.Module) -> None:
    image = torch.randn(2, BANDS, 3 * net.stride, 3 * net.stride)
    net.train()(image).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_shift_by_the_stride_shifts_the_scores(net: nn.Module) -> None:
    net = net.double()
    side, inner = 12 * net.stride, 5 * net.stride
    image = torch.randn(1, BANDS, side, side, dtype=torch.float64)
    with torch.no_grad():
        whole, part = net(image), net(image[..., net.stride :, net.stride :])
    torch.testing.assert_close(
        whole[..., net.stride + inner : -inner, net.stride + inner : -inner],
        part[..., inner:-inner, inner:-inner],
        rtol=1e-9,
        atol=1e-9,
    )


def test_folded_batch_norms_change_the_scores_by_rounding_alone() -> None:
    torch.manual_seed(0)
    net = CamResNet50(BANDS, CLASSES, num_stages=2)
    image = torch.randn(2, BANDS, 32, 32)
    with torch.no_grad():
        net.train()(image)  # statistics other than those of a fresh layer
        expected = net.eval()(image)
        fold_batch_norms(net)
        assert not [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
        torch.testing.assert_close(net(image), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("build", "first", "stride", "sees"),
    [
        (lambda: CamResNet50(1, 1, num_stages=2).features[0], 2.0, 4, 11),  # the stem
        (lambda: CamResNet50(1, 1, num_stages=2).features, 2.0, 4, 35),
        (lambda: CamResNet50(1, 1, num_stages=3).features, 2.0, 4, 67),
        (lambda: CamResNet50(1, 1, num_stages=4).features, 2.0, 4, 115),
        (lambda: CamResNet50(1, 1, num_stages=5).features, 2.0, 4, 139),
        (lambda: CamBaseline(1, 1, head="gap").features, 7.5, 16, 46),
        # Padded convolutions and poolings keep the first centre; a mean of 2 moves it by half.
        (lambda: Encoder(growth=2), 2 + 4 + 8.0, 32, 2071),
    ],
)
def test_features_see_the_derived_pixels_around_their_centres(
    build: Callable[[], nn.Module], first: float, stride: int, sees: int
) -> None:
    features = build()
    position, length = (1501, 3200) if sees > 1000 else (101, 224)
    image = torch.zeros(1, 1, 16, length)
    image[..., position] = torch.nan
    with torch.no_grad():
        felt = features.eval()(image).isnan().any(1).any(1)[0]
    centres = first + stride * torch.arange(len(felt))
    assert not felt.all()
    assert felt.equal((centres - position).abs() <= (sees - 1) / 2)


def test_the_halo_is_what_features_and_interpolation_see() -> None:
    # From the right a pixel feels the cell at or before it, 35 pixels wide: 17 and 3 less 2.
    assert measure_reach(CamResNet50(BANDS, CLASSES, num_stages=2), BANDS) == Reach(18, 4)


@settings(max_examples=30)
@given(seeds, st.integers(1, 9), st.integers(1, 40))
def test_scores_are_drawn_between_their_centres_and_go_on_beyond(
    seed: int, cells: int, length: int
) -> None:
    values = np.random.default_rng(seed).normal(size=cells)
    grid = CamResNet50(1, 1, num_stages=2)
    pixels = np.arange(length)
    expected = np.interp(pixels, 4.0 * np.arange(cells) + 2, values)
    row = sampled(torch.from_numpy(values).reshape(1, 1, 1, cells), 3, length, grid)
    column = sampled(torch.from_numpy(values).reshape(1, 1, cells, 1), 2, length, grid)
    np.testing.assert_allclose(row.flatten().numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(column.flatten().numpy(), expected, atol=1e-12)


def test_a_resized_map_is_stretched_over_the_whole_image() -> None:
    torch.manual_seed(0)
    net = CamResNet50(BANDS, CLASSES, num_stages=2, align="resize").eval()
    image = torch.randn(1, BANDS, 50, 50)
    with torch.no_grad():
        coarse = net.head(net.features(image))[0, 0].numpy()
        scores = net(image)[0, 0].numpy()
    places = (np.arange(50) + 0.5) * 12 / 50 - 0.5
    rows = np.stack([np.interp(places, np.arange(12), row) for row in coarse])
    expected = np.stack([np.interp(places, np.arange(12), column) for column in rows.T]).T
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


# -- class activation maps -------------------------------------------------------------------------

FEATURES = torch.tensor([[[[1.0, 0], [2, 1]], [[0, 3], [1, 0]]]])
WEIGHTS = torch.tensor([[1.0, -1], [0.5, 0.5], [0, 2]])
BIAS = torch.tensor([0.0, 1, -1])
MAPS = torch.tensor([[[[1.0, -3], [1, 1]], [[0.5, 1.5], [1.5, 0.5]], [[0, 6], [2, 0]]]])


def test_maps_of_two_features_and_three_classes_by_hand() -> None:
    maps = METHODS["cam"](FEATURES, WEIGHTS)
    assert maps.equal(MAPS)
    assert maps.argmax(1).tolist() == [[[0, 2], [2, 0]]]
    assert (mean(maps) + BIAS).tolist() == [[0, 2, 1]]


def test_normalised_maps_by_hand() -> None:
    third = 1 / 3
    expected = [[[[1, 0], [1, 1]], [[third, 1], [1, third]], [[0, 1], [third, 0]]]]
    torch.testing.assert_close(max_normalised(MAPS), torch.tensor(expected), rtol=0, atol=1e-4)


def by_gradients(method: str, features: Tensor, head: nn.Linear) -> Tensor:
    """Maps (K, m, n) of features (D, m, n) as the papers define them, gradients by torch."""
    maps = []
    for score in range(head.out_features):
        own = features.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(head(own.mean((1, 2)))[score], own)
        if method == "layercam":
            maps.append((gradient.relu() * features).sum(0).relu())
            continue
        alpha = torch.ones_like(features) / features[0].numel()
        weight = (alpha * gradient).sum((1, 2))
        if method == "gradcam++":
            total = features.sum((1, 2), keepdim=True)
            alpha = gradient**2 / (2 * gradient**2 + total * gradient**3)
            weight = (alpha * gradient.relu()).sum((1, 2))
        maps.append((weight[:, None, None] * features).sum(0).relu())
    return torch.stack(maps).detach()


@settings(max_examples=20)
@given(seeds, st.sampled_from(["gradcam", "gradcam++", "layercam"]))
def test_maps_are_those_that_gradients_give(seed: int, method: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(6, 5, 4, generator=generator, dtype=torch.float64).relu()
    head = nn.Linear(6, 3, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(torch.randn(3, 6, generator=generator, dtype=torch.float64))
        found = METHODS[method](features[None], head.weight)[0]
    torch.testing.assert_close(found, by_gradients(method, features, head), rtol=1e-9, atol=1e-12)


def test_maps_of_a_window_of_144_cells_keep_to_their_identities() -> None:
    torch.manual_seed(0)
    net = CamResNet50(7, 5, num_stages=2).eval()
    with torch.no_grad():
        features = net.features(torch.randn(2, 7, 50, 50))
        weights = net.head.weight[..., 0, 0]
        maps = {name: method(features, weights) for name, method in METHODS.items()}
        logits = net.head(features).mean((2, 3))
    # Sums over 256 features of random weights, so rounding grows with the scores.
    atol = 1e-5 * float(maps["cam"].abs().max())
    torch.testing.assert_close(mean(maps["cam"]) + net.head.bias, logits, rtol=1e-5, atol=atol)
    torch.testing.assert_close(maps["gradcam"], maps["cam"].relu() / 144)
    by_hand = torch.einsum("kd,bdmn->bkmn", weights.clamp(min=0), features) / 144
    torch.testing.assert_close(maps["layercam"], by_hand)
    assert {each.shape for each in maps.values()} == {(2, 5, 12, 12)}


def test_maps_with_the_bias_are_the_scores_of_the_classifier() -> None:
    net = tiny(bias=True)
    image = torch.randn(2, BANDS, 16, 24)
    with torch.no_grad():
        net.base.head.bias.uniform_()
        torch.testing.assert_close(net(image), net.base(image))
        net.bias = False
        shift = net.base.head.bias[:, None, None]
        torch.testing.assert_close(net(image) + shift, net.base(image))


@pytest.mark.parametrize("options", [{"normalise": "max", "gate": True}, {"method": "gradcam++"}])
def test_in_training_maps_are_those_of_the_classifier(options: dict[str, Any]) -> None:
    net = tiny(**options).train()
    image = torch.randn(2, BANDS, 16, 16)
    torch.testing.assert_close(net(image), net.base(image))
    assert net(image).shape == (2, CLASSES, 4, 4)


def test_a_trained_classifier_lends_its_weights() -> None:
    torch.manual_seed(0)
    trained = CamResNet50(BANDS, CLASSES, num_stages=2).eval()
    net = CamNet(BANDS, CLASSES, num_stages=2, bias=True).eval()
    net.base.load_state_dict(trained.state_dict())
    image = torch.randn(1, BANDS, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(net(image), trained(image))


def test_maps_of_the_baseline_are_those_with_a_mean() -> None:
    with torch.device("meta"):
        assert count(CamNet(7, 5, base="baseline")) == 390_853
        assert CamNet(7, 5, base="baseline").stride == 16


def test_plain_maps_have_a_halo_and_those_of_the_whole_window_have_none() -> None:
    assert measure_reach(tiny(), BANDS) == measure_reach(tiny().base, BANDS)
    assert measure_reach(tiny(), BANDS).halo is not None
    whole: list[dict[str, Any]] = [
        {"gate": True},
        {"normalise": "max"},
        {"method": "gradcam"},
        {"method": "gradcam++"},
        {"method": "layercam-fused"},
        {"normalise": "max", "background": "power"},
    ]
    for options in whole:
        assert measure_reach(tiny(**options), BANDS).halo is None, options


def test_improbable_classes_are_ruled_out_save_for_the_most_probable() -> None:
    maps = torch.ones(2, 3, 1, 2)
    logits = torch.tensor([[1.0, -1.0, 0.0], [-3.0, -2.0, -4.0]])
    out = -torch.inf
    assert gated(maps, logits)[..., 0].flatten(1).tolist() == [[1, out, 1], [out, 1, out]]
    net = tiny(gate=True)
    image = torch.randn(1, BANDS, 16, 16)
    with torch.no_grad():
        net.base.head.bias.copy_(torch.tensor([-99.0, -98, -97, 99]))
        assert (net(image).argmax(1) == 3).all()


@pytest.mark.parametrize(("background", "value"), [("const", 0.3), ("power", 2.0)])
def test_a_background_without_a_class_is_where_the_others_are_weak(
    background: str, value: float
) -> None:
    net = tiny(normalise="max", background=background, background_value=value)
    image = torch.randn(2, BANDS, 16, 16)
    with torch.no_grad():
        scores = net(image)
        net.background = "class"
        others = net(image)[:, 1:]
    expected = np.full((2, 16, 16), value, np.float32)
    if background == "power":
        expected = (1 - others.numpy().max(1)) ** value
    assert scores[:, 1:].equal(others)
    np.testing.assert_allclose(scores[:, 0].numpy(), expected, rtol=1e-6, atol=1e-7)


def test_a_background_without_a_class_is_everywhere_where_no_class_is_probable() -> None:
    net = tiny(normalise="max", gate=True, background="power")
    with torch.no_grad():
        net.base.head.bias.copy_(torch.tensor([99.0, -99, -99, -99]))
        scores = net(torch.randn(1, BANDS, 16, 16))
    assert (scores[:, 0] == 1).all()
    assert (scores.argmax(1) == 0).all()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (CamResNet50, {"num_stages": 6}, r"num_stages=6: give a whole number from 2 to 5"),
        (CamResNet50, {"num_stages": 2.0}, r"num_stages=2.0: give a whole number"),
        (CamResNet50, {"in_channels": 0}, r"in_channels=0: give a whole number from 1"),
        (CamResNet50, {"align": "corners"}, r"align='corners': choose from exact, resize"),
        (CamBaseline, {"head": "max"}, r"head='max': choose from flatten, gap"),
        (CamBaseline, {"classes": 10**9}, r"classes=1000000000: give a whole number"),
        (CamNet, {"base": "vgg"}, r"base='vgg': choose from resnet50, baseline"),
        (CamNet, {"base": "baseline", "num_stages": 3}, r"num_stages=3 .* omit it"),
        (CamNet, {"method": "scorecam"}, r"method='scorecam': choose from cam, gradcam, gradcam\+"),
        (CamNet, {"method": "layercam", "bias": True}, r"only maps of method 'cam' have a bias"),
        (
            CamNet,
            {"method": "layercam-fused", "base": "baseline"},
            r"method 'layercam-fused': base 'baseline' has no stages; choose layercam",
        ),
        (CamNet, {"align": "corners"}, r"align='corners': choose from exact, resize"),
        (CamNet, {"normalise": "mean"}, r"normalise='mean': choose from none, max"),
        (CamNet, {"background": "none"}, r"background='none': choose from class, const, power"),
        (CamNet, {"background": "power"}, r"give normalise 'max'"),
        (CamNet, {"background": "const", "classes": 1}, r"needs 2 classes or more"),
        (CamNet, {"background": "const", "background_value": float("nan")}, r"nan: give a number"),
        (
            CamNet,
            {"background": "power", "normalise": "max", "background_value": 0},
            r"background_value=0: give a power up to 100",
        ),
    ],
)
def test_options_that_make_no_network_are_refused(
    kind: type[nn.Module], options: dict[str, Any], message: str
) -> None:
    with torch.device("meta"), pytest.raises(UserError, match=message):
        kind(**{"in_channels": BANDS, "classes": CLASSES, **options})


# -- pooling ---------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(seeds, st.floats(0.01, 1))
def test_poolings_are_what_their_names_say(seed: int, share: float) -> None:
    scores = np.random.default_rng(seed).normal(0, 2, (2, 3, 4, 5))
    flat, own = scores.reshape(2, 3, 20), torch.from_numpy(scores)
    best = np.sort(flat)[..., ::-1][..., : max(1, round(share * 20))]
    nowhere = np.prod(1 - 1 / (1 + np.exp(-flat)), -1)
    expected = [
        (mean(own), flat.mean(-1)),
        (highest(own), flat.max(-1)),
        (top_share(own, share), best.mean(-1)),
        (log_sum_exp(own, 3.0), np.log(np.exp(3 * flat).mean(-1)) / 3),
        (noisy_or(own), np.log((1 - nowhere) / nowhere)),
    ]
    for found, known in expected:
        np.testing.assert_allclose(found.numpy(), known, rtol=1e-8, atol=1e-8)


@given(seeds)
def test_poolings_between_mean_and_maximum_stay_there(seed: int) -> None:
    scores = torch.from_numpy(np.random.default_rng(seed).normal(0, 5, (1, 2, 6, 6)))
    for between in (top_share(scores), log_sum_exp(scores)):
        assert (mean(scores) <= between + 1e-9).all()
        assert (between <= highest(scores) + 1e-9).all()


@pytest.mark.parametrize("name", sorted(POOLINGS))
@pytest.mark.parametrize("value", [-200.0, 0.0, 200.0])
def test_poolings_of_extreme_scores_have_finite_gradients(name: str, value: float) -> None:
    scores = torch.full((1, 2, 8, 8), value, requires_grad=True)
    pooled = POOLINGS[name](scores)
    pooled.sum().backward()
    assert pooled.shape == (1, 2)
    assert pooled.isfinite().all()
    assert scores.grad.isfinite().all()


# -- labels of pixels ------------------------------------------------------------------------------


class Pointwise(nn.Module):
    """Scores of a pixel from that pixel alone."""

    stride = 4

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([image.sum(1, keepdim=True), 2 - image[:, :1]], 1)


def test_maps_of_a_pointwise_network_are_the_same_in_all_symmetries() -> None:
    windows = torch.randn(2, 3, 8, 8)
    maps = averaged_maps(Pointwise().eval(), windows, scales=(1.0,))
    torch.testing.assert_close(maps, Pointwise()(windows))


def test_averaged_maps_turn_with_their_windows() -> None:
    net = tiny(bias=True)
    windows = torch.randn(1, BANDS, 16, 16)
    maps = averaged_maps(net, windows)
    assert maps.shape == (1, CLASSES, 16, 16)
    for which in SYMMETRIES["all"]:
        turned = averaged_maps(net, symmetry(windows, which))
        torch.testing.assert_close(turned, symmetry(maps, which), rtol=1e-4, atol=1e-5)


def test_scales_are_rounded_to_what_the_network_takes() -> None:
    sides: list[tuple[int, ...]] = []

    class Recording(Pointwise):
        def forward(self, image: Tensor) -> Tensor:
            sides.append(tuple(image.shape[2:]))
            return super().forward(image)

    flat = torch.full((1, 3, 8, 12), 0.5)
    maps = averaged_maps(Recording().eval(), flat, scales=(1.0, 1.3))
    assert {tuple(sorted(each)) for each in sides} == {(8, 12), (12, 16)}
    torch.testing.assert_close(maps, Pointwise()(flat))


def test_maps_are_averaged_in_evaluation_mode_alone() -> None:
    with pytest.raises(UserError, match=r"training=True: .* call net.eval\(\) first"):
        averaged_maps(Pointwise().train(), torch.zeros(1, 3, 8, 8))
    with pytest.raises(UserError, match=r"maps at 0 scales"):
        averaged_maps(Pointwise().eval(), torch.zeros(1, 3, 8, 8), scales=())


def around(row: int, column: int, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """The 32 pixels that speak to a pixel, those of the border again for what lies outside."""
    steps = [s for s in product((-1, 0, 1), repeat=2) if s != (0, 0)]
    return [
        (min(max(row + d * y, 0), shape[0] - 1), min(max(column + d * x, 0), shape[1] - 1))
        for d in (1, 2, 4, 8)
        for y, x in steps
    ]


def test_one_refinement_is_a_mean_weighted_by_likeness() -> None:
    rng = np.random.default_rng(0)
    image, maps = rng.normal(size=(2, 5, 6)), rng.normal(size=(3, 5, 6))
    expected = np.empty_like(maps)
    for row, column in np.ndindex(5, 6):
        others = around(row, column, (5, 6))
        bands = np.array([image[:, r, c] for r, c in others])
        own = image[:, row, column]
        spread = np.std(np.vstack([bands, own]), axis=0, ddof=1)
        likeness = np.exp(-(np.abs(bands - own) / (0.1 * spread)).mean(1))
        values = np.array([maps[:, r, c] for r, c in others])
        expected[:, row, column] = likeness @ values / likeness.sum()
    found = refined(torch.from_numpy(maps)[None], torch.from_numpy(image)[None], iterations=1)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-9)


def test_maps_do_not_flow_over_an_edge() -> None:
    image = torch.zeros(1, 2, 20, 20)
    image[..., 10:] = 1.0
    maps = image[:, :1].clone()
    torch.testing.assert_close(refined(maps, image), maps, rtol=0, atol=1e-3)
    speckled = (maps + 0.5 * torch.randn(1, 1, 20, 20)).clamp(0, 1)
    smooth = refined(speckled, image)
    assert smooth[..., :10].std() < 0.2 * speckled[..., :10].std()


@settings(max_examples=15)
@given(seeds)
def test_refined_maps_stay_within_their_limits(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image, maps = torch.randn(2, 1, 3, 7, 9, generator=generator)
    found = refined(maps, image)
    assert maps.min() - 1e-6 <= found.min()
    assert found.max() <= maps.max() + 1e-6
    assert refined(maps, torch.zeros_like(image)).isfinite().all()


def test_labels_are_given_where_maps_are_sure() -> None:
    # Five pixels: sure of 1, sure of 2, in doubt, background, both sure.
    one = [0.9, 0.1, 0.5, 0.1, 0.8]
    two = [0.3, 0.75, 0.6, 0.19, 0.95]
    maps = torch.tensor([[[0.0] * 5], [one], [two]])[:, 0][None, :, None]
    assert pseudo_labels(maps).tolist() == [[[1, 2, IGNORE, 0, 2]]]
    present = torch.tensor([[True, True, False]])
    assert pseudo_labels(maps, present).tolist() == [[[1, 0, IGNORE, 0, 1]]]
    present = torch.tensor([[False, True, True]])
    assert pseudo_labels(maps, present).tolist() == [[[1, 2, IGNORE, IGNORE, 2]]]
    assert pseudo_labels(maps, foreground=0.55, background=0.55).tolist() == [[[1, 2, 2, 0, 2]]]


def test_thresholds_that_overlap_and_single_classes_are_refused() -> None:
    with pytest.raises(UserError, match=r"background 0.8 and foreground 0.7: give two numbers"):
        pseudo_labels(torch.zeros(1, 2, 1, 1), background=0.8)
    with pytest.raises(UserError, match=r"maps of 1 classes: give the background and another"):
        pseudo_labels(torch.zeros(1, 1, 1, 1))


def test_the_last_stage_alone_gives_normalised_layercam() -> None:
    torch.manual_seed(0)
    net = CamResNet50(BANDS, CLASSES, num_stages=2).double().eval()
    windows = torch.randn(2, BANDS, 32, 24, dtype=torch.float64)
    with torch.no_grad():
        maps = METHODS["layercam"](net.features(windows), net.head.weight[..., 0, 0])
    with torch.no_grad():
        torch.testing.assert_close(fused_layer_cam(net, windows), max_normalised(maps))


def test_fused_maps_are_nowhere_below_those_of_the_last_stage() -> None:
    torch.manual_seed(0)
    net = CamResNet50(BANDS, 2, num_stages=3).eval()
    windows = torch.randn(1, BANDS, 32, 32)
    fused = fused_layer_cam(net, windows)
    with torch.no_grad():
        maps = METHODS["layercam"](net.features(windows), net.head.weight[..., 0, 0])
        last = max_normalised(maps)
    assert (fused >= last - 1e-4).all()
    assert (fused > last + 0.01).any()
    assert fused.max() <= 1
    assert all(each.grad is None for each in net.parameters())


@pytest.mark.parametrize("quiet", [torch.no_grad, torch.inference_mode])
def test_maps_of_all_stages_are_a_method_also_for_those_who_ask_for_no_gradients(
    quiet: Callable[[], AbstractContextManager[None]],
) -> None:
    torch.manual_seed(0)
    net = CamNet(BANDS, CLASSES, num_stages=3, method="layercam-fused", align="resize").eval()
    with quiet():
        windows = torch.randn(2, BANDS, 32, 24)
        found = net(windows).clone()
    coarse = fused_layer_cam(net.base, windows)
    expected = F.interpolate(coarse, (32, 24), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, expected)
    net.method = "layercam"
    with torch.no_grad():
        assert not torch.allclose(max_normalised(net(windows)), expected, atol=0.01)
    assert all(each.grad is None for each in net.parameters())


@pytest.mark.parametrize("base", ["resnet50", "baseline"])
def test_maps_are_aligned_as_those_of_their_classifier(base: str) -> None:
    torch.manual_seed(0)
    net = CamNet(BANDS, CLASSES, base=base, align="resize", bias=True).eval()
    windows = torch.randn(1, BANDS, 50, 50)
    with torch.no_grad():
        coarse = net.pooled(windows)
        stretched = F.interpolate(coarse, (50, 50), mode="bilinear", align_corners=False)
        torch.testing.assert_close(net(windows), stretched)
        net.base.align = "exact"
        assert not torch.allclose(net(windows), stretched, atol=1e-3)


# -- learning where from what ----------------------------------------------------------------------

SIDE = 24
KINDS = 5  # spectra of the background, which is what fields of no other class have in common
SATURATED, SPARSE = (0.6, 0.1, 0.1, 0.1, 0.1), (0.3, 0.175, 0.175, 0.175, 0.175)
"""Shares of the background and four crops."""


def mosaics(
    count: int,
    rng: np.random.Generator,
    spectra: Any,
    fields: tuple[int, int],
    shares: tuple[float, ...],
) -> tuple[Tensor, Tensor]:
    """Windows of fields, nearest to a point each: pixels (B, 7, h, w) and classes."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    labels = np.empty((count, SIDE, SIDE), np.int64)
    looks = labels.copy()
    for own, look in zip(labels, looks, strict=True):
        points = rng.uniform(0, SIDE, (rng.integers(*fields), 2))
        classes = rng.choice(len(shares), len(points), p=shares)
        kinds = rng.integers(0, KINDS, len(points))
        distance = (rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2
        nearest = distance.argmin(-1)
        own[:] = classes[nearest]
        look[:] = np.where(classes == 0, kinds, KINDS - 1 + classes)[nearest]
    pixels = spectra[looks] + rng.normal(0, 0.3, (*labels.shape, 7))
    pixels = pixels.transpose(0, 3, 1, 2).astype(np.float32)
    return torch.from_numpy(pixels), torch.from_numpy(labels)


def convolution(inputs: int, outputs: int) -> list[nn.Module]:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


def taught(
    fields: tuple[int, int], shares: tuple[float, ...], windows: int
) -> tuple[Tensor, float, float, float]:
    """Prevalence of the classes, and which share of unseen pixels is right.

    Given the commonest class, the highest of the maps, and the highest of normalised, gated ones.
    """
    rng = np.random.default_rng(2)
    torch.manual_seed(2)
    spectra = rng.normal(0, 1, (KINDS + len(shares) - 1, 7))
    pixels, labels = mosaics(windows, rng, spectra, fields, shares)
    unseen, truth = mosaics(60, rng, spectra, fields, shares)
    present = F.one_hot(labels, len(shares)).amax((1, 2)).float()
    net = CamNet(7, len(shares), num_stages=2)
    features = nn.Sequential(*convolution(7, 16), *convolution(16, 16))
    net.base = Classifier(features, nn.Conv2d(16, len(shares), 1), (0.0, 1), "exact")
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    net.train()
    for _ in range(400):
        chosen = torch.from_numpy(rng.integers(0, len(pixels), 16))
        scores = mean(net(pixels[chosen]))
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(scores, present[chosen]).backward()
        optimiser.step()
    net.eval()
    plain = share_right(net, unseen, truth)
    net.normalise, net.gate = "max", True
    commonest = float(truth.flatten().bincount().max() / truth.numel())
    return present.mean(0), commonest, plain, share_right(net, unseen, truth)


def test_where_windows_have_nearly_all_classes_normalised_maps_are_better() -> None:
    # Of six seeds the gain was 0.09 to 0.16, for windows are few and the classifier has seen them
    # often; of two with 800 windows and 32 epochs it was 0 and 0.02.
    prevalence, commonest, plain, normalised = taught((12, 31), SATURATED, windows=60)
    assert prevalence.min() > 0.75
    assert prevalence.max() > 0.99
    assert normalised >= plain + 0.10
    assert normalised > commonest + 0.05


def test_where_windows_have_few_classes_any_map_is_good() -> None:
    prevalence, commonest, plain, normalised = taught((2, 7), SPARSE, windows=300)
    assert 0.35 < prevalence.min() < prevalence.max() < 0.8
    assert commonest < 0.5
    assert plain > 0.9
    assert normalised > 0.9


def share_right(net: nn.Module, windows: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float((net(windows).argmax(1) == labels).float().mean())
