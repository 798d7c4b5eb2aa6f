"""Ranks, Gaussian scores and bins agree with scipy and pandas (independent sources) and keep their promises on ties and NaN."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from market.ranks import MISSING_BIN, five_bins, gaussianize, mean_places, quantile_bins, tie_kept_rank

SEED = 20240111


def tied_values(rng, shape, missing=0.1):
    values = rng.integers(-6, 7, size=shape).astype(float) * rng.choice([1e-9, 1.0, 1e9])
    values[rng.random(shape) < missing] = np.nan
    return values


def test_rank_equals_scipy_mid_ranks():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for shape in [(1, 1), (3, 7), (20, 200), (2, 5000)]:
        values = tied_values(rng, shape)
        got = tie_kept_rank(values)
        for row, ranks in zip(values, got, strict=True):
            known = ~np.isnan(row)
            want = (stats.rankdata(row[known], method="average") - 0.5) / max(known.sum(), 1)
            np.testing.assert_array_equal(ranks[known], want)
            assert np.isnan(ranks[~known]).all()


def test_rank_equals_pandas_along_either_axis():
    rng = np.random.default_rng(SEED)
    values = tied_values(rng, (40, 9))
    frame = pd.DataFrame(values)
    want = (frame.rank(method="average") - 0.5) / frame.count()
    np.testing.assert_array_equal(tie_kept_rank(values, axis=0), want.to_numpy())
    np.testing.assert_array_equal(tie_kept_rank(values[:, 0]), want[0].to_numpy())


def test_rank_in_blocks_equals_rank_row_by_row(monkeypatch):
    rng = np.random.default_rng(SEED)
    values = tied_values(rng, (17, 31))
    whole = mean_places(values)
    monkeypatch.setattr("market.ranks._BLOCK_VALUES", 64)
    np.testing.assert_array_equal(mean_places(values), whole)


def test_rank_does_not_change_its_argument_and_takes_infinities_and_empty_rows():
    values = np.array([[np.inf, -np.inf, 0.0, -0.0]])
    before = values.copy()
    np.testing.assert_array_equal(tie_kept_rank(values), [[0.875, 0.125, 0.5, 0.5]])
    np.testing.assert_array_equal(values, before)
    assert tie_kept_rank(np.empty((3, 0))).shape == (3, 0)
    assert np.isnan(tie_kept_rank(np.full(4, np.nan))).all()


def test_gaussianize_equals_the_normal_quantile():
    ranks = (np.arange(5000) + 0.5) / 5000
    np.testing.assert_allclose(gaussianize(ranks), stats.norm.ppf(ranks), rtol=0, atol=1e-14)
    assert np.isnan(gaussianize(np.array([np.nan]))).all()


@pytest.mark.parametrize("count", [20, 40, 100, 1000, 999, 37])
def test_five_bins_hold_their_shares_within_rounding(count):
    rng = np.random.default_rng(SEED + count)
    bins = five_bins(rng.normal(size=count))
    sizes = np.array([(bins == level).sum() for level in (0, 0.25, 0.5, 0.75, 1)])
    assert sizes.sum() == count
    assert np.abs(sizes - count * np.array([0.05, 0.2, 0.5, 0.2, 0.05])).max() <= 1.0


def test_five_bins_keep_ties_together_and_mirror():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for _ in range(200):
        values = tied_values(rng, int(rng.integers(1, 60)))
        bins = five_bins(values)
        for value in np.unique(values[~np.isnan(values)]):
            assert len(set(bins[values == value])) == 1
        np.testing.assert_array_equal(np.isnan(bins), np.isnan(values))
        np.testing.assert_array_equal(five_bins(-values), 1.0 - bins)


def test_five_bins_of_equal_values_are_the_middle():
    np.testing.assert_array_equal(five_bins(np.full(10, 3.0)), np.full(10, 0.5))


def test_other_shares_give_other_levels():
    np.testing.assert_array_equal(five_bins(np.arange(10.0), (10, 80, 10)), [0] + [0.5] * 8 + [1])


def test_quantile_bins_are_equal_in_size_and_keep_ties():
    rng = np.random.default_rng(SEED)
    values = rng.normal(size=(4, 1000))
    bins = quantile_bins(values, 5)
    for row in bins:
        np.testing.assert_array_equal(np.bincount(row), [200] * 5)
    tied = np.array([1.0, 1.0, 1.0, 1.0, 2.0, np.nan])
    got = quantile_bins(tied, 5)
    assert len(set(got[:4])) == 1
    assert got[5] == MISSING_BIN
    assert got[:5].min() >= 0
    assert got.max() <= 4
