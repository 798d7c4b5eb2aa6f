"""The judge of books: measures every limit in plain NumPy, whatever a solver claims about its answer.

It changes nothing (see :mod:`portfolio.polish`) and knows no solver. A book passes when each excess is inside the tolerance of
its kind.
"""

from collections.abc import Mapping

import numpy as np

from market.arrays import FloatArray
from portfolio.problem import FACTOR_KINDS, RebalanceProblem, volatility, widened

TOLERANCE_TIGHT = 1e-9
"""Dollar, gross, shorts and caps: sums and single weights that a projection can make exact up to rounding."""
TOLERANCE_LOOSE = 1e-8
"""Factor bands, turnover and volatility: inner products of a thousand terms that the projection touches only indirectly."""

TOLERANCES: Mapping[str, float] = {
    "net": TOLERANCE_TIGHT,
    "gross": TOLERANCE_TIGHT,
    "short": TOLERANCE_TIGHT,
    "position": TOLERANCE_TIGHT,
    "dead": 0.0,
    "turnover": TOLERANCE_LOOSE,
    "volatility": TOLERANCE_LOOSE,
    **dict.fromkeys(FACTOR_KINDS, TOLERANCE_LOOSE),
}


def excesses(problem: RebalanceProblem, weights: FloatArray) -> dict[str, float]:
    """Return by how much ``weights`` exceeds each limit; 0 inside, inf when a weight is not finite.

    Parameters
    ----------
    problem : RebalanceProblem
    weights : (n,) float64

    Returns
    -------
    dict
        Keys ``net``, ``gross``, ``short``, ``position``, ``dead``, ``turnover``, ``volatility`` and each factor kind that the
        problem has; the largest excess over the limit, in units of weight (of exposure for factors, of a period's return for
        volatility).
    """
    kinds = [kind for kind in FACTOR_KINDS if kind in problem.factor_kinds]
    if not np.isfinite(weights).all():
        sums = ("net", "gross", "short", "position", "dead", "turnover", "volatility")
        return dict.fromkeys((*sums, *kinds), float("inf"))
    live = ~problem.dead
    w, w0 = weights[live], problem.w0[live]
    beyond = np.maximum(problem.position_lower[live] - w, w - problem.position_upper[live])
    measured = {
        "net": abs(float(w.sum()) - problem.net_target) - problem.net_band,
        "gross": float(np.abs(w).sum()) - problem.gross_max,
        "short": float(np.maximum(-w, 0.0).sum()) - problem.short_max,
        "position": float(beyond.max(initial=0.0)),
        "dead": float(np.abs(weights[problem.dead]).max(initial=0.0)),
        "turnover": float(np.abs(w - w0).sum()) - problem.turnover_max,
        "volatility": volatility(problem, weights) - problem.volatility_max if np.isfinite(problem.volatility_max) else 0.0,
    }
    exposure = problem.B[live].T @ w
    over = np.maximum(problem.exposure_lower - exposure, exposure - problem.exposure_upper)
    for kind in kinds:
        measured[kind] = float(over[problem.exposure_rows(kind)].max())
    return {name: max(0.0, value) for name, value in measured.items()}


def violations(problem: RebalanceProblem, weights: FloatArray) -> dict[str, float]:
    """Return the limits that ``weights`` breaks beyond tolerance, with the excess; empty for a book that passes."""
    return {name: value for name, value in excesses(problem, weights).items() if value > TOLERANCES[name]}


def verify(problem: RebalanceProblem, weights: FloatArray, relaxed: frozenset[str] = frozenset()) -> bool:
    """Tell whether ``weights`` satisfies every limit of ``problem``, those named in ``relaxed`` as far as they give way."""
    return not violations(widened(problem, relaxed), weights)
