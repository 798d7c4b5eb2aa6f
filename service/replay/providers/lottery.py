"""Lottery: stocks with a few very large gains are overpaid by gamblers, so they are sold (Bali, Cakici, Whitelaw, 2011)."""

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput


def lottery(data: StrategyInput, sessions: int = 63, largest: int = 5) -> FloatArray:
    """Return minus the mean of the ``largest`` daily returns, (assets,) float64."""
    returns = data.window.returns[-sessions:]
    dullness: FloatArray = -np.partition(returns, -largest, axis=0)[-largest:].mean(axis=0)
    return dullness
