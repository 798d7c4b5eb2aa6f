"""The risk model (B, F, D): what part of the returns the factors explain, and how both parts vary.

Per session and per asset; whoever needs another period multiplies the variances. It is no forecast of returns.

1. each period (a week, say) has the exposures known at its beginning; an intercept column ``market`` is put before them;
2. returns far from the session's median are drawn in: one wrong price, or one takeover, is not a factor's return;
3. each session's returns are regressed on them across the assets that were in the universe (weighted least squares, the
   shortest coefficient vector where columns are collinear, as dummies beside an intercept are);
4. F is the exponentially weighted mean of f f' (a sum of outer products, hence positive semidefinite; means of a session are
   taken as zero, being far smaller than their error);
5. Dᵢ is the exponentially weighted mean of the squared residuals of asset i, shrunk towards the median of all assets by the
   length of its own history.

Autocorrelation between sessions is not modelled: the variance of a period is that of a session times its sessions.
Decision instant: everything uses the periods handed in, and the caller hands in what was known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, IntArray

MARKET = "market"
RANK_CUT = 1e-10
"""Relative eigenvalue of the normal matrix below which a direction is collinear with others."""
FACTOR_HALF_LIFE_SESSIONS = 126.0
SPECIFIC_HALF_LIFE_SESSIONS = 63.0
SHRINKAGE_SESSIONS = 42.0
"""Weight of the cross-sectional median, as if it were that many sessions of an asset's own history."""
HISTORY_MIN_SESSIONS = 42
"""With fewer residuals an asset gets the median: a handful of squared returns says little."""
COVERAGE_MIN = 0.5
"""A session in which fewer of the universe's returns are known is left out: its factor returns would be noise."""
OUTLIER_DEVIATIONS = 15.0
"""Robust deviations (1.4826 × median absolute deviation) from the session's median beyond which a return is drawn in. On a
usual day that is about 25 %: a stock's move on news stays whole, an unadjusted split or a dying company's price does not."""
SPECIFIC_FLOOR = 0.05
"""Part of the median variance that no asset goes below: a stale price isn't a safe asset."""


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


@dataclass(frozen=True, slots=True)
class FactorPeriod:
    """Returns of a few sessions with the exposures known before the first of them, over the panel's n assets.

    Attributes
    ----------
    returns : (t, n) float64
        Total returns of sessions; NaN where unknown.
    exposures : (n, k) float64
        Without intercept; rows outside ``in_universe`` are not read and may be NaN.
    in_universe : (n,) bool
        Assets that take part in the regression.
    """

    returns: FloatArray
    exposures: FloatArray
    in_universe: BoolArray


def _with_intercept(exposures: FloatArray) -> FloatArray:
    return np.concatenate([np.ones((exposures.shape[0], 1)), exposures], axis=1)


def factor_returns(
    returns: FloatArray, exposures: FloatArray, weights: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Regress each session's returns on exposures and an intercept.

    Parameters
    ----------
    returns : (t, n) float64
        NaN where unknown: such an asset is left out of that session.
    exposures : (n, k) float64
        Finite; may be rank deficient.
    weights : (n,) float64, optional
        Regression weights, not negative; equal by default.

    Returns
    -------
    factors : (t, 1 + k) float64
        Factor returns, the intercept first; NaN in a session with too few known returns.
    residuals : (t, n) float64
        Specific returns; NaN where the return is.

    Notes
    -----
    f = (X'WX)⁺ X'W r: of all least-squares solutions the shortest one, which is unique.
    """
    X = _with_intercept(exposures)
    W = np.ones(X.shape[0]) if weights is None else weights
    known = np.isfinite(returns)
    factors = np.full((returns.shape[0], X.shape[1]), np.nan)
    whole = known.all(axis=0)
    enough = known.mean(axis=1) >= COVERAGE_MIN if returns.shape[1] else np.zeros(returns.shape[0], dtype=bool)
    # Assets that trade in every session of the period share one normal matrix; only when they are few is each session solved
    # with its own.
    if whole.mean() >= COVERAGE_MIN:
        factors[enough] = returns[enough][:, whole] @ _solution_operator(X[whole], W[whole])
    else:
        for t in np.flatnonzero(enough):
            factors[t] = returns[t, known[t]] @ _solution_operator(X[known[t]], W[known[t]])
    return factors, returns - factors @ X.T


def _solution_operator(X: FloatArray, W: FloatArray) -> FloatArray:
    """Return P, (n, k), with f = r P for a row r of returns."""
    weighted = X * W[:, None]
    values, vectors = np.linalg.eigh(X.T @ weighted)
    keep = values > RANK_CUT * max(float(values[-1]), np.finfo(np.float64).tiny)
    inverse = (vectors[:, keep] / values[keep]) @ vectors[:, keep].T
    operator: FloatArray = weighted @ inverse
    return operator


def _decay(count: int, half_life: float) -> FloatArray:
    """Return weights, (count,), that halve every ``half_life`` sessions into the past; not normalized."""
    weights: FloatArray = 0.5 ** (np.arange(count - 1, -1, -1, dtype=np.float64) / half_life)
    return weights


def estimate_risk_model(
    periods: Sequence[FactorPeriod],
    exposures_now: FloatArray,
    positions_now: IntArray,
    names: Sequence[str],
    kinds: Sequence[str],
    *,
    factor_half_life: float = FACTOR_HALF_LIFE_SESSIONS,
    specific_half_life: float = SPECIFIC_HALF_LIFE_SESSIONS,
) -> RiskModel:
    """Estimate (B, F, D) for the assets of a decision.

    Parameters
    ----------
    periods : sequence of FactorPeriod
        In time order, the newest last, all over the same n assets and k factors; at least one session with known returns.
    exposures_now : (m, k) float64
        Exposures at the decision instant; finite.
    positions_now : (m,) int64
        Where each of the m assets stands among the n.
    names, kinds : sequences of str, length k
        Of the columns; a style named ``beta`` gets the kind ``beta``.
    factor_half_life, specific_half_life : float
        In sessions.

    Returns
    -------
    RiskModel
        Per session; an asset with little history has the cross-sectional median as specific variance.

    Raises
    ------
    InputRejected
        HISTORY_TOO_SHORT when no session can be regressed.
    """
    factors, residuals = _regress_all(periods)
    if factors.shape[0] == 0:
        raise InputRejected(Code.HISTORY_TOO_SHORT, "There is no session whose factor returns can be estimated.")
    weights = _decay(factors.shape[0], factor_half_life)
    F = (factors.T * (weights / weights.sum())) @ factors
    D = _specific_variance(residuals, positions_now, _decay(residuals.shape[0], specific_half_life))
    told = tuple("beta" if kind == "style" and name == "beta" else kind for name, kind in zip(names, kinds, strict=True))
    B = _with_intercept(exposures_now)
    return RiskModel((MARKET, *names), (MARKET, *told), B, (F + F.T) / 2, D, factors.shape[0])


def drawn_in(returns: FloatArray) -> FloatArray:
    """Return (t, n) returns limited to :data:`OUTLIER_DEVIATIONS` around each session's median; NaN stays."""
    limited = returns.copy()
    for row in np.flatnonzero(np.isfinite(returns).any(axis=1)):
        known = returns[row][np.isfinite(returns[row])]
        centre = float(np.median(known))
        width = OUTLIER_DEVIATIONS * 1.4826 * float(np.median(np.abs(known - centre)))
        if width > 0:
            limited[row] = np.clip(returns[row], centre - width, centre + width)
    return limited


def _regress_all(periods: Sequence[FactorPeriod]) -> tuple[FloatArray, FloatArray]:
    """Return factor returns (T, 1 + k) and residuals (T, n) of all sessions that could be regressed."""
    factors: list[FloatArray] = []
    residuals: list[FloatArray] = []
    for period in periods:
        inside = np.flatnonzero(period.in_universe)
        f, e = factor_returns(drawn_in(period.returns[:, inside]), period.exposures[inside])
        usable = np.isfinite(f).all(axis=1)
        whole = np.full(period.returns.shape, np.nan)
        whole[:, inside] = e
        factors.append(f[usable])
        residuals.append(whole[usable])
    if not factors:
        return np.empty((0, 0)), np.empty((0, 0))
    return np.concatenate(factors), np.concatenate(residuals)


def _specific_variance(residuals: FloatArray, positions: IntArray, weights: FloatArray) -> FloatArray:
    """Return shrunk specific variances, (m,) float64."""
    e = residuals[:, positions]
    known = np.isfinite(e)
    count = known.sum(axis=0)
    mass = weights @ known
    raw = (weights @ np.where(known, e, 0.0) ** 2) / np.where(mass > 0, mass, 1.0)
    seasoned = (count >= HISTORY_MIN_SESSIONS) & (raw > 0)
    usable = seasoned if seasoned.any() else (count > 0) & (raw > 0)
    # With no residual at all the model says so by a variance of zero, and only the factors carry risk.
    median = float(np.median(raw[usable])) if usable.any() else 0.0
    share = count / (count + SHRINKAGE_SESSIONS)
    shrunk = np.where(seasoned, share * raw + (1.0 - share) * median, median)
    floored: FloatArray = np.maximum(shrunk, SPECIFIC_FLOOR * median)
    return floored
