"""Ridge committee: the mean of several ridges that look at different features and stretches of the past."""

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.classic import ClassicInput
from service.replay.providers.ridge import ridge
from service.replay.providers.window import gaussian_rank

PENALTIES = (0.03, 0.1, 0.3, 1.0)
HISTORIES_ERAS = (26, 52, 104, 10_000)


def ridge_committee(data: ClassicInput, feature_share: float = 0.7, taste: int = 0) -> FloatArray:
    """Return the mean of the members' ranks on a normal scale, (ids,) float64."""
    votes = [
        gaussian_rank(ridge(data, penalty=penalty, eras=eras, feature_share=feature_share, taste=taste + member))
        for member, (penalty, eras) in enumerate(zip(PENALTIES, HISTORIES_ERAS, strict=True))
    ]
    mean: FloatArray = np.mean(votes, axis=0)
    return mean
