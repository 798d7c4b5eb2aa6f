"""Illiquidity: stocks whose price moves much for little money pay their holders for it (Amihud, 2002)."""

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput


def illiquidity(data: StrategyInput, sessions: int = 126) -> FloatArray:
    """Return the mean of absolute return over dollar volume, (assets,) float64; NaN where nothing traded."""
    moves = np.abs(data.window.returns[-sessions:])
    dollars = data.window.dollar_volume[-sessions:]
    traded = dollars > 0.0
    impact = np.divide(moves, dollars, out=np.zeros_like(moves), where=traded)
    days = traded.sum(axis=0)
    impact_mean: FloatArray = np.divide(impact.sum(axis=0), days, out=np.full(days.shape, np.nan), where=days > 0)
    return impact_mean
