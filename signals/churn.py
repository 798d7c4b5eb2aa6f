"""Churn: how much of a signal's order changed since the submission before, and what part of a payout that leaves.

Churn is a change of ranks, between 0 (same order) and 2 (reversed); turnover, a change of weights, is another thing.

1. Both signals are ranked and Gaussianized on their own universe and residualized against that universe's own exposures: an
   order that moved with the factors alone is not held against a provider.
2. Only the assets in both universes are compared. If they are fewer than 80 % of either universe, there is no usable history:
   the answer is None. What a round makes of that is said in :mod:`service.workflows.retentions`.
3. Churn is one minus Spearman's correlation of the residuals. Residuals that differ by rounding alone are ties.
4. The retained part of a positive payout is 1 up to a threshold, then falls along a logistic curve; burns are not touched.

The formulas agree with ``churn``, ``neutral_churn``, ``neutral_churn_penalty``, ``calculate_mean_neutral_churn`` and
``calculate_max_churn_and_turnover`` of numerai-tools 0.7.2; where those say 1 for a missing history, we say that there is none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.arrays import FloatArray, IntArray
from market.projection import residualize
from market.ranks import gaussianize, tie_kept_rank
from signals.constancy import WHOLLY_EXPLAINED, constant_rows, settled
from signals.cuts import extremes
from signals.portfolio_scores import neutral_weights
from signals.prepared import OVERLAP_MIN

CHURN_WITHOUT_ORDER = 1.0
"""A signal without variance has no order that could have been kept: it counts as unrelated."""


def churn(a: FloatArray, b: FloatArray, *, top_bottom: int | None = None) -> float:
    """Return 1 − Spearman's correlation of two signals on the same assets.

    Parameters
    ----------
    a, b : (n,) float64
        Any scale; NaN not allowed. Ties share their mean rank.
    top_bottom : int, optional
        Instead, return the part of this many highest and lowest assets that left their end; ties at the edge are broken by
        the order of assets.

    Returns
    -------
    float
        0 to 2; 1 when either is constant.

    Raises
    ------
    InputRejected
        ``score_input_invalid`` if the two ends would overlap, or there is nothing in them.

    Examples
    --------
    >>> churn(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0]))
    2.0
    """
    if top_bottom is None:
        return float(churns(a[None, :], b[None, :])[0])
    at_a, at_b = extremes(np.stack([a, b]), top_bottom)
    lows = np.intersect1d(at_a[:top_bottom], at_b[:top_bottom]).size
    highs = np.intersect1d(at_a[top_bottom:], at_b[top_bottom:]).size
    return 1.0 - (lows + highs) / (2 * top_bottom)


def churns(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return :func:`churn` row by row; (m, n) and (m, n) in, (m,) out."""
    x = tie_kept_rank(a) - 0.5
    y = tie_kept_rank(b) - 0.5
    scale = np.sqrt(np.sum(x * x, axis=1) * np.sum(y * y, axis=1))
    ordered = (scale > 0) & ~constant_rows(a) & ~constant_rows(b)
    correlation = np.sum(x * y, axis=1) / np.where(ordered, scale, 1.0)
    return np.asarray(np.where(ordered, np.clip(1.0 - correlation, 0.0, 2.0), CHURN_WITHOUT_ORDER), dtype=np.float64)


def neutral_churn(
    ranks_a: FloatArray,
    ids_a: Sequence[str],
    exposures_a: FloatArray,
    ranks_b: FloatArray,
    ids_b: Sequence[str],
    exposures_b: FloatArray,
) -> float | None:
    """Return the churn between the factor-neutral parts of two signals of different rounds.

    Parameters
    ----------
    ranks_a, ranks_b : (n_a,), (n_b,) float64
        Signals on their universes, as :class:`signals.submission.Signal` holds them.
    ids_a, ids_b : sequence of str
        Asset ids of the two universes, without repetition, in any order.
    exposures_a, exposures_b : (n_a, k_a), (n_b, k_b) float64
        Exposures of each universe as known at that round's close.

    Returns
    -------
    float or None
        0 to 2; None when the universes share less than 80 % of either: no history, hence no penalty.
    """
    found = neutral_churns(ranks_a[None, :], ids_a, exposures_a, ranks_b[None, :], ids_b, exposures_b)
    return None if found is None else float(found[0])


def neutral_churns(
    ranks_a: FloatArray,
    ids_a: Sequence[str],
    exposures_a: FloatArray,
    ranks_b: FloatArray,
    ids_b: Sequence[str],
    exposures_b: FloatArray,
) -> FloatArray | None:
    """Return :func:`neutral_churn` for each of m models at once: (m, n_a) and (m, n_b) in, (m,) or None out."""
    common = _common(ids_a, ids_b)
    if common is None:
        return None
    at_a, at_b = common
    return churns(settled(_neutral(ranks_a, exposures_a)[:, at_a]), settled(_neutral(ranks_b, exposures_b)[:, at_b]))


@dataclass(frozen=True, slots=True, eq=False)
class RoundSignal:
    """A model's signal in one round, or those of m models, on that round's universe.

    Attributes
    ----------
    ids : sequence of str, length n
        Without repetition, in any order.
    ranks : (n,) or (m, n) float64
        As :class:`signals.submission.Signal` holds them.
    exposures : (n, k) float64
        Neutralizers of that round.
    sample_weights : (n,) float64 or None
        Needed for turnover alone.
    """

    ids: Sequence[str]
    ranks: FloatArray
    exposures: FloatArray
    sample_weights: FloatArray | None = None


def mean_neutral_churn(current: RoundSignal, former: Sequence[RoundSignal]) -> float | None:
    """Return the mean :func:`neutral_churn` against earlier signals, by custom the last five; None without usable history."""
    against = [neutral_churn(current.ranks, current.ids, current.exposures, f.ranks, f.ids, f.exposures) for f in former]
    known = [value for value in against if value is not None]
    return math.fsum(known) / len(known) if known else None


def max_churn_and_turnover(current: RoundSignal, former: Sequence[RoundSignal]) -> tuple[float, float] | None:
    """Return the largest :func:`churn` and the largest turnover of neutral weights against earlier signals.

    Both are taken on the assets in common: churn of the ranks, turnover of the weights that each signal has on its own
    universe, centred, with absolute values that sum to 1. None without usable history.

    Raises
    ------
    InputRejected
        ``score_input_invalid`` for a signal without sample weights.
    """
    found = [moved for other in former if (moved := churns_and_turnovers(current, other)) is not None]
    return (max(float(c[0]) for c, _ in found), max(float(t[0]) for _, t in found)) if found else None


def churns_and_turnovers(current: RoundSignal, former: RoundSignal) -> tuple[FloatArray, FloatArray] | None:
    """Return :func:`churn` and turnover of m models between two rounds, (m,) each; None if their universes share too little.

    What is compared is as for :func:`max_churn_and_turnover`, and so are the errors.
    """
    common = _common(current.ids, former.ids)
    if common is None:
        return None
    at, at_former = common
    moved = _weights(current)[:, at] - _weights(former)[:, at_former]
    churned = churns(np.atleast_2d(current.ranks)[:, at], np.atleast_2d(former.ranks)[:, at_former])
    return churned, np.asarray(np.sum(np.abs(moved), axis=1) / 2.0, dtype=np.float64)


def retention(churn: float | None, threshold: float, slope: float) -> float:
    """Return the part of a positive payout that a churn leaves.

    Parameters
    ----------
    churn : float or None
        0 to 2; None for no history.
    threshold : float
        Churn up to which everything is retained.
    slope : float
        Steepness of the fall beyond it, not negative.

    Returns
    -------
    float
        1 if churn ≤ threshold or None, else 2 / (1 + exp(slope · (churn − threshold))).

    Raises
    ------
    InvariantBroken
        For a churn outside 0 to 2, or NaN anywhere.

    Examples
    --------
    >>> retention(None, 0.2, 10), retention(0.2, 0.2, 10), round(retention(0.3, 0.2, 10), 6)
    (1.0, 1.0, 0.537883)
    """
    if churn is None:
        return 1.0
    if not (0.0 <= churn <= 2.0 and threshold >= 0.0 and slope >= 0.0):
        raise InvariantBroken(Code.INTERNAL, f"A churn of {churn} with threshold {threshold} and slope {slope} cannot be.")
    if churn <= threshold:
        return 1.0
    fall = math.exp(-slope * (churn - threshold))  # the negative exponent cannot overflow
    return 2.0 * fall / (1.0 + fall)


def _neutral(ranks: FloatArray, exposures: FloatArray) -> FloatArray:
    """Return what the exposures leave of Gaussianized (m, n) ranks; zeros where that is rounding."""
    gauss = gaussianize(tie_kept_rank(ranks))
    gauss[constant_rows(ranks)] = 0.0
    rest = residualize(gauss, exposures)
    rest[np.max(np.abs(rest), axis=1) <= WHOLLY_EXPLAINED * np.max(np.abs(gauss), axis=1)] = 0.0
    return rest


def comparable(ids_a: Sequence[str], ids_b: Sequence[str]) -> bool:
    """Say whether two universes share enough for signals on them to be compared: 80 % of the larger."""
    return _common(ids_a, ids_b) is not None


def _common(ids_a: Sequence[str], ids_b: Sequence[str]) -> tuple[IntArray, IntArray] | None:
    """Return the positions of the labels in common on both sides; None if they are too few of either."""
    position_of = {label: i for i, label in enumerate(ids_b)}
    pairs = [(i, position_of[label]) for i, label in enumerate(ids_a) if label in position_of]
    if not pairs or len(pairs) / max(len(ids_a), len(ids_b)) < OVERLAP_MIN:
        return None
    at_a, at_b = np.array(pairs, dtype=np.int64).T
    return at_a, at_b


def _weights(signal: RoundSignal) -> FloatArray:
    if signal.sample_weights is None:
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Turnover needs each round's sample weights.")
    return neutral_weights(np.atleast_2d(signal.ranks), signal.exposures, signal.sample_weights, normalize=True)
