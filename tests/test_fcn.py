"""The fully convolutional network without padding, and the patch network: geometry and seams."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from toys import random_image, segmenter_of, whole_image_scores

import geoseg
from geoseg import nets
from geoseg.errors import UserError
from geoseg.exchange import export_model
from geoseg.nets.fcn import MaggioriFCN, PatchCNN
from geoseg.nets.scores import scores_of
from geoseg.reach import Reach, measure_reach
from geoseg.segmenter import Segmenter, load
from geoseg.train.losses import cross_entropy

KINDS = {"maggiori_fcn": MaggioriFCN, "patch_cnn": PatchCNN}
BANDS, CLASSES = 3, 4


def build(kind: type[nn.Module], classes: int = CLASSES) -> nn.Module:
    torch.manual_seed(0)
    return kind(BANDS, classes).eval()


@pytest.fixture(params=sorted(KINDS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def counts(net: nn.Module) -> list[int]:
    """Parameters of each layer that has any."""
    layers = [each for each in net.modules() if isinstance(each, nn.Conv2d | nn.ConvTranspose2d)]
    return [sum(p.numel() for p in layer.parameters()) for layer in layers]


def mirrored(image: Tensor, before: int, after: tuple[int, int]) -> Tensor:
    """Mirrored by numpy: as much before every axis, and so much after each."""
    pad = ((0, 0), (0, 0), *((before, each) for each in after))
    return torch.from_numpy(np.pad(image.numpy(), pad, mode="reflect"))


# -- sizes -----------------------------------------------------------------------------------------


def test_layers_have_the_published_numbers_of_parameters() -> None:
    # Maggiori et al. 2016: kernels of 12 x 12, 4 x 4, 3 x 3, 9 x 9 and 8 x 8, biases added.
    assert counts(build(MaggioriFCN, 2)) == [27_712, 114_800, 80_720, 6_481, 65]
    assert counts(build(PatchCNN, 2)) == [27_712, 114_800, 80_720, 1_659_136]
    assert sum(counts(build(MaggioriFCN, 2))) == 229_778
    assert sum(counts(build(PatchCNN, 2))) == 1_882_368


@pytest.mark.parametrize("side", [*range(68, 90), 160, 572, 1564])
def test_training_gives_the_centre_as_large_as_published(side: int) -> None:
    with torch.device("meta"):
        scores = MaggioriFCN(3, 2)(torch.zeros(1, 3, side, 80))
    assert scores.shape == (1, 2, 4 * ((side - 12) // 4 - 13), 16)


@pytest.mark.parametrize(("side", "expected"), [(64, 16), (79, 16), (80, 32), (1552, 1504)])
def test_the_patch_network_gives_the_blocks_that_have_their_surroundings(
    side: int, expected: int
) -> None:
    with torch.device("meta"):
        assert PatchCNN(3, 5)(torch.zeros(1, 3, side, 64)).shape == (1, 5, expected, 16)


def test_evaluation_gives_a_score_for_every_pixel_of_any_image(name: str) -> None:
    net = build(KINDS[name])
    for rows, columns in [(1, 1), (2, 7), (16, 48), (33, 20)]:
        with torch.no_grad():
            assert net(torch.randn(2, BANDS, rows, columns)).shape == (2, CLASSES, rows, columns)


@pytest.mark.parametrize(("kind", "least"), [(MaggioriFCN, 68), (PatchCNN, 64)])
def test_training_windows_without_a_centre_are_refused(kind: type[nn.Module], least: int) -> None:
    with torch.device("meta"):
        net = kind(3, 2)
        assert min(net(torch.zeros(1, 3, least, least)).shape[2:]) >= 4
        with pytest.raises(
            UserError, match=rf"{least - 1} x 80 pixels .* crop of at least {least}"
        ):
            net(torch.zeros(1, 3, least - 1, 80))


@pytest.mark.parametrize("options", [(0, 2), (3, 0), (3, 10**9), (3, 2.0), ("three", 2)])
def test_numbers_that_make_no_network_are_refused(name: str, options: tuple[object, ...]) -> None:
    with pytest.raises(UserError, match=r"(in_channels|classes)=.*: give a whole number from 1 to"):
        KINDS[name](*options)


# -- what a pixel sees -----------------------------------------------------------------------------


def footprint(net: nn.Module, row: int, column: int) -> tuple[int, int, int, int]:
    """First and last row and column that an output pixel of an 80 x 80 window depends on."""
    image = torch.rand(1, 3, 80, 80, requires_grad=True)
    net.train()(image)[0, -1, row, column].backward()
    assert image.grad is not None
    rows, columns = image.grad[0].any(0).nonzero().T
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def test_a_pixel_depends_on_68_by_68_pixels() -> None:
    net = MaggioriFCN(3, 2)
    with torch.no_grad():
        for weight in net.parameters():
            weight.abs_()  # nothing cancels, no unit is dead
    assert footprint(net, 0, 0) == (0, 67, 0, 67)
    assert footprint(net, 15, 15) == (12, 79, 12, 79)
    assert footprint(net, 3, 4) == (0, 67, 4, 71)


def test_a_constant_score_is_interpolated_to_itself() -> None:
    net = build(MaggioriFCN)
    scores = torch.tensor([2.0, -1.0, 0.0, 7.0]).reshape(1, 4, 1, 1).expand(1, 4, 5, 5)
    torch.testing.assert_close(net.interpolate(scores), scores[..., :1, :1].expand(1, 4, 16, 16))


def test_scores_lie_between_the_pixels_they_are_interpolated_to() -> None:
    net = build(MaggioriFCN, 2)
    # Score i has seen rows 4 i to 4 i + 63, whose middle is row 31.5 + 4 i; output 0 is row 32.
    middles = 31.5 + 4 * torch.arange(5.0)
    rows = net.interpolate(middles[None, None, :, None].expand(1, 1, 5, 5))
    torch.testing.assert_close(rows[0, 0, :, 3], torch.arange(32.0, 48))


def test_classes_do_not_mix_once_they_are_scored() -> None:
    net = build(MaggioriFCN, 3)
    scores = torch.zeros(1, 3, 5, 5)
    scores[:, 1] = 1
    assert net.interpolate(scores).ne(0).flatten(2).any(2).tolist() == [[False, True, False]]


def test_only_shifts_by_a_multiple_of_four_shift_the_scores() -> None:
    net = build(MaggioriFCN).double().train()
    image = torch.randn(1, BANDS, 96, 88, dtype=torch.float64)
    whole = net(image)
    for shift, alike in [(4, True), (8, True), (2, False), (1, False)]:
        part = net(image[:, :, shift:, :80])
        same = torch.allclose(part[:, :, :16], whole[:, :, shift : shift + 16, :16], atol=1e-9)
        assert same == alike


@pytest.mark.parametrize(("kind", "expected"), [(MaggioriFCN, (32, 4)), (PatchCNN, (32, 16))])
def test_reach_is_measured(kind: type[nn.Module], expected: tuple[int, int]) -> None:
    # Pixels 4 i to 4 i + 3 of the one see rows 4 i - 32 to 4 i + 35: 32 beyond what shifts alike.
    # Pixels 16 i to 16 i + 15 of the other see 24 beyond; the next multiple of its stride is 32.
    net = build(kind, 2)
    assert measure_reach(net, BANDS) == Reach(*expected)
    assert net.stride == expected[1]


@pytest.mark.parametrize("side", range(68, 78))
def test_the_centre_is_the_centre_for_any_size(side: int) -> None:
    net = build(MaggioriFCN).train()
    image = torch.randn(1, BANDS, side, 80)
    with torch.no_grad():
        scores = net(image)
        rows = scores.shape[2]
        first = (side - rows) // 2  # where a loss that is told nothing looks for it
        alone = net(image[:, :, first - 32 : first + rows + 32])
    torch.testing.assert_close(scores, alone)


@settings(max_examples=15)
@given(st.sampled_from(sorted(KINDS)), st.integers(1, 60), st.integers(1, 60))
def test_evaluation_is_training_on_the_mirrored_image(name: str, rows: int, columns: int) -> None:
    net = build(KINDS[name])
    image = torch.randn(1, BANDS, rows, columns)
    margin = {"maggiori_fcn": 32, "patch_cnn": 24}[name]
    after = (margin + -rows % net.stride, margin + -columns % net.stride)
    with torch.no_grad():
        scores = net(image)
        expected = net.train()(mirrored(image, margin, after))[..., :rows, :columns]
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)


# -- two classes -----------------------------------------------------------------------------------


def test_two_classes_share_one_score() -> None:
    net = build(MaggioriFCN, 2)
    with torch.no_grad():
        nothing, score = net(torch.randn(1, BANDS, 16, 16))[0]
    assert not nothing.any()
    assert 0 < (score > 0).float().mean() < 1
    chosen = torch.stack([nothing, score])
    assert torch.equal(chosen.argmax(0), (score > 0).long())
    torch.testing.assert_close(chosen.softmax(0)[1], score.sigmoid())


def test_cross_entropy_of_a_shared_score_is_that_of_the_sigmoid() -> None:
    maps = torch.tensor([2.0, -1.0, 0.5]).reshape(1, 1, 1, 3)
    loss = cross_entropy(scores_of(maps, 2), torch.tensor([[[1, 0, 1]]]))
    assert float(loss) == pytest.approx(0.304756, abs=1e-6)  # by hand: mean of log(1 + exp(-+s))


# -- the patch network -----------------------------------------------------------------------------


def test_a_patch_is_one_product_of_matrices_laid_out_row_by_row() -> None:
    net = build(PatchCNN, 2).train()
    image = torch.randn(1, BANDS, 64, 64)
    with torch.no_grad():
        features = net.features(image).flatten()
        scores = net.connect.weight.reshape(256, 6480) @ features + net.connect.bias
        torch.testing.assert_close(net(image)[0, 1], scores.reshape(16, 16), rtol=1e-4, atol=1e-5)


def test_patches_by_themselves_have_the_scores_of_the_whole() -> None:
    net = build(PatchCNN)
    image = torch.randn(2, BANDS, 50, 70)
    with torch.no_grad():
        torch.testing.assert_close(net.patchwise(image), net(image), rtol=0, atol=1e-5)


def test_a_tile_of_1500_pixels_is_8836_patches() -> None:
    with torch.device("meta"):
        net, image = PatchCNN(3, 2).eval(), torch.zeros(1, 3, 1500, 1500)
    run: list[tuple[int, ...]] = []
    net.features.register_forward_hook(lambda _, inputs, __: run.append(tuple(inputs[0].shape)))
    assert net.patchwise(image).shape == (1, 2, 1500, 1500)
    assert {shape[1:] for shape in run} == {(3, 64, 64)}
    assert sum(shape[0] for shape in run) == 94 * 94 == 8836


# -- at work ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models() -> dict[str, Segmenter]:
    return {name: segmenter_of(build(kind), window=96) for name, kind in KINDS.items()}


@pytest.mark.parametrize("shape", [(1, 1), (3, 70), (130, 31), (150, 171)])
def test_small_windows_equal_the_whole_image(
    models: dict[str, Segmenter], name: str, shape: tuple[int, int]
) -> None:
    model = models[name]
    image = random_image(shape)
    scores = geoseg.predict(image, model, output="scores", window=80, halo=model.card.halo)
    np.testing.assert_allclose(scores, whole_image_scores(model, image.values), atol=1e-5)


@pytest.mark.parametrize(("claimed", "alike"), [(4, True), (2, False)])
def test_windows_that_begin_between_the_steps_are_told_from_the_whole_image(
    models: dict[str, Segmenter], claimed: int, alike: bool
) -> None:
    """The engine begins windows at multiples of the stride in the card, here 4 or, wrongly, 2."""
    model = models["maggiori_fcn"]
    wrong = Segmenter.from_card(model.net, replace(model.card, stride=claimed, halo=32))
    image = random_image((120, 150))
    scores = geoseg.predict(image, wrong, output="scores", window=82, halo=32).values
    expected = whole_image_scores(model, image.values)
    assert np.allclose(scores, expected, atol=1e-5) == alike
    # The first window begins at 0 in any case.
    np.testing.assert_allclose(scores[..., :16, :16], expected[..., :16, :16], atol=1e-5)


def test_every_parameter_learns(name: str) -> None:
    net = build(KINDS[name]).train()
    net(torch.randn(2, BANDS, 80, 80)).square().sum().backward()
    assert [key for key, p in net.named_parameters() if not p.grad.any()] == []


def test_fresh_weights_are_he_normal_bilinear_and_zero() -> None:
    net = build(MaggioriFCN, 2)
    for layer, fan in [(net.features[0], 432), (net.features[2], 1024), (net.score, 6480)]:
        assert float(layer.weight.detach().std()) == pytest.approx((2 / fan) ** 0.5, rel=0.05)
        assert not layer.bias.any()
    taps = torch.tensor([0.125, 0.375, 0.625, 0.875, 0.875, 0.625, 0.375, 0.125])
    torch.testing.assert_close(net.interpolate.weight[0, 0], torch.outer(taps, taps))
    assert not net.interpolate.bias.any()


def test_models_are_saved_and_loaded(
    models: dict[str, Segmenter], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(nets.REGISTRY, name, KINDS[name])
    options = {"in_channels": BANDS, "classes": CLASSES}
    model = segmenter_of(
        nets.build(name, **options), architecture=name, options=options, halo=32, stride=16
    )
    model.save(tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").digest == model.digest


def test_an_exported_network_takes_images_of_any_size(
    models: dict[str, Segmenter], tmp_path: Path
) -> None:
    model = models["maggiori_fcn"]
    export_model(model, tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2").module()
    image = torch.randn(1, BANDS, 32, 112)
    with torch.no_grad():
        torch.testing.assert_close(program(image), model.net(image), rtol=1e-4, atol=1e-4)
