"""Ridge regression on past classic eras: the workhorse of those who know nothing but the published table.

1. The moments of the newest eras are added up and cut to the model's own subset of features.
2. ``w = (XᵀX + λ·n·I)⁻¹ Xᵀy``.
3. The live era's features times w is the prediction.

Before enough eras are resolved there is nothing to learn from, and the model falls back on the mean of its features.
"""

import numpy as np

from market.arrays import FloatArray, IntArray
from service.replay.providers.classic import ClassicInput

ERAS_MIN = 4
"""With fewer eras the fit would follow the noise of single weeks."""


def ridge(
    data: ClassicInput, penalty: float = 0.1, eras: int = 10_000, feature_share: float = 1.0, taste: int = 0
) -> FloatArray:
    """Return the predictions of a ridge regression fitted on resolved eras.

    Parameters
    ----------
    data : ClassicInput
        The live era (ids, features) and the archive, whose targets were public when the round opened.
    penalty : float
        λ, per row and in squared feature units (bins).
    eras : int
        How many of the newest resolved eras are used.
    feature_share : float
        Part of the features that the model looks at, in (0, 1].
    taste : int
        Seed of the choice of features: a model keeps it from round to round.

    Returns
    -------
    (ids,) float64
        Expected target, centred at zero.
    """
    chosen = feature_subset(data.live.features.shape[1], feature_share, taste)
    live = data.live.features[:, chosen]
    past = data.archive.last(eras)
    if len(past) < ERAS_MIN:
        mean: FloatArray = live.mean(axis=1)
        return mean
    gram = np.sum([era.gram for era in past], axis=0)[np.ix_(chosen, chosen)]
    cross = np.sum([era.cross for era in past], axis=0)[chosen]
    rows = sum(era.rows for era in past)
    weights = np.linalg.solve(gram + penalty * rows * np.eye(chosen.shape[0]), cross)
    prediction: FloatArray = live @ weights
    return prediction


def feature_subset(features: int, share: float, taste: int) -> IntArray:
    """Return the sorted positions of a random ``share`` of the features, at least two of them if there are two."""
    count = min(features, max(2, round(share * features)))
    order = np.random.default_rng(taste).permutation(features)
    return np.sort(order[:count]).astype(np.int64)
