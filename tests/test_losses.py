"""Losses, against numbers worked out by hand, formulas written out and finite differences."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from geoseg.errors import UserError
from geoseg.loader import IGNORE
from geoseg.metrics import ConfusionMatrix
from geoseg.train.losses import (
    classes_in,
    commonest,
    cross_entropy,
    jaccard_pixel,
    jaccard_region,
    lovasz,
    lovasz_hinge,
    multi_label,
    over_heads,
    sigmoid_cross_entropy,
)
from geoseg.train.pooling import POOLINGS
from geoseg.train.stated_loss import LOSSES, loss_of

seeds = st.integers(0, 2**32 - 1)

# Probabilities of four pixels, a row each.
THREE = [(0.7, 0.2, 0.1), (0.1, 0.6, 0.3), (0.2, 0.5, 0.3), (0.3, 0.3, 0.4)]
SEVEN = [
    (0.10, 0.50, 0.10, 0.10, 0.10, 0.05, 0.05),
    (0.05, 0.05, 0.60, 0.10, 0.10, 0.05, 0.05),
    (0.05, 0.20, 0.10, 0.30, 0.20, 0.10, 0.05),
    (0.40, 0.10, 0.10, 0.10, 0.10, 0.10, 0.10),
]
SEVEN_LABELS = (1, 2, 4, 0)


def scores_of(probabilities: list[tuple[float, ...]]) -> Tensor:
    """An image of 2 x 2 pixels whose softmax is what is given."""
    rows = torch.tensor(probabilities, dtype=torch.float64)
    return rows.log().T.reshape(1, -1, 2, 2)


def labels_of(*labels: int) -> Tensor:
    return torch.tensor(labels).reshape(1, 2, 2)


def certain(labels: Tensor, classes: int) -> Tensor:
    """Scores so high for the labels that the other probabilities are 0."""
    one_hot = torch.nn.functional.one_hot(labels, classes).movedim(-1, 1)
    return 2000.0 * one_hot.double()


def random_case(seed: int, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Two windows of 3 x 4 pixels, a third of them without a label."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, (2, 3, 4))
    labels[rng.random(labels.shape) < 0.3] = IGNORE
    scores = torch.from_numpy(rng.normal(0, 2, (2, classes, 3, 4)))
    return scores, torch.from_numpy(labels)


def softmax(scores: Tensor) -> np.ndarray:
    powers = np.exp(scores.numpy() - scores.numpy().max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


# -- Lovász-Softmax --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "options", "expected"),
    [
        ((0, 1, 2, 2), {}, 0.466667),
        ((0, 1, 2, 2), {"classes": "all"}, 0.466667),
        ((0, 1, 2, 2), {"classes": [0]}, 0.30),
        ((0, 1, 2, 2), {"classes": [1]}, 0.45),
        ((0, 1, 2, 2), {"classes": [2]}, 0.65),
        ((0, 0, 2, 2), {}, 0.625),
        ((0, 0, 2, 2), {"classes": "all"}, 0.616667),
        ((0, 1, 2, 2), {"unscored": 0}, 0.55),
        ((IGNORE, 1, 2, 2), {}, 0.55),
    ],
)
def test_lovasz_of_four_pixels(
    labels: tuple[int, ...], options: dict[str, object], expected: float
) -> None:
    loss = lovasz(scores_of(THREE), labels_of(*labels), **options)
    assert float(loss) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("found", "expected"), [((0, 1, 1, 2), 1 / 3), ((0, 1, 2, 2), 0.0)])
def test_lovasz_of_certain_pixels(found: tuple[int, ...], expected: float) -> None:
    # IoU of 0, 1, 1, 2 for 0, 1, 2, 2: 1 of 1, 1 of 2, 1 of 2; their mean is 2/3.
    loss = lovasz(certain(labels_of(*found), 3), labels_of(0, 1, 2, 2))
    assert float(loss) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("which", "expected"), [(1, 0.5), (2, 0.4), (4, 0.8)])
def test_lovasz_of_each_of_seven_classes_without_the_unscored_one(
    which: int, expected: float
) -> None:
    # Its one pixel, of probability p, has the largest error, 1 - p, and with it all of the weight.
    loss = lovasz(scores_of(SEVEN), labels_of(*SEVEN_LABELS), classes=[which], unscored=0)
    assert float(loss) == pytest.approx(expected, abs=1e-12)


def test_cross_entropy_of_four_pixels() -> None:
    expected = -np.log([0.7, 0.6, 0.3, 0.4]).mean()
    assert expected == pytest.approx(0.746941, abs=1e-6)
    loss = cross_entropy(scores_of(THREE), labels_of(0, 1, 2, 2))
    assert float(loss) == pytest.approx(expected, abs=1e-12)


def test_lovasz_of_four_pixels_that_are_all_alike() -> None:
    assert float(lovasz(torch.zeros(1, 3, 2, 2), labels_of(0, 1, 2, 2))) == pytest.approx(2 / 3)


@pytest.mark.parametrize(("per_image", "expected"), [(False, 0.627778), (True, 0.620833)])
def test_lovasz_of_a_batch_is_of_its_pixels_or_the_mean_of_its_windows(
    per_image: bool, expected: float
) -> None:
    scores = scores_of(THREE)
    both = torch.cat([scores, scores.flip(2)])
    labels = torch.cat([labels_of(0, 1, 2, 2), labels_of(0, 0, 2, 2)])
    assert float(lovasz(both, labels, per_image=per_image)) == pytest.approx(expected, abs=1e-6)


def test_the_gradient_of_lovasz_goes_with_the_steps_of_the_jaccard_loss() -> None:
    scores = scores_of(THREE).requires_grad_()
    lovasz(scores, labels_of(0, 1, 2, 2)).backward()
    p = np.array(THREE)
    by_probability = np.array(
        [(-1 / 3, 0, 0), (0, -1 / 6, 0), (0, 1 / 6, -1 / 6), (0, 0, -1 / 6)]
    )  # by hand
    through_softmax = p * (by_probability - (p * by_probability).sum(1, keepdims=True))
    found = scores.grad.reshape(3, 4).T.numpy()
    np.testing.assert_allclose(found, through_softmax, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(seeds, st.integers(2, 4))
def test_lovasz_of_certain_scores_is_one_less_mean_iou(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    truth = torch.from_numpy(rng.integers(0, classes, (2, 3, 4)))
    found = torch.from_numpy(rng.integers(0, classes, (2, 3, 4)))
    matrix = ConfusionMatrix(classes)
    matrix.update(truth, found)
    present = np.unique(truth)
    loss = lovasz(certain(found, classes), truth)
    assert float(loss) == pytest.approx(1 - matrix.miou(present.tolist()), abs=1e-12)


def test_lovasz_of_an_absent_class_that_is_asked_for_is_its_highest_probability() -> None:
    loss = lovasz(scores_of(THREE), labels_of(0, 0, 2, 2), classes=[1])
    assert float(loss) == pytest.approx(0.6)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_lovasz_sums_errors_by_the_growth_of_the_jaccard_loss(seed: int) -> None:
    scores, labels = random_case(seed)
    known = labels.numpy() != IGNORE
    p = np.moveaxis(softmax(scores), 1, -1)[known]
    truth = labels.numpy()[known]
    losses = []
    for which in np.unique(truth):
        wanted = truth == which
        errors = np.abs(wanted - p[:, which])
        order = np.argsort(-errors)
        missed: set[int] = set()
        before = total = 0.0
        for pixel in order:  # as sets: those missed so far, of those wanted or found
            missed.add(int(pixel))
            hit = {i for i in np.flatnonzero(wanted) if i not in missed}
            either = set(np.flatnonzero(wanted)) | {i for i in missed if not wanted[i]}
            now = 1 - len(hit) / len(either)
            total += errors[pixel] * (now - before)
            before = now
        losses.append(total)
    expected = np.mean(losses) if losses else 0.0
    assert float(lovasz(scores, labels)) == pytest.approx(expected, abs=1e-12)


def test_the_steps_of_lovasz_keep_their_digits_in_single_precision() -> None:
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(0, 1, (1, 2, 400, 400)))
    labels = torch.from_numpy((rng.random((1, 400, 400)) < 0.01).astype(np.int64))
    exact, single = (each.clone().requires_grad_() for each in (scores, scores.float()))
    for each in (exact, single):
        lovasz(each, labels).backward()
    # Differences of two numbers near 1 would have lost half of the small ones.
    off = (single.grad.double() - exact.grad).abs() / exact.grad.abs()
    assert off.median() < 1e-5


def test_lovasz_hinge_of_four_pixels() -> None:
    scores = torch.tensor([2, -0.5, 0.3, -1], dtype=torch.float64).reshape(1, 1, 2, 2)
    labels = labels_of(1, 1, 0, 0)
    loss = lovasz_hinge(torch.cat([torch.zeros_like(scores), scores], 1), labels)
    assert float(loss) == pytest.approx(0.966667, abs=1e-6)
    # The same with anything added to both channels, and with a window that has no label.
    shifted = torch.cat([scores + 3, 2 * scores + 3], 1).repeat(2, 1, 1, 1)
    unlabelled = torch.cat([labels, torch.full_like(labels, IGNORE)])
    for per_image in (False, True):
        again = lovasz_hinge(shifted, unlabelled, per_image=per_image)
        assert float(again) == pytest.approx(0.966667, abs=1e-6)


def test_lovasz_hinge_of_windows_without_a_pixel_of_the_class_is_the_largest_margin() -> None:
    scores = torch.tensor([0.5, -3, 0, -1], dtype=torch.float64).reshape(1, 1, 2, 2)
    loss = lovasz_hinge(torch.cat([torch.zeros_like(scores), scores], 1), labels_of(0, 0, 0, 0))
    assert float(loss) == pytest.approx(1.5)


# -- Jaccard and sums ------------------------------------------------------------------------------


def test_losses_of_four_pixels_with_seven_classes_of_which_one_is_not_scored() -> None:
    scores, labels = scores_of(SEVEN), labels_of(*SEVEN_LABELS)
    found = {
        "all labels": cross_entropy(scores, labels),
        "scored labels": cross_entropy(scores, labels, unscored=0),
        "pixel": jaccard_pixel(scores, labels, unscored=0),
        "region": jaccard_region(scores, labels, unscored=0),
        "region, present": jaccard_region(scores, labels, unscored=0, only_present=True),
        "lovasz": lovasz(scores, labels, unscored=0),
    }
    expected = {
        "all labels": 0.932425,
        "scored labels": 0.937804,
        "pixel": -1.3 / 24,
        "region": -0.164292,
        "region, present": -0.328585,
        "lovasz": 0.566667,
    }
    assert {name: float(each) for name, each in found.items()} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("part", "alpha", "expected"),
    [
        ("jaccard_pixel", 0.5, 0.439129),
        ("jaccard_region", 0.5, 0.384066),
        ("lovasz", 0.5, 0.749546),
        ("jaccard_pixel", 0.15, 0.784437),
        ("jaccard_region", 0.15, 0.767918),
        ("lovasz", 0.15, 0.877562),
    ],
)
def test_sums_with_cross_entropy_have_the_sign_that_each_part_needs(
    part: str, alpha: float, expected: float
) -> None:
    stated = {"cross_entropy": 1 - alpha, part: {"weight": alpha, "unscored": 0}}
    loss = loss_of(stated)(scores_of(SEVEN), labels_of(*SEVEN_LABELS))
    assert float(loss) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([None, 0, 2]))
def test_the_jaccard_index_by_pixels_is_equation_three_written_out(
    seed: int, unscored: int | None
) -> None:
    scores, labels = random_case(seed)
    p, truth = softmax(scores), labels.numpy()
    total, count = 0.0, int((truth != IGNORE).sum())
    scored = [which for which in range(3) if which != unscored]
    for image, row, column in np.argwhere(truth != IGNORE):
        for which in scored:
            y, found = float(truth[image, row, column] == which), p[image, which, row, column]
            total += y * found / (y + found - y * found)
    expected = -total / (len(scored) * count) if count else 0.0
    assert float(jaccard_pixel(scores, labels, unscored=unscored)) == pytest.approx(expected)


def test_the_gradient_of_the_jaccard_index_by_pixels_is_the_same_for_every_pixel() -> None:
    # d/dp = -1 / (scored classes * pixels) at the true class, taken through the softmax.
    scores = scores_of(SEVEN).requires_grad_()
    jaccard_pixel(scores, labels_of(*SEVEN_LABELS), unscored=0).backward()
    p = np.array(SEVEN)
    by_probability = np.zeros((4, 7))
    by_probability[[0, 1, 2], [1, 2, 4]] = -1 / 24
    through_softmax = p * (by_probability - (p * by_probability).sum(1, keepdims=True))
    np.testing.assert_allclose(scores.grad.reshape(7, 4).T.numpy(), through_softmax, atol=1e-12)


# By hand: e.g. of class 1, 0.5 of 1 + (0.5 + 0.05 + 0.2 + 0.1) - 0.5.
REGIONS = [0.4 / (1 + 0.6 - 0.4), 0.370370, 0.461538, 0, 0.153846, 0, 0]


@pytest.mark.parametrize("which", range(7))
def test_the_jaccard_index_of_each_region(which: int) -> None:
    scores, labels = scores_of(SEVEN), labels_of(*SEVEN_LABELS)
    # The sum over all classes, less that over all but one.
    alone = 6 * jaccard_region(scores, labels, unscored=which) - 7 * jaccard_region(scores, labels)
    assert float(alone) == pytest.approx(REGIONS[which], abs=1e-6)


def test_the_jaccard_index_of_regions_is_averaged_over_those_that_are_there() -> None:
    present = jaccard_region(scores_of(SEVEN), labels_of(*SEVEN_LABELS), only_present=True)
    assert float(present) == pytest.approx(-sum(REGIONS) / 4, abs=1e-6)


def test_the_jaccard_index_by_pixels_of_the_truth_is_its_bound() -> None:
    # Three scored pixels of four, over six scored classes: an eighth; a sixth where all are scored.
    labels, scored = labels_of(*SEVEN_LABELS), labels_of(1, 2, 4, 6)
    assert float(jaccard_pixel(certain(labels, 7), labels, unscored=0)) == -0.125
    assert float(jaccard_pixel(certain(scored, 7), scored, unscored=0)) == pytest.approx(-1 / 6)


@settings(deadline=None, max_examples=30)
@given(seeds, st.booleans(), st.sampled_from([None, 1]))
def test_regions_of_images_are_averaged_over_those_with_a_label(
    seed: int, only_present: bool, unscored: int | None
) -> None:
    scores, labels = random_case(seed)
    options = {"only_present": only_present, "unscored": unscored}
    single = [
        float(jaccard_region(scores[[i]], labels[[i]], **options))
        for i in range(2)
        if set(labels[i].unique().tolist()) - ({IGNORE, unscored} if only_present else {IGNORE})
    ]
    void = torch.full_like(labels[:1], IGNORE)
    found = jaccard_region(
        torch.cat([scores, scores[:1]]), torch.cat([labels, void]), per_image=True, **options
    )
    assert float(found) == pytest.approx(np.mean(single) if single else 0.0)


# -- what holds for all ----------------------------------------------------------------------------

ALL = {name: partial(LOSSES[name]) for name in LOSSES} | {
    "lovasz by image": partial(lovasz, per_image=True),
    "lovasz of all classes": partial(lovasz, classes="all"),
    "lovasz, one class not scored": partial(lovasz, unscored=0),
    "hinge by image": partial(lovasz_hinge, per_image=True),
    "region by image": partial(jaccard_region, per_image=True, only_present=True),
    "cross-entropy and Jaccard": loss_of({"cross_entropy": 0.5, "jaccard_region": 0.5}),
    "cross-entropy and Lovász": loss_of({"cross_entropy": 0.5, "lovasz": 0.5}),
}
of_all = pytest.mark.parametrize("name", ALL)


@of_all
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    scores, labels = random_case(3, classes=2)
    assert torch.autograd.gradcheck(lambda s: ALL[name](s, labels), scores.requires_grad_())


@of_all
def test_a_batch_without_a_label_gives_a_zero_that_can_be_differentiated(name: str) -> None:
    scores = torch.randn(2, 2, 3, 3, requires_grad=True)
    loss = ALL[name](scores, torch.full((2, 3, 3), IGNORE))
    assert loss.shape == ()
    loss.backward()
    assert loss.item() == 0.0
    assert not scores.grad.any()


@of_all
def test_pixels_without_a_label_change_nothing(name: str) -> None:
    scores, labels = random_case(5, classes=2)
    other = scores.clone()
    other.movedim(1, -1)[labels == IGNORE] += torch.tensor([4.0, -9.0], dtype=torch.float64)
    if name not in ("multi_label", "single_label"):  # whose scores are those of whole windows
        assert float(ALL[name](other, labels)) == float(ALL[name](scores, labels))
    window = torch.full_like(labels[:1], IGNORE)
    more = ALL[name](torch.cat([scores, scores[:1]]), torch.cat([labels, window]))
    windows = 3 / 2 if name == "sigmoid_cross_entropy" else 1  # divided by all of the batch
    assert float(more) * windows == pytest.approx(float(ALL[name](scores, labels)))


@of_all
def test_the_order_of_pixels_does_not_matter(name: str) -> None:
    scores, labels = random_case(7, classes=2)
    order = torch.from_numpy(np.random.default_rng(0).permutation(12))
    moved = [each.flatten(-2)[..., order].unflatten(-1, (3, 4)) for each in (scores, labels)]
    assert float(ALL[name](*moved)) == pytest.approx(float(ALL[name](scores, labels)))


@of_all
def test_half_precision_is_summed_in_single_precision(name: str) -> None:
    scores, labels = random_case(9, classes=2)
    half = scores.bfloat16()
    expected = ALL[name](half.float(), labels)
    with torch.autocast("cpu", torch.bfloat16):
        loss = ALL[name](half, labels)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


@of_all
def test_the_truth_costs_less_than_knowing_nothing(name: str) -> None:
    labels = labels_of(0, 1, 1, 0)
    if name in ("multi_label", "single_label"):
        labels = labels_of(1, 1, 1, 1)
    known = ALL[name](certain(labels, 2), labels)
    assert float(known) < float(ALL[name](torch.zeros(1, 2, 2, 2), labels)) - 0.1


@of_all
def test_a_step_against_the_gradient_makes_it_smaller(name: str) -> None:
    scores, labels = random_case(11, classes=2)
    before = ALL[name](scores.requires_grad_(), labels)
    before.backward()
    after = ALL[name](scores.detach() - 0.05 * scores.grad, labels)
    assert float(after) < float(before.detach())


# -- sigmoid cross-entropy -------------------------------------------------------------------------


def test_sigmoid_cross_entropy_is_summed_over_a_window_and_averaged_over_windows() -> None:
    # ln(1 + e^-2) + ln(1 + e^-1) + ln(1 + e^-0.5) for scores 2, -1, 0.5 and truth 1, 0, 1.
    scores = torch.tensor([2, -1, 0.5], dtype=torch.float64).reshape(1, 1, 1, 3)
    labels = torch.tensor([[[1, 0, 1]]])
    two = torch.cat([torch.zeros_like(scores), scores], 1)
    assert float(sigmoid_cross_entropy(two, labels)) == pytest.approx(0.914267, abs=1e-6)
    assert float(cross_entropy(two, labels)) == pytest.approx(0.304756, abs=1e-6)  # their mean
    again = sigmoid_cross_entropy(two.repeat(4, 1, 1, 1), labels.repeat(4, 1, 1))
    assert float(again) == pytest.approx(0.914267, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_sigmoid_cross_entropy_is_that_of_softmax_with_another_mean(seed: int) -> None:
    scores, labels = random_case(seed, classes=2)
    labelled = int((labels != IGNORE).sum())
    expected = float(cross_entropy(scores, labels)) * labelled / len(labels)
    assert float(sigmoid_cross_entropy(scores, labels)) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["sigmoid_cross_entropy", "lovasz_hinge"])
def test_losses_of_two_classes_refuse_three(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} is for two classes, but there are 3; take"):
        LOSSES[name](torch.zeros(1, 3, 2, 2), labels_of(0, 1, 0, 1))


# -- labels of windows -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(seeds, st.sampled_from(sorted(POOLINGS)))
def test_the_loss_of_a_single_class_is_the_cross_entropy_of_the_commonest_by_hand(
    seed: int, pooling: str
) -> None:
    scores, labels = random_case(seed)
    labels[0, 0] = IGNORE
    expected = []
    for window in range(len(labels)):
        values = labels[window][labels[window] != IGNORE].tolist()
        if values:
            truth = max(range(3), key=lambda which: (values.count(which), -which))
            pooled = POOLINGS[pooling](scores[window : window + 1])[0].numpy()
            expected.append(np.log(np.exp(pooled).sum()) - pooled[truth])
    found = loss_of({"single_label": {"pooling": pooling}})(scores, labels)
    assert float(found) == pytest.approx(np.mean(expected))


def test_of_classes_with_equally_many_pixels_the_first_is_the_commonest() -> None:
    assert commonest(labels_of(2, 1, 1, 2), 3).tolist() == [1]
    assert commonest(labels_of(2, 2, IGNORE, 0), 3).tolist() == [2]
    assert commonest(labels_of(*[IGNORE] * 4), 3).tolist() == [0]


@settings(deadline=None, max_examples=50)
@given(seeds, st.integers(1, 4), st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]))
def test_a_class_is_in_a_window_that_has_enough_of_its_pixels(
    seed: int, min_pixels: int, min_fraction: float
) -> None:
    _, labels = random_case(seed)
    labels[1, :2] = IGNORE
    found = classes_in(labels, 3, min_pixels, min_fraction)
    for window in range(2):
        values = labels[window][labels[window] != IGNORE].tolist()
        for which in range(3):
            count = values.count(which)
            enough = count >= min_pixels and count >= min_fraction * len(values)
            assert found[window, which] == (enough and count > 0)


@pytest.mark.parametrize("percent", range(1, 100))
def test_a_share_of_exactly_the_asked_one_is_enough(percent: int) -> None:
    labels = torch.zeros(1, 10, 10, dtype=torch.int64)
    labels.view(-1)[:percent] = 1
    assert classes_in(labels, 2, min_fraction=percent / 100)[0, 1]
    labels[0, 0, 0] = 0
    assert not classes_in(labels, 2, min_fraction=percent / 100)[0, 1]


def test_multi_label_is_the_mean_over_windows_and_classes_of_pooled_scores() -> None:
    # Scores of the windows are 2, -1, 0.5; the first and the last class are there.
    scores = torch.tensor([2, -1, 0.5], dtype=torch.float64).reshape(1, 3, 1, 1)
    spread = torch.tensor([-3, 3, 1, -1], dtype=torch.float64).reshape(1, 1, 2, 2)
    labels = labels_of(0, 2, 0, IGNORE)
    loss = multi_label(scores + spread, labels)
    assert float(loss) == pytest.approx(0.304756, abs=1e-6)
    both = multi_label(
        torch.cat([scores + spread] * 2), torch.cat([labels, torch.full_like(labels, IGNORE)])
    )
    assert float(both) == pytest.approx(0.304756, abs=1e-6)  # the second has no label


def test_multi_label_takes_another_pooling_and_another_share() -> None:
    scores = torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    scores[0, 1, 0, 0] = 4
    labels = labels_of(1, 0, 0, 0)
    highest = multi_label(scores, labels, pooling=lambda s: s.amax((2, 3)), min_fraction=0.3)
    assert float(highest) == pytest.approx((np.log(2) + np.log1p(np.exp(4))) / 2)
    low = multi_label(scores, labels)
    assert float(low) == pytest.approx((np.log(2) + np.log1p(np.exp(-1))) / 2)


# -- heads -----------------------------------------------------------------------------------------


def test_each_head_learns_from_the_labels_of_its_own_task() -> None:
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(0, 1, (5, 8, 3, 3))).requires_grad_()
    land, road = rng.integers(0, 6, (2, 3, 3)), rng.integers(0, 2, (3, 3, 3))
    land[0, 0], road[1, :2] = IGNORE, IGNORE
    joined = np.concatenate([land, np.where(road == IGNORE, IGNORE, road + 6)])
    loss = over_heads([cross_entropy, loss_of({"cross_entropy": 0.3})], [6, 2])
    expected = cross_entropy(scores[:2, :6], torch.from_numpy(land)) + 0.3 * cross_entropy(
        scores[2:, 6:], torch.from_numpy(road)
    )
    found = loss(scores, torch.from_numpy(joined))
    assert float(found.detach()) == pytest.approx(float(expected.detach()))
    (gradient,) = torch.autograd.grad(found, scores)
    assert not gradient[:2, 6:].any()
    assert not gradient[2:, :6].any()


# -- losses by name --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lovasz", partial(lovasz)),
        ("{lovasz: 1}", partial(lovasz)),
        ("{lovasz: {unscored: 0, per_image: true}}", partial(lovasz, unscored=0, per_image=True)),
        ("{lovasz: {classes: [0, 2]}}", partial(lovasz, classes=[0, 2])),
        ("{jaccard_region: {only_present: true}}", partial(jaccard_region, only_present=True)),
        (
            "{multi_label: {pooling: mean, min_pixels: 2, min_fraction: 0.3}}",
            partial(multi_label, min_pixels=2, min_fraction=0.3),
        ),
        (
            "{cross_entropy: 0.5, lovasz: {weight: 2e-1, unscored: 1}}",
            lambda s, t: 0.5 * cross_entropy(s, t) + 0.2 * lovasz(s, t, unscored=1),
        ),
    ],
)
def test_a_loss_is_stated_as_a_recipe_has_it(text: str, expected: partial[Tensor]) -> None:
    scores, labels = random_case(1)
    found = loss_of(yaml.safe_load(text))(scores, labels)
    assert float(found) == pytest.approx(float(expected(scores, labels)), rel=1e-12)


def test_a_loss_by_name_is_the_function_of_that_name_bit_by_bit() -> None:
    scores, labels = random_case(2)
    for name in set(LOSSES) - {"sigmoid_cross_entropy", "lovasz_hinge"}:
        assert loss_of(name)(scores, labels).equal(LOSSES[name](scores, labels))


def test_class_weights_are_those_of_the_cross_entropy() -> None:
    scores, labels = random_case(4)
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    found = loss_of({"cross_entropy": 0.5, "lovasz": 0.5}, weights)(scores, labels)
    expected = (cross_entropy(scores, labels, weights) + lovasz(scores, labels)) / 2
    assert float(found) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lovas", r"there is no loss 'lovas'; choose from cross_entropy, .*, lovasz"),
        ("{dice: 1}", r"there is no loss 'dice'"),
        ("3", r"loss=3: give a name, or names with weights, of cross_entropy, "),
        ("{}", r"loss=\{\}: give a name"),
        ("[lovasz]", r"loss=\['lovasz'\]: give a name"),
        ("{lovasz: 0}", r"loss lovasz: weight=0: give a number above 0"),
        ("{lovasz: -1}", r"weight=-1: give a number above 0"),
        ("{lovasz: .inf}", r"weight=inf: give a number above 0"),
        ("{lovasz: true}", r"weight=True: give a number above 0"),
        ("{lovasz: half}", r"weight=half: give a number above 0"),
        ("{lovasz: [1]}", r"weight=\[1\]: give a number above 0"),
        ("{lovasz: null}", r"weight=None: give a number above 0"),
        ("{lovasz: {gamma: 2}}", r"loss lovasz has no option gamma; choose from weight, classes"),
        ("{cross_entropy: {weights: [1, 2]}}", r"cross_entropy has no option weights; choose"),
        ("{lovasz: {unscored: -1}}", r"unscored=-1: give the number of a class, from 0"),
        ("{lovasz: {unscored: unknown}}", r"unscored=unknown: give the number of a class"),
        ("{lovasz: {per_image: 1}}", r"per_image=1: give true or false"),
        ("{lovasz: {classes: some}}", r"classes=some: give present, all, or a list of numbers"),
        ("{lovasz: {classes: []}}", r"classes=\[\]: give present"),
        ("{lovasz: {classes: [1, 1]}}", r"classes=\[1, 1\]: give present"),
        ("{multi_label: {pooling: best}}", r"pooling=best: give the name of a pooling, of mean"),
        ("{multi_label: {min_pixels: 0}}", r"min_pixels=0: give a whole number of 1 or more"),
        (
            "{single_label: {min_fraction: 0.1}}",
            r"has no option min_fraction; choose from weight, p",
        ),
        ("{single_label: 1, multi_label: 1}", r"one class each or may have several; leave out mul"),
        ("{multi_label: {min_fraction: 5}}", r"min_fraction=5: give a number from 0 to 1"),
    ],
)
def test_losses_that_cannot_be_meant_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        loss_of(yaml.safe_load(text))


@pytest.mark.parametrize("name", ["cross_entropy", "jaccard_pixel", "jaccard_region", "lovasz"])
def test_a_class_that_the_network_does_not_give_is_refused(name: str) -> None:
    loss = loss_of({name: {"unscored": 3}})
    with pytest.raises(UserError, match=r"names class 3, but there are 3 classes; give 0 to 2"):
        loss(torch.zeros(1, 3, 2, 2), labels_of(0, 1, 2, 2))


def test_a_word_that_is_no_choice_of_classes_is_refused() -> None:
    with pytest.raises(UserError, match="classes=presnt: give present, all, or a list"):
        lovasz(torch.zeros(1, 3, 2, 2), labels_of(0, 1, 2, 2), classes="presnt")
