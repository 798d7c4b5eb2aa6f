"""From a rebalance problem to a book that leaves: solve, polish, verify, and step down in a declared order.

1. drop dead names (their target is 0) and refuse what is not a problem at all: wrong shapes, or holdings that are not finite;
2. when the model's data are unusable (NaN, infinite, negative variance, an indefinite covariance), go to 6 with that reason;
3. ask the first solver, then the second one, for the whole problem;
4. then relax cumulatively in the mandate's order: turnover, then styles too, and so on; each limit up to its hard figure, and
   caps, dollar, beta and shorts never without one;
5. each answer is polished and verified outside the solver; the first that passes leaves. With a volatility target an answer is
   the one under the smallest γ that keeps to it (:mod:`portfolio.aversion`);
6. hold: what is live stays as it is, what is dead is closed.

Every rung that was tried is recorded with its reason. Numerical trouble is never an exception here: holdings belong to the book
that is kept elsewhere, and a failed rebalance must not stop a fund.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from market.arrays import FloatArray
from portfolio.aversion import aversion_for
from portfolio.convex import candidate
from portfolio.evidence import BindingLimit, ShadowPrices, binding_limits
from portfolio.polish import polish
from portfolio.problem import RebalanceProblem, live_part, objective, refuse, volatility, widened
from portfolio.scaled import SOLVERS
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
    seconds : float
        What cvxpy and the solver say that they took.
    """

    name: str
    status: str
    accepted: bool
    reason: str = ""
    violation: float = float("nan")
    move: float = float("nan")
    seconds: float = 0.0


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
    risk_aversion : float
        γ that the book is optimal for: the problem's, or what its volatility target came to.
    limits : tuple of BindingLimit
        What held the book back and what one step more of it is worth, the dearest first; only for ``solved``.
    """

    weights: FloatArray
    status: str
    rungs: tuple[Rung, ...]
    violations: dict[str, float] = field(default_factory=dict)
    objective: float = float("nan")
    risk_aversion: float = float("nan")
    limits: tuple[BindingLimit, ...] = ()

    @property
    def seconds(self) -> float:
        """What cvxpy and the solvers say that all rungs took."""
        return sum(rung.seconds for rung in self.rungs)


@dataclass(frozen=True, slots=True)
class _Book:
    """A rung, the book that it came to if that passed, the γ it was asked under, and the dual values of its limits."""

    rung: Rung
    weights: FloatArray | None = None
    risk_aversion: float = float("nan")
    prices: ShadowPrices | None = None


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


def _attempt(p: RebalanceProblem, name: str, solver: str, elastic: tuple[str, ...]) -> _Book:
    """Take one rung: a book under the problem's γ, or under the smallest γ that keeps to the volatility target."""
    if not np.isfinite(p.volatility_max):
        return _under(p, name, solver, elastic)
    free = replace(p, volatility_max=np.inf)
    books: dict[float, _Book] = {}

    def volatility_under(risk_aversion: float) -> float | None:
        book = _under(replace(free, risk_aversion=risk_aversion), name, solver, elastic)
        books[risk_aversion] = book
        return None if book.weights is None else volatility(p, book.weights)

    chosen = aversion_for(volatility_under, p.volatility_max, p.risk_aversion)
    last = books[max(books) if chosen is None else chosen]
    seconds = sum(book.rung.seconds for book in books.values())
    if last.weights is None:
        return replace(last, rung=replace(last.rung, seconds=seconds))
    broken = violations(p, last.weights)
    passed = verify(p, last.weights, frozenset(elastic))
    rung = replace(last.rung, accepted=passed, reason=_told(broken), violation=_most(broken), seconds=seconds)
    return replace(last, rung=rung, weights=last.weights if passed else None)


def _under(p: RebalanceProblem, name: str, solver: str, elastic: tuple[str, ...]) -> _Book:
    """Solve under the problem's γ, polish with and without snapping, verify."""
    answer = candidate(p, solver, tuple(word for word in elastic if word != "volatility"))
    if answer.weights is None:
        rung = Rung(name, answer.status, accepted=False, reason="The solver gave no candidate.", seconds=answer.seconds)
        return _Book(rung)
    allowed = frozenset(elastic)
    given_way = widened(p, allowed)
    for snap in (True, False):
        polished = polish(given_way, answer.weights, snap=snap)
        broken = violations(p, polished.weights)
        passed = verify(p, polished.weights, allowed)
        if passed:
            break
    rung = Rung(name, answer.status, passed, _told(broken), _most(broken), polished.move, answer.seconds)
    return _Book(rung, polished.weights if passed else None, p.risk_aversion, answer.prices)


def _most(broken: Mapping[str, float]) -> float:
    return max(broken.values(), default=0.0)


def _told(broken: Mapping[str, float]) -> str:
    return ", ".join(f"{name} exceeded by {value:.3g}" for name, value in broken.items())


def _plan(p: RebalanceProblem) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the attempts in order: name, solver, kinds that are relaxed."""
    plan: list[tuple[str, str, tuple[str, ...]]] = [(f"solve:{solver}", solver, ()) for solver in SOLVERS]
    order = tuple(word for word in p.relaxation if p.gives_way(word))
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
    # Numbers that no market has may overflow: what comes of them is judged, not warned of.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _climb(problem, live_part(problem))


def _climb(problem: RebalanceProblem, p: RebalanceProblem) -> Solution:
    """Try one rung after the other; ``p`` is the live part."""
    trouble = _model_trouble(p)
    rungs: list[Rung] = []
    if p.n == 0 and not trouble and not violations(p, p.w0):
        return Solution(np.zeros(problem.n), SOLVED, (Rung("empty", "no live name", accepted=True),), {}, 0.0)
    if not trouble and p.n > 0:
        for name, solver, elastic in _plan(p):
            book = _attempt(p, name, solver, elastic)
            rungs.append(book.rung)
            if book.weights is not None:
                return _finish(problem, p, book, rungs)
    rungs.append(Rung("hold", "held", accepted=True, reason=trouble or "No candidate passed verification."))
    return _hold(problem, p, rungs, measurable=not trouble)


def _whole(problem: RebalanceProblem, live_weights: FloatArray) -> FloatArray:
    """Put live weights back among the dead."""
    book = np.zeros(problem.n)
    book[~problem.dead] = live_weights
    return book


def _finish(problem: RebalanceProblem, live: RebalanceProblem, book: _Book, rungs: list[Rung]) -> Solution:
    """Measure a book that passed, under the γ that it is optimal for."""
    weights = book.weights if book.weights is not None else live.w0
    p = replace(live, risk_aversion=book.risk_aversion)
    status = RELAXED if book.rung.violation > 0 else SOLVED
    limits = binding_limits(p, weights, book.prices) if status == SOLVED and book.prices is not None else ()
    broken, value = violations(live, weights), objective(p, weights)
    return Solution(_whole(problem, weights), status, tuple(rungs), broken, value, book.risk_aversion, limits)


def _hold(problem: RebalanceProblem, live: RebalanceProblem, rungs: list[Rung], *, measurable: bool) -> Solution:
    """Keep what is live and measure it, where the model's data allow that."""
    weights = live.w0.copy()
    value = objective(live, weights) if measurable else float("nan")
    broken = violations(live, weights) if measurable else {}
    return Solution(_whole(problem, weights), HELD, tuple(rungs), broken, value, live.risk_aversion)
