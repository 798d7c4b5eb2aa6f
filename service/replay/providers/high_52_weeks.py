"""52-week high: near its high a stock is underbought, because people anchor on the high (George and Hwang, 2004)."""

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput


def high_52_weeks(data: StrategyInput) -> FloatArray:
    """Return the last close over the highest close of the window, (assets,) float64 in (0, 1]."""
    closes = data.window.closes
    nearness: FloatArray = closes[-1] / closes.max(axis=0)
    return nearness
