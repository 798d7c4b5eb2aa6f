"""Residual momentum: what a stock did beyond its sector, per unit of its risk (after Blitz, Huij, Martens, 2011)."""

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput

RISK_MIN = 1e-4
"""A quieter stock than one basis point a session is a stale price, not a safe stock."""


def residual_momentum(data: StrategyInput, sessions: int = 252, skip_sessions: int = 21) -> FloatArray:
    """Return mean over standard deviation of the returns in excess of the sector's mean, (assets,) float64."""
    returns = data.window.returns[-sessions : -skip_sessions or None]
    residual = np.empty_like(returns)
    for sector in np.unique(data.window.sectors):
        inside = data.window.sectors == sector
        residual[:, inside] = returns[:, inside] - returns[:, inside].mean(axis=1, keepdims=True)
    steadiness: FloatArray = residual.mean(axis=0) / np.maximum(residual.std(axis=0), RISK_MIN)
    return steadiness
