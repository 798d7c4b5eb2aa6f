"""The one door to cvxpy: states a rebalance in the explicit form and asks one solver for a candidate.

It judges nothing: a status is evidence, and the weights are a candidate that :mod:`portfolio.ladder` polishes and verifies.

The statement keeps everything that couples assets in few rows, which is what makes it fast:

1. one variable ``e = B'w`` serves the risk term ‖L'e‖² and the bands, so the dense block stands once; dummies enter as a
   sparse matrix apart from the dense styles;
2. one ``s ≥ |w|`` serves the gross limit and the borrow fee (short = (s − w)/2); one ``r ≥ |w − w0|`` serves turnover, spread
   and impact;
3. weights are counted in units of gross/n and the objective is divided by its largest term, so that numbers are O(1);
4. sums and bands are tightened by a hair, so that the solver's own tolerance stays inside the limits.

Without impact it is a quadratic program. With the 3/2 power it is a power-cone program for Clarabel, which gave up on one real
week in eight; or, for PIQP, a few quadratic programs in a row, each with r^1.5 replaced by its second-order expansion at the
trades of the one before. That is Newton's method on a separable convex term: it doubles its digits with each pass and ends when
a pass gains less than :data:`GAIN_MIN`. Relaxed problems, where feasibility is at stake, get one pass.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from market.arrays import FloatArray, IntArray
from portfolio.evidence import ShadowPrices
from portfolio.problem import RebalanceProblem, objective, widened

PIQP = "PIQP"
CLARABEL = "CLARABEL"
SOLVERS = (PIQP, CLARABEL)

TIGHTENING = {PIQP: 1e-8, CLARABEL: 1e-7}
"""Relative tightening of limits on sums: a few times the violation that each solver was seen to leave."""
SPARSE_BELOW = 0.34
"""A factor column with a smaller share of non-zeros is passed as sparse."""
PENALTY_FIRST = 1e2
PENALTY_STEP = 10.0
"""Price of one unit of relaxation in the scaled objective, times the step for each later kind: far above any limit's shadow
price there (which is O(1)), and never so large that it drowns the objective in rounding."""
PENALTY_SPAN = 1e4
"""Most that the last kind's price is above the first one's: many kinds take smaller steps."""
PINNED_WIDTH = 1e-11
"""A name whose bounds are closer than a hundredth of the tightest tolerance has no choice left."""
OPTIONS: dict[str, dict[str, Any]] = {
    PIQP: {"max_iter": 80, "iterative_refinement_always_enabled": True, "compute_timings": True},
    CLARABEL: {"max_iter": 120},
}
"""Three times the iterations that were usual: what takes longer does not converge, and the next solver is asked sooner. Without
refinement PIQP lost its way in one week out of thirty once its regularization had become small."""
PASSES_MAX = 7
GAIN_MIN = 1e-6
"""Gain of a pass, relative to the expected return of the book, at which the expansion is as good as the power itself."""
TRADE_TYPICAL = 4.0
"""Trade at which the first pass expands, in turnover per asset: most names do not trade, and those that do trade more."""
TRADE_FLOOR = 3e-4
"""Part of it below which no expansion is made: the curvature of r^1.5 has no bound at zero."""
FLOOR_STEP = 10.0
"""Factor by which the floor rises after a pass that did not converge, which now and then one does not."""
CANDIDATES = frozenset({"optimal", "optimal_inaccurate"})
"""Statuses whose weights are looked at; those of a solver that ran out of iterations may be feasible, yet far from the best."""
EIGENVALUE_CUT = 1e-14
"""Part of the largest eigenvalue of F below which a direction carries no risk."""


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


def covariance_root(F: FloatArray) -> FloatArray:
    """Return L, (k, rank), with LL' = F; eigenvalues that are negative by rounding count as zero."""
    values, vectors = np.linalg.eigh((F + F.T) / 2)
    keep = values > max(values[-1] * EIGENVALUE_CUT, 0.0) if values.size else np.zeros(0, dtype=bool)
    root: FloatArray = vectors[:, keep] * np.sqrt(values[keep])
    return root


def _unit(p: RebalanceProblem) -> float:
    """Return the weight that one unit of the scaled variables stands for."""
    return p.gross_max / p.n if p.gross_max > 0 else 1.0


def _money_scale(p: RebalanceProblem, unit: float) -> float:
    """Return the factor that brings the objective to O(1): one over its largest natural term."""
    gross = max(p.gross_max, np.finfo(np.float64).tiny)
    spread_of_alpha = float(np.mean(np.abs(p.alpha - p.alpha.mean())))
    factor_risk = float(np.trace(p.F)) / max(1, len(p.factor_kinds))
    terms = (
        spread_of_alpha * gross,
        p.risk_aversion * float(np.mean(p.D)) * gross * unit,
        p.risk_aversion * factor_risk * unit * unit,
        float(np.mean(p.half_spread)) * gross,
        float(np.mean(p.borrow)) * gross,
    )
    largest = max(terms)
    return 1.0 / largest if largest > 0 else 1.0


@dataclass(frozen=True, slots=True)
class _Limit:
    """A constraint whose dual value is told: which limit, for which rows of it, and −1 for a lower bound."""

    word: str
    constraint: Any
    sign: float = 1.0
    rows: IntArray | None = None


class _Statement:
    """The variables, constraints and objective of one cvxpy problem, built step by step."""

    def __init__(self, p: RebalanceProblem, solver: str, elastic: tuple[str, ...]) -> None:
        cp = _cvxpy()

        self.p, self.solver, self.elastic = p, solver, elastic
        self.unit = _unit(p)
        self.money = _money_scale(p, self.unit)
        self.tight = TIGHTENING[solver]
        self.x, self.s, self.r = cp.Variable(p.n), cp.Variable(p.n), cp.Variable(p.n)
        self.e = cp.Variable(len(p.factor_kinds))
        self.constraints: list[Any] = []
        self.limits: list[_Limit] = []
        self.penalties: list[Any] = []
        self.slope, self.curve = cp.Parameter(p.n, nonneg=True), cp.Parameter(p.n, nonneg=True)

    def slack(self, kind: str, size: int = 1) -> Any:
        """Return a relaxation of ``kind``, from 0 to its room, priced by its place in the order; 0 when it does not give."""
        if kind not in self.elastic:
            return 0.0
        cp = _cvxpy()
        variable = cp.Variable(size, nonneg=True)
        room = self.p.room.get(kind, np.inf)
        if np.isfinite(room) and kind != "position":
            self.constraints.append(variable <= room * (1 - self.tight) / self.unit)
        step = min(PENALTY_STEP, PENALTY_SPAN ** (1 / max(1, len(self.elastic) - 1)))
        # One unit of slack is one unit of gross, so that the price does not depend on how weights are counted.
        price = PENALTY_FIRST * step ** self.elastic.index(kind) * self.unit / max(self.p.gross_max, self.unit)
        self.penalties.append(price * cp.sum(variable))
        return variable

    def limit(self, word: str, constraint: Any, sign: float = 1.0, rows: IntArray | None = None) -> None:
        """Add a constraint whose dual value will be asked for."""
        self.constraints.append(constraint)
        self.limits.append(_Limit(word, constraint, sign, rows))

    def add_sums(self) -> None:
        """Add net, gross, shorts and turnover."""
        cp = _cvxpy()

        p, u, x, s, r = self.p, self.unit, self.x, self.s, self.r
        held, part = p.w0 / u, (1 - self.tight) / u
        net, middle = cp.sum(x), p.net_target / u
        if p.net_band == 0.0 and "net" not in self.elastic:
            self.limit("net", net == middle)
        else:
            slack = self.slack("net")
            self.limit("net", net <= middle + p.net_band * part + slack)
            self.limit("net", net >= middle - p.net_band * part - slack, -1.0)
        self.constraints += [s >= x, s >= -x, r >= x - held, r >= held - x]
        self.limit("gross", cp.sum(s) <= p.gross_max * part + self.slack("gross"))
        self.limit("turnover", cp.sum(r) <= p.turnover_max * part + self.slack("turnover"))
        if np.isfinite(p.short_max):
            self.limit("short", cp.sum(s - x) / 2 <= p.short_max * part + self.slack("short"))

    def add_bounds(self) -> None:
        """Add the bounds of each name; where they give way, at a price up to the hard ones."""
        p, u, x = self.p, self.unit, self.x
        outer = widened(p, ("position",)) if "position" in self.elastic else p
        # A name without room is an equality: two opposite bounds would leave an interior-point method no interior.
        pinned = outer.position_upper - outer.position_lower <= PINNED_WIDTH
        free, fixed = np.flatnonzero(~pinned), np.flatnonzero(pinned)
        if free.size:
            slack = self.slack("position", int(free.size))
            self.limit("position", x[free] >= p.position_lower[free] / u - slack, -1.0, free)
            self.limit("position", x[free] <= p.position_upper[free] / u + slack, 1.0, free)
        if free.size and outer is not p:
            self.constraints += [x[free] >= outer.position_lower[free] / u, x[free] <= outer.position_upper[free] / u]
        if fixed.size:
            self.constraints.append(x[fixed] == outer.position_lower[fixed] / u)

    def add_exposures(self) -> None:
        """Add e = B'w, sparse and dense columns apart, and the bands of each kind."""
        import scipy.sparse as sp

        p, u = self.p, self.unit
        share = np.count_nonzero(p.B, axis=0) / max(1, p.n)
        for columns in (np.flatnonzero(share < SPARSE_BELOW), np.flatnonzero(share >= SPARSE_BELOW)):
            if columns.size:
                block = p.B[:, columns].T
                matrix = sp.csr_matrix(block) if share[columns[0]] < SPARSE_BELOW else block
                self.constraints.append(matrix @ self.x == self.e[columns])
        for kind in dict.fromkeys(p.factor_kinds):
            self._add_bands(kind, u)

    def _add_bands(self, kind: str, u: float) -> None:
        p = self.p
        rows, lower, upper = p.exposure_rows(kind), p.exposure_lower, p.exposure_upper
        equal = np.flatnonzero(rows & (lower == upper))
        if kind in self.elastic:
            equal = equal[:0]
        if equal.size:
            self.limit("exposure", self.e[equal] == lower[equal] / u, 1.0, equal)
        inset = self.tight * np.where(np.isfinite(upper - lower), upper - lower, 1.0)
        for bound, sign in ((upper, 1.0), (lower, -1.0)):
            chosen = np.flatnonzero(rows & np.isfinite(bound))
            chosen = chosen[~np.isin(chosen, equal)]
            if chosen.size:
                limit = (sign * bound[chosen] - inset[chosen]) / u
                self.limit("exposure", sign * self.e[chosen] <= limit + self.slack(kind, int(chosen.size)), sign, chosen)

    def prices(self) -> ShadowPrices:
        """Return the dual values of the last answer per unit of weight or exposure, and per unit of the objective."""
        sums = dict.fromkeys(("gross", "turnover", "short", "net"), 0.0)
        position, exposure = np.zeros(self.p.n), np.zeros(len(self.p.factor_kinds))
        for limit in self.limits:
            if limit.constraint.dual_value is None:
                continue
            price = limit.sign * np.asarray(limit.constraint.dual_value, dtype=np.float64) / (self.money * self.unit)
            if limit.rows is None:
                sums[limit.word] += float(price.sum())
            else:
                (exposure if limit.word == "exposure" else position)[limit.rows] += price
        return ShadowPrices(**sums, position=position, exposure=exposure)

    def objective(self) -> Any:
        """Return the scaled objective to be maximized."""
        cp = _cvxpy()

        p, u, g = self.p, self.unit, self.money
        risk = p.risk_aversion * g * u * u
        root = covariance_root(p.F) * np.sqrt(risk)
        value = (p.alpha * (u * g)) @ self.x - cp.sum_squares(cp.multiply(np.sqrt(risk * p.D), self.x))
        if root.shape[1]:
            value -= cp.sum_squares(root.T @ self.e)
        value -= (p.half_spread * (u * g)) @ self.r
        if np.any(p.borrow > 0):
            value -= (p.borrow * (u * g) / 2) @ (self.s - self.x)
        if p.has_impact:
            value -= self._impact(cp)
        for penalty in self.penalties:
            value -= penalty
        return value

    def _impact(self, cp: Any) -> Any:
        if self.solver != PIQP and not self.elastic:
            price = self.p.impact * self.unit**1.5 * self.money
            costly = np.flatnonzero(price > 0)
            # Native power cones: the default, a pair of second-order cones for each asset, takes half as long again.
            return price[costly] @ cp.power(self.r[costly], 1.5, approx=False)
        self.expand(np.full(self.p.n, self.typical_trade))
        return self.slope @ self.r + cp.sum_squares(cp.multiply(self.curve, self.r))

    @property
    def typical_trade(self) -> float:
        """The trade, as a weight, at which impact is first expanded."""
        return max(TRADE_TYPICAL * min(self.p.turnover_max, self.p.gross_max) / self.p.n, 1e-9)

    def expand(self, trades: FloatArray, floor: float = TRADE_FLOOR) -> None:
        """Set the expansion of r^1.5 at ``trades`` ρ: ¾ρ^½ r + ⅜ρ^−½ r², up to a constant."""
        rho = np.maximum(trades, floor * self.typical_trade)
        price = self.p.impact * self.money
        self.slope.value = 0.75 * price * np.sqrt(rho) * self.unit
        self.curve.value = np.sqrt(0.375 * price / np.sqrt(rho)) * self.unit


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
    statement = _Statement(problem, solver, elastic)
    statement.add_sums()
    statement.add_bounds()
    if problem.factor_kinds:
        statement.add_exposures()
    cp = _cvxpy()
    program = cp.Problem(cp.Maximize(statement.objective()), statement.constraints)
    found = _run(program, statement)
    if problem.has_impact and solver == PIQP and not elastic:
        return _refine(problem, program, statement, found)
    # With prices on what gives way, a dual value would say what those prices are and nothing else.
    return replace(found, prices=statement.prices()) if found.weights is not None and not elastic else found


def _refine(problem: RebalanceProblem, program: Any, statement: _Statement, first: Candidate) -> Candidate:
    """Expand impact at the trades of the last pass and solve again, until a pass gains next to nothing; keep the best."""
    if first.weights is None:
        return first
    best, value, floor = first.weights, objective(problem, first.weights), TRADE_FLOOR
    iterations, seconds, prices = first.iterations, first.seconds, statement.prices()
    for _ in range(PASSES_MAX):
        statement.expand(np.abs(best - problem.w0), floor)
        found = _run(program, statement)
        iterations, seconds = iterations + found.iterations, seconds + found.seconds
        if found.weights is None:
            floor *= FLOOR_STEP
            continue
        prices = statement.prices()
        gain = objective(problem, found.weights) - value
        if gain > 0:
            best, value = found.weights, value + gain
        if gain <= GAIN_MIN * abs(float(problem.alpha @ best)):
            break
    return Candidate(best, first.status, iterations, seconds, prices)


@dataclass(frozen=True, slots=True)
class _Unknown:
    """The variable of a small program, what it is counted in, and who solves it."""

    x: Any
    solver: str
    unit: float = 1.0


def _run(program: Any, statement: _Statement | _Unknown) -> Candidate:
    """Solve once; numerical trouble becomes a status."""
    cp = _cvxpy()
    try:
        with warnings.catch_warnings():
            # cvxpy warns of inaccurate answers; ours are verified whatever it says.
            warnings.simplefilter("ignore")
            program.solve(solver=statement.solver, **OPTIONS[statement.solver])
    except (cp.error.SolverError, ArithmeticError, ValueError, RuntimeError) as error:
        return Candidate(None, f"{type(error).__name__}: {error}"[:200])
    stats = program.solver_stats
    iterations = int(stats.num_iters or 0) if stats is not None else 0
    seconds = float(program.compilation_time or 0.0) + (float(stats.solve_time or 0.0) if stats is not None else 0.0)
    values = statement.x.value
    if values is None or program.status not in CANDIDATES or not np.isfinite(values).all():
        return Candidate(None, str(program.status), iterations, seconds)
    return Candidate(np.asarray(values, dtype=np.float64) * statement.unit, str(program.status), iterations, seconds)


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
