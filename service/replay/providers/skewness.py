"""Skewness: stocks with a long right tail earn less, so the left-skewed are bought (Harvey and Siddique, 2000)."""

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput

RISK_MIN = 1e-4
"""A quieter stock than one basis point a session is a stale price; its skewness is noise."""


def skewness(data: StrategyInput, sessions: int = 252) -> FloatArray:
    """Return minus the third standardized moment of daily returns, (assets,) float64."""
    returns = data.window.returns[-sessions:]
    centred = returns - returns.mean(axis=0)
    spread = np.maximum(centred.std(axis=0), RISK_MIN)
    left_tail: FloatArray = -np.mean((centred / spread) ** 3, axis=0)
    return left_tail
