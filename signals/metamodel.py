"""The meta-model: what the crowd says together, weighted by what each model has at risk. And the blend of tournaments.

It knows no stakes and no money: the caller passes an array of weights.

1. Each weighted model's signal is ranked with ties kept and Gaussianized.
2. ``raw`` is their weighted mean: what a contribution is measured against.
3. ``neutral`` is ``raw`` less its projection on the exposures, never ranked again (ranking would bring exposure back): what
   the fund gets.
4. The effective number of models, (Σw)²/Σw², says how concentrated the weights are.

Without any weight both vectors are zero and the effective number is 0.

Source: the stake-weighted meta-model of the Numerai tournament as its documentation describes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, readonly
from market.projection import residualize
from market.ranks import gaussianize, tie_kept_rank
from signals.constancy import is_constant


@dataclass(frozen=True, slots=True)
class MetaModel:
    """A round's meta-model on its universe.

    Attributes
    ----------
    raw : (n,) float64, read-only
        Weighted mean of Gaussianized ranks; unit: standard deviations of a single model.
    neutral : (n,) float64, read-only
        ``raw`` without its exposures: |b'r| ≤ 1e-10 |b| |r| for each exposure b.
    weights : (m,) float64, read-only
        Each model's share; they sum to 1, or are all 0.
    effective_models : float
        (Σw)²/Σw², between 1 and m; 0 without weights.
    """

    raw: FloatArray
    neutral: FloatArray
    weights: FloatArray
    effective_models: float


def build_meta_model(signals: FloatArray, weights: FloatArray, exposures: FloatArray) -> MetaModel:
    """Build the meta-model of one tournament's round.

    Parameters
    ----------
    signals : (m, n) float64
        Ranks as :class:`signals.submission.Signal` holds them; NaN not allowed where the weight is positive.
    weights : (m,) float64
        At-risk stakes in any unit, not negative; models of weight zero have no say.
    exposures : (n, k) float64
        Exposures known at the round's close; NaN not allowed.

    Returns
    -------
    MetaModel
        Both vectors, the shares and the effective number of models.

    Raises
    ------
    InputRejected
        ``score_input_invalid`` for wrong shapes, negative or NaN weights; ``value_not_finite`` for NaN signals or exposures.

    Examples
    --------
    >>> crowd = build_meta_model(np.array([[0.1, 0.5, 0.9], [0.5, 0.1, 0.9]]), np.array([3.0, 1.0]), np.zeros((3, 1)))
    >>> crowd.weights.tolist(), crowd.effective_models
    ([0.75, 0.25], 1.6)
    """
    shares = _shares(signals, weights)
    raw = shares[shares > 0] @ _gauss(signals[shares > 0])
    neutral = residualize(raw, exposures)
    effective = 1.0 / float(shares @ shares) if shares.any() else 0.0
    return MetaModel(readonly(raw), readonly(neutral), readonly(shares), effective)


def leave_one_out(signals: FloatArray, weights: FloatArray) -> FloatArray:
    """Return how far the raw meta-model would turn without each model: 1 − correlation with it.

    Parameters
    ----------
    signals, weights
        As for :func:`build_meta_model`.

    Returns
    -------
    (m,) float64
        0 for a model of weight zero, or one that says what the others say; 1 for the only model.
    """
    shares = _shares(signals, weights)
    changes = np.zeros(len(shares))
    at = np.flatnonzero(shares)
    if at.size == 0:
        return changes
    gauss = _gauss(signals[at])
    raw = shares[at] @ gauss
    changes[at] = 1.0 - _correlations(raw - shares[at, None] * gauss, raw)
    if at.size == 1:
        changes[at] = 1.0  # what is left is rounding, and its correlation means nothing
    return changes


def blend(models: Sequence[tuple[FloatArray, float]]) -> FloatArray:
    """Mix the neutral vectors of several tournaments.

    Parameters
    ----------
    models : sequence of ((n,) float64, float)
        A vector and its share, not negative. Each vector is first brought to mean 0 and standard deviation 1.

    Returns
    -------
    (n,) float64
        Σ share · z / Σ share over the vectors that say anything; a constant vector, as of a tournament without stakes, leaves
        its share to the others. Zeros if none is left.

    Raises
    ------
    InputRejected
        ``score_input_invalid`` if there is no vector, lengths differ, or a share is negative or NaN.

    Examples
    --------
    >>> blend([(np.array([-2.0, 0.0, 2.0]), 0.5), (np.zeros(3), 0.5)]).round(6).tolist()
    [-1.224745, 0.0, 1.224745]
    """
    if not models or len({vector.shape for vector, _ in models}) > 1:
        raise InputRejected(Code.SCORE_INPUT_INVALID, "A blend is of at least one vector, all on the same assets.")
    if not all(np.isfinite(share) and share >= 0 and np.isfinite(vector).all() for vector, share in models):
        raise InputRejected(Code.SCORE_INPUT_INVALID, "A share is negative or not finite, or a vector holds such a value.")
    speaking = [(vector - vector.mean(), share) for vector, share in models if share > 0 and not is_constant(vector)]
    total = sum(share for _, share in speaking)
    mixed = np.zeros(models[0][0].shape)
    for centred, share in speaking:
        mixed += (share / total) * centred / np.sqrt(np.mean(centred * centred))
    return mixed


def _shares(signals: FloatArray, weights: FloatArray) -> FloatArray:
    if signals.ndim != 2 or weights.shape != signals.shape[:1]:
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Signals are (models × assets) and weights (models,).")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise InputRejected(Code.SCORE_INPUT_INVALID, "A weight is negative or not finite.")
    total = float(weights.sum())
    return np.asarray(weights / total if total > 0 else np.zeros(len(weights)), dtype=np.float64)


def _gauss(signals: FloatArray) -> FloatArray:
    if not np.isfinite(signals).all():
        raise InputRejected(Code.VALUE_NOT_FINITE, "A weighted model's signal holds values that are not finite numbers.")
    return gaussianize(tie_kept_rank(signals))


def _correlations(rows: FloatArray, vector: FloatArray) -> FloatArray:
    x = rows - rows.mean(axis=1, keepdims=True)
    y = vector - vector.mean()
    scale = np.sqrt(np.sum(x * x, axis=1) * float(y @ y))
    return np.asarray(np.where(scale > 0, (x @ y) / np.where(scale > 0, scale, 1.0), 0.0), dtype=np.float64)
