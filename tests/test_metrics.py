"""Scores, against counting by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.errors import UserError
from geoseg.metrics import IGNORE, BinnedRoc, ConfusionMatrix, Discontinuity, roc_auc

K = 4
truths = st.lists(st.sampled_from([*range(K), IGNORE]), min_size=1, max_size=60)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    truth = draw(truths)
    found = st.lists(
        st.sampled_from([*range(K), 255, 200]), min_size=len(truth), max_size=len(truth)
    )
    return truth, draw(found)


def matrix_of(truth: list[int], found: list[int]) -> ConfusionMatrix:
    matrix = ConfusionMatrix(K)
    matrix.update(truth, found)
    return matrix


@given(pairs())
def test_scores_are_what_sets_of_pixels_give(pair: tuple[list[int], list[int]]) -> None:
    truth, found = pair
    matrix = matrix_of(truth, found)
    known = [i for i, t in enumerate(truth) if t != IGNORE]
    for c in range(K):
        true = {i for i in known if truth[i] == c}
        given_ = {i for i in known if found[i] == c}
        both, either = len(true & given_), len(true | given_)
        expected = {
            "iou": both / either if either else np.nan,
            "f1": 2 * both / (len(true) + len(given_)) if either else np.nan,
            "precision": both / len(given_) if given_ else np.nan,
            "recall": both / len(true) if true else np.nan,
        }
        for name, value in expected.items():
            np.testing.assert_allclose(getattr(matrix, name)()[c], value)
        assert matrix.support()[c] == len(true)
    hits = sum(truth[i] == found[i] for i in known)
    np.testing.assert_allclose(matrix.accuracy(), hits / len(known) if known else np.nan)


@given(pairs(), pairs())
def test_matrices_of_parts_add_up_to_that_of_the_whole(
    first: tuple[list[int], list[int]], second: tuple[list[int], list[int]]
) -> None:
    whole = matrix_of(first[0] + second[0], first[1] + second[1])
    assert matrix_of(*first) + matrix_of(*second) == whole


@given(pairs())
def test_pixels_without_truth_change_nothing(pair: tuple[list[int], list[int]]) -> None:
    truth, found = pair
    more = matrix_of([*truth, IGNORE, IGNORE], [*found, 1, 255])
    assert more == matrix_of(truth, found)


def test_the_worked_example_of_the_land_cover_challenge() -> None:
    # Truth and prediction of 16 pixels, classes 1 to 6 scored and 0 unknown; papers' fixture.
    truth = [1, 1, 2, 0, 3, 3, 2, 0, 4, 4, 5, 5, 6, 6, 6, 1]
    found = [1, 2, 2, 1, 3, 3, 2, 0, 4, 0, 5, 5, 6, 6, 1, 1]
    matrix = ConfusionMatrix(7)
    matrix.update([IGNORE if t == 0 else t for t in truth], found)
    scored = range(1, 7)
    np.testing.assert_allclose(matrix.iou()[1:], [0.5, 2 / 3, 1, 0.5, 1, 2 / 3])
    assert matrix.miou(scored) == pytest.approx(0.722222, abs=1e-6)
    counted = ConfusionMatrix(7)
    counted.update(truth, found)
    assert counted.iou()[1] == pytest.approx(0.4)
    assert counted.miou(scored) == pytest.approx(0.705556, abs=1e-6)


def test_kappa_is_agreement_beyond_chance() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update([0] * 25 + [1] * 25, [0] * 20 + [1] * 5 + [0] * 10 + [1] * 15)
    assert matrix.kappa() == pytest.approx((0.7 - 0.5) / (1 - 0.5))


def test_kappa_of_ten_thousand_million_pixels_is_that_of_ten() -> None:
    small, large = ConfusionMatrix(2), ConfusionMatrix(2)
    small.counts[:, :2] = [[4, 1], [1, 4]]
    large.counts[:, :2] = small.counts[:, :2] * 1_000_000_000
    assert large.kappa() == pytest.approx(small.kappa()) == pytest.approx(0.6)


def test_a_class_that_never_occurs_has_no_score_and_no_part_in_the_mean() -> None:
    matrix = matrix_of([0, 0, 1], [0, 0, 1])
    assert np.isnan(matrix.iou()[2])
    assert matrix.miou() == 1.0
    assert np.isnan(ConfusionMatrix(2).miou())


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),
        ([0.5, 0.5, 0.5, 0.9, 0.1], [0, 1, 1, 1, 0], 0.833333),
        ([0.3, 0.3, 0.3], [0, 1, 1], 0.5),
    ],
)
def test_the_area_under_the_curve_of_toy_scores(
    scores: list[float], labels: list[int], expected: float
) -> None:
    assert roc_auc(scores, labels) == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_the_area_under_the_curve_counts_pairs(cases: list[tuple[int, bool]]) -> None:
    positive = [score for score, label in cases if label]
    negative = [score for score, label in cases if not label]
    wins = [(p > n) + (p == n) / 2 for p, n in product(positive, negative)]
    expected = np.mean(wins) if wins else np.nan
    found = roc_auc([score for score, _ in cases], [label for _, label in cases])
    np.testing.assert_allclose(found, expected)


def binned(scores: np.ndarray, labels: np.ndarray) -> BinnedRoc:
    found = BinnedRoc()
    found.update(scores, labels)
    return found


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),
        ([0.5, 0.5, 0.5, 0.9, 0.1], [0, 1, 1, 1, 0], 0.833333),
        ([0.3, 0.3, 0.3], [0, 1, 1], 0.5),
        ([0.0, 1.0, 0.5], [0, 1, IGNORE], 1.0),
        ([0.2, 0.4], [1, 1], np.nan),
    ],
)
def test_the_binned_area_under_the_curve_of_toy_scores(
    scores: list[float], labels: list[int], expected: float
) -> None:
    for kind in (np.float64, np.float32, np.float16):
        found = binned(np.array(scores, kind), np.array(labels)).auc()
        assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)


# Scores less than a bin apart, so that bins hold pairs.
near = st.lists(
    st.tuples(st.integers(0, 40).map(lambda n: 0.5 + n / 2**20), st.booleans()),
    min_size=2,
    max_size=60,
)


@settings(deadline=None, max_examples=40)
@given(near)
def test_the_binned_area_is_as_near_as_it_says(cases: list[tuple[float, bool]]) -> None:
    scores, labels = (np.array(each) for each in zip(*cases, strict=True))
    exact, found = roc_auc(scores, labels), binned(scores, labels)
    if np.isnan(exact):
        assert np.isnan(found.auc())
        assert np.isnan(found.error())
        return
    assert abs(found.auc() - exact) <= found.error() + 1e-12
    # Half the pairs of one bin over all pairs, counted one by one.
    pairs = list(product(scores[labels], scores[~labels]))
    together = sum(int(p * 2**16) == int(n * 2**16) for p, n in pairs)
    assert found.error() == pytest.approx(together / 2 / len(pairs))


def test_the_error_of_the_binned_area_is_reached() -> None:
    scores, labels = np.array([0.5, 0.5 + 2**-20]), np.array([0, 1])
    found = binned(scores, labels)
    assert roc_auc(scores, labels) == 1.0
    assert (found.auc(), found.error()) == (0.5, 0.5)


def test_many_scores_are_binned_with_an_error_below_a_hundred_thousandth() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(100_000) < 0.2
    scores = 1 / (1 + np.exp(-rng.normal(labels * 2.0, 1.5)))
    found = binned(scores.astype(np.float32), labels)
    assert abs(found.auc() - roc_auc(scores, labels)) <= found.error() < 1e-5


@settings(deadline=None, max_examples=20)
@given(near, near)
def test_binned_counts_of_parts_add_up_to_those_of_the_whole(
    first: list[tuple[float, bool]], second: list[tuple[float, bool]]
) -> None:
    parts = [binned(*zip(*each, strict=True)) for each in (first, second)]
    whole = binned(*zip(*first, *second, strict=True))
    np.testing.assert_array_equal((parts[0] + parts[1]).counts, whole.counts)
    assert whole.counts.sum() == len(first) + len(second)


def test_a_million_million_pairs_do_not_overflow() -> None:
    found = BinnedRoc()
    found.counts[:, [10, 20]] = [[3 * 10**11, 10**11], [10**11, 3 * 10**11]]
    assert found.auc() == pytest.approx((3 * 3 + 3 / 2 + 3 / 2) / 16)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.1, 0.2], [0, 1, 1], r"truth of \(3,\) and prediction of \(2,\) differ"),
        ([0.1, 0.2], [0, 2], "truth holds 0 to 2; give 0 and 1, 255 for pixels to leave out"),
        ([0.1, 1.2], [0, 1], "0.1 to 1.2 are no probabilities; give numbers from 0 to 1"),
        ([-0.1, 0.2], [0, 1], "-0.1 to 0.2 are no probabilities"),
        ([0.1, np.nan], [0, 1], "nan to nan are no probabilities"),
    ],
)
def test_what_cannot_be_binned_is_refused(
    scores: list[float], labels: list[int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        BinnedRoc().update(scores, labels)


# -- seams -----------------------------------------------------------------------------------------


def seams(image: np.ndarray, every: int = 16) -> float:
    found = Discontinuity(every)
    found.update(image)
    return found.index()


def test_an_even_ramp_has_no_seams() -> None:
    rows, columns = np.indices((64, 80))
    assert seams((rows + columns) / 200) == pytest.approx(1)


def test_windows_that_are_each_off_by_a_little_show() -> None:
    # A ramp of 0.001 a pixel, and windows of 16 pixels in a chequerboard 0.1 higher: across a seam
    # half of the differences are 0.101 and half 0.099.
    rows, columns = np.indices((64, 64))
    image = (rows + columns) * 0.001 + ((rows // 16 + columns // 16) % 2) * 0.1
    assert seams(image) == pytest.approx(0.1 / 0.001)
    assert seams(image, 32) == pytest.approx(0.1 / ((60 * 0.001 + 2 * 0.1) / 62))


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_seams_are_the_lines_that_are_multiples_of_the_step(every: int, seed: int) -> None:
    image = np.random.default_rng(seed).random((15, 9))
    at, between = [], []
    for row, column in np.ndindex(image.shape):
        if row:
            change = abs(image[row, column] - image[row - 1, column])
            (between if row % every else at).append(change)
        if column:
            change = abs(image[row, column] - image[row, column - 1])
            (between if column % every else at).append(change)
    assert seams(image, every) == pytest.approx(np.mean(at) / np.mean(between))


def test_several_maps_count_by_their_pixels_and_holes_do_not_count() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((40, 32)), rng.random((20, 50))
    together, alone = Discontinuity(16), [Discontinuity(16), Discontinuity(16)]
    for each, image in zip(alone, (first, second), strict=True):
        together.update(image)
        each.update(image)
    assert (alone[0] + alone[1]).index() == pytest.approx(together.index())
    framed = np.full((100, 32), np.nan)
    framed[:40] = first
    assert seams(framed) == pytest.approx(seams(first))


def test_a_map_without_seams_or_without_change_has_no_index() -> None:
    assert np.isnan(seams(np.random.default_rng(0).random((16, 16))))
    assert np.isnan(seams(np.full((40, 40), 0.3)))


def test_steps_of_seams_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(UserError, match="seams every 1 pixels leave nothing between; give 2"):
        Discontinuity(1)
    with pytest.raises(UserError, match="seams every 16 and every 8 pixels do not add up"):
        Discontinuity(16) + Discontinuity(8)


def test_arrays_that_do_not_fit_are_refused() -> None:
    matrix = ConfusionMatrix(3)
    with pytest.raises(UserError, match=r"truth of \(2,\) and prediction of \(3,\)"):
        matrix.update([0, 1], [0, 1, 2])
    with pytest.raises(UserError, match="truth holds 0 to 7 but there are 3 classes"):
        matrix.update([0, 7], [0, 1])
    with pytest.raises(UserError, match="0 classes cannot be counted"):
        ConfusionMatrix(0)
