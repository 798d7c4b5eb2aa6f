"""What each model adds to the meta-model's result: the score with the model, less the score without it.

It measures against a target that is known, so it belongs to a round's end; it pays nothing.

1. The meta-model's neutral vector is linear in the models' Gaussianized ranks, so that without model i it is, up to a factor
   that no rank score sees, ``neutral − sᵢ rᵢ``: sᵢ the model's share, rᵢ its own neutral part. Nothing is built again.
2. That vector is scored as the meta-model itself is; the difference is the contribution.

The cost is one projection and one sort a model, in blocks of :data:`BLOCK_MODELS`, whatever their number.
"""

from collections.abc import Callable

import numpy as np

from market.arrays import FloatArray, IntArray
from market.projection import orthonormal_basis, project_out
from signals.constancy import settled
from signals.metamodel import gauss_of, mean_of, shares_of
from signals.prepared import PreparedRound
from signals.scores import corr

BLOCK_MODELS = 256
"""Rows at once: some ten megabytes for five thousand assets."""

NOTHING_LEFT = 1e-10
"""What remains of a vector beside what was taken from it, below which it is rounding and no opinion."""


def vector_score(vector: FloatArray, target: FloatArray) -> float:
    """Return the ``corr`` of a meta-model's vector.

    Parameters
    ----------
    vector : (n,) float64
        Any scale; NaN not allowed.
    target : (n,) float64
        NaN where unknown.

    Returns
    -------
    float
        As :func:`signals.scores.corr`, values equal in their first eleven digits (of the largest) tied; 0 for a constant.

    Raises
    ------
    InputRejected
        As :func:`signals.scores.corr`.
    """
    return float(corr(settled(vector[None, :]), target)[0])


def contributions(signals: FloatArray, weights: FloatArray, exposures: FloatArray, target: FloatArray) -> FloatArray:
    """Return by how much the neutral meta-model's ``corr`` falls when a model is left out.

    Parameters
    ----------
    signals : (m, n) float64
        Ranks; NaN not allowed where the weight is positive.
    weights : (m,) float64
        At-risk stakes, not negative.
    exposures : (n, k) float64
        What the meta-model was neutralized against.
    target : (n,) float64
        NaN where unknown.

    Returns
    -------
    (m,) float64
        ``corr(neutral, target) − corr(neutral without the model, target)``; positive: the model helped. 0 for a model of
        weight zero; the whole score for the only model, because a silent meta-model scores 0.

    Raises
    ------
    InputRejected
        As :func:`signals.metamodel.build_meta_model` and :func:`signals.scores.corr`.

    Examples
    --------
    >>> ranks = np.array([[0.1, 0.3, 0.5, 0.7, 0.9], [0.9, 0.7, 0.5, 0.3, 0.1]])
    >>> found = contributions(ranks, np.array([3.0, 1.0]), np.zeros((5, 1)), np.array([0.0, 0.25, 0.5, 0.75, 1.0]))
    >>> [round(float(c), 3) + 0.0 for c in found]
    [1.993, 0.0]
    """
    return _contributions(lambda at: gauss_of(signals[at]), shares_of(len(signals), weights), exposures, target)


def contributions_of(prepared: PreparedRound, weights: FloatArray, exposures: FloatArray, target: FloatArray) -> FloatArray:
    """Return :func:`contributions` of the models of a prepared round; exposures and target on its sorted assets."""
    return _contributions(prepared.gauss, shares_of(len(prepared.model_ids), weights), exposures, target)


def _contributions(
    gauss: Callable[[IntArray], FloatArray], shares: FloatArray, exposures: FloatArray, target: FloatArray
) -> FloatArray:
    found = np.zeros(len(shares))
    at = np.flatnonzero(shares)
    if at.size == 0:
        return found
    basis = orthonormal_basis(np.column_stack([np.ones(len(exposures)), exposures]))
    neutral = project_out(mean_of(gauss, shares, len(exposures)), basis)
    whole = vector_score(neutral, target)
    for start in range(0, at.size, BLOCK_MODELS):
        rows = at[start : start + BLOCK_MODELS]
        found[rows] = whole - _scores_without(neutral, shares[rows], gauss(rows), basis, target)
    return found


def _scores_without(
    neutral: FloatArray, shares: FloatArray, gauss: FloatArray, basis: FloatArray, target: FloatArray
) -> FloatArray:
    own = shares[:, None] * project_out(gauss, basis)
    rest = neutral - own
    size = np.max(np.abs(own), axis=1) + np.max(np.abs(neutral))
    rest[np.max(np.abs(rest), axis=1) <= NOTHING_LEFT * size] = 0.0
    return corr(settled(rest), target)
