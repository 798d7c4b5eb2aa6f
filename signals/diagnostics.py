"""What a signal's history was worth: measures of one era, changes from one to the next, and statistics over all of them.

It reads no file and knows no market: :mod:`signals.history` reads, and who has prices makes targets and exposures. An era is a
date with its universe. Nothing here is random, and no figure is NaN: where one has no meaning it is 0, or None for an error.

1. An era's values become tie-kept ranks, gaps in the middle, as an upload's do; Gaussianized they are g, and r is what the
   exposures leave of g.
2. Scores of an era: ``corr``, ``mmc`` and ``neutral_corr`` as rounds pay them, and ``fnc``, the ``corr`` of r. The
   meta-model of ``mmc`` is whatever the caller compares with.
3. Exposure is the correlation of g with each factor. Churn compares ranks, neutral churn r, turnover the weights r / Σ|r|.
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
from market.arrays import BoolArray, FloatArray, IntArray
from market.projection import residualize
from market.ranks import gaussianize, tie_kept_rank
from signals.churn import churn
from signals.constancy import constant_rows, is_constant
from signals.scores import corr, score_kinds

ERA_KINDS = ("corr", "mmc", "neutral_corr", "fnc")

FILL_RANK = 0.5
COMMON_SHARE_MIN = 0.8
"""Least part of both universes that two eras must share for a churn, as where churn is paid for."""

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
    with_meta_model : (m,) float64
        Correlation of the Gaussianized ranks with those of the meta-model; 0 where either does not vary.
    scores : dict of kind to (m,) float64
        Empty while the target is unknown.
    """

    members: IntArray
    ranks: FloatArray
    rests: FloatArray
    factors: FloatArray
    with_meta_model: FloatArray
    scores: dict[str, FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class EraChange:
    """Changes of m signals from one era to the next; the churns are None when the eras share less than 80 % of either."""

    churn: FloatArray | None
    neutral_churn: FloatArray | None
    turnover: FloatArray


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
    """Return tie-kept ranks (n,) of values of any finite scale, 0.5 where they are NaN.

    Examples
    --------
    >>> filled_ranks(np.array([1e300, np.nan, 0.0])).tolist()
    [0.75, 0.5, 0.25]
    """
    ranks = tie_kept_rank(values)
    return np.where(np.isnan(values), FILL_RANK, ranks)


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
    x, y = (_unit_rows(rows) for rows in (vectors, np.ascontiguousarray(exposures.T)))
    return np.clip(x @ y.T, -1.0, 1.0)


def _unit_rows(rows: FloatArray) -> FloatArray:
    """Rows centred and of length one; zero where constant."""
    peak = np.max(np.abs(rows), axis=1, keepdims=True, initial=0.0)
    scaled = rows / np.where(peak > 0, peak, 1.0)  # the square of a huge or tiny value has no float
    centred = scaled - scaled.mean(axis=1, keepdims=True)
    length = np.sqrt(np.sum(centred * centred, axis=1, keepdims=True))
    flat = constant_rows(rows)[:, None] | (length == 0)
    return np.asarray(np.where(flat, 0.0, centred / np.where(flat, 1.0, length)), dtype=np.float64)


def measure_era(
    ranks: FloatArray, members: IntArray, exposures: FloatArray, target: FloatArray | None, meta_model: FloatArray
) -> EraMeasure:
    """Measure m signals in one era.

    Parameters
    ----------
    ranks : (m, n) float64
        As :func:`filled_ranks` gives them.
    members : (n,) int64
        The universe as of the era's decision instant.
    exposures : (n, k) float64
        Known at that instant.
    target : (n,) float64 or None
        What came true, binned and neutral; NaN where unknown. None while its window is open.
    meta_model : (n,) float64
        What ``mmc`` is measured against.

    Raises
    ------
    InputRejected
        ``coverage_too_low`` if less than 80 % of the target is known.
    """
    gauss = _gauss(ranks)
    rests = residualize(gauss, exposures)
    scores: dict[str, FloatArray] = {}
    if target is not None:
        scores = score_kinds(("corr", "mmc", "neutral_corr"), ranks, target, meta_model, exposures)
        scores["fnc"] = corr(rests, target)
    with_meta = factor_correlations(gauss, _gauss(tie_kept_rank(meta_model)[None, :]).T)[:, 0]
    return EraMeasure(members, ranks, rests, factor_correlations(gauss, exposures), with_meta, scores)


def _gauss(ranks: FloatArray) -> FloatArray:
    gauss = gaussianize(ranks)
    gauss[constant_rows(ranks)] = 0.0
    return gauss


def measure_change(before: EraMeasure, after: EraMeasure) -> EraChange:
    """Compare two eras; the members of both are places on the same axis."""
    at = np.searchsorted(before.members, after.members).clip(max=max(len(before.members) - 1, 0))
    shared: BoolArray = before.members[at] == after.members
    old, new = at[shared], np.flatnonzero(shared)
    weights_before, weights_after = neutral_weights(before.rests), neutral_weights(after.rests)
    moved = np.abs(weights_after).sum(axis=1) + np.abs(weights_before).sum(axis=1)
    # An asset of one era only is bought or sold as a whole.
    moved += np.abs(weights_after[:, new] - weights_before[:, old]).sum(axis=1)
    moved -= np.abs(weights_after[:, new]).sum(axis=1) + np.abs(weights_before[:, old]).sum(axis=1)
    turnovers = np.maximum(moved / 2.0, 0.0)
    if len(new) < COMMON_SHARE_MIN * max(len(before.members), len(after.members)):
        return EraChange(None, None, turnovers)
    return EraChange(
        _churns(before.ranks[:, old], after.ranks[:, new]), _churns(before.rests[:, old], after.rests[:, new]), turnovers
    )


def _churns(before: FloatArray, after: FloatArray) -> FloatArray:
    return np.array([churn(a, b) for a, b in zip(before, after, strict=True)])


def neutral_weights(rests: FloatArray) -> FloatArray:
    """Return each row divided by the sum of its sizes: the weights of a book of gross one that follows the signal.

    Parameters
    ----------
    rests : (m, n) float64
        Neutral, so each sums to zero.

    Returns
    -------
    (m, n) float64
        Σ|w| = 1, or all 0 for a row of zeros.
    """
    gross = np.sum(np.abs(rests), axis=1, keepdims=True)
    return np.asarray(rests / np.where(gross > 0, gross, 1.0), dtype=np.float64)


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
    return int(-(-(horizon + lag) // max(step, 1)))


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
    related = float(centred[1:] @ centred[:-1]) / (count * variance)
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
        autocorrelation=related,
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


def max_drawdown(scores: FloatArray) -> float:
    """Return the largest fall of the cumulated scores from a high, negative or 0; the start, 0, is a high as well.

    Examples
    --------
    >>> max_drawdown(np.array([-0.5, 1.0, -0.25, -0.5, 2.0]))
    -0.75
    """
    path = np.concatenate([[0.0], np.cumsum(scores)])
    return float(np.min(path - np.maximum.accumulate(path)))
