"""Volume trend: stocks that have come to be traded more are seen by more buyers (after Gervais, Kaniel, Mingelgrin, 2001)."""

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput


def volume_trend(data: StrategyInput, short_sessions: int = 42, long_sessions: int = 252) -> FloatArray:
    """Return the logarithm of recent over long mean dollar volume, (assets,) float64."""
    dollars = data.window.dollar_volume
    trend: FloatArray = np.log1p(dollars[-short_sessions:].mean(axis=0)) - np.log1p(dollars[-long_sessions:].mean(axis=0))
    return trend
