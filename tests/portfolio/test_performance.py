"""Goal: every printed statistic is the named formula. Method: hand-computed paths, pandas and SciPy as second implementations,
simulation for the standard errors."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crowdalpha.errors import InputRejected
from portfolio.performance import (
    beta_with_error,
    drawdowns,
    hit_rate,
    monthly_returns,
    newey_west_lags,
    performance,
    rolling_sharpe,
    session_returns,
    sharpe_error,
)


def test_hand_computed_path():
    """100, 110, 99, 99, 121: return 21 %, largest fall 10 %, two sessions under water."""
    result = performance(np.array([100.0, 110.0, 99.0, 99.0, 121.0]))
    assert result.total_return == pytest.approx(0.21)
    assert result.annual_return == pytest.approx(1.21 ** (252 / 4) - 1)
    assert result.max_drawdown == pytest.approx(-0.1)
    assert result.drawdown_sessions_max == 2
    assert (result.best, result.worst) == (pytest.approx(121 / 99 - 1), pytest.approx(-0.1))
    assert result.positive_share == 0.5


def test_statistics_equal_pandas_and_scipy():
    """Volatility, Sharpe, skewness, kurtosis, drawdown and the rolling ratio equal those of pandas and SciPy to 1e-12."""
    print("seed 61")
    rng = np.random.default_rng(61)
    equity = 1e6 * np.cumprod(np.concatenate([[1.0], 1 + 0.01 * rng.standard_t(5, 500)]))
    series = pd.Series(equity).pct_change().dropna()
    result = performance(equity)
    assert result.annual_volatility == pytest.approx(series.std() * math.sqrt(252), rel=1e-12)
    assert result.sharpe == pytest.approx(series.mean() / series.std() * math.sqrt(252), rel=1e-9)
    assert result.skewness == pytest.approx(stats.skew(series), rel=1e-9)
    assert result.kurtosis == pytest.approx(stats.kurtosis(series, fisher=False), rel=1e-9)
    path = pd.Series(equity)
    np.testing.assert_allclose(drawdowns(equity), path / path.cummax() - 1, atol=1e-12)
    ours = rolling_sharpe(session_returns(equity), 63)
    rolled = series.rolling(63).mean() / series.rolling(63).std() * math.sqrt(252)
    np.testing.assert_allclose(ours, rolled.to_numpy(), rtol=1e-8)


def test_sharpe_error_is_the_spread_of_repeated_samples():
    """Over 3,000 samples of skewed returns the ratios scatter as their standard error says, within 6 %."""
    print("seed 62")
    rng = np.random.default_rng(62)
    shock = (2.0 - rng.exponential(1.0, (3000, 252)) - 1.0) * 0.01 + 0.001
    paths = np.cumprod(np.concatenate([np.ones((3000, 1)), 1 + shock], axis=1), axis=1)
    results = [performance(path) for path in paths]
    told = float(np.mean([r.sharpe_error for r in results]))
    seen = float(np.std([r.sharpe for r in results]))
    assert told == pytest.approx(seen, rel=0.06)


def test_sharpe_error_without_lags_is_mertens_formula():
    """√((1 − skew·s + (kurtosis − 1)/4·s²)/T), written out with SciPy's moments."""
    print("seed 66")
    returns = 0.002 + 0.01 * np.random.default_rng(66).standard_t(5, 400)
    s = returns.mean() / returns.std(ddof=1)
    variance = 1 - stats.skew(returns) * s + (stats.kurtosis(returns, fisher=False) - 1) / 4 * s * s
    assert sharpe_error(returns, lags=0) == pytest.approx(math.sqrt(variance / 400), rel=1e-9)


@pytest.mark.parametrize("phi", [0.35, -0.35])
def test_sharpe_error_under_autocorrelation_is_the_spread_of_repeated_samples(phi):
    """2,000 samples of an autoregression: the error told agrees within 15 %; the one without lags is off by more than 25 %."""
    print("seed 67")
    shocks = np.random.default_rng(67).standard_normal((2000, 1100))
    paths = np.zeros_like(shocks)
    for t in range(1, shocks.shape[1]):
        paths[:, t] = phi * paths[:, t - 1] + shocks[:, t]
    samples = 0.001 + 0.01 * paths[:, 100:]
    seen = float(np.std([r.mean() / r.std(ddof=1) for r in samples]))
    told = float(np.mean([sharpe_error(r) for r in samples[:300]]))
    plain = float(np.mean([sharpe_error(r, lags=0) for r in samples[:300]]))
    assert told == pytest.approx(seen, rel=0.15)
    assert abs(plain / seen - 1) > 0.25


def test_hit_rate_leaves_out_what_did_not_move():
    """Two of three that moved were right; nothing but zeros has no rate."""
    assert hit_rate(np.array([[1.0, -2.0], [0.0, 3.0], [np.nan, 0.0]])) == pytest.approx(2 / 3)
    assert math.isnan(hit_rate(np.zeros(4)))


def test_beta_equals_linregress_and_its_error_without_lags_is_whites():
    """The slope is SciPy's; with zero lags the error is the heteroskedasticity-consistent one written out by hand."""
    print("seed 63")
    rng = np.random.default_rng(63)
    market = 0.01 * rng.standard_normal(300)
    book = 0.1 * market + 0.004 * rng.standard_normal(300) * (1 + 50 * np.abs(market))
    found = beta_with_error(book, market, lags=0)
    plain = stats.linregress(market, book)
    assert found.beta == pytest.approx(plain.slope, rel=1e-10)
    centred = market - market.mean()
    residual = book - plain.intercept - plain.slope * market
    assert found.error == pytest.approx(math.sqrt(np.sum((centred * residual) ** 2)) / np.sum(centred**2), rel=1e-10)


def test_newey_west_error_by_loops():
    """With three lags the error equals sums over pairs of sessions, written as two loops."""
    print("seed 64")
    rng = np.random.default_rng(64)
    market = 0.01 * rng.standard_normal(80)
    book = 0.3 * market + 0.01 * np.convolve(rng.standard_normal(83), np.ones(4), "valid")
    found = beta_with_error(book, market, lags=3)
    centred = market - market.mean()
    slope = (centred @ book) / (centred @ centred)
    u = centred * (book - book.mean() - slope * centred)
    total = sum(max(0.0, 1 - abs(i - j) / 4) * u[i] * u[j] for i in range(80) for j in range(80))
    assert found.beta == pytest.approx(slope)
    assert found.error == pytest.approx(math.sqrt(total) / (centred @ centred), rel=1e-9)


def test_months_chain_to_the_whole():
    """The monthly returns compound to the total, and a month's figure is last over last."""
    sessions = np.arange("2020-01-15", "2020-04-10", dtype="datetime64[D]")
    rng = np.random.default_rng(65)
    equity = np.cumprod(np.concatenate([[5.0], 1 + 0.01 * rng.standard_normal(sessions.size)]))
    months = monthly_returns(sessions, equity)
    assert list(months) == [(2020, 1), (2020, 2), (2020, 3), (2020, 4)]
    assert np.prod([1 + r for r in months.values()]) == pytest.approx(equity[-1] / equity[0])
    january = np.flatnonzero(sessions == np.datetime64("2020-01-31"))[0] + 1
    assert months[(2020, 1)] == pytest.approx(equity[january] / 5.0 - 1)


def test_constant_and_short_paths_have_no_ratio():
    """A flat path, one session and none give NaN where there is nothing to tell, and no error."""
    flat = performance(np.full(10, 3.0))
    assert flat.total_return == 0.0
    assert math.isnan(flat.sharpe)
    assert math.isnan(flat.sharpe_error)
    one = performance(np.array([1.0, 1.1]))
    assert one.total_return == pytest.approx(0.1)
    assert math.isnan(one.sharpe)
    assert performance(np.array([1.0])).sessions == 0
    assert math.isnan(beta_with_error(np.ones(5), np.zeros(5)).beta)
    assert np.isnan(rolling_sharpe(np.zeros(5), 10)).all()
    assert newey_west_lags(100) == 4


@pytest.mark.parametrize("path", [[], [0.0, 1.0], [1.0, math.nan], [-1.0]])
def test_what_is_no_equity_path_is_refused(path):
    """Nothing, a start at zero, NaN, a negative start."""
    with pytest.raises(InputRejected):
        performance(np.array(path, dtype=float))
