"""The deflated Sharpe ratio: how probable it is that a trial's Sharpe ratio is not merely the luckiest of many.

1. Trials on one history are alike, so they count as fewer than they are: the effective number is (Σλ)² / Σλ² over the
   eigenvalues of the correlation of their returns, 1 if all are the same and their number if none resembles another.
2. The best of that many trials without any skill would reach, in the mean, E = √V · ((1−γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e))),
   V the variance of the trials' Sharpe ratios and γ Euler's constant.
3. The deflated ratio is the probability that the true one exceeds E: Φ((s − E) √(T−1) / √(1 − skew·s + (kurtosis−1)·s²/4)).

All ratios here are of sessions, not of years.

Source: D. Bailey and M. López de Prado (2014), The Deflated Sharpe Ratio, The Journal of Portfolio Management 40 (5), 94–107.
"""

import math
from statistics import NormalDist

import numpy as np

from market.arrays import FloatArray

EULER = 0.5772156649015329
NO_VARIANCE = 1e-15


def effective_trials(returns: FloatArray) -> float:
    """Return the effective number of trials (m, T), as described in the module; 1 for a single one."""
    moving = returns[returns.std(axis=1) > NO_VARIANCE]
    if len(moving) < 2:
        return 1.0
    values = np.linalg.eigvalsh(np.corrcoef(moving)).clip(min=0.0)
    return float(values.sum() ** 2 / (values**2).sum())


def expected_best(spread: float, trials: float) -> float:
    """Return the Sharpe ratio that the best of so many trials without skill reaches in the mean; 0 for one trial.

    Parameters
    ----------
    spread : float
        Standard deviation of the trials' Sharpe ratios.
    trials : float
        Their effective number.
    """
    if trials <= 1.0:
        return 0.0
    normal = NormalDist()
    first, second = normal.inv_cdf(1.0 - 1.0 / trials), normal.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return spread * ((1.0 - EULER) * first + EULER * second)


def probabilistic_sharpe(sharpe: float, benchmark: float, count: int, skewness: float, kurtosis: float) -> float:
    """Return the probability that the true Sharpe ratio of ``count`` returns exceeds ``benchmark``; 3 is a normal kurtosis."""
    spread = math.sqrt(max(1.0 - skewness * sharpe + (kurtosis - 1.0) * sharpe * sharpe / 4.0, NO_VARIANCE))
    return NormalDist().cdf((sharpe - benchmark) * math.sqrt(count - 1) / spread)


def deflated_sharpes(returns: FloatArray) -> FloatArray:
    """Return the deflated Sharpe ratio of each of m trials.

    Parameters
    ----------
    returns : (m, T) float64
        Of the same sessions; finite.

    Returns
    -------
    (m,) float64
        Probabilities; NaN for a trial whose returns do not vary, or fewer than three sessions.
    """
    m, count = returns.shape
    out = np.full(m, np.nan)
    deviation = returns.std(axis=1, ddof=1) if count > 2 else np.zeros(m)
    moving = np.flatnonzero(deviation > NO_VARIANCE)
    if moving.size == 0:
        return out
    sharpes = returns[moving].mean(axis=1) / deviation[moving]
    spread = float(sharpes.std(ddof=1)) if moving.size > 1 else 0.0
    benchmark = expected_best(spread, effective_trials(returns[moving]))
    for place, sharpe in zip(moving.tolist(), sharpes.tolist(), strict=True):
        z = (returns[place] - returns[place].mean()) / returns[place].std()
        out[place] = probabilistic_sharpe(sharpe, benchmark, count, float((z**3).mean()), float((z**4).mean()))
    return out
