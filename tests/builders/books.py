"""Random rebalance problems, factor markets and return paths from a generator: what the portfolio tests are fed with."""

from dataclasses import replace

import numpy as np

from portfolio.problem import RebalanceProblem
from portfolio.riskmodel import RiskModel

SECTORS, STYLES = 11, 5


def factor_columns(rng: np.random.Generator, n: int, sectors: int = SECTORS, styles: int = STYLES):
    """Return exposures (n, 1 + sectors + 1 + styles) with an intercept and a beta, and their kinds."""
    sector = rng.integers(0, sectors, n)
    dummies = (sector[:, None] == np.arange(sectors)).astype(float)
    beta = rng.standard_normal((n, 1))
    B = np.concatenate([np.ones((n, 1)), dummies, beta, rng.standard_normal((n, styles))], axis=1)
    return B, ("market", *["sector"] * sectors, "beta", *["style"] * styles)


def factor_covariance(rng: np.random.Generator, kinds: tuple[str, ...]) -> np.ndarray:
    """Return a positive definite covariance of weekly factor returns."""
    size = {"market": 0.022, "sector": 0.010, "beta": 0.008, "style": 0.004, "country": 0.006}
    deviation = np.array([size[kind] for kind in kinds])
    mixing = rng.standard_normal((len(kinds), 3 * len(kinds)))
    sample = np.corrcoef(mixing)
    return (0.3 * sample + 0.7 * np.eye(len(kinds))) * np.outer(deviation, deviation)


def market_model(rng: np.random.Generator, n: int) -> RiskModel:
    """Return a risk model of one session over n names: an intercept, eleven sectors, beta and five styles."""
    B, kinds = factor_columns(rng, n)
    size = {"market": 0.010, "sector": 0.006, "beta": 0.003, "style": 0.002}
    F = np.diag([size[kind] ** 2 for kind in kinds])
    return RiskModel(("f",) * len(kinds), kinds, B, F, (0.018 * np.exp(0.4 * rng.standard_normal(n))) ** 2)


def random_problem(
    rng: np.random.Generator, n: int = 60, *, sectors: int = 4, styles: int = 3, impact: bool = False, drifted: bool = True
) -> RebalanceProblem:
    """Return a plausible weekly problem; feasible with w0 near zero, often not with a drifted one."""
    B, kinds = factor_columns(rng, n, sectors, styles)
    D = (0.03 * np.exp(0.35 * rng.standard_normal(n))) ** 2
    cap = max(0.02, 4.0 / n)
    held = np.clip(rng.standard_normal(n), -2, 2)
    w0 = held * min(0.45 * cap, 1.8 / np.abs(held).sum()) if drifted else np.zeros(n)
    band = np.array([{"market": np.inf, "beta": 0.0, "sector": 0.02, "style": 0.05}[kind] for kind in kinds])
    return RebalanceProblem(
        alpha=0.01 * np.sqrt(D) * rng.standard_normal(n),
        B=B,
        F=factor_covariance(rng, kinds),
        D=D,
        w0=w0,
        exposure_lower=-band,
        exposure_upper=band,
        factor_kinds=kinds,
        position_lower=np.full(n, -cap),
        position_upper=np.full(n, cap),
        gross_max=2.0,
        turnover_max=float(rng.uniform(0.3, 1.0)),
        half_spread=rng.uniform(0.5e-4, 2e-4, n),
        impact=rng.uniform(0.5e-3, 2e-3, n) if impact else np.zeros(n),
        borrow=np.full(n, 1e-4),
        dead=np.zeros(n, dtype=bool),
        risk_aversion=float(rng.uniform(1.0, 10.0)),
    )


def without_limits(problem: RebalanceProblem) -> RebalanceProblem:
    """Return the problem with wide turnover and bands, so that only dollar, caps and gross bind."""
    wide = np.full(len(problem.factor_kinds), np.inf)
    return replace(problem, exposure_lower=-wide, exposure_upper=wide, turnover_max=100.0)


def random_paths(rng: np.random.Generator, sessions: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return overnight and intraday returns, (sessions, n) each, with fat tails; never below −40 %."""
    overnight = np.clip(0.008 * rng.standard_t(4, (sessions, n)), -0.4, 0.6)
    intraday = np.clip(0.012 * rng.standard_t(4, (sessions, n)), -0.4, 0.6)
    return overnight, intraday
