"""Scores of multi-label decisions, against scikit-learn, sets and a worked example."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from geoseg.errors import UserError
from geoseg.multilabel import MultiLabel

seeds = st.integers(0, 2**32 - 1)

TRUTH = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 0, 0]]
GIVEN = [[1, 0, 0, 0], [0, 1, 1, 0], [1, 1, 0, 0]]

Case = tuple[np.ndarray, np.ndarray, np.ndarray]


def random_case(seed: int, images: int = 30, classes: int = 5) -> Case:
    """Truth, decisions and scores with ties; some images with no class and some with all."""
    rng = np.random.default_rng(seed)
    truth = rng.random((images, classes)) < rng.random((images, 1))
    truth[0], truth[1] = False, True
    scores = np.round(rng.random((images, classes)) + 0.3 * truth, 1)
    return truth, scores >= 0.7, scores


def counted(truth: np.ndarray, decided: np.ndarray, scores: np.ndarray | None) -> MultiLabel:
    found = MultiLabel(np.shape(truth)[1])
    found.update(truth, decided, scores)
    return found


def test_the_worked_example_of_three_images_and_four_classes() -> None:
    found = counted(TRUTH, GIVEN, None)
    expected = {
        "sample_jaccard": 0.666667,
        "subset_accuracy": 0.333333,
        "average_accuracy": 0.833333,
        "micro_f1": 0.8,
        "micro_f2": 0.8,
    }
    scores = found.scores()
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(found.class_accuracy(), [1, 1, 1 / 3, 1])
    assert found.class_accuracy().mean() == pytest.approx(found.average_accuracy())
    assert found.average_accuracy() == pytest.approx(1 - found.hamming_loss())
    np.testing.assert_array_equal(found.support(), [2, 2, 1, 0])
    np.testing.assert_array_equal(found.tables[2], [[1, 1], [1, 0]])
    np.testing.assert_allclose(found.class_f1(), [1, 1, 0, np.nan])
    # Most images have classes 0 and 1, and lack 2 and 3: right 2, 2, 2 and 3 times of 12.
    assert found.majority_accuracy() == pytest.approx(9 / 12)
    assert found.images() == 3
    assert "one_error" not in scores  # nothing was ranked


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    truth, decided, scores = random_case(seed)
    found = counted(truth, decided, scores)
    per_class = {"average": None, "zero_division": np.nan}
    expected = {
        "sample_jaccard": metrics.jaccard_score(truth, decided, average="samples", zero_division=1),
        "subset_accuracy": metrics.accuracy_score(truth, decided),
        "average_accuracy": metrics.accuracy_score(truth.ravel(), decided.ravel()),
        "majority_accuracy": np.maximum(truth.mean(0), 1 - truth.mean(0)).mean(),
        "hamming_loss": metrics.hamming_loss(truth, decided),
        "micro_f1": metrics.f1_score(truth, decided, average="micro"),
        "micro_f2": metrics.fbeta_score(truth, decided, beta=2, average="micro"),
        "macro_f1": metrics.f1_score(truth, decided, average="macro", zero_division=np.nan),
        "sample_f1": metrics.f1_score(truth, decided, average="samples", zero_division=1),
        "ranking_precision": metrics.label_ranking_average_precision_score(truth, scores),
        "ranking_loss": metrics.label_ranking_loss(truth, scores),
        "coverage": metrics.coverage_error(truth, scores),
        "one_error": np.mean(
            [not t[s == s.max()].all() for t, s in zip(truth, scores, strict=True)]
        ),
    }
    assert found.scores() == pytest.approx(expected)
    np.testing.assert_allclose(found.class_f1(), metrics.f1_score(truth, decided, **per_class))
    np.testing.assert_array_equal(found.tables, metrics.multilabel_confusion_matrix(truth, decided))


@settings(deadline=None, max_examples=40)
@given(seeds, st.lists(st.integers(0, 30), max_size=6), st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_how_images_are_grouped(
    seed: int, cuts: list[int], random: np.random.Generator
) -> None:
    case = random_case(seed)
    whole = counted(*case)
    groups = [slice(a, b) for a, b in pairwise([0, *sorted(cuts), 30])]
    random.shuffle(groups)
    updated, merged = MultiLabel(5), MultiLabel(5)
    for group in groups:
        updated.update(*(each[group] for each in case))
        merged += counted(*(each[group] for each in case))
    assert updated.scores() == merged.scores() == whole.scores()  # to the last bit
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(getattr(merged, name), value)


def test_images_without_scores_take_no_part_in_the_ranking() -> None:
    truth, decided, scores = random_case(1)
    both = counted(truth[:20], decided[:20], scores[:20])
    both.update(truth[20:], decided[20:])
    ranked, all_of_them = counted(truth[:20], decided[:20], scores[:20]), counted(*random_case(1))
    for name in ("ranking_precision", "ranking_loss", "coverage", "one_error"):
        assert both.scores()[name] == ranked.scores()[name]
    assert both.scores()["micro_f1"] == all_of_them.scores()["micro_f1"]


def test_scores_of_any_scale_rank_alike() -> None:
    truth, decided, scores = random_case(2)
    logits = 40 * (scores - 0.7)
    assert counted(truth, decided, logits).scores() == counted(truth, decided, scores).scores()


def test_no_image_has_no_score() -> None:
    assert all(np.isnan(value) for value in MultiLabel(3).scores().values())


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_of_one_class_each_scores_are_those_of_a_confusion_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, decided = rng.integers(0, 4, (2, 20))  # of the five classes no image has the last
    decided[0] = 4
    found = counted(np.eye(5)[truth], np.eye(5)[decided], None)
    overall = metrics.accuracy_score(truth, decided)
    assert found.subset_accuracy() == pytest.approx(overall)
    assert found.micro_f() == pytest.approx(overall)
    recalls = [np.mean(decided[truth == each] == each) for each in np.unique(truth)]
    assert found.average_recall() == pytest.approx(np.mean(recalls))
    assert found.average_recall(zero_support=0.0) == pytest.approx(np.sum(recalls) / 5)
    assert np.isnan(found.class_recall()[4])


def test_decisions_of_another_number_of_images_are_refused() -> None:
    # Such a pairing of samples with batches would give scores of nothing without a word.
    with pytest.raises(UserError, match="truth of 3 images and decisions of 2 differ; give both"):
        MultiLabel(4).update(TRUTH, GIVEN[:2])
    with pytest.raises(UserError, match="truth of 3 images and scores of 1 differ"):
        MultiLabel(4).update(TRUTH, GIVEN, np.zeros((1, 4)))


def test_what_is_no_table_of_flags_is_refused() -> None:
    found = MultiLabel(4)
    with pytest.raises(UserError, match=r"truth have the shape \(4,\); give a row of 4 classes"):
        found.update(TRUTH[0], GIVEN[0])
    with pytest.raises(UserError, match=r"decisions have the shape \(3, 3\); give a row of 4"):
        found.update(TRUTH, np.zeros((3, 3)))
    with pytest.raises(UserError, match="decisions hold other numbers than 0 and 1"):
        found.update(TRUTH, np.full((3, 4), 0.5))
    with pytest.raises(UserError, match="scores hold NaN"):
        found.update(TRUTH, GIVEN, np.full((3, 4), np.nan))
    with pytest.raises(UserError, match="0 classes cannot be counted"):
        MultiLabel(0)
    assert found.images() == 0
