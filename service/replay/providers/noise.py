"""Noise: fresh random numbers every round. On average it earns nothing, which is what the platform's tests rest on."""

from market.arrays import FloatArray
from service.replay.providers.classic import ClassicInput
from service.replay.providers.window import StrategyInput


def noise(data: StrategyInput) -> FloatArray:
    """Return one uniform random number for each asset, (assets,) float64."""
    return data.rng.random(len(data.members))


def classic_noise(data: ClassicInput) -> FloatArray:
    """Return one uniform random number for each id of the live era, (ids,) float64."""
    return data.rng.random(len(data.live.ids))
