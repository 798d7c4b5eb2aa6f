"""How much a Sharpe ratio is worth that was the best of many tries: the deflated Sharpe ratio.

Whoever tries a hundred mandates on one history finds a good one, skill or not. What is asked here is how likely the ratio that
was found is to lie above the best that as many tries without skill would have shown. Trials are handed in, all that were made
on that history and not only those that one likes; nothing here knows where they are stored.

1. the trials are clustered by the correlation of their returns: twenty variants of one idea are one try
   (:func:`clusters`, average linkage, cut at :data:`SAME_CORRELATION`);
2. the best of N tries without skill has on average √V·((1 − g)·Φ⁻¹(1 − 1/N) + g·Φ⁻¹(1 − 1/(N·e))), V the variance of the
   clusters' ratios, g Euler's constant;
3. the deflated ratio is Φ((s − that) / error of s), the error with skewness, kurtosis and autocorrelation.

Limits: a trial that was made and not stored is not counted, and a history that everybody knows has been tried by everybody.

References
----------
Bailey and López de Prado, The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5), 2014; López de Prado and Lewis,
Detection of false investment strategies using unsupervised learning methods, Quantitative Finance 19(9), 2019, for counting
clusters instead of trials.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, IntArray
from portfolio.mandate import SESSIONS_PER_YEAR
from portfolio.performance import NAN, NO_VARIANCE, sharpe_error

SAME_CORRELATION = 0.5
"""Mean correlation from which two groups of trials are one try: a quarter of the variance is shared."""
EULER = 0.5772156649015329
NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class DeflatedSharpe:
    """A Sharpe ratio beside what luck would have shown. Ratios are yearly.

    Attributes
    ----------
    probability : float
        Of a true ratio above ``threshold``: the deflated Sharpe ratio. NaN without variance.
    sharpe, error : float
        The ratio and its standard error.
    threshold : float
        The best ratio to be expected of the trials without skill; 0 for a single try.
    trials, clusters : int
        How many were made, and how many of them count as tries of their own.
    """

    probability: float
    sharpe: float
    error: float
    threshold: float
    trials: int
    clusters: int


def probabilistic_sharpe(sharpe: float, benchmark: float, error: float) -> float:
    """Return Φ((sharpe − benchmark) / error), the probability that the true ratio is above ``benchmark``; all in one unit."""
    return NORMAL.cdf((sharpe - benchmark) / error) if error > 0 else NAN


def best_of_luck(count: int, variance: float) -> float:
    """Return the largest ratio to be expected of ``count`` independent tries without skill, whose ratios vary by ``variance``.

    Examples
    --------
    >>> round(best_of_luck(100, 1 / 500), 4)
    0.1132
    """
    if count <= 1:
        return 0.0
    tail = (1.0 - EULER) * NORMAL.inv_cdf(1.0 - 1.0 / count) + EULER * NORMAL.inv_cdf(1.0 - 1.0 / (count * math.e))
    return math.sqrt(max(variance, 0.0)) * tail


def clusters(returns: FloatArray) -> IntArray:
    """Group trials whose returns move together.

    Parameters
    ----------
    returns : (m, T) float64
        Session returns of each trial; finite. A trial without variance moves with none but is no try: it stays alone.

    Returns
    -------
    (m,) int64
        Group of each trial, from 0 in order of first appearance. Average linkage on 1 − correlation: groups join while the mean
        correlation between their members is above :data:`SAME_CORRELATION`.
    """
    count = returns.shape[0]
    if count < 2:
        return np.zeros(count, dtype=np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage

    centred = returns - returns.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    unit = centred / np.where(length > NO_VARIANCE * math.sqrt(max(returns.shape[1], 1)), length, np.inf)
    distance = np.clip(1.0 - unit @ unit.T, 0.0, 2.0)[np.triu_indices(count, 1)]
    found = fcluster(linkage(distance, "average"), 1.0 - SAME_CORRELATION, "distance")
    first = {int(group): place for place, group in enumerate(dict.fromkeys(found.tolist()))}
    return np.array([first[int(group)] for group in found], dtype=np.int64)


def deflated_sharpe(returns: FloatArray, trials: FloatArray) -> DeflatedSharpe:
    """Judge a path by all that was tried on its history.

    Parameters
    ----------
    returns : (T,) float64
        Session returns of the path that was chosen; finite.
    trials : (m, T') float64
        Session returns of every trial on that history, the chosen one among them; finite. (0, T') counts as a single try.

    Returns
    -------
    DeflatedSharpe

    Raises
    ------
    InputRejected
        PROBLEM_INVALID for values that are not finite or trials that are not rows of one history.

    Notes
    -----
    The variance of ratios is taken over the clusters' mean returns, and is never below 1/T, the variance that the ratios of
    independent tries without skill have by chance alone: a few alike clusters do not make luck impossible.
    """
    return _judge(returns[None, :] if returns.ndim == 1 else returns, trials)[0]


def deflated_sharpes(trials: FloatArray) -> tuple[DeflatedSharpe, ...]:
    """Judge each of m trials (m, T) by all of them, as :func:`deflated_sharpe` does, with one clustering."""
    return _judge(trials, trials)


def _judge(paths: FloatArray, trials: FloatArray) -> tuple[DeflatedSharpe, ...]:
    if paths.ndim != 2 or trials.ndim != 2 or not (np.isfinite(paths).all() and np.isfinite(trials).all()):
        raise InputRejected(Code.PROBLEM_INVALID, "Trials are rows of finite returns over one history.")
    groups = clusters(trials)
    ratios = np.array([_ratio(trials[groups == group].mean(axis=0)) for group in range(int(groups.max(initial=-1)) + 1)])
    known = ratios[np.isfinite(ratios)]
    variance = max(float(known.var(ddof=1)) if known.size > 1 else 0.0, 1.0 / max(trials.shape[1], 1))
    threshold, year = best_of_luck(int(known.size), variance), math.sqrt(SESSIONS_PER_YEAR)
    judged = []
    for path in paths:
        ratio, error = _ratio(path), sharpe_error(path)
        probability = probabilistic_sharpe(ratio, threshold, error) if math.isfinite(ratio) else NAN
        counts = max(trials.shape[0], 1), max(int(known.size), 1)
        judged.append(DeflatedSharpe(probability, ratio * year, error * year, threshold * year, *counts))
    return tuple(judged)


def _ratio(returns: FloatArray) -> float:
    """Return the Sharpe ratio per session, NaN without variance."""
    deviation = float(returns.std(ddof=1)) if returns.size > 1 else 0.0
    return float(returns.mean()) / deviation if deviation > NO_VARIANCE else NAN
