"""What came true: forward returns of a round's universe, and the target that scores are measured against.

Not here: scores. Decision instant: the view's; every session of the window must be visible in it.

1. The return runs from the close of s₀ + lag to the close of s₀ + lag + horizon, dividends included.
2. An asset that is delisted in the window earns its delisting return on top and nothing after it; a halted one keeps its
   last known price.
3. The target is the residual of the returns on the exposures known at s₀, cut into five bins of 5, 20, 50, 20 and 5 percent.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, IntArray
from market.exposures import Exposures
from market.panel import PanelView
from market.projection import project_out, residualize
from market.ranks import TARGET_SHARES_PERCENT, five_bins

RESIDUAL_DECIMALS = 12
"""Residuals are rounded here, so that rounding noise neither orders equal returns nor moves one over a bin's edge."""


def forward_returns(view: PanelView, members: IntArray, base_session: date, horizon: int, lag: int) -> FloatArray:
    """Return the total returns of ``members`` over the window that ``base_session`` opens.

    Parameters
    ----------
    view : PanelView
        Must show the window's last session.
    members : (n,) int64
        Positions on the panel's asset axis.
    base_session : date
        s₀, the last session known at the round's close.
    horizon, lag : int
        Sessions; the window is (s₀ + lag, s₀ + lag + horizon].

    Returns
    -------
    (n,) float64
        Simple returns, ≥ −1. NaN for an asset without any price or delisting on the sessions from s₀ + lag to the end, or
        without a price to start from.

    Raises
    ------
    InputRejected
        ``date_outside_panel`` when a session of the window is not visible; ``setting_invalid`` for a negative lag or a
        horizon below 1.
    """
    if horizon < 1 or lag < 0:
        raise InputRejected(Code.SETTING_INVALID, f"A window of {horizon} sessions after {lag} does not exist.")
    start = view.index_of(base_session) + lag
    end = start + horizon
    if end >= len(view.sessions):
        window = f"{lag} + {horizon} sessions after {base_session.isoformat()}"
        raise InputRejected(Code.DATE_OUTSIDE_PANEL, f"The return {window} is not known yet.")
    growth = np.prod(1.0 + view.total_returns()[start + 1 : end + 1, members], axis=0)
    event = view.delisting_index[members]
    gone = (event > start) & (event <= end)
    growth[gone] *= 1.0 + view.delisting_return[members][gone]
    priced = np.isfinite(view.close[start : end + 1, members]).any(axis=0) | gone
    started = view.history_sessions()[members] >= len(view.sessions) - start
    return np.where(priced & started, growth - 1.0, np.nan)


def neutral_target(
    returns: FloatArray,
    exposures: Exposures | FloatArray,
    shares_percent: Sequence[int] = TARGET_SHARES_PERCENT,
    basis: FloatArray | None = None,
) -> FloatArray:
    """Turn forward returns into the target: residual on the exposures, in bins from 0 to 1.

    Parameters
    ----------
    returns : (n,) float64
        Forward returns; NaN is unknown and stays so.
    exposures : Exposures or (n, k) float64
        Loadings known at the base session; the intercept is added. NaN not allowed.
    shares_percent : sequence of int
        Shares of the bins from the lowest up.
    basis : (n, rank) float64, optional
        Orthonormal basis of an intercept and the exposures, from who has it already; used if every return is known.

    Returns
    -------
    (n,) float64
        0, ¼, ½, ¾ or 1 for five bins; equal residuals share a bin; NaN where ``returns`` is NaN.
    """
    loadings = exposures.values if isinstance(exposures, Exposures) else np.asarray(exposures, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(returns))
    residual = np.full(returns.shape[0], np.nan)
    if basis is not None and len(known) == len(returns):
        rest = project_out(returns, basis)
    else:
        rest = residualize(returns[known], loadings[known])
    residual[known] = np.round(rest, RESIDUAL_DECIMALS)
    return five_bins(residual, shares_percent)


def coverage(returns: FloatArray) -> float:
    """Return the part of the universe whose returns are known, 0 to 1; 0 for an empty universe."""
    return float(np.mean(~np.isnan(returns))) if returns.shape[0] else 0.0
