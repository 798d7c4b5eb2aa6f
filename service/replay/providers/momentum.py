"""Momentum: what rose over the past year, the last month left out, goes on rising (Jegadeesh and Titman, 1993)."""

import numpy as np

from market.arrays import FloatArray, IntArray
from market.panel import PanelView
from service.replay.providers.window import WINDOW_SESSIONS, StrategyInput, filled


def momentum(data: StrategyInput, sessions: int = 252, skip_sessions: int = 21) -> FloatArray:
    """Return the total return from ``sessions`` ago to ``skip_sessions`` ago, (assets,) float64."""
    closes = data.window.closes
    climb: FloatArray = closes[-1 - skip_sessions] / closes[-1 - sessions] - 1.0
    return climb


def momentum_at(view: PanelView, members: IntArray) -> FloatArray:
    """Return :func:`momentum` from a view alone, (assets,) float64: two rows of its prices are read, not a year."""
    prices = view.return_index()[-WINDOW_SESSIONS:]
    ends = prices[[0, -22]][:, members]
    gaps = np.flatnonzero(np.isnan(ends).any(axis=0))
    if gaps.size:
        ends[:, gaps] = filled(prices[:, members[gaps]])[[0, -22]]
    climb: FloatArray = ends[1] / ends[0] - 1.0
    return climb
