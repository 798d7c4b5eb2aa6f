"""Goal: whatever is wrong with a problem, a verified book or a recorded hold comes out: no exception and no silence. Method:
infeasible, degenerate, badly scaled and poisoned problems from numbered seeds; each answer is judged with plain NumPy."""

import math
from collections import Counter

import numpy as np
import pytest

from portfolio.evidence import told_limits
from portfolio.ladder import HELD, RELAXED, SOLVED
from tests.builders.hostile import SPOILS, hostile_problem
from tests.portfolio.test_ladder import judged

QUICK, LONG = 500, 10_000


def survive(seeds: range) -> Counter[str]:
    """Judge the problem of each seed; a failure names its seed and what was wrong with the problem."""
    statuses: Counter[str] = Counter()
    for seed in seeds:
        what, p = hostile_problem(seed)
        try:
            solution = judged(p)
            assert told_limits(solution), "nothing is told"
            assert all(math.isfinite(limit.worth_per_year) for limit in solution.limits)
        except Exception as error:
            raise AssertionError(f"seed {seed}, {what}: {type(error).__name__}: {error}") from error
        statuses[solution.status] += 1
    print(f"seeds {seeds.start} to {seeds.stop - 1}: {dict(statuses)}")
    return statuses


@pytest.mark.parametrize("part", range(5))
def test_hostile_problems_end_in_a_book_or_a_recorded_hold(part):
    """A hundred seeds a part: each of the three ends is reached by some of them."""
    statuses = survive(range(part * QUICK // 5, (part + 1) * QUICK // 5))
    assert set(statuses) == {SOLVED, RELAXED, HELD}


@pytest.mark.soak
@pytest.mark.parametrize("part", range(20))
def test_ten_thousand_hostile_problems(part):
    """The same on ten thousand seeds that the quick test does not have."""
    survive(range(QUICK + part * LONG // 20, QUICK + (part + 1) * LONG // 20))


def test_every_kind_of_trouble_is_met_by_the_quick_seeds():
    """Each way of spoiling a problem is among the five hundred at least ten times, and the same seed gives the same problem."""
    met = Counter(name for seed in range(QUICK) for name in hostile_problem(seed)[0].split(" + "))
    assert set(met) == set(SPOILS)
    assert min(met.values()) >= 10
    np.testing.assert_array_equal(hostile_problem(3)[1].alpha, hostile_problem(3)[1].alpha)
