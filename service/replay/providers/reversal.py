"""Short-term reversal: what fell most over the last weeks comes back (Jegadeesh, 1990; Lehmann, 1990)."""

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput


def reversal(data: StrategyInput, sessions: int = 21) -> FloatArray:
    """Return minus the total return of the last ``sessions``, (assets,) float64."""
    closes = data.window.closes
    fall: FloatArray = 1.0 - closes[-1] / closes[-1 - sessions]
    return fall
