"""Feature vote: each feature votes with the sign that it had over past eras, all with the same weight.

It is what a careful person does who does not trust fitted weights: fewer things to get wrong than in a regression.
"""

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.classic import ClassicInput


def feature_vote(data: ClassicInput, eras: int = 10_000) -> FloatArray:
    """Return the mean of the live features, each with the sign of its past covariance with the target, (ids,) float64.

    Features without any past count as positive.
    """
    past = data.archive.last(eras)
    signs = np.ones(data.live.features.shape[1])
    if past:
        cross = np.sum([era.cross for era in past], axis=0)
        signs = np.where(cross < 0.0, -1.0, 1.0)
    prediction: FloatArray = data.live.features @ signs / signs.shape[0]
    return prediction


def feature_mean(data: ClassicInput) -> FloatArray:
    """Return the plain mean of the live features, (ids,) float64: the example file of every such tournament."""
    mean: FloatArray = data.live.features.mean(axis=1)
    return mean
