"""What a file can be told before it is sent: numbers that need no target, and nobody else's file.

1. :func:`spread`: among how many different values the order is shared out.
2. :func:`exposed`: what the Gaussianized ranks have in common with factors or features, one by one and together.
3. :func:`moved`: how far the signal has moved from the model's earlier ones.
4. :func:`crowd_correlation`: how alike it is to a meta-model of an earlier round.

Not here: the verdict (:mod:`signals.submission`), what a churn leaves of a payout (:func:`signals.churn.retention`), and who
may see which of these numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from market.arrays import FloatArray
from market.projection import residualize
from market.ranks import gaussianize, tie_kept_rank
from signals.churn import RoundSignal, max_churn_and_turnover, mean_neutral_churn
from signals.crowd_report import factor_exposures
from signals.prepared import OVERLAP_MIN
from signals.similarity import cwmm
from signals.submission import Signal

FORMER_ROUNDS = 5
"""So many earlier files a signal is compared with, by the custom of the field."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How the values of a file are shared out.

    Attributes
    ----------
    given : int
        Assets with a value.
    distinct : int
        Different values among them.
    effective : float
        1 / Σ share², each value's share of the assets: so many values, all equally frequent, would be as spread out.
    largest_tie : float
        Share of the most frequent value, 0 to 1.
    """

    given: int
    distinct: int
    effective: float
    largest_tie: float


@dataclass(frozen=True, slots=True, eq=False)
class Exposed:
    """What a signal has in common with a set of columns.

    Attributes
    ----------
    exposures : (k,) float64
        Correlation of the Gaussianized ranks with each column; 0 where either is constant.
    largest : int or None
        Position of the largest absolute one, the first of several; None without columns.
    explained : float
        Part of the ranks' variance that all columns together explain, 0 to 1: what neutralization takes away.
    """

    exposures: FloatArray
    largest: int | None
    explained: float


@dataclass(frozen=True, slots=True)
class Moved:
    """How far a signal has moved from earlier ones of its model; each None without usable history.

    Attributes
    ----------
    mean_neutral_churn, max_churn : float or None
        0 to 2.
    max_turnover : float or None
        0 to 1.
    """

    mean_neutral_churn: float | None
    max_churn: float | None
    max_turnover: float | None


def spread(signal: Signal) -> Spread:
    """Count the values of a signal; what fills its gaps does not count.

    Examples
    --------
    >>> spread(Signal(np.array([0.25, 0.25, 0.75, 0.5, 0.75]), np.array([True, True, True, False, True])))
    Spread(given=4, distinct=2, effective=2.0, largest_tie=0.5)
    """
    counts = np.unique(signal.values[signal.present], return_counts=True)[1]
    shares = counts / max(int(counts.sum()), 1)
    return Spread(int(counts.sum()), len(counts), 1.0 / float(shares @ shares), float(shares.max()))


def exposed(ranks: FloatArray, columns: FloatArray) -> Exposed:
    """Measure what a signal has in common with factors or features.

    Parameters
    ----------
    ranks : (n,) float64
        As :class:`signals.submission.Signal` holds them: not all equal, NaN not allowed.
    columns : (n, k) float64
        Any scale, may be rank deficient; NaN not allowed.

    Notes
    -----
    ``explained`` is 1 − |r|² / |g − ḡ|², g the Gaussianized ranks as the meta-model takes them, r their residual on an
    intercept and the columns.
    """
    gauss = gaussianize(tie_kept_rank(ranks))
    centred, rest = gauss - gauss.mean(), residualize(gauss, columns)
    exposures = factor_exposures(gauss, columns)
    explained = 1.0 - float(rest @ rest) / float(centred @ centred)
    largest = int(np.argmax(np.abs(exposures))) if exposures.size else None
    return Exposed(exposures, largest, min(max(explained, 0.0), 1.0))


def moved(current: RoundSignal, former: Sequence[RoundSignal]) -> Moved:
    """Compare a signal with earlier ones, by custom the last :data:`FORMER_ROUNDS`.

    Parameters
    ----------
    current : RoundSignal
        With the neutralizers and sample weights that were frozen with its round.
    former : sequence of RoundSignal
        Likewise, in any order; those whose universe is another one to more than a fifth are passed over.
    """
    largest = max_churn_and_turnover(current, former)
    churn, turnover = (None, None) if largest is None else largest
    return Moved(mean_neutral_churn(current, former), churn, turnover)


def crowd_correlation(ranks: FloatArray, ids: Sequence[str], meta_model: FloatArray, meta_ids: Sequence[str]) -> float | None:
    """Return the ``cwmm`` of a signal with a meta-model of another round, on the assets in common.

    Parameters
    ----------
    ranks : (n,) float64
        As :class:`signals.submission.Signal` holds them.
    ids : sequence of str, length n
        Asset ids, without repetition, in any order.
    meta_model : (n_meta,) float64
        Taken as it is.
    meta_ids : sequence of str, length n_meta
        Likewise.

    Returns
    -------
    float or None
        −1 to 1; None when the universes share less than 80 % of either.
    """
    common, at, at_meta = np.intersect1d(np.asarray(ids), np.asarray(meta_ids), assume_unique=True, return_indices=True)
    if not len(common) or len(common) / max(len(ids), len(meta_ids)) < OVERLAP_MIN:
        return None
    return float(cwmm(ranks[None, at], meta_model[at_meta])[0])
