"""Makes a solver's book exact: projects it onto the equalities and bounds, and records how far it moved.

A solver leaves dust: weights of 1e-9 in names that it does not want, trades of a cent, sums that miss zero by 1e-8. Steps:

1. snap: a weight or a trade below :data:`DUST` becomes none at all, inside the bounds;
2. correct: the smallest change, measured relative to each name's room, that brings Σw and each fixed exposure to its value;
3. clip to the bounds, and again from 2 until nothing moves.

Room is the distance to zero or to the nearest bound, so the correction opens no position, closes none and leaves capped names
capped. Inequalities on sums (gross, turnover, bands) are not repaired here: the solver gets them slightly tightened and
:mod:`portfolio.verify` has the last word.
"""

from dataclasses import dataclass

import numpy as np

from market.arrays import FloatArray
from portfolio.problem import RebalanceProblem

DUST = 1e-8
"""A weight or a trade below it is no decision: a dollar on a hundred million."""
ROUNDS_MAX = 20
"""Two rounds are usual; many would mean that the equalities contradict the bounds, which verification then says."""
RESIDUAL_MAX = 1e-13
"""Equality residual at which the correction stops: rounding of a sum of a thousand weights."""
RANK_CUT = 1e-12
"""Relative eigenvalue below which an equality is a repetition of the others."""


@dataclass(frozen=True, slots=True)
class Polished:
    """A polished book and the largest change of one weight that made it, (n,) float64 and float."""

    weights: FloatArray
    move: float


def _equalities(p: RebalanceProblem) -> tuple[FloatArray, FloatArray]:
    """Return rows A, (m, n), and values b, (m,), of what must hold exactly: Σw and exposures whose band has no width."""
    rows = [np.ones((1, p.n))] if p.net_band == 0.0 else []
    values = [np.array([p.net_target])] if p.net_band == 0.0 else []
    fixed = (p.exposure_lower == p.exposure_upper) & np.isfinite(p.exposure_lower)
    rows.append(p.B[:, fixed].T)
    values.append(p.exposure_lower[fixed])
    return np.concatenate(rows), np.concatenate(values)


def _correction(A: FloatArray, residual: FloatArray, room: FloatArray) -> FloatArray:
    """Return the change d with A d = residual that is smallest in Σ dᵢ²/roomᵢ; a repeated row does no harm."""
    weighted = A * room
    gram = weighted @ A.T
    scale = np.sqrt(np.maximum(np.diag(gram), np.finfo(np.float64).tiny))
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    keep = values > RANK_CUT * values[-1]
    inverse = (vectors[:, keep] / values[keep]) @ vectors[:, keep].T
    solution: FloatArray = weighted.T @ ((inverse @ (residual / scale)) / scale)
    return solution


def _snap(p: RebalanceProblem, w: FloatArray) -> FloatArray:
    # Zero last: a holding that is dust itself is closed, not kept because closing it would be a small trade.
    snapped = np.where(np.abs(w - p.w0) < DUST, p.w0, w)
    snapped = np.where(np.abs(snapped) < DUST, 0.0, snapped)
    return np.clip(snapped, p.position_lower, p.position_upper)


def polish(problem: RebalanceProblem, weights: FloatArray, *, snap: bool = True) -> Polished:
    """Project ``weights`` onto the equalities and bounds of ``problem``.

    Parameters
    ----------
    problem : RebalanceProblem
        Without dead names (see :func:`portfolio.problem.live_part`), widened by what gives way.
    weights : (n,) float64
        A solver's answer; finite.
    snap : bool
        Whether dust is removed first.

    Returns
    -------
    Polished
        Where the equalities cannot hold inside the bounds, the nearest that was found: verification refuses it.
    """
    A, b = _equalities(problem)
    lower, upper = problem.position_lower, problem.position_upper
    w = _snap(problem, weights) if snap else np.clip(weights, lower, upper)
    for attempt in range(ROUNDS_MAX):
        residual = b - A @ w
        if A.shape[0] == 0 or float(np.abs(residual).max()) <= RESIDUAL_MAX:
            break
        room = np.minimum(w - lower, upper - w)
        if attempt < ROUNDS_MAX // 2:
            # Only if names with a position cannot absorb the residual may others be opened.
            room = np.minimum(room, np.abs(w))
        if float(room.max(initial=0.0)) <= 0.0:
            room = (upper > lower).astype(np.float64)
        w = np.clip(w + _correction(A, residual, room), lower, upper)
    return Polished(w, float(np.abs(w - weights).max(initial=0.0)))
