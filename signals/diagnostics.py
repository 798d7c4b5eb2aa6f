"""What a signal's history was worth: measures of one era, changes from one to the next, and statistics over all of them.

It reads no file and knows no market: :mod:`signals.history` reads, and who has prices makes targets and exposures. An era is a
date with its universe. No figure is NaN: where one has no meaning it is 0, or None for an error.

1. An era's values become tie-kept ranks, gaps in the middle, as an upload's do; Gaussianized they are g, and r is what the
   exposures leave of g.
2. Scores are those that a round gives (:mod:`signals.prepared`). Exposure is the correlation of g with each factor.
3. From one era to the next, on the assets of both: churn compares ranks and neutral churn r, as where churn is paid for.
   Turnover compares the books r / Σ|r|; an asset of one era only is bought or sold as a whole.
4. Over the eras, x₁ … x_T: mean, deviation with divisor T, their ratio (Sharpe), largest fall of the cumulated scores, share
   above zero. Targets of 20 sessions that begin a week apart overlap, so scores of neighbouring eras are related, and
   T of them say less than T independent ones. With γ_l the autocovariance at lag l (divisor T) and L lags,

       ω² = γ₀ + 2 Σ_{l=1..L} (1 − l/(L+1)) γ_l             adjusted Sharpe a = mean / ω
       error of a = √((1 + K a²/2) / T),  K = Σ_{|l|≤L} (1 − |l|/(L+1))²             t = a √T

   L = ⌈(horizon + lag) / step⌉, all in sessions. With L = 0 this is the Sharpe ratio with its usual error for independent
   normal scores. The first term of the error is that of the mean, the second that of ω.

Sources: Newey and West, A simple positive semi-definite heteroskedasticity and autocorrelation consistent covariance matrix,
Econometrica 55(3), 1987, for ω²; Lo, The statistics of Sharpe ratios, Financial Analysts Journal 58(4), 2002, for the error at
L = 0 and for adjusting at all; Priestley, Spectral Analysis and Time Series, 1981, §6.2.4, for the variance 2ω⁴K/T of ω².
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, IntArray
from market.projection import orthonormal_basis, project_out
from market.ranks import gaussianize, tie_kept_rank
from signals.churn import churns
from signals.constancy import WHOLLY_EXPLAINED, constant_rows, is_constant, settled
from signals.portfolio_scores import turnover
from signals.prepared import OVERLAP_MIN, prepare, require_overlap, score_prepared
from signals.sides import Sides
from signals.submission import FILL_RANK

RELATED_MIN = 1e-12
"""A long-run variance below this part of the plain one is rounding: the scores cancel out and no ratio has a meaning."""


@dataclass(frozen=True, slots=True, eq=False)
class EraMeasure:
    """Measures of m signals in one era of n assets and k factors.

    Attributes
    ----------
    members : (n,) int64
        The universe, ascending places on any axis that all eras share.
    ranks : (m, n) float64
        Tie-kept ranks in (0, 1), gaps at 0.5.
    rests : (m, n) float64
        What the exposures leave of the Gaussianized ranks.
    factors : (m, k) float64
        Correlation of the Gaussianized ranks with each factor; 0 where either does not vary.
    basis : (n, rank) float64
        Orthonormal basis of an intercept and the exposures.
    """

    members: IntArray
    ranks: FloatArray
    rests: FloatArray
    factors: FloatArray
    basis: FloatArray


@dataclass(frozen=True, slots=True)
class EraChange:
    """Changes of one signal from one era to the next; the churns are None when the eras share less than 80 % of either."""

    churn: float | None
    neutral_churn: float | None
    turnover: float


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """Statistics of the scores of one kind over the eras that have one.

    Attributes
    ----------
    eras : int
        T.
    mean, std : float
        Mean and standard deviation, divisor T.
    sharpe : float
        mean / std; not annualized. 0 where the scores do not vary, as are all ratios then.
    autocorrelation : float
        At lag one.
    lags : int
        L, at most T − 1.
    adjusted_sharpe : float
        mean / ω.
    adjusted_sharpe_error : float or None
        Its standard error; None where the scores do not vary.
    t_statistic : float
        mean / (ω / √T): under about 2 in size, the mean may be luck.
    max_drawdown : float
        Largest fall of the cumulated scores from a high, the start included; negative or 0, in units of the score.
    hit_rate : float
        Part of the eras with a score above 0.
    """

    eras: int
    mean: float
    std: float
    sharpe: float
    autocorrelation: float
    lags: int
    adjusted_sharpe: float
    adjusted_sharpe_error: float | None
    t_statistic: float
    max_drawdown: float
    hit_rate: float


def filled_ranks(values: FloatArray) -> FloatArray:
    """Return tie-kept ranks (n,) of values of any finite scale, 0.5 where they are NaN; 0.5 throughout if they are all equal.

    Examples
    --------
    >>> filled_ranks(np.array([1e300, np.nan, 0.0])).tolist()
    [0.75, 0.5, 0.25]
    """
    lacking = np.isnan(values)
    if is_constant(values[~lacking]):
        return np.full(values.shape, FILL_RANK)
    return np.where(lacking, FILL_RANK, tie_kept_rank(values))


def measure_era(ranks: FloatArray, members: IntArray, exposures: FloatArray) -> EraMeasure:
    """Measure m signals in one era.

    Parameters
    ----------
    ranks : (m, n) float64
        As :func:`filled_ranks` gives them.
    members : (n,) int64
        The universe as of the era's decision instant.
    exposures : (n, k) float64
        Known at that instant; NaN not allowed.
    """
    gauss = gaussianize(tie_kept_rank(ranks))  # with the gaps in the middle, as scores and churn rank them
    basis = orthonormal_basis(np.column_stack([np.ones(len(members)), exposures]))
    rests = project_out(gauss, basis)
    rests[np.max(np.abs(rests), axis=1) <= WHOLLY_EXPLAINED * np.max(np.abs(gauss), axis=1)] = 0.0
    return EraMeasure(members, ranks, rests, factor_correlations(gauss, exposures), basis)


def era_scores(
    kinds: Sequence[str],
    ranks: FloatArray,
    target: FloatArray,
    exposures: FloatArray,
    benchmark: FloatArray,
    basis: FloatArray | None = None,
) -> dict[str, FloatArray]:
    """Score m signals in one era, as :func:`signals.scores.score_kinds` does, which would rank them once for each input.

    Parameters
    ----------
    kinds : sequence of str
        Of ``corr``, ``neutral_corr`` and ``bmc``.
    ranks : (m, n) float64
        As :func:`filled_ranks` gives them.
    target : (n,) float64
        NaN where unknown; at least 80 % of it is known.
    exposures : (n, k) float64
    benchmark : (n,) float64
        What ``bmc`` is measured against.
    basis : (n, rank) float64, optional
        As in :class:`EraMeasure`; spares another one if the whole target is known.

    Returns
    -------
    dict of str to (m,) float64
    """
    at = np.flatnonzero(~np.isnan(target))
    require_overlap(~np.isnan(target), OVERLAP_MIN)
    sides = Sides(exposures=exposures, benchmark=benchmark)
    names = np.empty(len(ranks), dtype=np.str_), np.empty(len(at), dtype=np.str_)
    rows = np.ascontiguousarray(basis.T) if basis is not None and len(at) == len(target) else None
    return score_prepared(prepare(ranks, at, *names, sides, kinds, basis=rows), target[at], kinds)


def factor_correlations(vectors: FloatArray, exposures: FloatArray) -> FloatArray:
    """Correlate each of m vectors with each of k factors.

    Parameters
    ----------
    vectors : (m, n) float64
    exposures : (n, k) float64

    Returns
    -------
    (m, k) float64
        Pearson correlations in −1 to 1; 0 where a vector or a factor is constant.
    """
    x, y = _unit_rows(vectors), _unit_rows(np.ascontiguousarray(exposures.T))
    return np.clip(x @ y.T, -1.0, 1.0)


def _unit_rows(rows: FloatArray) -> FloatArray:
    """Rows centred and of length one; zero where constant."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt(np.sum(centred * centred, axis=1, keepdims=True))
    flat = constant_rows(rows)[:, None] | (length == 0)
    return np.asarray(np.where(flat, 0.0, centred / np.where(flat, 1.0, length)), dtype=np.float64)


def measure_change(before: EraMeasure, after: EraMeasure) -> list[EraChange]:
    """Compare two eras, whose members are places on the same axis, signal by signal."""
    both, old, new = np.intersect1d(before.members, after.members, assume_unique=True, return_indices=True)
    turnovers = [turnover(*_books(before, after, place)) for place in range(len(after.ranks))]
    if both.size == 0 or both.size / max(len(before.members), len(after.members)) < OVERLAP_MIN:
        return [EraChange(None, None, moved) for moved in turnovers]
    plain = churns(before.ranks[:, old], after.ranks[:, new])
    neutral = churns(settled(before.rests[:, old]), settled(after.rests[:, new]))
    return [EraChange(float(p), float(n), moved) for p, n, moved in zip(plain, neutral, turnovers, strict=True)]


def _books(before: EraMeasure, after: EraMeasure, place: int) -> tuple[FloatArray, FloatArray]:
    """Return a signal's two books on the assets of either era: r / Σ|r|, 0 for an asset that is not there."""
    size = int(max(before.members[-1], after.members[-1])) + 1
    books = np.zeros((2, size))
    for book, era in zip(books, (before, after), strict=True):
        rest = era.rests[place]
        gross = float(np.sum(np.abs(rest)))
        book[era.members] = rest / gross if gross > 0 else 0.0
    return books[0], books[1]


def overlap_lags(horizon: int, lag: int, step: int) -> int:
    """Return L = ⌈(horizon + lag) / step⌉: so many earlier eras have a window that reaches into an era's own.

    Parameters
    ----------
    horizon, lag : int
        Of the target, in sessions.
    step : int
        Sessions from one era to the next, at least 1.

    Examples
    --------
    >>> overlap_lags(20, 2, 5), overlap_lags(20, 2, 1)
    (5, 22)
    """
    return -(-(horizon + lag) // max(step, 1))


def long_run_variance(scores: FloatArray, lags: int) -> float:
    """Return ω² = γ₀ + 2 Σ (1 − l/(L+1)) γ_l of (T,) scores, never negative; see the module's docstring."""
    x = scores - scores.mean()
    total = float(x @ x)
    for lag in range(1, min(lags, x.shape[0] - 1) + 1):
        total += 2.0 * (1.0 - lag / (lags + 1.0)) * float(x[lag:] @ x[:-lag])
    return float(max(total / x.shape[0], 0.0))


def summarize(scores: FloatArray | Sequence[float], lags: int) -> ScoreSummary:
    """Return the statistics of the scores of consecutive eras.

    Parameters
    ----------
    scores : (T,) float64
        Finite; eras without a score are left out before.
    lags : int
        L, as :func:`overlap_lags` gives it; cut to T − 1.

    Raises
    ------
    InputRejected
        ``value_not_finite`` for NaN or infinities.

    Examples
    --------
    >>> s = summarize([0.01, 0.03, -0.01, 0.01], 0)
    >>> round(s.mean, 6), round(s.sharpe, 6), round(s.max_drawdown, 6), s.hit_rate, round(s.adjusted_sharpe_error, 6)
    (0.01, 0.707107, -0.01, 0.75, 0.559017)
    """
    x = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(x).all():
        raise InputRejected(Code.VALUE_NOT_FINITE, "A score is not a finite number.")
    count = x.shape[0]
    if count == 0:
        return ScoreSummary(0, 0.0, 0.0, 0.0, 0.0, 0, 0.0, None, 0.0, 0.0, 0.0)
    depth = min(max(lags, 0), count - 1)
    mean, drawdown, hits = float(x.mean()), max_drawdown(x), float((x > 0).mean())
    if is_constant(x):
        return ScoreSummary(count, mean, 0.0, 0.0, 0.0, depth, 0.0, None, 0.0, drawdown, hits)
    centred = x - mean
    variance = float(centred @ centred) / count
    lasting = long_run_variance(x, depth)
    adjusted, error = 0.0, None
    if lasting > RELATED_MIN * variance:
        adjusted = mean / math.sqrt(lasting)
        error = math.sqrt((1.0 + _weights_squared(depth) * adjusted * adjusted / 2.0) / count)
    return ScoreSummary(
        eras=count,
        mean=mean,
        std=math.sqrt(variance),
        sharpe=mean / math.sqrt(variance),
        autocorrelation=float(centred[1:] @ centred[:-1]) / (count * variance),
        lags=depth,
        adjusted_sharpe=adjusted,
        adjusted_sharpe_error=error,
        t_statistic=adjusted * math.sqrt(count),
        max_drawdown=drawdown,
        hit_rate=hits,
    )


def _weights_squared(lags: int) -> float:
    """K = Σ_{|l|≤L} (1 − |l|/(L+1))²; 1 for no lag, about 2(L+1)/3 for many."""
    return 1.0 + 2.0 * sum((1.0 - lag / (lags + 1.0)) ** 2 for lag in range(1, lags + 1))


def falls(scores: FloatArray) -> FloatArray:
    """Return how far the cumulated scores stand under their highest so far, (T,), 0 or negative; the start, 0, is a high."""
    path = np.cumsum(scores)
    return np.asarray(path - np.maximum(np.maximum.accumulate(path), 0.0), dtype=np.float64)


def max_drawdown(scores: FloatArray) -> float:
    """Return the largest fall of the cumulated scores from a high, negative or 0.

    Examples
    --------
    >>> max_drawdown(np.array([-0.5, 1.0, -0.25, -0.5, 2.0]))
    -0.75
    """
    return float(falls(scores).min(initial=0.0))
