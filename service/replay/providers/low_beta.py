"""Low beta: stocks that move little with the market are underpriced by those who may not borrow (Frazzini, Pedersen, 2014)."""

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput

MARKET_VARIANCE_MIN = 1e-12
"""Below it the market did not move and no beta can be told."""


def low_beta(data: StrategyInput, sessions: int = 252) -> FloatArray:
    """Return minus the slope of daily returns on the universe's equal-weighted mean, (assets,) float64."""
    returns = data.window.returns[-sessions:]
    market = returns.mean(axis=1)
    centred = market - market.mean()
    slope: FloatArray = centred @ returns / np.maximum(centred @ centred, MARKET_VARIANCE_MIN)
    return -slope
