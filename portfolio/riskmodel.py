"""The risk model (B, F, D): what part of the returns the factors explain, and how both parts vary.

Per session and per asset; whoever needs another period multiplies the variances. It is no forecast of returns.

1. each session's returns are regressed on the exposures known before it (:mod:`portfolio.factorreturns`);
2. F is the covariance of the factor returns, volatilities and correlations with half-lives of their own, corrected for serial
   correlation (:mod:`portfolio.covariance`);
3. what is left of each asset, divided by √(1 − leverage) since a fit takes a part of its own noise away, gives its specific
   variance, corrected and shrunk (:mod:`portfolio.specific`).

What it was held against, and what it does not see: ``docs/risk-model.md``. Decision instant: everything uses the periods handed
in, and the caller hands in what was known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, IntArray
from portfolio.covariance import eigenvalue_adjusted, factor_covariance
from portfolio.factorreturns import MARKET, FactorPeriod, drawn_in, factor_returns, groups_of, regress, with_intercept
from portfolio.specific import specific_variances

__all__ = [
    "MARKET",
    "FactorPeriod",
    "RiskModel",
    "RiskParameters",
    "drawn_in",
    "estimate_risk_model",
    "factor_returns",
]

LEVERAGE_MAX = 0.5
"""An asset that has a factor nearly to itself, as one alone in its sector, leaves a residual that tells nothing of it."""


@dataclass(frozen=True, slots=True)
class RiskParameters:
    """How a risk model is estimated; half-lives in sessions.

    The defaults are those of Barra's short-horizon model of the United States (USE4S), save where said.

    Attributes
    ----------
    volatility_half_life_sessions, correlation_half_life_sessions : float
        Of factor returns. A volatility changes within months; correlations are many and each needs a long history.
    volatility_lags : int
        Newey–West lags. With four, a session's variance is a fifth of that of five sessions in a row, which is what a weekly
        book bears; USE4 has five.
    correlation_lags : int
        What links a factor to another's past, late prices above all, is over in two sessions.
    specific_half_life_sessions : float
    specific_lags : int
        As ``volatility_lags``.
    specific_prior_sessions : float
        Sessions of an asset's own history that the structural variance counts as. Ours.
    eigenvalue_simulations : int
        Histories drawn to adjust the eigenvalues of F; 0: they are not adjusted.
    eigenvalue_scale : float
        Part of the simulated adjustment that is applied.
    """

    volatility_half_life_sessions: float = 84.0
    correlation_half_life_sessions: float = 504.0
    volatility_lags: int = 4
    correlation_lags: int = 2
    specific_half_life_sessions: float = 84.0
    specific_lags: int = 4
    specific_prior_sessions: float = 42.0
    eigenvalue_simulations: int = 0
    eigenvalue_scale: float = 1.4


DEFAULT_PARAMETERS = RiskParameters()


@dataclass(frozen=True, slots=True)
class RiskModel:
    """Exposures, factor covariance and specific variances of m assets, per session.

    Attributes
    ----------
    factor_names, factor_kinds : tuple of str, length k
        ``market`` first; kinds are ``market``, ``beta``, ``sector``, ``country``, ``style``.
    B : (m, k) float64
        Exposures now, the intercept included.
    F : (k, k) float64
        Covariance of factor returns, per session.
    D : (m,) float64
        Specific variance, per session.
    sessions : int
        How many sessions it was estimated from.
    """

    factor_names: tuple[str, ...]
    factor_kinds: tuple[str, ...]
    B: FloatArray
    F: FloatArray
    D: FloatArray
    sessions: int = 0

    def total_volatility(self) -> FloatArray:
        """Return each asset's volatility of a session, (m,) float64."""
        variance: FloatArray = np.sum((self.B @ self.F) * self.B, axis=1) + self.D
        root: FloatArray = np.sqrt(np.maximum(variance, 0.0))
        return root

    def book_volatility(self, weights: FloatArray) -> float:
        """Return the forecast volatility of a session of the book ``weights``, (m,) float64."""
        exposure = self.B.T @ weights
        variance = float(exposure @ self.F @ exposure + self.D @ weights**2)
        return math.sqrt(max(0.0, variance))


def estimate_risk_model(
    periods: Sequence[FactorPeriod],
    exposures_now: FloatArray,
    positions_now: IntArray,
    names: Sequence[str],
    kinds: Sequence[str],
    *,
    parameters: RiskParameters = DEFAULT_PARAMETERS,
    rng: np.random.Generator | None = None,
) -> RiskModel:
    """Estimate (B, F, D) for the assets of a decision.

    Parameters
    ----------
    periods : sequence of FactorPeriod
        In time order, the newest last, all over the same n assets and k factors; at least one session with known returns.
    exposures_now : (m, k) float64
        Exposures at the decision instant; finite.
    positions_now : (m,) int64
        Where each of the m assets stands among the n; no asset twice.
    names, kinds : sequences of str, length k
        Of the columns; a style named ``beta`` gets the kind ``beta``. The columns of kind ``sector``, and those of kind
        ``country``, are dummies of which each asset has one.
    parameters : RiskParameters
    rng : Generator, optional
        Needed when eigenvalues are adjusted, and only then: the same seed gives the same model.

    Returns
    -------
    RiskModel
        Per session; an asset with little history has the variance of assets with exposures like its own.

    Raises
    ------
    InputRejected
        HISTORY_TOO_SHORT when no session can be regressed; PROBLEM_INVALID when eigenvalues are to be adjusted without ``rng``.
    """
    factors, residuals = _regress_all(periods, positions_now, kinds)
    if factors.shape[0] == 0:
        raise InputRejected(Code.HISTORY_TOO_SHORT, "There is no session whose factor returns can be estimated.")
    B = with_intercept(exposures_now)
    D = specific_variances(
        residuals,
        B,
        half_life_sessions=parameters.specific_half_life_sessions,
        lags=parameters.specific_lags,
        prior_sessions=parameters.specific_prior_sessions,
    )
    told = tuple("beta" if kind == "style" and name == "beta" else kind for name, kind in zip(names, kinds, strict=True))
    F = _covariance(factors, parameters, rng)
    return RiskModel((MARKET, *names), (MARKET, *told), B, F, D, factors.shape[0])


def _covariance(factors: FloatArray, parameters: RiskParameters, rng: np.random.Generator | None) -> FloatArray:
    estimate = partial(
        factor_covariance,
        volatility_half_life_sessions=parameters.volatility_half_life_sessions,
        correlation_half_life_sessions=parameters.correlation_half_life_sessions,
        volatility_lags=parameters.volatility_lags,
        correlation_lags=parameters.correlation_lags,
    )
    F = estimate(factors)
    if parameters.eigenvalue_simulations == 0:
        return F
    if rng is None:
        raise InputRejected(
            Code.PROBLEM_INVALID, "Adjusting the eigenvalues of a risk model needs a generator of random numbers."
        )
    return eigenvalue_adjusted(
        F,
        factors.shape[0],
        estimate,
        rng,
        simulations=parameters.eigenvalue_simulations,
        scale=parameters.eigenvalue_scale,
    )


def _regress_all(periods: Sequence[FactorPeriod], positions: IntArray, kinds: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Return factor returns (T, 1 + k) of the sessions that could be regressed, and residuals (T, m) of the m assets.

    The residuals have the variance of the specific returns: that of a fit's own residual is smaller by its leverage.
    """
    factors = [np.empty((0, 1 + len(kinds)))]
    residuals = [np.empty((0, len(positions)))]
    groups = groups_of(kinds)
    for period in periods:
        inside = np.flatnonzero(period.in_universe)
        weights = None if period.weights is None else period.weights[inside]
        fitted = regress(drawn_in(period.returns[:, inside]), period.exposures[inside], weights, groups)
        usable = np.isfinite(fitted.factors).all(axis=1)
        taken = np.where(fitted.leverage < LEVERAGE_MAX, fitted.leverage, np.nan)
        # One column more than there are assets: what was outside the universe finds NaN there.
        own = np.full((len(taken), len(inside) + 1), np.nan)
        np.divide(fitted.residuals, np.sqrt(1.0 - taken), out=own[:, :-1])
        column = np.full(period.in_universe.shape, len(inside))
        column[inside] = np.arange(len(inside))
        factors.append(fitted.factors[usable])
        residuals.append(own[usable][:, column[positions]])
    return np.concatenate(factors), np.concatenate(residuals)
