"""From a rebalance problem to a book that leaves: solve, polish, verify, and step down in a declared order.

1. drop dead names (their target is 0) and refuse what is not a problem at all: wrong shapes, or holdings that are not finite;
2. when the model's data are unusable (NaN, infinite, negative variance, an indefinite covariance), go to 6 with that reason;
3. ask the first solver, then the second one, for the whole problem;
4. then relax cumulatively in the mandate's order: turnover, then styles too, and so on; never caps, dollar or beta;
5. each answer is polished and verified outside the solver; the first that passes leaves;
6. hold: what is live stays as it is, what is dead is closed.

Every rung that was tried is recorded with its reason. Numerical trouble is never an exception here: holdings belong to the book
that is kept elsewhere, and a failed rebalance must not stop a fund.
"""

from dataclasses import dataclass, field

import numpy as np

from market.arrays import FloatArray
from portfolio.convex import SOLVERS, candidate
from portfolio.polish import polish
from portfolio.problem import RebalanceProblem, live_part, objective, refuse
from portfolio.verify import verify, violations

INDEFINITE_MAX = 1e-6
"""Negative part of an eigenvalue of F, relative to the largest, that is still rounding; beyond it the risk model is broken."""

SOLVED = "solved"
RELAXED = "relaxed"
HELD = "held"


@dataclass(frozen=True, slots=True)
class Rung:
    """One attempt of the ladder.

    Attributes
    ----------
    name : str
        ``solve:<SOLVER>``, ``relax:<kinds>:<SOLVER>`` or ``hold``.
    status : str
        What the solver called it.
    accepted : bool
        Whether its book left.
    reason : str
        Why it did not pass, or what had to be accepted; empty for a clean pass.
    violation : float
        Largest excess over a limit after polishing; NaN where there were no weights.
    move : float
        Largest change of one weight by polishing; NaN where there were no weights.
    """

    name: str
    status: str
    accepted: bool
    reason: str = ""
    violation: float = float("nan")
    move: float = float("nan")


@dataclass(frozen=True, slots=True)
class Solution:
    """A book with its evidence.

    Attributes
    ----------
    weights : (n,) float64
        Target weights in the problem's order; dead names at 0; always finite.
    status : str
        ``solved``: every limit holds; ``relaxed``: the limits named in ``violations`` gave way; ``held``: live names stay.
    rungs : tuple of Rung
        Everything that was tried, in order; the last is the accepted one.
    violations : dict
        Limits that the book breaks beyond tolerance, with the excess.
    objective : float
        Value per rebalance period; NaN when the model's data are unusable.
    """

    weights: FloatArray
    status: str
    rungs: tuple[Rung, ...]
    violations: dict[str, float] = field(default_factory=dict)
    objective: float = float("nan")


def _model_trouble(p: RebalanceProblem) -> str:
    """Return why the model's data cannot be used, or an empty string."""
    findings = p.findings()
    if findings:
        return " ".join(f.message for f in findings)
    if p.F.size:
        values = np.linalg.eigvalsh((p.F + p.F.T) / 2)
        if values[0] < -INDEFINITE_MAX * max(float(values[-1]), 0.0):
            return f"F has an eigenvalue of {values[0]:.3g}, so it is not a covariance."
    return ""


def _attempt(p: RebalanceProblem, name: str, solver: str, elastic: tuple[str, ...]) -> tuple[Rung, FloatArray | None]:
    """Solve, polish with and without snapping, verify; return the rung and the book if it passed."""
    answer = candidate(p, solver, elastic)
    if answer.weights is None:
        return Rung(name, answer.status, accepted=False, reason="The solver gave no candidate."), None
    allowed = frozenset(elastic)
    broken: dict[str, float] = {}
    move = float("nan")
    for snap in (True, False):
        polished = polish(p, answer.weights, snap=snap, relaxed=allowed)
        broken, move = violations(p, polished.weights), polished.move
        if verify(p, polished.weights, allowed):
            reason = _told(broken)
            return Rung(name, answer.status, True, reason, max(broken.values(), default=0.0), move), polished.weights
    return Rung(name, answer.status, False, _told(broken), max(broken.values(), default=0.0), move), None


def _told(broken: dict[str, float]) -> str:
    return ", ".join(f"{name} exceeded by {value:.3g}" for name, value in broken.items())


def _plan(p: RebalanceProblem) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the attempts in order: name, solver, kinds that are relaxed."""
    plan: list[tuple[str, str, tuple[str, ...]]] = [(f"solve:{solver}", solver, ()) for solver in SOLVERS]
    present = {"turnover", "gross", *p.factor_kinds}
    order = tuple(kind for kind in p.relaxation if kind in present)
    for count in range(1, len(order) + 1):
        elastic = order[:count]
        plan += [(f"relax:{'+'.join(elastic)}:{solver}", solver, elastic) for solver in SOLVERS]
    return plan


def _refuse_callers_mistakes(problem: RebalanceProblem) -> None:
    """Raise for shapes and for holdings that are not finite; what upstream data did is not the caller's mistake."""
    findings = problem.findings()
    shaped = problem.w0.ndim == 1 and all("has shape" not in f.message for f in findings)
    fatal = findings if not shaped else tuple(f for f in findings if f.column in {"w0", "factor_kinds", "relaxation"})
    refuse(fatal)


def solve(problem: RebalanceProblem) -> Solution:
    """Return a verified book for ``problem``, or a recorded hold.

    Parameters
    ----------
    problem : RebalanceProblem
        NaN in the model's data is allowed and leads to a hold; NaN in ``w0`` is not.

    Returns
    -------
    Solution
        Finite weights in every case. Whoever calls decides what a hold means; nothing here trades.

    Raises
    ------
    InputRejected
        PROBLEM_INVALID for wrong shapes, unknown words or holdings that are not finite: a caller's mistake.
    """
    _refuse_callers_mistakes(problem)
    p = live_part(problem)
    trouble = _model_trouble(p)
    rungs: list[Rung] = []
    if p.n == 0:
        return Solution(np.zeros(problem.n), SOLVED, (Rung("empty", "no live name", accepted=True),), {}, 0.0)
    if not trouble:
        for name, solver, elastic in _plan(p):
            rung, weights = _attempt(p, name, solver, elastic)
            rungs.append(rung)
            if weights is not None:
                return _finish(problem, p, weights, RELAXED if rung.violation > 0 else SOLVED, rungs)
    rungs.append(Rung("hold", "held", accepted=True, reason=trouble or "No candidate passed verification."))
    return _finish(problem, p, p.w0.copy(), HELD, rungs, measurable=not trouble)


def _finish(
    problem: RebalanceProblem,
    live: RebalanceProblem,
    weights: FloatArray,
    status: str,
    rungs: list[Rung],
    *,
    measurable: bool = True,
) -> Solution:
    """Put live weights back among the dead and measure the whole book."""
    book = np.zeros(problem.n)
    book[~problem.dead] = weights
    value = objective(live, weights) if measurable else float("nan")
    broken = violations(live, weights) if measurable else {}
    return Solution(book, status, tuple(rungs), broken, value)
