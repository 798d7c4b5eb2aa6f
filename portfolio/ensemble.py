"""The walk-forward ensemble: in which proportion the fund listens to several meta-models, judged by their past.

It sees scores, never vectors or prices, and does not know which rounds had resolved: the caller passes those that had.

1. μ and Σ are mean and covariance of the candidates' scores over the newest rounds passed.
2. The best weights maximize ``μ'w − γ w'Σw − κ ½‖w − w₋‖₁`` over w ≥ 0, Σw = 1, by :mod:`portfolio.convex`; w₋ are the
   weights before. The answer is brought onto the simplex and must be worth no less than any corner, the prior or w₋.
3. It is mixed with the prior as if the prior had been seen for n₀ rounds: ``(r w + n₀ prior) / (r + n₀)``.

Where the past says nothing (too few rounds, values that are not numbers, candidates that never differed) the prior is the
answer, with the reason beside it. The score of a mixture is taken as the mixture of the scores: what two views gain by being
different from each other shows only in Σ.
"""

from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, readonly
from portfolio.convex import simplex_candidate
from portfolio.scaled import SOLVERS

FITTED = "fitted"
ONE_CANDIDATE = "one_candidate"
TOO_FEW_ROUNDS = "too_few_rounds"
NOT_FINITE = "history_not_finite"
DEGENERATE = "history_degenerate"
SOLVER_FAILED = "solver_failed"

ROUNDS_LEAST = 2
"""A covariance needs two."""
SAME = 1e-12
"""Scores are correlations known to nine digits: candidates this close in every round are one."""
WORTH_TOLERANCE = 1e-7
"""How far, relative to the largest term, an answer may fall short of a point that is easily named."""
SIMPLEX_TOLERANCE = 1e-6
"""How far a solver's weights may lie off the simplex before they are brought onto it."""


@dataclass(frozen=True, slots=True)
class EnsembleSettings:
    """How the past is weighed.

    Attributes
    ----------
    rounds_min : int
        With fewer resolved rounds the prior is the answer.
    rounds_max : int
        Only the newest so many are looked at.
    risk_penalty : float
        γ ≥ 0: correlation given up for a unit of its variance from round to round.
    turnover_penalty : float
        κ ≥ 0: correlation that moving the whole weight has to bring, each round.
    prior_rounds : float
        n₀ ≥ 0: rounds that the prior counts for.
    """

    rounds_min: int = 26
    rounds_max: int = 156
    risk_penalty: float = 1.0
    turnover_penalty: float = 0.001
    prior_rounds: float = 52.0


@dataclass(frozen=True, slots=True)
class EnsembleResult:
    """Weights and how they came about.

    Attributes
    ----------
    weights : (k,) float64, read-only
        Not negative; they sum to 1.
    rounds_used : int
        Rounds that the weights were fitted on; 0 when they are the prior.
    reason : str
        ``fitted``, or why not: ``one_candidate``, ``too_few_rounds``, ``history_not_finite``, ``history_degenerate``,
        ``solver_failed``.
    """

    weights: FloatArray
    rounds_used: int
    reason: str


def ensemble_weights(
    history: FloatArray, prior: FloatArray, previous: FloatArray, settings: EnsembleSettings
) -> EnsembleResult:
    """Weigh candidates by their past scores.

    Parameters
    ----------
    history : (r, k) float64
        ``corr`` of each candidate in each round that had resolved before the decision, oldest first. A value that is not
        finite poisons it: the caller leaves out rounds that are not whole.
    prior : (k,) float64
        What is believed without a past, such as the shares of stake; not negative, sums to 1.
    previous : (k,) float64
        The weights of the decision before; the prior where there was none. Not negative, sums to 1.
    settings : EnsembleSettings

    Returns
    -------
    EnsembleResult

    Raises
    ------
    InputRejected
        ``problem_invalid`` for shapes that do not fit, or a prior or former weights that are no weights.

    Examples
    --------
    >>> past = np.array([[0.03, 0.0], [0.01, 0.01], [0.05, -0.01], [0.03, 0.0]])
    >>> even = np.array([0.5, 0.5])
    >>> found = ensemble_weights(past, even, even, EnsembleSettings(rounds_min=4, prior_rounds=4))
    >>> found.weights.round(6).tolist(), found.rounds_used, found.reason
    ([0.75, 0.25], 4, 'fitted')
    """
    prior, previous = _weights(prior, "prior"), _weights(previous, "previous")
    if history.ndim != 2 or history.shape[1] != prior.size or previous.size != prior.size:
        raise InputRejected(Code.PROBLEM_INVALID, "A history has one column for each weight of the prior and of before.")
    recent = np.asarray(history[max(0, len(history) - settings.rounds_max) :], dtype=np.float64)
    reason = _why_not(recent, settings)
    if reason is None:
        best = best_weights(recent, previous, settings)
        if best is not None:
            believed = settings.prior_rounds / (settings.prior_rounds + len(recent))
            return EnsembleResult(readonly(_onto_simplex((1 - believed) * best + believed * prior)), len(recent), FITTED)
        reason = SOLVER_FAILED
    return EnsembleResult(readonly(prior), 0, reason)


def best_weights(recent: FloatArray, previous: FloatArray, settings: EnsembleSettings) -> FloatArray | None:
    """Return the weights of step 2 for (r, k) finite scores, or None when no solver's answer stands up."""
    mean, covariance = recent.mean(axis=0), np.atleast_2d(np.cov(recent, rowvar=False))
    named = [*np.eye(mean.size), previous]
    for solver in SOLVERS:
        found = simplex_candidate(mean, covariance, previous, settings.risk_penalty, settings.turnover_penalty, solver)
        if found.weights is None:
            continue
        off = max(abs(float(found.weights.sum()) - 1.0), -float(found.weights.min()))
        weights = _onto_simplex(found.weights)
        least = max(worth(point, mean, covariance, previous, settings) for point in named)
        slack = WORTH_TOLERANCE * float(np.abs(mean).max() + settings.risk_penalty * covariance.diagonal().max())
        if off <= SIMPLEX_TOLERANCE and worth(weights, mean, covariance, previous, settings) >= least - slack:
            return weights
    return None


def worth(
    weights: FloatArray, mean: FloatArray, covariance: FloatArray, previous: FloatArray, settings: EnsembleSettings
) -> float:
    """Return ``μ'w − γ w'Σw − κ ½‖w − w₋‖₁``, in units of correlation."""
    moved = 0.5 * float(np.abs(weights - previous).sum())
    risk = float(weights @ covariance @ weights)
    return float(mean @ weights) - settings.risk_penalty * risk - settings.turnover_penalty * moved


def _why_not(recent: FloatArray, settings: EnsembleSettings) -> str | None:
    if recent.shape[1] == 1:
        return ONE_CANDIDATE
    if len(recent) < max(settings.rounds_min, ROUNDS_LEAST):
        return TOO_FEW_ROUNDS
    if not np.isfinite(recent).all():
        return NOT_FINITE
    if np.ptp(recent, axis=1).max() <= SAME or np.ptp(recent, axis=0).max() <= SAME:
        return DEGENERATE
    return None


def _weights(values: FloatArray, name: str) -> FloatArray:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or found.size == 0 or not np.isfinite(found).all() or (found < 0).any() or found.sum() <= 0:
        raise InputRejected(Code.PROBLEM_INVALID, f"The {name} weights of an ensemble are not negative and sum to 1.")
    if abs(float(found.sum()) - 1.0) > SIMPLEX_TOLERANCE:
        raise InputRejected(Code.PROBLEM_INVALID, f"The {name} weights of an ensemble do not sum to 1.")
    return _onto_simplex(found)


def _onto_simplex(weights: FloatArray) -> FloatArray:
    kept = np.maximum(weights, 0.0)
    return np.asarray(kept / kept.sum(), dtype=np.float64)
