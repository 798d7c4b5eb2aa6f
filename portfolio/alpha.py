"""From a score to an expected return: alpha = IC × specific volatility × standardized score, without factor exposure.

The rule is Grinold's: for a forecast with correlation IC to the outcome, the expected outcome is IC standard deviations for a
standard deviation of score. What the factors explain is not ours to bet on, so the result is projected off the columns of the
risk model once more. The IC itself is a shrunk record of rounds that were resolved before the decision.

References
----------
Grinold and Kahn, Active Portfolio Management (2nd ed., 2000), chapter 10.
"""

from collections.abc import Sequence

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray
from market.projection import residualize
from portfolio.riskmodel import RiskModel

CONSTANT_SPREAD = 1e-12
"""Peak-to-peak of a score, relative to its size, below which it says nothing about any asset."""


def alpha_from_signal(score: FloatArray, risk_model: RiskModel, ic: float, horizon_sessions: int) -> FloatArray:
    """Return expected specific returns over the horizon of the score.

    Parameters
    ----------
    score : (n,) float64
        Any finite scale, higher is better, in the risk model's order of assets. NaN is refused.
    risk_model : RiskModel
        Per session.
    ic : float
        Expected correlation of score and outcome, not negative.
    horizon_sessions : int
        Sessions that the score speaks about.

    Returns
    -------
    (n,) float64
        Expected return of ``horizon_sessions`` sessions; exposure to every factor at most 1e-10 relative. Zeros for a constant
        score.

    Raises
    ------
    InputRejected
        PROBLEM_INVALID when the score has another length or a value that is not finite.

    Notes
    -----
    αᵢ = IC · √(Dᵢ · h) · (scoreᵢ − mean) / std, then α − B B⁺ α.
    """
    if score.shape != risk_model.D.shape or not np.isfinite(score).all():
        raise InputRejected(Code.PROBLEM_INVALID, "The score is finite and has one value for each asset of the risk model.")
    if score.size == 0 or np.ptp(score) <= CONSTANT_SPREAD * float(np.abs(score).max()):
        return np.zeros_like(score)
    centred = score - score.mean()
    standardized = centred / centred.std()
    return residualize(ic * np.sqrt(risk_model.D * horizon_sessions) * standardized, risk_model.B)


def shrunk_ic(history: Sequence[float], prior: float, weight: float) -> float:
    """Return the information coefficient to act on: the mean of the record and a prior, floored at zero.

    Parameters
    ----------
    history : sequence of float
        Realized correlations of rounds resolved before the decision; finite.
    prior : float
        What is assumed without a record.
    weight : float
        How many rounds the prior counts as; with 0 and no history the result is 0.

    Returns
    -------
    float
        max(0, (weight · prior + Σ history) / (weight + n)): a record of losses stops the betting, it does not reverse it.

    Examples
    --------
    >>> shrunk_ic([], 0.02, 52.0), shrunk_ic([-0.05] * 52, 0.02, 52.0)
    (0.02, 0.0)
    """
    values = np.asarray(history, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputRejected(Code.PROBLEM_INVALID, "The record of information coefficients holds values that are not finite.")
    total = weight + values.size
    return max(0.0, float((weight * prior + values.sum()) / total)) if total > 0 else 0.0
