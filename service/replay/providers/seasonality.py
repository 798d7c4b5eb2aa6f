"""Seasonality: a stock does well in the month in which it did well a year ago (Heston and Sadka, 2008)."""

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput


def seasonality(data: StrategyInput, month_sessions: int = 21) -> FloatArray:
    """Return the total return of the month that started a year ago, (assets,) float64."""
    closes = data.window.closes
    month: FloatArray = closes[month_sessions] / closes[0] - 1.0
    return month
