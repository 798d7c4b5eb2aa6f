"""Make performance.json beside this file: figures of empyrical-reloaded and quantstats for seeded returns.

Neither library is a dependency of the project. Run it by hand, in an environment of its own, only when figures are added:
``python tests/answers/make_performance.py``, with empyrical-reloaded 0.7.1 and quantstats 0.0.86 installed.
"""

import json
import math
from importlib.metadata import version
from pathlib import Path

import empyrical
import numpy as np
import pandas as pd
import quantstats.stats as quantstats

SEED, SESSIONS = 20265, 300
DIGITS = 6


def cases() -> dict[str, np.ndarray]:
    """Return session returns of six kinds of path, and of a market."""
    rng = np.random.default_rng(SEED)
    normal = rng.standard_normal(SESSIONS)
    smooth = np.convolve(rng.standard_normal(SESSIONS + 4), np.full(5, 0.6), "valid")
    made = {
        "normal": 0.0006 + 0.008 * normal,
        "fat tails": 0.0004 + 0.006 * rng.standard_t(3, SESSIONS),
        "losing": -0.001 + 0.01 * rng.standard_normal(SESSIONS),
        "smooth": 0.0005 + 0.004 * smooth,
        "half still": np.where(rng.random(SESSIONS) < 0.5, 0.0, 0.009 * rng.standard_normal(SESSIONS)),
        "falls first": np.concatenate([[-0.05], 0.001 + 0.005 * rng.standard_normal(SESSIONS - 1)]),
        "market": 0.0003 + 0.01 * (0.3 * normal + rng.standard_normal(SESSIONS)),
    }
    return {name: np.clip(values, -0.5, 0.5).round(DIGITS) for name, values in made.items()}


def empyrical_figures(returns: np.ndarray, market: np.ndarray) -> dict[str, float]:
    """Return what empyrical says of an array of returns."""
    return {
        "total_return": empyrical.cum_returns_final(returns),
        "annual_return": empyrical.annual_return(returns),
        "annual_volatility": empyrical.annual_volatility(returns),
        "sharpe": empyrical.sharpe_ratio(returns),
        "max_drawdown": empyrical.max_drawdown(returns),
        "downside_volatility": empyrical.downside_risk(returns),
        "sortino": empyrical.sortino_ratio(returns),
        "calmar": empyrical.calmar_ratio(returns),
        "value_at_risk": empyrical.value_at_risk(returns),
        "expected_shortfall": empyrical.conditional_value_at_risk(returns),
        "tail_ratio": empyrical.tail_ratio(returns),
        "beta": empyrical.beta(returns, market),
    }


def quantstats_figures(returns: np.ndarray, market: np.ndarray) -> dict[str, float]:
    """Return what quantstats says of a dated series of returns."""
    days = pd.bdate_range("2020-01-01", periods=SESSIONS)
    series, benchmark = pd.Series(returns, index=days), pd.Series(market, index=days)
    return {
        "total_return": quantstats.comp(series),
        "annual_return": quantstats.cagr(series),
        "annual_volatility": quantstats.volatility(series),
        "sharpe": quantstats.sharpe(series),
        "smart_sharpe": quantstats.smart_sharpe(series),
        "max_drawdown": quantstats.max_drawdown(series),
        "sortino": quantstats.sortino(series),
        "calmar": quantstats.calmar(series),
        "value_at_risk": quantstats.value_at_risk(series),
        "expected_shortfall": quantstats.conditional_value_at_risk(series),
        "tail_ratio": quantstats.tail_ratio(series),
        "hit_rate": quantstats.win_rate(series),
        "skewness": quantstats.skew(series),
        "kurtosis": quantstats.kurtosis(series),
        "beta": quantstats.greeks(series, benchmark)["beta"],
        "probabilistic_sharpe": quantstats.probabilistic_sharpe_ratio(series),
    }


def main() -> None:
    made = cases()
    market = made.pop("market")
    told = {
        name: {
            "returns": values.tolist(),
            "empyrical": {k: float(v) for k, v in empyrical_figures(values, market).items()},
            "quantstats": {k: float(v) for k, v in quantstats_figures(values, market).items()},
        }
        for name, values in made.items()
    }
    assert all(math.isfinite(v) for case in told.values() for part in ("empyrical", "quantstats") for v in case[part].values())
    steady = np.full(50, 0.001)
    of_steady = {
        "empyrical": float(empyrical.sharpe_ratio(steady)),
        "quantstats": float(quantstats.sharpe(pd.Series(steady, index=pd.bdate_range("2020-01-01", periods=50)))),
    }
    versions = {name: version(name) for name in ("empyrical-reloaded", "quantstats", "numpy", "pandas")}
    answers = {"versions": versions, "seed": SEED, "market": market.tolist(), "cases": told}
    # No ratio has a meaning here; an infinity has no word in JSON.
    answers["steady_sharpe"] = {name: str(value) for name, value in of_steady.items()}
    Path(__file__).with_name("performance.json").write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
