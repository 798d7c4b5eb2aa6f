"""The plain models that are published beside the data: ridge regressions, fitted on training eras only.

They are no secret and no advice; they show what a prediction looks like, and what is easy. Everything is deterministic.

1. An era of n rows leaves ``XᵀX`` (k, k) and ``Xᵀy`` (k,), features centred at 2 and the target at ½.
2. ``w = (XᵀX + λ·n·I)⁻¹ Xᵀy`` over the sums of some eras' moments.
3. A prediction is the tie-kept rank of Xw within its era.
4. Walking forward, an era is predicted by the moments of those eras alone whose window of returns had passed when it began.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from market.arrays import FloatArray
from market.ranks import tie_kept_rank
from signals.classic.dataset import MISSING_AS, FeatureArray

TARGET_MIDDLE = 0.5
PENALTY_PER_ROW = 0.1
"""λ, in squared bins: weak beside a feature's variance of two, strong beside the noise in one era."""

FIT_ERAS_MIN = 13
"""A quarter of weekly eras; with fewer, a fit would follow the noise of single weeks."""


@dataclass(frozen=True, slots=True)
class Moments:
    """What a linear model needs of some eras."""

    rows: int
    gram: FloatArray
    cross: FloatArray

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.rows + other.rows, self.gram + other.gram, self.cross + other.cross)


def era_moments(features: FeatureArray, target: FloatArray) -> Moments:
    """Return the moments of one era.

    Parameters
    ----------
    features : (n, k) int8
        Bins 0 to 4.
    target : (n,) float64
        0 to 1; rows where it is NaN are left out.
    """
    known = np.isfinite(target)
    x, y = _centred(features[known]), target[known] - TARGET_MIDDLE
    return Moments(int(known.sum()), x.T @ x, x.T @ y)


def fit(moments: Moments) -> FloatArray:
    """Return the ridge coefficients (k,) of some eras' moments."""
    penalty = PENALTY_PER_ROW * max(moments.rows, 1) * np.eye(len(moments.cross))
    return np.asarray(np.linalg.solve(moments.gram + penalty, moments.cross), dtype=np.float64)


def predict(features: FeatureArray, coefficients: FloatArray) -> FloatArray:
    """Return the predictions (n,) of one era, ranks in (0, 1) that keep ties."""
    return tie_kept_rank(_centred(features) @ coefficients)


def walk_forward(
    rows: Sequence[int], moments: Sequence[Moments], window_sessions: int, eras_min: int = FIT_ERAS_MIN
) -> list[FloatArray | None]:
    """Return the coefficients that may predict each era.

    Parameters
    ----------
    rows : sequence of int
        Ascending; the session of each era, counted on one axis.
    moments : sequence of Moments
        Of the same eras.
    window_sessions : int
        Lag and horizon of the target: an era is learnt from once ``row + window_sessions`` has passed.
    eras_min : int
        Least eras that a fit needs.

    Returns
    -------
    list of (k,) float64 or None
        None for an era before which too few eras were known.
    """
    found: list[FloatArray | None] = []
    learnt, known = 0, None
    for row in rows:
        while rows[learnt] + window_sessions <= row:
            known = moments[learnt] if known is None else known + moments[learnt]
            learnt += 1
        found.append(fit(known) if known is not None and learnt >= eras_min else None)
    return found


def _centred(features: FeatureArray) -> FloatArray:
    return features.astype(np.float64) - MISSING_AS
