"""Sector momentum: leaders of leading sectors (after Moskowitz and Grinblatt, 1999).

The sector's own return alone would say nothing once sectors are neutralized; the stock's place inside its sector stays.
"""

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput, gaussian_rank

OWN_SHARE = 0.4
"""Enough to order the stocks inside a sector without overturning the order of the sectors."""


def sector_momentum(data: StrategyInput, sessions: int = 126) -> FloatArray:
    """Return the sector's mean return, tilted by the stock's own return, in ranks on a normal scale, (assets,) float64."""
    closes = data.window.closes
    own = closes[-1] / closes[-1 - sessions] - 1.0
    sector_mean = np.empty_like(own)
    for sector in np.unique(data.window.sectors):
        inside = data.window.sectors == sector
        sector_mean[inside] = np.nanmean(own[inside])
    return (1.0 - OWN_SHARE) * gaussian_rank(sector_mean) + OWN_SHARE * gaussian_rank(own)
