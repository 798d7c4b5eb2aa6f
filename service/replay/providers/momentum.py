"""Momentum: what rose over the past year, the last month left out, goes on rising (Jegadeesh and Titman, 1993)."""

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput


def momentum(data: StrategyInput, sessions: int = 252, skip_sessions: int = 21) -> FloatArray:
    """Return the total return from ``sessions`` ago to ``skip_sessions`` ago, (assets,) float64."""
    closes = data.window.closes
    climb: FloatArray = closes[-1 - skip_sessions] / closes[-1 - sessions] - 1.0
    return climb
