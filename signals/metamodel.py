"""The meta-model: what the crowd says together, weighted by what each model has at risk. And the blend of tournaments.

It knows no stakes and no money: the caller passes an array of weights.

1. Each weighted model's signal is ranked with ties kept and Gaussianized.
2. ``raw`` is their weighted mean: what a contribution is measured against.
3. ``neutral`` is ``raw`` less its projection on the exposures, never ranked again (ranking would bring exposure back): what
   the fund gets.
4. The effective number of models, (Σw)²/Σw², says how concentrated the weights are.

Without any weight both vectors are zero and the effective number is 0.

What contributions are measured against, and so what pays, is always the meta-model of the stakes. The other weights of
:func:`variant_weights` make a vector for the fund only: whoever splits one stake over many models or accounts gains say under
each of them, and none under the stakes.

Source: the stake-weighted meta-model of the Numerai tournament as its documentation describes it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, IntArray, readonly
from market.projection import NOTHING_LEFT, residualize
from market.ranks import gaussianize, tie_kept_rank
from signals.blocks import ROWS
from signals.constancy import is_constant
from signals.prepared import PreparedRound

STAKE, EQUAL, STAKE_MIN, PROVIDER_CAP = "stake", "equal", "stake_min", "provider_cap"
VARIANTS = (STAKE, EQUAL, STAKE_MIN, PROVIDER_CAP)
"""The ways to weigh a crowd. Only the first may set scores and payouts."""


@dataclass(frozen=True, slots=True)
class MetaModel:
    """A round's meta-model on its universe.

    Attributes
    ----------
    raw : (n,) float64, read-only
        Weighted mean of Gaussianized ranks; unit: standard deviations of a single model. Zeros if the signals cancel.
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
    if signals.ndim != 2:
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Signals are (models × assets).")
    return _build(lambda at: gauss_of(signals[at]), shares_of(len(signals), weights), exposures)


def meta_model_of(prepared: PreparedRound, weights: FloatArray, exposures: FloatArray) -> MetaModel:
    """Return :func:`build_meta_model` of the models of a prepared round, on its sorted assets."""
    return _build(prepared.gauss, shares_of(len(prepared.model_ids), weights), exposures)


def mean_of(gauss: Callable[[IntArray], FloatArray], shares: FloatArray, n: int) -> FloatArray:
    """Return Σ share · row over the models with a share, zeros if they cancel; ``gauss`` gives the rows (k, n) at k positions.

    Models are added up in blocks, in their order: neither memory nor the result's last bits depend on how many there are at
    once, or on threads.
    """
    total, largest = np.zeros(n), 0.0
    at = np.flatnonzero(shares)
    for lo in range(0, len(at), ROWS):
        rows = at[lo : lo + ROWS]
        values = gauss(rows)
        largest = max(largest, float(np.max(np.abs(values), initial=0.0)))
        total += np.sum(shares[rows, None] * values, axis=0)
    # An order of what rounding left would be nobody's opinion.
    return total if np.max(np.abs(total), initial=0.0) > NOTHING_LEFT * largest else np.zeros(n)


def _build(gauss: Callable[[IntArray], FloatArray], shares: FloatArray, exposures: FloatArray) -> MetaModel:
    raw = mean_of(gauss, shares, len(exposures))
    neutral = residualize(raw, exposures)
    effective = 1.0 / float(shares @ shares) if shares.any() else 0.0
    return MetaModel(readonly(raw), readonly(neutral), readonly(shares), effective)


def variant_weights(
    variant: str,
    weights: FloatArray,
    owners: Sequence[str],
    *,
    minimum: float = 0.0,
    provider_share_max: float = 1.0,
) -> FloatArray:
    """Return what each model weighs under a variant of the meta-model.

    Parameters
    ----------
    variant : str
        ``stake``: the weights as they are. ``equal``: one for each model with a weight. ``stake_min``: the weights of at least
        ``minimum``, zero for the others. ``provider_cap``: the weights, lowered where a provider's models together hold more
        than ``provider_share_max`` of all; what is cut off goes to the other providers in proportion. Where the cap cannot
        hold, because providers are too few, all providers weigh the same.
    weights : (m,) float64
        At-risk stakes, not negative.
    owners : sequence of str, length m
        Provider of each model.
    minimum : float
        In the unit of ``weights``.
    provider_share_max : float
        In (0, 1].

    Returns
    -------
    (m,) float64
        Not negative; a model of weight zero keeps it.

    Raises
    ------
    InputRejected
        ``score_input_invalid`` for another variant, negative or NaN weights, or lengths that differ.

    Examples
    --------
    >>> stakes, owners = np.array([6.0, 2.0, 1.0, 1.0]), ["a", "a", "b", "c"]
    >>> variant_weights("equal", stakes, owners).tolist()
    [1.0, 1.0, 1.0, 1.0]
    >>> variant_weights("stake_min", stakes, owners, minimum=2.0).tolist()
    [6.0, 2.0, 0.0, 0.0]
    >>> variant_weights("provider_cap", stakes, owners, provider_share_max=0.5).round(9).tolist()
    [0.375, 0.125, 0.25, 0.25]
    """
    if variant not in VARIANTS or weights.ndim != 1 or len(owners) != weights.size:
        raise InputRejected(Code.SCORE_INPUT_INVALID, f"There is no variant '{variant[:40]}' of a meta-model of these weights.")
    _refuse_impossible(weights)
    if variant == EQUAL:
        return np.asarray(weights > 0, dtype=np.float64)
    if variant == STAKE_MIN:
        return np.where(weights >= minimum, weights, 0.0)
    if variant == PROVIDER_CAP:
        return _capped(weights, owners, provider_share_max)
    return weights


def _capped(weights: FloatArray, owners: Sequence[str], share_max: float) -> FloatArray:
    """Scale each provider's weights so that no provider holds more than ``share_max``; the sum is 1."""
    if not 0 < share_max <= 1:
        raise InputRejected(Code.SCORE_INPUT_INVALID, "The largest share of a provider is above 0 and at most 1.")
    if not weights.any():
        return weights
    names, owner = np.unique(np.asarray(owners, dtype=str), return_inverse=True)
    held = np.bincount(owner, weights=weights, minlength=len(names))
    staked = held > 0
    shares = held / held.sum()
    capped = np.zeros(len(names), dtype=bool)
    if share_max * np.count_nonzero(staked) <= 1:
        shares = staked / np.count_nonzero(staked)
    else:
        # Each pass caps at least one provider more; the uncapped always hold what is left, because the cap can hold.
        while (over := ~capped & (shares > share_max)).any():
            capped |= over
            left = 1.0 - share_max * np.count_nonzero(capped)
            free = np.where(capped, 0.0, held)
            shares = np.where(capped, share_max, left * free / free.sum())
    factor = np.divide(shares, held, out=np.zeros_like(held), where=staked)
    return np.asarray(weights * factor[owner], dtype=np.float64)


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


def shares_of(models: int, weights: FloatArray) -> FloatArray:
    """Return the weights of so many models as parts of their sum, or zeros; raises InputRejected ``score_input_invalid``."""
    if weights.shape != (models,):
        raise InputRejected(Code.SCORE_INPUT_INVALID, "There is one weight for each model.")
    _refuse_impossible(weights)
    total = float(weights.sum())
    return np.asarray(weights / total if total > 0 else np.zeros(len(weights)), dtype=np.float64)


def _refuse_impossible(weights: FloatArray) -> None:
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise InputRejected(Code.SCORE_INPUT_INVALID, "A weight is negative or not finite.")


def gauss_of(signals: FloatArray) -> FloatArray:
    """Return the Gaussianized tie-kept ranks of (m, n) signals; raises InputRejected ``value_not_finite``."""
    if not np.isfinite(signals).all():
        raise InputRejected(Code.VALUE_NOT_FINITE, "A weighted model's signal holds values that are not finite numbers.")
    return gaussianize(tie_kept_rank(signals))
