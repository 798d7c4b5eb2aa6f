"""Goal: what a diagnosis says of an era and of all of them is right, to rounding.

Method: scores against score_frame and numerai-tools; churn against the churn that is paid for; the long-run variance against a
quadratic form with the whole matrix of weights; the error of the adjusted Sharpe ratio against the scatter of simulated ones;
drawdowns by hand. Seeds are printed.
"""

import math

import numpy as np
import pandas as pd
import pytest
from numerai_tools.scoring import correlation_contribution, numerai_corr

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.ranks import five_bins, tie_kept_rank
from signals.churn import neutral_churn
from signals.diagnostics import (
    era_scores,
    factor_correlations,
    falls,
    filled_ranks,
    long_run_variance,
    max_drawdown,
    measure_change,
    measure_era,
    overlap_lags,
    summarize,
)
from signals.frame import score_frame

KINDS = ("corr", "neutral_corr", "bmc")


def an_era(seed, n=300, factors=6):
    rng = np.random.default_rng(seed)
    members = np.sort(rng.choice(2 * n, n, replace=False))
    exposures = np.column_stack([np.eye(3)[rng.integers(0, 3, n)], rng.standard_normal((n, factors - 3))])
    values = np.round(rng.random(n), 2)  # ties
    values[rng.random(n) < 0.15] = np.nan
    example = rng.standard_normal(n)
    target = five_bins(rng.standard_normal(n) + 0.2 * example)
    return members, exposures, np.stack([filled_ranks(values), tie_kept_rank(example)]), target


# One era


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_scores_equal_the_frame_and_the_library(seed):
    print(f"seed {seed}")
    members, exposures, ranks, target = an_era(seed)
    if seed == 3:
        target[np.random.default_rng(seed).random(len(target)) < 0.1] = np.nan
    found = era_scores(KINDS, ranks, target, exposures, ranks[1])
    spared = era_scores(KINDS, ranks, target, exposures, ranks[1], measure_era(ranks, members, exposures).basis)
    for kind in KINDS:
        np.testing.assert_allclose(spared[kind], found[kind], rtol=0, atol=1e-12, err_msg=kind)
    index = pd.Index([f"a{i:04d}" for i in range(len(target))])
    p = pd.DataFrame(ranks.T, index=index, columns=["own", "example"])
    t = pd.Series(target, index=index, name="target")
    frame = score_frame(p, t, benchmark=p["example"], neutralizers=pd.DataFrame(exposures, index=index))
    for kind in KINDS:
        np.testing.assert_allclose(found[kind], frame[kind], rtol=0, atol=1e-12, err_msg=kind)
    known = t.dropna()
    np.testing.assert_allclose(found["corr"], numerai_corr(p.loc[known.index], known), rtol=0, atol=1e-12)
    added = correlation_contribution(p.loc[known.index, ["own"]], p.loc[known.index, "example"], known)
    assert found["bmc"][0] == pytest.approx(float(added.iloc[0]), abs=1e-12)


def test_too_few_known_targets_are_refused():
    _, exposures, ranks, target = an_era(4)
    target[: len(target) // 4] = np.nan
    with pytest.raises(InputRejected) as caught:
        era_scores(KINDS, ranks, target, exposures, ranks[1])
    assert caught.value.code is Code.COVERAGE_TOO_LOW


def test_an_era_of_equal_values_scores_zero_and_is_exposed_to_nothing():
    members, exposures, ranks, target = an_era(5)
    for values in (np.full(len(members), 0.3), np.where(np.arange(len(members)) < 9, np.nan, 0.3)):
        flat = np.stack([filled_ranks(values), ranks[1]])
        assert flat[0].tolist() == [0.5] * len(members)
        measure = measure_era(flat, members, exposures)
        assert not measure.factors[0].any()
        assert not measure.rests[0].any()
        assert all(scores[0] == 0.0 for scores in era_scores(KINDS, flat, target, exposures, ranks[1]).values())


def test_factor_correlations_are_pearsons():
    members, exposures, ranks, _ = an_era(6)
    exposures[:, 5] = 1.0
    measure = measure_era(ranks, members, exposures)
    gauss = np.array([[_quantile(r) for r in row] for row in tie_kept_rank(ranks)])
    for i in range(2):
        for j in range(5):
            assert measure.factors[i, j] == pytest.approx(np.corrcoef(gauss[i], exposures[:, j])[0, 1], abs=1e-12)
    assert measure.factors[:, 5].tolist() == [0.0, 0.0]
    assert factor_correlations(exposures.T[3:4], exposures)[0, 3] == pytest.approx(1.0)


def _quantile(rank):
    """Φ⁻¹ from the standard library."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(rank)


# From era to era


def test_churn_is_the_churn_that_is_paid_for_and_turnover_that_of_two_books():
    before, after = (measure_era(ranks, members, exposures) for members, exposures, ranks, _ in (an_era(7), an_era(8)))
    changes = measure_change(before, after)
    assert [c.churn for c in changes] == [None, None]  # two random halves of the assets share too little
    for change, a, b in zip(changes, _books(before), _books(after), strict=True):
        moved = sum(abs(a.get(i, 0.0) - b.get(i, 0.0)) for i in a.keys() | b.keys()) / 2
        assert change.turnover == pytest.approx(moved, abs=1e-12)
    members, exposures, ranks, _ = an_era(9)
    rng = np.random.default_rng(9)
    kept = np.sort(rng.choice(len(members), 270, replace=False))
    moved = np.stack([filled_ranks(r + 0.1 * rng.standard_normal(270)) for r in ranks[:, kept]])
    other = exposures[kept] + np.where(np.arange(6) > 2, 0.1 * rng.standard_normal((270, 6)), 0.0)
    changes = measure_change(measure_era(ranks, members, exposures), measure_era(moved, members[kept], other))
    for i, change in enumerate(changes):
        ids = [str(m) for m in members]
        paid = neutral_churn(ranks[i], ids, exposures, moved[i], [ids[k] for k in kept], other)
        assert change.neutral_churn == pytest.approx(paid, abs=1e-12)
        spearman = pd.Series(ranks[i, kept]).corr(pd.Series(moved[i]), method="spearman")
        assert change.churn == pytest.approx(1 - spearman, abs=1e-12)


def _books(measure):
    return [dict(zip(measure.members.tolist(), (rest / np.abs(rest).sum()).tolist(), strict=True)) for rest in measure.rests]


def test_the_same_signal_on_the_same_assets_changes_nothing():
    members, exposures, ranks, _ = an_era(10)
    measure = measure_era(ranks, members, exposures)
    for change in measure_change(measure, measure):
        assert change.churn == pytest.approx(0.0, abs=1e-12)
        assert change.neutral_churn == pytest.approx(0.0, abs=1e-12)
        assert change.turnover == 0.0
    flat = measure_era(np.full_like(ranks, 0.5), members, exposures)
    change = measure_change(flat, measure)[0]
    assert (change.churn, change.neutral_churn) == (1.0, 1.0)
    assert change.turnover == pytest.approx(0.5)  # from no book to one of gross one


# Over the eras


@pytest.mark.parametrize("lags", [0, 1, 5, 22, 100])
def test_the_long_run_variance_is_a_quadratic_form(lags):
    rng = np.random.default_rng(lags)
    print(f"seed {lags}")
    x = np.convolve(rng.standard_normal(130), np.ones(4) / 4, "valid")
    apart = np.abs(np.arange(len(x))[:, None] - np.arange(len(x))[None, :])
    weights = np.maximum(1 - apart / (lags + 1), 0.0)
    centred = x - x.mean()
    wanted = centred @ weights @ centred / len(x)
    assert long_run_variance(x, lags) == pytest.approx(wanted, rel=1e-12)
    found = summarize(x, lags)
    assert found.lags == min(lags, len(x) - 1)
    assert found.adjusted_sharpe == pytest.approx(x.mean() / math.sqrt(wanted), rel=1e-10)
    whole = 1 + 2 * sum((1 - k / (lags + 1)) ** 2 for k in range(1, lags + 1))
    error = math.sqrt((1 + whole * found.adjusted_sharpe**2 / 2) / len(x))
    assert found.adjusted_sharpe_error == pytest.approx(error, rel=1e-12)
    assert found.t_statistic == pytest.approx(x.mean() / math.sqrt(wanted / len(x)), rel=1e-10)


def test_the_error_is_the_scatter_of_the_ratio_where_eras_overlap():
    """Scores with the overlap of weekly 20-session targets: a moving mean of four independent weeks, 4,000 histories."""
    seed, eras, histories, lags = 20, 520, 4000, overlap_lags(20, 2, 5)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for mean in (0.0, 0.25):
        noise = rng.standard_normal((histories, eras + 3))
        scores = mean + sum(noise[:, k : k + eras] for k in range(4)) / 4
        found = [summarize(row, lags) for row in scores]
        scatter = np.std([s.adjusted_sharpe for s in found])
        told = np.mean([s.adjusted_sharpe_error for s in found])
        # Five lags see most of the relation of four weeks, not all of it: the triangle of weights takes some off.
        assert told / scatter == pytest.approx(1.0, abs=0.2)
        naive = np.std([s.sharpe for s in found])
        assert naive > 1.5 / math.sqrt(eras)  # what the plain ratio would have to own up to, and does not


def test_plain_statistics_by_hand():
    s = summarize([0.01, 0.03, -0.01, 0.01], 0)
    assert (s.eras, s.hit_rate, s.lags) == (4, 0.75, 0)
    assert s.mean == pytest.approx(0.01)
    assert s.std == pytest.approx(math.sqrt(0.0008 / 4))
    assert s.sharpe == pytest.approx(0.01 / math.sqrt(0.0002))
    assert s.autocorrelation == pytest.approx((0 * 0.02 + 0.02 * -0.02 + -0.02 * 0) / 0.0008)
    assert s.adjusted_sharpe == pytest.approx(s.sharpe)
    assert s.adjusted_sharpe_error == pytest.approx(math.sqrt((1 + s.sharpe**2 / 2) / 4))


def test_drawdowns_by_hand():
    # The sum runs 1, 3, 2, 2.5, 0.5, 4: the deepest fall is from 3 to 0.5.
    assert max_drawdown(np.array([1.0, 2.0, -1.0, 0.5, -2.0, 3.5])) == pytest.approx(-2.5)
    assert falls(np.array([1.0, 2.0, -1.0, 0.5, -2.0, 3.5])).tolist() == [0.0, 0.0, -1.0, -0.5, -2.5, 0.0]
    assert max_drawdown(np.array([-0.25, -0.5])) == -0.75  # the start is a high
    assert max_drawdown(np.array([0.1, 0.2])) == 0.0
    assert max_drawdown(np.array([])) == 0.0


def test_no_figure_is_a_nan_where_there_is_little_or_nothing():
    for scores in ([], [0.02], [0.1] * 7, [0.0, 0.0], [1.0, -1.0]):
        found = summarize(scores, 5)
        for name in found.__slots__:
            value = getattr(found, name)
            assert value is None or math.isfinite(value), (scores, name)
    assert summarize([0.1] * 7, 5).adjusted_sharpe_error is None
    assert summarize([], 5).eras == 0
    with pytest.raises(InputRejected) as caught:
        summarize([0.1, float("nan")], 1)
    assert caught.value.code is Code.VALUE_NOT_FINITE


@pytest.mark.parametrize(("step", "lags"), [(1, 22), (5, 5), (4, 6), (21, 2), (22, 1), (63, 1)])
def test_lags_cover_the_overlap(step, lags):
    assert overlap_lags(20, 2, step) == lags
