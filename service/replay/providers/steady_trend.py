"""Steady trend: a climb in many small steps lasts longer than one in a few jumps (after Da, Gurun, Warachka, 2014)."""

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput


def steady_trend(data: StrategyInput, sessions: int = 252, skip_sessions: int = 21) -> FloatArray:
    """Return the part of sessions that rose less the part that fell, (assets,) float64 in -1 to 1."""
    share: FloatArray = np.sign(data.window.returns[-sessions : -skip_sessions or None]).mean(axis=0)
    return share
