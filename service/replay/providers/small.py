"""Small: small companies earn more than large ones (Banz, 1981).

A company's size is told here by what its shares trade for, because share counts of a snapshot would look ahead.
"""

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput


def small(data: StrategyInput, sessions: int = 252) -> FloatArray:
    """Return minus the logarithm of the median dollar volume, (assets,) float64."""
    return -np.log1p(np.median(data.window.dollar_volume[-sessions:], axis=0))
