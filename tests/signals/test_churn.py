"""Churn compares orders, neutral to each round's own factors, and a curve turns it into a retained part.

Independent source: ``churn``, ``neutral_churn`` and ``neutral_churn_penalty`` of numerai-tools 0.7.2.
"""

import itertools

import numerai_tools.signals as oracle
import numpy as np
import pandas as pd
import pytest

from crowdalpha.errors import InvariantBroken
from signals.churn import churn, neutral_churn, neutral_churns, retention

SEED = 411
UNIVERSE = [f"A{i:04d}" for i in range(120)]


def draw(rng: np.random.Generator, n: int, k: int = 4):
    return np.round(rng.normal(size=n), 1), rng.normal(size=(n, k))


def series(values, ids):
    return pd.Series(values, index=list(ids), name="signal")


def table(values, ids):
    return pd.DataFrame(values, index=list(ids))


def test_churn_equals_the_oracle_with_ties():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for _ in range(30):
        a, b = draw(rng, 120)[0], draw(rng, 120)[0]
        b = a + 0.5 * b
        assert churn(a, b) == pytest.approx(oracle.churn(series(a, UNIVERSE), series(b, UNIVERSE)), abs=1e-12)


@pytest.mark.parametrize("shared", [120, 110, 97])
def test_neutral_churn_equals_the_oracle_on_moving_universes(shared):
    print(f"seed {SEED + shared}")
    rng = np.random.default_rng(SEED + shared)
    ids_b = sorted([*UNIVERSE[:shared], *(f"Z{i:03d}" for i in range(120 - shared))])
    a, factors_a = draw(rng, 120)
    b, factors_b = draw(rng, 120)
    expected = oracle.neutral_churn(series(a, UNIVERSE), series(b, ids_b), table(factors_a, UNIVERSE), table(factors_b, ids_b))
    found = neutral_churn(a, UNIVERSE, factors_a, b, ids_b, factors_b)
    assert found == pytest.approx(expected, abs=1e-12)
    assert neutral_churn(a[::-1], UNIVERSE[::-1], factors_a[::-1], b, ids_b, factors_b) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("shared", "usable"), [(96, True), (95, False), (0, False)])
def test_less_than_four_fifths_in_common_is_no_history(shared, usable):
    rng = np.random.default_rng(1)
    ids_b = [*UNIVERSE[:shared], *(f"Z{i:03d}" for i in range(120 - shared))]
    a, factors = draw(rng, 120)
    assert (neutral_churn(a, UNIVERSE, factors, a, ids_b, factors) is not None) is usable
    assert retention(None, 0.2, 10) == 1.0


def test_same_signal_has_no_churn_and_its_mirror_has_all():
    rng = np.random.default_rng(2)
    a, factors = draw(rng, 120)
    assert neutral_churn(a, UNIVERSE, factors, a, UNIVERSE, factors) == pytest.approx(0.0, abs=1e-12)
    assert neutral_churn(a, UNIVERSE, factors, -a, UNIVERSE, factors) == pytest.approx(2.0, abs=1e-12)


def test_signal_without_an_order_of_its_own_counts_as_unrelated():
    rng = np.random.default_rng(3)
    a, factors = draw(rng, 120)
    assert churn(a, np.ones(120)) == 1.0
    assert neutral_churn(np.full(120, 0.5), UNIVERSE, factors, a, UNIVERSE, factors) == 1.0


def test_many_models_at_once_equal_one_by_one():
    rng = np.random.default_rng(4)
    a, b, factors = rng.normal(size=(7, 120)), rng.normal(size=(7, 120)), rng.normal(size=(120, 3))
    together = neutral_churns(a, UNIVERSE, factors, b, UNIVERSE, factors)
    assert together is not None
    for i in range(7):
        assert together[i] == pytest.approx(neutral_churn(a[i], UNIVERSE, factors, b[i], UNIVERSE, factors), abs=1e-12)


@pytest.mark.parametrize(("threshold", "slope"), [(0.1, 10.0), (0.2, 5.0), (0.2, 10.0), (0.0, 700.0)])
def test_retention_equals_the_oracle_and_never_rises(threshold, slope):
    grid = np.linspace(0, 2, 401).tolist()
    kept = [retention(value, threshold, slope) for value in grid]
    assert kept == pytest.approx([oracle.neutral_churn_penalty(value, threshold, slope) for value in grid], abs=1e-15)
    assert all(0.0 <= later <= earlier <= 1.0 for earlier, later in itertools.pairwise(kept))


@pytest.mark.parametrize(
    "bad", [(-0.1, 0.1, 10), (2.1, 0.1, 10), (float("nan"), 0.1, 10), (0.5, float("nan"), 10), (0.5, 0.1, -1)]
)
def test_impossible_churn_is_a_bug(bad):
    with pytest.raises(InvariantBroken):
        retention(*bad)
