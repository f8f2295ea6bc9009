"""A few of many, whatever the pieces they come in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoseg.train.data.reservoir import Reservoir

pieces = st.lists(st.integers(0, 40), max_size=6)


def filled(sizes: list[int], count: int, seed: int) -> Reservoir:
    reservoir, rng = Reservoir(count), np.random.default_rng(seed)
    for things in np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]) if sizes else []:
        reservoir.add(things, rng)
    return reservoir


@given(sizes=pieces, count=st.integers(1, 30), seed=st.integers(0, 99))
def test_what_is_kept_does_not_depend_on_the_pieces(
    sizes: list[int], count: int, seed: int
) -> None:
    found, whole = filled(sizes, count, seed), filled([sum(sizes)], count, seed)
    assert found.seen == whole.seen == sum(sizes)
    assert len(found.kept) == min(count, sum(sizes))
    assert sorted(found.kept) == sorted(whole.kept)
    # By hand: a random number for each in turn, and those with the smallest.
    lots = np.random.default_rng(seed).random(sum(sizes))
    assert sorted(found.kept) == sorted(np.argsort(lots)[:count])


def test_each_is_as_likely_as_any_other() -> None:
    counts = np.zeros(12)
    for seed in range(2000):
        counts[filled([5, 1, 6], 3, seed).kept] += 1
    # A quarter of 2000 draws, and five standard deviations of the binomial distribution.
    assert counts == pytest.approx(np.full(12, 500), abs=5 * np.sqrt(2000 * 0.25 * 0.75))


def test_rows_stay_together_and_nothing_is_kept_of_nothing() -> None:
    reservoir = Reservoir(2)
    assert len(reservoir.kept) == 0
    reservoir.add(np.array([[1, 10], [2, 20], [3, 30]]), np.random.default_rng(0))
    assert all(second == 10 * first for first, second in reservoir.kept)
    assert reservoir.kept.shape == (2, 2)
