"""How much a Sharpe ratio is worth that was the best of many tries: the deflated Sharpe ratio.

Whoever tries a hundred mandates on one history finds a good one, skill or not. What is asked here is how likely the ratio that
was found is to lie above the best that as many tries without skill would have shown. Trials are handed in, all that were made
on that history and not only those that one likes; nothing here knows where they are stored.

1. the trials are clustered by the correlation of their returns: twenty variants of one idea are one try
   (:func:`clusters`, average linkage, cut at :data:`SAME_CORRELATION`);
2. the best of N tries without skill has on average √V·((1 − g)·Φ⁻¹(1 − 1/N) + g·Φ⁻¹(1 − 1/(N·e))), V the variance of the
   clusters' ratios, were they over as many sessions as the path, g Euler's constant;
3. the deflated ratio is Φ((s − that) / error of s), the error with skewness, kurtosis and autocorrelation.

Trials need not span the same sessions: each has the ratio of its own, two are compared on those that both have, and a short
one, whose ratio varies more by chance, says less of how far tries lie apart.

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

SESSIONS_MIN = 20
"""Two trials that share less than a month cannot be told alike: they are two tries."""
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
    sessions : int
        Of the path, on which its ratio rests.
    """

    probability: float
    sharpe: float
    error: float
    threshold: float
    trials: int
    clusters: int
    sessions: int


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
        Session returns of each trial, NaN in sessions that it does not have. A trial without variance moves with none but is no
        try: it stays alone.

    Returns
    -------
    (m,) int64
        Group of each trial, from 0 in order of first appearance. Average linkage on 1 − correlation: groups join while the mean
        correlation between their members is above :data:`SAME_CORRELATION`. The correlation of two is that of the sessions that
        both have, and 0 if these are fewer than :data:`SESSIONS_MIN` and either has others.
    """
    count = returns.shape[0]
    if count < 2:
        return np.zeros(count, dtype=np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage

    distance = np.clip(1.0 - _correlations(returns), 0.0, 2.0)[np.triu_indices(count, 1)]
    found = fcluster(linkage(distance, "average"), 1.0 - SAME_CORRELATION, "distance")
    first = {int(group): place for place, group in enumerate(dict.fromkeys(found.tolist()))}
    return np.array([first[int(group)] for group in found], dtype=np.int64)


def _correlations(returns: FloatArray) -> FloatArray:
    """Return the correlation of each pair of rows (m, m) on the sessions that both have."""
    has = np.isfinite(returns)
    own = has.sum(axis=1)
    centre = np.sum(np.where(has, returns, 0.0), axis=1) / np.maximum(own, 1)
    moved, there = np.where(has, returns - centre[:, None], 0.0), has.astype(np.float64)
    shared = there @ there.T
    sums, squares = moved @ there.T, (moved**2) @ there.T  # of row i over the sessions that i and j have
    count = np.maximum(shared, 1.0)
    variance = squares - sums**2 / count
    spread = np.sqrt(np.maximum(variance, 0.0))
    moving = spread > NO_VARIANCE * np.sqrt(count)
    enough = (shared >= SESSIONS_MIN) | ((shared == own[:, None]) & (shared == own[None, :]))
    told = moving & moving.T & enough
    product = moved @ moved.T - sums * sums.T / count
    found: FloatArray = np.where(told, product / np.where(told, spread * spread.T, 1.0), 0.0)
    return found


def deflated_sharpe(returns: FloatArray, trials: FloatArray) -> DeflatedSharpe:
    """Judge a path by all that was tried on its history.

    Parameters
    ----------
    returns : (T,) float64
        Session returns of the path that was chosen; finite.
    trials : (m, T') float64
        Session returns of every trial on that history, the chosen one among them, NaN in sessions that a trial does not have.
        (0, T') counts as a single try.

    Returns
    -------
    DeflatedSharpe

    Raises
    ------
    InputRejected
        PROBLEM_INVALID for a path that is not finite, for infinities, and for trials that are not rows or have no session.

    Notes
    -----
    The ratios rᵢ of clusters are those of their members' mean returns over Tᵢ sessions. V = 1/T + τ²: chance makes the ratio of
    a path of T sessions vary by 1/T, and by τ² = max(0, (Q − (N − 1)) / (ΣTᵢ − ΣTᵢ²/ΣTᵢ)), with Q = ΣTᵢ(rᵢ − r̄)² about the mean
    weighted by Tᵢ, the tries vary beyond chance (DerSimonian and Laird, Controlled Clinical Trials 7, 1986). A few alike
    clusters do not make luck impossible, and a short one says little. Where all span T sessions, V is the variance of the
    ratios, and at least 1/T.
    """
    if not np.isfinite(returns).all():
        raise InputRejected(Code.PROBLEM_INVALID, "The path that is judged has a return in each of its sessions.")
    return _judge(returns[None, :] if returns.ndim == 1 else returns, trials)[0]


def deflated_sharpes(trials: FloatArray) -> tuple[DeflatedSharpe, ...]:
    """Judge each of m trials (m, T) by all of them, as :func:`deflated_sharpe` does, with one clustering."""
    return _judge(trials, trials)


def _judge(paths: FloatArray, trials: FloatArray) -> tuple[DeflatedSharpe, ...]:
    if paths.ndim != 2 or trials.ndim != 2 or np.isinf(paths).any() or np.isinf(trials).any():
        raise InputRejected(Code.PROBLEM_INVALID, "Trials are rows of finite returns over one history.")
    if not np.isfinite(trials).any(axis=1).all():
        raise InputRejected(Code.PROBLEM_INVALID, "A trial without a session is none.")
    groups = clusters(trials)
    means = [_mean_path(trials[groups == group]) for group in range(int(groups.max(initial=-1)) + 1)]
    ratios = np.array([_ratio(mean) for mean in means])
    known = np.isfinite(ratios)
    beyond, tries = _beyond_chance(ratios[known], np.array([mean.size for mean in means])[known]), int(known.sum())
    judged, year = [], math.sqrt(SESSIONS_PER_YEAR)
    for row in paths:
        path = row[np.isfinite(row)]
        threshold = best_of_luck(tries, 1.0 / max(path.size, 1) + beyond)
        ratio, error = _ratio(path), sharpe_error(path)
        probability = probabilistic_sharpe(ratio, threshold, error) if math.isfinite(ratio) else NAN
        counts = max(trials.shape[0], 1), max(tries, 1), int(path.size)
        judged.append(DeflatedSharpe(probability, ratio * year, error * year, threshold * year, *counts))
    return tuple(judged)


def _beyond_chance(ratios: FloatArray, sessions: IntArray) -> float:
    """Return by what variance ratios (k,), each over its sessions (k,), differ beyond chance; see :func:`deflated_sharpe`."""
    if ratios.size < 2:
        return 0.0
    weights = sessions.astype(np.float64)
    total = float(weights.sum())
    spread = float(weights @ (ratios - float(weights @ ratios) / total) ** 2)
    return max(0.0, (spread - (ratios.size - 1)) / (total - float(weights @ weights) / total))


def _mean_path(members: FloatArray) -> FloatArray:
    """Return the mean return of a cluster in each session that any member has."""
    has = np.isfinite(members)
    some = has.any(axis=0)
    mean: FloatArray = np.where(has, members, 0.0).sum(axis=0)[some] / has.sum(axis=0)[some]
    return mean


def _ratio(returns: FloatArray) -> float:
    """Return the Sharpe ratio per session, NaN without variance."""
    deviation = float(returns.std(ddof=1)) if returns.size > 1 else 0.0
    return float(returns.mean()) / deviation if deviation > NO_VARIANCE else NAN
