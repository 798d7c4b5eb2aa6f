"""Goal: a figure is the field's figure, or the difference is known. Method: figures of six paths, frozen.

Independent source: tests/answers/performance.json, made by make_performance.py beside it with empyrical-reloaded 0.7.1 and
quantstats 0.0.86 from returns of seed 20265."""

import json
import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from portfolio.performance import beta_with_error, performance, sharpe_error
from portfolio.trials import probabilistic_sharpe

HELD = json.loads((Path(__file__).parents[1] / "answers" / "performance.json").read_text(encoding="utf-8"))
CASES = sorted(HELD["cases"])
EQUAL_TO_QUANTSTATS = (
    "total_return",
    "annual_return",
    "annual_volatility",
    "sharpe",
    "max_drawdown",
    "sortino",
    "calmar",
    "tail_ratio",
    "hit_rate",
)


def read(case: str) -> tuple[np.ndarray, dict[str, float]]:
    """Return a case's returns, and our figures of its path by name, with the beta."""
    returns = np.array(HELD["cases"][case]["returns"])
    result = performance(np.cumprod(np.concatenate([[1.0], 1.0 + returns])))
    figures = {name: getattr(result, name) for name in type(result).__slots__}
    return returns, figures | {"beta": beta_with_error(returns, np.array(HELD["market"])).beta}


def test_the_frozen_figures_are_of_the_named_versions():
    assert HELD["versions"]["empyrical-reloaded"] == "0.7.1"
    assert HELD["versions"]["quantstats"] == "0.0.86"


@pytest.mark.parametrize("case", CASES)
def test_every_figure_that_empyrical_defines_is_equal(case):
    """All twelve, relative to their size, to 1e-9: the path is rebuilt from returns, which costs a few digits."""
    _, ours = read(case)
    theirs = HELD["cases"][case]["empyrical"]
    assert len(theirs) == 12
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_what_is_equal_to_quantstats(case):
    """Nine figures and the beta."""
    _, ours = read(case)
    theirs = HELD["cases"][case]["quantstats"]
    for name in (*EQUAL_TO_QUANTSTATS, "beta"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-9), name


@pytest.mark.parametrize("case", CASES)
def test_what_differs_from_quantstats_differs_as_documented(case):
    """Each difference of docs/performance.md, turned into theirs by the stated formula."""
    returns, ours = read(case)
    theirs = HELD["cases"][case]["quantstats"]
    mean, deviation, n = returns.mean(), returns.std(ddof=1), returns.size
    quantile = NormalDist().inv_cdf(0.05)
    assert theirs["value_at_risk"] == pytest.approx(mean + quantile * deviation, rel=1e-9)
    normal_shortfall = mean - deviation * NormalDist().pdf(quantile) / 0.05
    assert theirs["expected_shortfall"] == pytest.approx(normal_shortfall, rel=1e-6)
    unbiased = math.sqrt(n * (n - 1)) / (n - 2)
    assert theirs["skewness"] == pytest.approx(ours["skewness"] * unbiased, rel=1e-6)
    excess = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (ours["kurtosis"] - 3) + 6)
    assert theirs["kurtosis"] == pytest.approx(excess, rel=1e-6, abs=1e-9)
    rho = abs(np.corrcoef(returns[:-1], returns[1:])[0, 1])
    lags = np.arange(1, n)
    penalty = math.sqrt(1 + 2 * float(np.sum((n - lags) / n * rho**lags)))
    assert theirs["smart_sharpe"] == pytest.approx(ours["sharpe"] / penalty, rel=1e-6)


def test_a_path_that_grows_steadily_has_no_ratio_here():
    """50 sessions of 0.1 % each: the others divide by rounding, one by nothing; ours is no number."""
    theirs = {name: float(value) for name, value in HELD["steady_sharpe"].items()}
    assert math.isinf(theirs["empyrical"])
    assert theirs["quantstats"] > 1e12
    assert math.isnan(performance(np.cumprod(np.concatenate([[1.0], np.full(50, 1.001)]))).sharpe)


@pytest.mark.parametrize("case", CASES)
def test_probabilistic_ratio_without_autocorrelation_is_quantstats_up_to_the_moments_divisors(case):
    """Theirs has no autocorrelation and unbiased moments: with no lags ours agrees within a thousandth."""
    returns, ours = read(case)
    found = probabilistic_sharpe(ours["sharpe"] / math.sqrt(252), 0.0, sharpe_error(returns, lags=0))
    assert found == pytest.approx(HELD["cases"][case]["quantstats"]["probabilistic_sharpe"], abs=1e-3)
