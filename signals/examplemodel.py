"""The example model: a plain signal from prices alone that a provider's own is set beside. It is a yardstick, not advice.

Decision instant: the view's; only what the view knows is used.

1. Four raw signals of the last year: half-year momentum without the last month; nearness of the price to its highest of
   252 sessions; reversal, minus the return of the last 5 sessions; calm, minus the largest return of the last 21 sessions.
2. Each becomes Gaussianized ranks (an asset without the history for it stands in the middle), then what an intercept and
   the exposures leave of it, brought to standard deviation one.
3. The example model is their plain mean: each a quarter.

Sources: Jegadeesh and Titman, 1993, for momentum; George and Hwang, 2004, for the 52-week high; Jegadeesh, 1990, for
reversal; Bali, Cakici and Whitelaw, 2011, for the largest return.
"""

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, IntArray
from market.panel import PanelView
from market.projection import residualize
from market.ranks import gaussianize, tie_kept_rank

YEAR, HALF_YEAR, MONTH, WEEK = 252, 126, 21, 5
"""Windows, in sessions."""

EXAMPLE_SIGNALS = ("momentum_6_1", "high_52_weeks", "reversal_week", "calm_month")


def example_model(view: PanelView, members: IntArray, exposures: FloatArray) -> FloatArray:
    """Return the example model on a universe.

    Parameters
    ----------
    view : PanelView
        What was known at the decision instant.
    members : (n,) int64
        The universe, places on the panel's asset axis.
    exposures : (n, k) float64
        Known at the same instant; taken out of each part, so also of the sum.

    Returns
    -------
    (n,) float64
        Higher is better; mean 0, no NaN. Unit: about half a standard deviation of one part.

    Raises
    ------
    InputRejected
        ``history_too_short`` when less than a year is visible.
    """
    if len(view.sessions) < YEAR:
        raise InputRejected(Code.HISTORY_TOO_SHORT, f"The example model needs {YEAR} sessions; {len(view.sessions)} are known.")
    parts = residualize(gaussianize(tie_kept_rank(_raw_signals(view, members))), exposures)
    deviation = np.sqrt(np.mean(parts * parts, axis=1, keepdims=True))
    return np.asarray((parts / np.where(deviation > 0, deviation, 1.0)).mean(axis=0), dtype=np.float64)


def _raw_signals(view: PanelView, members: IntArray) -> FloatArray:
    """The four raw signals (4, n); an asset without the history for one gets that signal's median."""
    # Whole rows are reduced before the members are taken: they lie together in memory, single columns do not.
    growth = 1.0 + view.total_returns()[-HALF_YEAR:]
    half_year = np.prod(growth[:-MONTH], axis=0)
    week = np.prod(growth[-WEEK:], axis=0)
    best_day = np.max(growth[-MONTH:], axis=0)
    highest = np.fmax.reduce(view.adj_close[-YEAR:], axis=0)
    nearness = _last_prices(view) / highest
    raw = np.stack([half_year, nearness, -week, -best_day])[:, members]
    lacking = np.isnan(raw)
    if lacking.any():
        for signal, gaps in zip(raw, lacking, strict=True):
            signal[gaps] = np.median(signal[~gaps]) if not gaps.all() else 0.0
    return raw


def _last_prices(view: PanelView) -> FloatArray:
    """The last known adjusted price (n_assets,): looked for only where today's is missing."""
    prices = view.adj_close[-YEAR:]
    last = prices[-1].copy()
    for asset in np.flatnonzero(np.isnan(last)):
        known = np.flatnonzero(~np.isnan(prices[:, asset]))
        last[asset] = prices[known[-1], asset] if known.size else np.nan
    return last
