"""Blends: several strategies in one, with weights and tastes that differ from model to model."""

from collections.abc import Sequence

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.window import Strategy, StrategyInput, gaussian_rank


def blend(data: StrategyInput, parts: Sequence[Strategy], taste: int, noise: float = 0.15) -> FloatArray:
    """Return a weighted mean of the parts' ranks on a normal scale, plus fresh noise.

    Parameters
    ----------
    data : StrategyInput
        The round's data.
    parts : sequence of Strategy
        What is blended.
    taste : int
        Seed of the weights: a model keeps its taste from round to round, so that its signal changes slowly.
    noise : float
        Standard deviation of the noise, in standard deviations of one part.

    Returns
    -------
    (assets,) float64
    """
    weights = np.random.default_rng(taste).dirichlet(np.full(len(parts), 2.0))
    total = np.zeros(data.members.shape[0])
    for weight, part in zip(weights, parts, strict=True):
        total += weight * gaussian_rank(part(data))
    return total + noise * np.linalg.norm(weights) * data.rng.standard_normal(total.shape[0])
