"""What came true: forward returns of a round's universe, and the target that scores are measured against.

Not here: scores, and where a window begins and ends on several exchanges (:mod:`market.windows`). Decision instant: the view's;
every session of the window must be visible in it.

1. The return runs from the close of s₀ + lag to the close of s₀ + lag + horizon, dividends included. Each asset may have rows
   of its own; on rows between them on which its exchange is closed its return is 0.
2. An asset that is delisted in the window earns its delisting return on top and nothing after it; a halted one keeps its
   last known price.
3. The neutral target is the residual of the returns on the exposures known at s₀, the raw target the returns themselves; each
   is cut into five bins of 5, 20, 50, 20 and 5 percent.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.arrays import FloatArray, IntArray
from market.exposures import Exposures
from market.panel import PanelView
from market.projection import project_out, residualize
from market.ranks import TARGET_SHARES_PERCENT, five_bins
from market.windows import check_window

RESIDUAL_DECIMALS = 12
"""Residuals are rounded here, so that rounding noise neither orders equal returns nor moves one over a bin's edge."""


def forward_returns(view: PanelView, members: IntArray, base_session: date, horizon: int, lag: int) -> FloatArray:
    """Return the total returns of ``members`` over the window that ``base_session`` opens, on a single exchange.

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
    check_window(horizon, lag)
    start = view.index_of(base_session) + lag
    if start + horizon >= len(view.sessions):
        window = f"{lag} + {horizon} sessions after {base_session.isoformat()}"
        raise InputRejected(Code.DATE_OUTSIDE_PANEL, f"The return {window} is not known yet.")
    rows = np.full(members.shape[0], start, dtype=np.int64)
    return window_returns(view, members, rows, rows + horizon)


def window_returns(view: PanelView, members: IntArray, start_rows: IntArray, end_rows: IntArray) -> FloatArray:
    """Return the total returns of ``members`` from the close of one row to the close of another, each asset on its own rows.

    Parameters
    ----------
    view : PanelView
        Must show the last of the end rows.
    members : (n,) int64
        Positions on the panel's asset axis.
    start_rows, end_rows : (n,) int64
        Rows of the view, start before end; from :func:`market.windows.windows`.

    Returns
    -------
    (n,) float64
        Simple returns, ≥ −1. NaN for an asset without any price or delisting from its start to its end, or without a price to
        start from.

    Raises
    ------
    InputRejected
        ``date_outside_panel`` when an end row is not visible.
    InvariantBroken
        When a window does not end after its start.
    """
    if members.shape[0] == 0:
        return np.empty(0)
    first, last = int(start_rows.min()), int(end_rows.max())
    if first < 0 or (end_rows <= start_rows).any():
        raise InvariantBroken(Code.INTERNAL, "A window of returns does not end after its start.")
    if last >= len(view.sessions):
        short = last - len(view.sessions) + 1
        raise InputRejected(Code.DATE_OUTSIDE_PANEL, f"The last {short} sessions of the window are not known yet.")
    rows = np.arange(first, last + 1)[:, None]
    inside = (rows >= start_rows) & (rows <= end_rows)
    held = inside[1:] & (rows[1:] > start_rows)
    growth = np.prod(np.where(held, 1.0 + view.total_returns()[first + 1 : last + 1, members], 1.0), axis=0)
    event = view.delisting_index[members]
    gone = (event > start_rows) & (event <= end_rows)
    growth[gone] *= 1.0 + view.delisting_return[members][gone]
    priced = (np.isfinite(view.close[first : last + 1, members]) & inside).any(axis=0) | gone
    started = view.history_sessions()[members] >= len(view.sessions) - start_rows
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


def raw_target(returns: FloatArray, shares_percent: Sequence[int] = TARGET_SHARES_PERCENT) -> FloatArray:
    """Turn forward returns into bins from 0 to 1 as they are, nothing taken out.

    Parameters
    ----------
    returns : (n,) float64
        Forward returns; NaN is unknown and stays so.
    shares_percent : sequence of int
        Shares of the bins from the lowest up.

    Returns
    -------
    (n,) float64
        0, ¼, ½, ¾ or 1 for five bins; returns that are equal to twelve decimals share a bin; NaN where ``returns`` is NaN.
    """
    return five_bins(np.round(returns, RESIDUAL_DECIMALS), shares_percent)


def priced_share(view: PanelView, members: IntArray, base_session: date, horizon: int, lag: int) -> float:
    """Return the part of ``members`` that had a price at an end of the window: the smaller one of its two ends.

    A price that is carried over a session hides that none came: right for a halt, wrong for prices that were set aside.

    Parameters
    ----------
    view, members, base_session, horizon, lag
        As for :func:`forward_returns`, which has accepted them.

    Returns
    -------
    float
        0 to 1. An end is the last session of the member's own exchange up to the window's end; who is delisted by then counts
        as priced, since the return is known.
    """
    start = view.index_of(base_session) + lag
    exchanges = view.exchange_index[members]
    shares = []
    for end in (start, start + horizon):
        trades = view.trading[: end + 1]
        last = end - trades[::-1].argmax(axis=0)
        gone = (view.delisting_index[members] >= 0) & (view.delisting_index[members] <= end)
        shares.append(coverage(np.where(gone, 0.0, view.close[last[exchanges], members])))
    return min(shares)


def coverage(returns: FloatArray) -> float:
    """Return the part of the universe whose returns are known, 0 to 1; 0 for an empty universe."""
    return float(np.mean(~np.isnan(returns))) if returns.shape[0] else 0.0
