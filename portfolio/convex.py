"""The one door to cvxpy: states a rebalance in the explicit form and asks one solver for a candidate.

It judges nothing: a status is evidence, and the weights are a candidate that :mod:`portfolio.ladder` polishes and verifies.

The statement keeps everything that couples assets in few rows, which is what makes it fast:

1. one variable ``e = B'w`` serves the risk term ‖L'e‖² and the bands, so the dense block stands once; dummies enter as a
   sparse matrix apart from the dense styles;
2. ``short ≥ max(−w, 0)`` serves the fee, the limit on shorts and gross, as |w| = w + 2 short; ``sold ≥ max(w0 − w, 0)`` serves
   turnover, spread and impact likewise: one row a name where |·| takes two;
3. its numbers, made O(1) by :mod:`portfolio.scaled`, stand in it as constants when a shape is met for the first time, and
   as parameters from the second time on: cvxpy compiles that statement once, and each later problem of the shape only fills in
   its numbers (:class:`_Forms`). Both hand the solver the same arrays to the bit, and the solver starts afresh, so what was
   asked before leaves no trace in an answer.

Without impact it is a quadratic program. With the 3/2 power it is a power-cone program for Clarabel, which gave up on one real
week in eight; or, for PIQP, a few quadratic programs in a row, each with r^1.5 replaced by its second-order expansion at the
trades of the one before. That is Newton's method on a separable convex term: it doubles its digits with each pass and ends when
a pass gains less than :data:`GAIN_MIN`. Relaxed problems, where feasibility is at stake, get one pass.
"""

import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from market.arrays import FloatArray
from portfolio.evidence import ShadowPrices
from portfolio.problem import RebalanceProblem, objective
from portfolio.scaled import CLARABEL, PIQP, TRADE_FLOOR, Scaled, Shape, covariance_root, expansion, scaled, shape_of

OPTIONS: dict[str, dict[str, Any]] = {
    PIQP: {"max_iter": 80, "iterative_refinement_always_enabled": True, "compute_timings": True},
    CLARABEL: {"max_iter": 120},
}
"""Three times the iterations that were usual: what takes longer does not converge, and the next solver is asked sooner. Without
refinement PIQP lost its way in one week out of thirty once its regularization had become small."""
PASSES_MAX = 7
GAIN_MIN = 1e-6
"""Gain of a pass, relative to the expected return of the book, at which the expansion is as good as the power itself."""
FLOOR_STEP = 10.0
"""Factor by which the floor rises after a pass that did not converge, which now and then one does not."""
CANDIDATES = frozenset({"optimal", "optimal_inaccurate"})
"""Statuses whose weights are looked at; those of a solver that ran out of iterations may be feasible, yet far from the best."""
FORMS_KEPT = 4
"""Shapes that are remembered: a problem, its relaxations, the second solver. The largest keep some ten megabytes each."""
PARAMETERS_MAX = 30_000
"""Numbers in the dense block up to which a statement is compiled: a thousand names and thirty styles. There a later week takes
a fifth less than one stated anew; with 500 names and 20 factors, two fifths. With twice as many numbers compiling would take
four times the memory (0.3 GB for a moment) and save a seventh."""
NONNEGATIVE = frozenset({"spread", "borrow", "impact", "slope", "curve", "specific"})
"""Parameters whose sign cvxpy's rules want to know."""
EXPANSION = ("slope", "curve")
"""Numbers that change within one answer."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a solver said: weights (n,) float64 or None, its own status word, its iterations, its seconds, its dual values."""

    weights: FloatArray | None
    status: str
    iterations: int = 0
    seconds: float = 0.0
    prices: ShadowPrices | None = None


def _cvxpy() -> Any:
    """Return the cvxpy module, loaded at first use; untyped, because it builds its names at run time."""
    import cvxpy

    return cvxpy


@dataclass(frozen=True, slots=True)
class _Limit:
    """A constraint whose dual value is told: which limit, for which rows of it, and −1 for a lower bound."""

    word: str
    constraint: Any
    sign: float = 1.0
    rows: tuple[int, ...] | None = None


class _Statement:
    """The variables, constraints and objective of one cvxpy problem, over numbers that are parameters or constants."""

    def __init__(self, shape: Shape, given: Mapping[str, Any]) -> None:
        cp = _cvxpy()

        self.shape, self.given, self.solver = shape, given, shape.solver
        self.x, self.e = cp.Variable(shape.n), cp.Variable(shape.factors)
        self.short, self.sold = cp.Variable(shape.n, bounds=[0, None]), cp.Variable(shape.n, bounds=[0, None])
        self.constraints: list[Any] = []
        self.limits: list[_Limit] = []
        self.penalties: list[Any] = []
        self._add_sums(cp)
        self._add_bounds()
        self._add_exposures()
        self.program = cp.Problem(cp.Maximize(self._objective(cp)), self.constraints)

    def _slack(self, kind: str, size: int = 1) -> Any:
        """Return a relaxation of ``kind``, from 0 to its room, priced by its place in the order; 0 when it does not give."""
        if kind not in self.shape.elastic:
            return 0.0
        cp = _cvxpy()
        variable = cp.Variable(size, nonneg=True)
        if kind in self.shape.roomy:
            self.constraints.append(variable <= self.given[f"room {kind}"])
        self.penalties.append(self.given[f"price {kind}"] * cp.sum(variable))
        return variable

    def _limit(self, word: str, constraint: Any, sign: float = 1.0, rows: tuple[int, ...] | None = None) -> None:
        """Add a constraint whose dual value will be asked for."""
        self.constraints.append(constraint)
        self.limits.append(_Limit(word, constraint, sign, rows))

    def _add_sums(self, cp: Any) -> None:
        """Add net, gross, shorts and turnover."""
        given, x, net = self.given, self.x, cp.sum(self.x)
        if self.shape.has_net_value:
            self._limit("net", net == given["net"])
        else:
            slack = self._slack("net")
            self._limit("net", net <= given["net most"] + slack)
            self._limit("net", net >= given["net least"] - slack, -1.0)
        self.constraints += [self.short >= -x, self.sold >= given["held"] - x]
        self._limit("gross", net + 2 * cp.sum(self.short) <= given["gross"] + self._slack("gross"))
        self._limit("turnover", net + 2 * cp.sum(self.sold) <= given["turnover"] + self._slack("turnover"))
        if self.shape.has_short_limit:
            self._limit("short", cp.sum(self.short) <= given["short"] + self._slack("short"))

    def _add_bounds(self) -> None:
        """Add the bounds of each name; where they give way, at a price up to the hard ones."""
        given, free, fixed = self.given, self.shape.free, self.shape.fixed
        if free:
            x, slack = self.x[list(free)], self._slack("position", len(free))
            self._limit("position", x >= given["lower"] - slack, -1.0, free)
            self._limit("position", x <= given["upper"] + slack, 1.0, free)
            if "position" in self.shape.elastic:
                self.constraints += [x >= given["lower hard"], x <= given["upper hard"]]
        if fixed:
            self.constraints.append(self.x[list(fixed)] == given["fixed"])

    def _add_exposures(self) -> None:
        """Add e = B'w, sparse and dense columns apart, and the bands of each kind."""
        import scipy.sparse as sp

        if self.shape.sparse:
            self.constraints.append(sp.csr_array(self.shape.sparse_exposures) @ self.x == self.e[list(self.shape.sparse)])
        if self.shape.dense:
            self.constraints.append(self.given["styles"] @ self.x == self.e[list(self.shape.dense)])
        for band in self.shape.bands:
            exposure, bound = self.e[list(band.rows)], self.given[band.name]
            if band.sign == 0:
                self._limit("exposure", exposure == bound, 1.0, band.rows)
            else:
                slack = self._slack(band.kind, len(band.rows))
                self._limit("exposure", band.sign * exposure <= bound + slack, band.sign, band.rows)

    def _objective(self, cp: Any) -> Any:
        """Return the scaled objective to be maximized, up to a constant."""
        given, shape = self.given, self.shape
        value = given["alpha"] @ self.x - cp.sum_squares(cp.multiply(given["specific"], self.x))
        if shape.rank:
            value -= cp.sum_squares(given["root"] @ self.e)
        # held + |trade|: the constant does not matter, and a product of two parameters could not be compiled.
        value -= given["spread"] @ (self.x + 2 * self.sold)
        if shape.has_borrow:
            value -= given["borrow"] @ self.short
        if shape.costly:
            value -= self._impact(cp)
        for penalty in self.penalties:
            value -= penalty
        return value

    def _impact(self, cp: Any) -> Any:
        trade = cp.Variable(self.shape.n)
        self.constraints.append(trade == self.x + 2 * self.sold - self.given["held"])
        if self.solver != PIQP and not self.shape.elastic:
            # Native power cones: the default, a pair of second-order cones for each asset, takes half as long again.
            return self.given["impact"] @ cp.power(trade[list(self.shape.costly)], 1.5, approx=False)
        return self.given["slope"] @ trade + cp.sum_squares(cp.multiply(self.given["curve"], trade))

    @property
    def is_compiled(self) -> bool:
        """Whether all numbers are parameters, so that cvxpy compiles it once."""
        return all(isinstance(symbol, _cvxpy().Parameter) for symbol in self.given.values())

    def fill(self, numbers: Mapping[str, Any]) -> None:
        """Give its parameters the values that ``numbers`` holds by their names."""
        for name, value in numbers.items():
            if isinstance(self.given[name], _cvxpy().Parameter):
                self.given[name].value = value

    def prices(self, scale: Scaled) -> ShadowPrices:
        """Return the dual values of the last answer per unit of weight or exposure, and per unit of the objective."""
        sums = dict.fromkeys(("gross", "turnover", "short", "net"), 0.0)
        position, exposure = np.zeros(self.shape.n), np.zeros(self.shape.factors)
        for limit in self.limits:
            if limit.constraint.dual_value is None:
                continue
            price = limit.sign * np.asarray(limit.constraint.dual_value, dtype=np.float64) / (scale.money * scale.unit)
            if limit.rows is None:
                sums[limit.word] += float(price.sum())
            else:
                (exposure if limit.word == "exposure" else position)[list(limit.rows)] += price
        return ShadowPrices(**sums, position=position, exposure=exposure)


class _Forms:
    """The last :data:`FORMS_KEPT` shapes that were met, with their compiled statements from the second time on.

    Compiling takes longer than stating once, so a shape that is never met again should not pay for it. A statement is taken out
    while it is filled and solved: two threads never share one.
    """

    def __init__(self) -> None:
        self._kept: dict[Shape, _Statement | None] = {}
        self._lock = threading.Lock()

    def take(self, shape: Shape, numbers: Mapping[str, Any]) -> _Statement:
        """Return a statement of ``shape`` whose parameters want filling; the same for whoever asks, but for its speed."""
        with self._lock:
            is_known, kept = shape in self._kept, self._kept.pop(shape, None)
        if kept is None:
            return _Statement(shape, _symbols(numbers, tuple(numbers) if is_known else EXPANSION))
        return kept

    def put(self, statement: _Statement) -> None:
        """Put a statement back as the latest one; of one that holds constants the shape is remembered."""
        with self._lock:
            kept = self._kept.pop(statement.shape, None)
            self._kept[statement.shape] = statement if statement.is_compiled else kept
            while len(self._kept) > FORMS_KEPT:
                del self._kept[next(iter(self._kept))]


_FORMS = _Forms()


def _symbols(numbers: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the numbers with parameters, which have no values yet, in place of those that ``names`` names."""
    made = {name: _cvxpy().Parameter(np.shape(numbers[name]), nonneg=name in NONNEGATIVE) for name in names}
    return {**numbers, **made}


def _may_compile(shape: Shape, numbers: Mapping[str, Any]) -> bool:
    """Tell whether compiling is worth its memory and hands over the same arrays: a constant zero would be left out of them."""
    return shape.n * len(shape.dense) <= PARAMETERS_MAX and bool(np.all(numbers["specific"]) and np.all(numbers["root"]))


def candidate(problem: RebalanceProblem, solver: str, elastic: tuple[str, ...] = ()) -> Candidate:
    """Ask ``solver`` for a book.

    Parameters
    ----------
    problem : RebalanceProblem
        Checked, without dead names, with at least one asset.
    solver : str
        ``PIQP`` or ``CLARABEL``.
    elastic : tuple of str
        Kinds of limits that may be exceeded at a price, the cheapest first.

    Returns
    -------
    Candidate
        ``weights`` is None when the solver gave none, did not converge or gave values that are not finite. Numerical trouble of
        any kind is a status, never an exception.
    """
    shape = shape_of(problem, solver, elastic)
    scale = scaled(problem, shape)
    numbers = {**scale.numbers, **expansion(problem, scale)}
    if not all(np.isfinite(value).all() for value in numbers.values()):
        return Candidate(None, "The scaled numbers overflow.")
    keeps = _may_compile(shape, numbers)
    statement = _FORMS.take(shape, numbers) if keeps else _Statement(shape, _symbols(numbers, EXPANSION))
    statement.fill(numbers)
    answer = _answer(problem, statement, scale)
    if keeps:
        _FORMS.put(statement)
    return answer


def _answer(problem: RebalanceProblem, statement: _Statement, scale: Scaled) -> Candidate:
    """Solve a statement that has its numbers."""
    elastic = statement.shape.elastic
    found = _run(statement.program, _Unknown(statement.x, statement.solver, scale.unit))
    if problem.has_impact and statement.solver == PIQP and not elastic:
        return _refine(problem, statement, scale, found)
    # With prices on what gives way, a dual value would say what those prices are and nothing else.
    return replace(found, prices=statement.prices(scale)) if found.weights is not None and not elastic else found


def _refine(problem: RebalanceProblem, statement: _Statement, scale: Scaled, first: Candidate) -> Candidate:
    """Expand impact at the trades of the last pass and solve again, until a pass gains next to nothing; keep the best."""
    if first.weights is None:
        return first
    unknown = _Unknown(statement.x, statement.solver, scale.unit, again=True)
    best, value, floor = first.weights, objective(problem, first.weights), TRADE_FLOOR
    iterations, seconds, prices = first.iterations, first.seconds, statement.prices(scale)
    for _ in range(PASSES_MAX):
        statement.fill(expansion(problem, scale, np.abs(best - problem.w0), floor))
        found = _run(statement.program, unknown)
        iterations, seconds = iterations + found.iterations, seconds + found.seconds
        if found.weights is None:
            floor *= FLOOR_STEP
            continue
        prices = statement.prices(scale)
        gain = objective(problem, found.weights) - value
        if gain > 0:
            best, value = found.weights, value + gain
        if gain <= GAIN_MIN * abs(float(problem.alpha @ best)):
            break
    return Candidate(best, first.status, iterations, seconds, prices)


@dataclass(frozen=True, slots=True)
class _Unknown:
    """The variable of a program, who solves it, what it is counted in, and whether the last call's solver goes on."""

    x: Any
    solver: str
    unit: float = 1.0
    again: bool = False


def _run(program: Any, unknown: _Unknown) -> Candidate:
    """Solve once; numerical trouble becomes a status."""
    cp = _cvxpy()
    try:
        with warnings.catch_warnings():
            # cvxpy warns of inaccurate answers; ours are verified whatever it says.
            warnings.simplefilter("ignore")
            # A solver of its own for each problem: one that was used before may answer in other last digits.
            program.solve(solver=unknown.solver, warm_start=unknown.again, **OPTIONS[unknown.solver])
    except (cp.error.SolverError, ArithmeticError, ValueError, RuntimeError) as error:
        return Candidate(None, f"{type(error).__name__}: {error}"[:200])
    stats = program.solver_stats
    iterations = int(stats.num_iters or 0) if stats is not None else 0
    seconds = float(program.compilation_time or 0.0) + (float(stats.solve_time or 0.0) if stats is not None else 0.0)
    values = unknown.x.value
    if values is None or program.status not in CANDIDATES or not np.isfinite(values).all():
        return Candidate(None, str(program.status), iterations, seconds)
    return Candidate(np.asarray(values, dtype=np.float64) * unknown.unit, str(program.status), iterations, seconds)


def simplex_candidate(
    mean: FloatArray,
    covariance: FloatArray,
    previous: FloatArray,
    risk_penalty: float,
    turnover_penalty: float,
    solver: str,
) -> Candidate:
    """Ask ``solver`` for weights on the simplex: maximize ``μ'w − γ w'Σw − κ ½‖w − w₋‖₁``; trouble is a status.

    Parameters
    ----------
    mean, previous : (k,) float64
        μ and w₋.
    covariance : (k, k) float64
        Σ, positive semi-definite up to rounding.
    risk_penalty, turnover_penalty : float
        γ and κ, not negative.
    solver : str
        ``PIQP`` or ``CLARABEL``.
    """
    cp = _cvxpy()
    # On the simplex a common part of μ is a constant; without it, and in units of the largest term, numbers are O(1).
    gain = mean - mean.mean()
    largest = max(float(np.abs(gain).max()), risk_penalty * float(covariance.diagonal().max()), turnover_penalty)
    scale = 1.0 / largest if largest > 0 else 1.0
    w = cp.Variable(mean.size)
    value = (gain * scale) @ w - turnover_penalty * scale / 2 * cp.norm1(w - previous)
    root = covariance_root(covariance) * np.sqrt(risk_penalty * scale)
    if root.shape[1]:
        value -= cp.sum_squares(root.T @ w)
    program = cp.Problem(cp.Maximize(value), [w >= 0, cp.sum(w) == 1])
    return _run(program, _Unknown(w, solver))
