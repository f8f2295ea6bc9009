"""How the learning rate goes, step by step, against rates worked out by hand."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoseg.errors import UserError
from geoseg.train.schedules import (
    SCHEDULES,
    Constant,
    Cyclic,
    DecayThenSwa,
    Exponential,
    Poly,
    schedule_of,
)


@pytest.mark.parametrize("name", ["poly", "cosine"])
def test_learning_rates_fall_from_one_to_zero(name: str) -> None:
    factors = [schedule_of(name).factor(step, 50) for step in range(51)]
    assert factors[0] == 1.0
    assert factors[-1] == pytest.approx(0.0, abs=1e-12)
    assert (np.diff(factors) < 0).all()


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("steps", [10, 11, 160, 4001])
def test_no_factor_of_a_run_is_above_one_or_nothing(name: str, steps: int) -> None:
    options = {"cycles": 4} if name == "decay_then_swa" else {}
    schedule = schedule_of(name, options)
    assert all(0 < schedule.factor(step, steps) <= 1 for step in range(steps))


def test_a_constant_rate_stays() -> None:
    assert {Constant().factor(step, 9) for step in range(9)} == {1.0}


def test_poly_gives_the_rates_of_80000_steps_from_one_thousandth() -> None:
    steps = (0, 20_000, 40_000, 60_000, 79_999)
    rates = [1e-3 * Poly().factor(step, 80_000) for step in steps]
    assert rates == pytest.approx([1e-3, 7.7189e-4, 5.3589e-4, 2.8717e-4, 3.8656e-8], rel=1e-4)


def test_poly_with_a_power_of_one_goes_straight_down() -> None:
    factors = [schedule_of("poly", {"power": 1}).factor(step, 8) for step in range(9)]
    assert factors == [1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0]
    assert schedule_of("poly", {"power": 2.0}).factor(2, 8) == 0.75**2


def test_the_exponential_gives_the_rates_of_100_epochs_down_to_a_tenth() -> None:
    rates = [1e-3 * Exponential().factor(epoch, 100) for epoch in (0, 25, 50, 75, 99)]
    assert rates == pytest.approx([1e-3, 5.591e-4, 3.126e-4, 1.748e-4, 1e-4], rel=4e-4)


@given(st.integers(1, 1000), st.floats(1e-6, 1))
def test_the_exponential_starts_at_one_and_has_its_end_at_the_last_step(
    steps: int, end: float
) -> None:
    assert Exponential(end).factor(0, steps) == 1.0
    assert Exponential(end).factor(steps - 1, steps) == pytest.approx(end if steps > 1 else 1.0)


def test_a_cycle_of_six_gives_the_rates_of_the_paper_and_jumps_back() -> None:
    schedule = Cyclic(cycles=2, low=0.1)
    rates = [1e-4 * schedule.factor(step, 12) for step in range(12)]
    assert rates == pytest.approx([8.5e-5, 7e-5, 5.5e-5, 4e-5, 2.5e-5, 1e-5] * 2)


@given(st.integers(1, 30), st.data())
def test_cycles_share_the_steps_out_and_end_at_their_lowest(
    cycles: int, data: st.DataObject
) -> None:
    steps = data.draw(st.integers(cycles, 500))
    schedule = Cyclic(cycles, 0.25)
    ends = schedule.snapshots(steps)
    lengths = np.diff([0, *ends])
    assert len(ends) == cycles
    assert ends[-1] == steps
    assert lengths.max() - lengths.min() <= 1
    factors = np.array([schedule.factor(step, steps) for step in range(steps)])
    assert factors[np.array(ends) - 1] == pytest.approx([0.25] * cycles)
    for cycle in np.split(factors, ends[:-1]):
        # Straight: equal steps down, as if from 1 before the first one.
        assert np.diff([1.0, *cycle]) == pytest.approx([-0.75 / len(cycle)] * len(cycle))


def test_decay_then_swa_is_the_run_of_160_epochs() -> None:
    schedule = DecayThenSwa()
    rates = [1e-3 * schedule.factor(epoch, 160) for epoch in range(160)]
    assert [rates[e] for e in (0, 25, 50, 75, 99)] == pytest.approx(
        [1e-3, 5.591e-4, 3.126e-4, 1.748e-4, 1e-4], rel=4e-4
    )
    assert rates[100:] == pytest.approx([8.5e-5, 7e-5, 5.5e-5, 4e-5, 2.5e-5, 1e-5] * 10)
    assert schedule.snapshots(160) == (106, 112, 118, 124, 130, 136, 142, 148, 154, 160)


@pytest.mark.parametrize(
    ("shape", "rates"),
    [
        ("exponential", {0: 1e-3, 25: 5.591e-4, 50: 3.126e-4, 75: 1.748e-4, 99: 1e-4}),
        # A line: 9e-4 / 99 an epoch.
        ("linear", {0: 1e-3, 11: 9e-4, 33: 7e-4, 66: 4e-4, 99: 1e-4}),
        # Flights of a third of 100 epochs; the root of a tenth is 0.3162.
        ("steps", {0: 1e-3, 33: 1e-3, 34: 3.162e-4, 66: 3.162e-4, 67: 1e-4, 99: 1e-4}),
    ],
)
def test_the_first_part_goes_down_to_the_same_end_in_any_shape(
    shape: str, rates: dict[int, float]
) -> None:
    schedule, plain = DecayThenSwa(shape=shape), DecayThenSwa()
    found = {epoch: 1e-3 * schedule.factor(epoch, 160) for epoch in rates}
    assert found == pytest.approx(rates, rel=4e-4)
    assert schedule.snapshots(160) == plain.snapshots(160)
    later = range(100, 160)
    assert [schedule.factor(e, 160) for e in later] == [plain.factor(e, 160) for e in later]


@pytest.mark.parametrize("per_epoch", [1, 100])
def test_snapshots_are_taken_where_the_rate_is_lowest(per_epoch: int) -> None:
    schedule = DecayThenSwa()
    steps = 160 * per_epoch
    rates = np.array([schedule.factor(step, steps) for step in range(steps)])
    lowest = np.flatnonzero(np.isclose(rates, rates.min()))
    assert tuple(lowest + 1) == schedule.snapshots(steps)


def test_schedules_without_cycles_take_no_snapshots() -> None:
    assert all(schedule_of(name).snapshots(100) == () for name in ("poly", "cosine", "constant"))


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_a_schedule_comes_back_from_its_name_and_options(name: str) -> None:
    schedule = SCHEDULES[name]()
    assert schedule_of(name, asdict(schedule)) == schedule  # type: ignore[call-overload]
    assert schedule_of(name) == schedule


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("steep", {}, r"schedule=steep: choose from poly, cosine"),
        ("constant", {"power": 1}, r"schedule 'constant' has no option 'power'; it has none"),
        ("poly", {"power": 0}, r"power=0: give a number above 0"),
        ("poly", {"power": float("inf")}, r"power=inf: give a number above 0"),
        ("cyclic", {"end": 1}, r"'cyclic' has no option 'end'; choose from cycles, low"),
        ("cyclic", {"cycles": 0}, r"cycles=0: give a whole number of 1 or more"),
        ("cyclic", {"cycles": 2.5}, r"cycles=2.5: give a whole number"),
        ("cyclic", {"cycles": True}, r"cycles=True: give a whole number"),
        ("cyclic", {"low": "deep"}, r"low=deep: give a number"),
        ("cyclic", {"low": 0}, r"low=0: give a number above 0, at most 1"),
        ("exponential", {"end": 1.5}, r"end=1.5: give a number above 0, at most 1"),
        ("exponential", {"end": float("nan")}, r"end=nan: give a number above 0"),
        ("decay_then_swa", {"decay": 1}, r"decay=1: give a number between 0 and 1"),
        ("decay_then_swa", {"low": 0.2}, r"low=0.2: give a number above 0, at most 0.1"),
        ("decay_then_swa", {"shape": "cubic"}, r"shape=cubic: choose from exponential, linear, st"),
        ("decay_then_swa", {"shape": 2}, r"shape=2: give a name"),
        ("decay_then_swa", {"cycles": -1}, r"cycles=-1: give a whole number of 1 or more"),
    ],
)
def test_schedules_that_cannot_be_meant_are_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        schedule_of(name, options)


def test_more_cycles_than_steps_are_refused() -> None:
    with pytest.raises(UserError, match=r"10 cycles in 9 steps: give more steps or fewer cycles"):
        Cyclic(cycles=10).factor(0, 9)
    with pytest.raises(UserError, match=r"10 cycles in 6 steps"):
        DecayThenSwa().snapshots(16)
