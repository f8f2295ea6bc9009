"""Scores, against counting by hand."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoseg.errors import UserError
from geoseg.metrics import IGNORE, ConfusionMatrix, roc_auc

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
    assert ConfusionMatrix.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


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


def test_arrays_that_do_not_fit_are_refused() -> None:
    matrix = ConfusionMatrix(3)
    with pytest.raises(UserError, match=r"truth of \(2,\) and prediction of \(3,\)"):
        matrix.update([0, 1], [0, 1, 2])
    with pytest.raises(UserError, match="truth holds 0 to 7 but there are 3 classes"):
        matrix.update([0, 7], [0, 1])
    with pytest.raises(UserError, match="0 classes cannot be counted"):
        ConfusionMatrix(0)
