"""Factor returns: what a session paid for each exposure, by a weighted regression across the assets.

Not here: how factor returns vary (:mod:`portfolio.covariance`), and what is left of each asset (:mod:`portfolio.specific`).

1. Each period (a week, say) has the exposures known at its beginning; an intercept column ``market`` is put before them.
2. Returns far from the session's median are drawn in: one wrong price, or one takeover, is not a factor's return.
3. Each session's returns are regressed on the columns by weighted least squares. The weights are the caller's: best are those
   inverse to the specific variance, which the root of the capitalization or of the dollar volume are about.
4. Dummies of one kind sum to the intercept. So each kind's factor returns are told as deviations: weighted by the regression
   weight of their assets they sum to zero, as in Barra's models, and ``market`` is what the average asset earned. This holds
   also where a group has no column, as when a sector has died out since. What is collinear beyond that gets the shortest
   coefficients.

Decision instant: everything uses the periods handed in, and the caller hands in what was known.

Source: J. Menchero, D. J. Orr and J. Wang, *The Barra US Equity Model (USE4)*, 2011, on weights and constraints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from market.arrays import BoolArray, FloatArray, IntArray
from market.medians import column_medians

MARKET = "market"
DUMMY_KINDS = ("sector", "country")
"""Kinds of factors of which each asset has exactly one."""
RANK_CUT = 1e-10
"""Relative eigenvalue of the normal matrix below which a direction is collinear with others."""
COVERAGE_MIN = 0.5
"""A session in which fewer of the universe's returns are known is left out: its factor returns would be noise."""
OUTLIER_DEVIATIONS = 15.0
"""Robust deviations (1.4826 × median absolute deviation) from the session's median beyond which a return is drawn in. On a
usual day that is about 25 %: a stock's move on news stays whole, an unadjusted split or a dying company's price does not."""


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
    weights : (n,) float64 or None
        Regression weights known before the first session, not negative; outside ``in_universe`` not read. None: all equal.
    """

    returns: FloatArray
    exposures: FloatArray
    in_universe: BoolArray
    weights: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Regression:
    """Sessions regressed on the same exposures.

    Attributes
    ----------
    factors : (t, 1 + k) float64
        Factor returns, the intercept first; NaN in a session with too few known returns.
    residuals : (t, n) float64
        Specific returns; NaN where the return or the session's factors are.
    leverage : (t, n) float64
        Part of an asset's own return that its fit takes, from 0 to 1; 0 for assets that the fit did not use.
    """

    factors: FloatArray
    residuals: FloatArray
    leverage: FloatArray


def factor_returns(
    returns: FloatArray, exposures: FloatArray, weights: FloatArray | None = None, groups: Sequence[IntArray] = ()
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
    groups : sequence of int64 arrays
        Columns of ``exposures``, none in two groups. Each group's factor returns sum to zero, every column weighing
        Σᵢ WᵢXᵢⱼ of the assets that are used. None by default.

    Returns
    -------
    factors : (t, 1 + k) float64
        Factor returns, the intercept first; NaN in a session with too few known returns.
    residuals : (t, n) float64
        Specific returns; NaN where the return is.

    Notes
    -----
    f = R (R'X'WX R)⁺ R'X'W r with R an orthonormal basis of the vectors that satisfy the groups' sums (the identity without
    groups): of all least-squares solutions among these the shortest one, which is unique.
    """
    fitted = regress(returns, exposures, weights, groups)
    return fitted.factors, fitted.residuals


def regress(
    returns: FloatArray, exposures: FloatArray, weights: FloatArray | None = None, groups: Sequence[IntArray] = ()
) -> Regression:
    """Return :func:`factor_returns` with each asset's leverage, Wᵢ xᵢ'R (R'X'WX R)⁺ R'xᵢ."""
    X = with_intercept(exposures)
    W = np.ones(X.shape[0]) if weights is None else weights
    known = np.isfinite(returns)
    factors = np.full((returns.shape[0], X.shape[1]), np.nan)
    leverage = np.zeros(returns.shape)
    whole = known.all(axis=0)
    enough = known.mean(axis=1) >= COVERAGE_MIN if returns.shape[1] else np.zeros(returns.shape[0], dtype=bool)
    # Assets that trade in every session of the period share one normal matrix; only when they are few is each session solved
    # with its own.
    shared = whole.mean() >= COVERAGE_MIN
    for rows, used in (
        [(np.flatnonzero(enough), whole)] if shared else [(np.array([t]), known[t]) for t in np.flatnonzero(enough)]
    ):
        design = X[used]
        operator = _solution_operator(design, W[used], groups)
        factors[rows] = returns[rows][:, used] @ operator
        leverage[np.ix_(rows, used)] = np.einsum("ij,ij->i", design, operator)
    return Regression(factors, returns - factors @ X.T, leverage)


def with_intercept(exposures: FloatArray) -> FloatArray:
    """Return exposures (n, k) behind a column of ones, (n, 1 + k)."""
    return np.concatenate([np.ones((exposures.shape[0], 1)), exposures], axis=1)


def groups_of(kinds: Sequence[str]) -> list[IntArray]:
    """Return the columns of each kind of dummies, as :func:`factor_returns` wants its groups."""
    return [np.flatnonzero([k == kind for k in kinds]) for kind in DUMMY_KINDS if kind in kinds]


def _solution_operator(X: FloatArray, W: FloatArray, groups: Sequence[IntArray]) -> FloatArray:
    """Return P, (n, 1 + k), with f = r P for a row r of returns."""
    weighted = X * W[:, None]
    free = _free_directions(weighted.sum(axis=0), groups)
    values, vectors = np.linalg.eigh(free.T @ (X.T @ weighted) @ free)
    keep = values > RANK_CUT * max(float(values[-1]), np.finfo(np.float64).tiny)
    solved = free @ vectors[:, keep]
    operator: FloatArray = weighted @ ((solved / values[keep]) @ solved.T)
    return operator


def _free_directions(share: FloatArray, groups: Sequence[IntArray]) -> FloatArray:
    """Return an orthonormal basis (1 + k, ·) of the factor returns whose sums over each group, weighted by share, are zero."""
    sums = np.zeros((len(groups), share.size))
    for row, columns in zip(sums, groups, strict=True):
        row[1 + columns] = share[1 + columns]
    sums = sums[np.abs(sums).max(axis=1, initial=0.0) > 0]
    if not len(sums):
        return np.eye(share.size)
    whole: FloatArray = np.linalg.qr(sums.T, mode="complete")[0]
    return whole[:, len(sums) :]


def drawn_in(returns: FloatArray) -> FloatArray:
    """Return (t, n) returns limited to :data:`OUTLIER_DEVIATIONS` around each session's median; NaN stays."""
    centre = _row_medians(returns)
    width = OUTLIER_DEVIATIONS * 1.4826 * _row_medians(np.abs(returns - centre))
    # Where nothing deviates, or nothing is known, there is no scale to limit by.
    width = np.where(width > 0, width, np.inf)
    centre = np.where(np.isfinite(centre), centre, 0.0)
    limited: FloatArray = np.clip(returns, centre - width, centre + width)
    return limited


def _row_medians(values: FloatArray) -> FloatArray:
    """Return the median of each row's finite values, (t, 1); NaN where there are none."""
    if not values.size:
        return np.full((values.shape[0], 1), np.nan)
    finite = np.isfinite(values)
    if finite.all():
        return column_medians(values.T)[:, None]
    ordered = np.sort(np.where(finite, values, np.inf), axis=1)
    count = finite.sum(axis=1, keepdims=True)
    below = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=1)
    above = np.take_along_axis(ordered, np.minimum(count // 2, ordered.shape[1] - 1), axis=1)
    return np.where(count > 0, (below + above) / 2.0, np.nan)
