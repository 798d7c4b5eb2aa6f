"""Low volatility: quiet stocks earn more per unit of risk than loud ones (Ang, Hodrick, Xing, Zhang, 2006)."""

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput


def low_volatility(data: StrategyInput, sessions: int = 252) -> FloatArray:
    """Return minus the standard deviation of daily returns, (assets,) float64."""
    quiet: FloatArray = -data.window.returns[-sessions:].std(axis=0)
    return quiet
