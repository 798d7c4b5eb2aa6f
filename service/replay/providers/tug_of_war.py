"""Tug of war: day traders and overnight holders pull a stock apart, and go on (Lou, Polk, Skouras, 2019)."""

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput


def tug_of_war(data: StrategyInput, sessions: int = 126) -> FloatArray:
    """Return the mean intraday less the mean overnight return, (assets,) float64."""
    window = data.window
    pull: FloatArray = window.intraday[-sessions:].mean(axis=0) - window.overnight[-sessions:].mean(axis=0)
    return pull
