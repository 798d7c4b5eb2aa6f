"""Which part of a book answers to alpha, and how: the derivative of the optimum with respect to alpha, on its active set.

Around its optimum the book of a :class:`portfolio.problem.RebalanceProblem` is an affine function of alpha, as long as the same
limits bind: w = M·α + rest. M is read off the problem and its verified weights, whoever solved it:

1. names that alpha does not move: dead ones, those at a bound (halted ones have two equal bounds), those kept at w0 by what
   trading costs or by the turnover limit, those kept at zero by the fee on shorts, the limit on them or the gross limit. All
   others are free;
2. equalities among the free names: the net, fixed exposures, and each band, gross, short and turnover limit that binds, which
   are linear there, because signs are settled; a volatility target along its gradient;
3. curvature of the free names: H = 2γ(BFB' + D) + ¾·m·|w − w0|^−½;
4. M = H⁻¹ − H⁻¹C'(CH⁻¹C')⁺CH⁻¹ on the free names, with C the equalities' rows, and zero elsewhere. It is symmetric and positive
   semidefinite; H is inverted through its factors, in n·k² steps.

It solves nothing and judges nothing. How far the weights are from satisfying the optimality conditions on that active set is
measured (``stationarity``): far from zero, the book is not the optimum of the problem and M says little. Where a limit holds
without pressing, or a name stops at a kink by coincidence, the derivative has two sides and this is one of them.

References
----------
Fiacco, Introduction to Sensitivity and Stability Analysis in Nonlinear Programming (1983), theorem 3.2.2; Boyd and
Vandenberghe, Convex Optimization (2004), section 10.1.1, for the KKT system of equality-constrained quadratic programs.
"""

from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray
from portfolio.aversion import CLOSE_ENOUGH
from portfolio.problem import RebalanceProblem, live_part, volatility
from portfolio.scaled import covariance_root

AT_WEIGHT = 1e-6
"""A weight that close to a bound, to w0 or to zero is there. Solvers leave 1e-11 as a rule, and 3e-7 was seen where a kink
presses weakly; a hundred dollars on a hundred million decide nothing."""
AT_LIMIT = 1e-6
"""Distance from a limit on a sum, relative to the limit where that is above one, at which it binds: solvers stay inside by a
tenth of that and more."""
RANK_CUT = 1e-10
"""Relative eigenvalue below which an equality repeats the others, as sector dummies beside the dollar do."""
CURVATURE_MIN = 1e-12
"""Part of the largest diagonal curvature below which a name has none of its own, and the inverse through factors fails."""


@dataclass(frozen=True, slots=True)
class ActiveSet:
    """A book's active set, and the linear map from alpha to weights that it makes.

    Attributes
    ----------
    free : (n,) bool
        Names that alpha moves.
    at_bound, at_zero, at_start : (n,) bool
        Names that stop at a bound, at zero, at w0; with ``free`` and the dead they cover each name once.
    binding : tuple of str
        Limits on sums that bind: ``volatility``, ``net``, ``gross``, ``short``, ``turnover``, ``factor:<column>``.
    stationarity : float
        Largest residual of the optimality conditions among the free names, as a part of the largest |alpha|; NaN without any.
    """

    free: BoolArray
    at_bound: BoolArray
    at_zero: BoolArray
    at_start: BoolArray
    binding: tuple[str, ...]
    stationarity: float
    _rows: FloatArray
    _curvature: "_Curvature"

    def apply(self, alphas: FloatArray) -> FloatArray:
        """Return M·α for each of several alphas.

        Parameters
        ----------
        alphas : (m, n) or (n,) float64
            Expected returns of a rebalance period; finite where the name is free.

        Returns
        -------
        (m, n) or (n,) float64
            Weights; zero for names that are not free.
        """
        out = np.zeros_like(alphas, dtype=np.float64)
        out[..., self.free] = self._on_free(alphas[..., self.free].T).T
        return out

    def _on_free(self, columns: FloatArray) -> FloatArray:
        answer = self._curvature.solve(columns)
        if self._rows.shape[0]:
            spread = self._curvature.solve(self._rows.T)
            answer = answer - spread @ (_scaled_inverse(self._rows @ spread) @ (self._rows @ answer))
        return answer


class _Curvature:
    """H = Δ + UU' of the free names, and its inverse applied to columns."""

    def __init__(self, diagonal: FloatArray, U: FloatArray) -> None:
        self._diagonal, self._U = diagonal, U
        self._inverse: FloatArray | None = None
        if diagonal.size and float(diagonal.min()) <= CURVATURE_MIN * float(diagonal.max()):
            # Directions without curvature are left where they are: the answer of least length.
            self._inverse = np.asarray(np.linalg.pinv(np.diag(diagonal) + U @ U.T, hermitian=True), dtype=np.float64)
        else:
            scaled = U / diagonal[:, None]
            self._scaled, self._inner = scaled, np.eye(U.shape[1]) + U.T @ scaled

    def solve(self, columns: FloatArray) -> FloatArray:
        """Return H⁻¹ columns, same shape."""
        if self._inverse is not None:
            product: FloatArray = self._inverse @ columns
            return product
        first = (columns.T / self._diagonal).T
        answer: FloatArray = first - self._scaled @ np.linalg.solve(self._inner, self._U.T @ first)
        return answer


def _scaled_inverse(gram: FloatArray) -> FloatArray:
    """Return the pseudo-inverse of a positive semidefinite matrix whose rows may differ by orders of magnitude."""
    scale = np.sqrt(np.maximum(np.diag(gram), np.finfo(np.float64).tiny))
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    keep = values > RANK_CUT * max(float(values[-1]), np.finfo(np.float64).tiny)
    inverse: FloatArray = (vectors[:, keep] / values[keep]) @ vectors[:, keep].T / np.outer(scale, scale)
    return inverse


@dataclass(frozen=True, slots=True)
class _Limits:
    """Rows of limits on sums over the live names: those that bind, and those that were exceeded at a price."""

    names: tuple[str, ...]
    rows: FloatArray
    priced: FloatArray
    presses: frozenset[str]


def active_set(problem: RebalanceProblem, weights: FloatArray) -> ActiveSet:
    """Read the active set off a verified book.

    Parameters
    ----------
    problem : RebalanceProblem
        As it was solved; with a volatility target ``risk_aversion`` is what that came to (that of the solution).
    weights : (n,) float64
        The book that left: the optimum of ``problem``, also one for which a soft limit was exceeded. A book that was merely
        held is no optimum and has no map; see :func:`portfolio.ownership.model_weights`.

    Returns
    -------
    ActiveSet

    Raises
    ------
    InputRejected
        PROBLEM_INVALID when the problem's arrays are not usable, or weights are not finite or of another length.

    Examples
    --------
    Two stocks, γ = 4, D = 0.001, dollar-neutral: each hundredth of alpha that they differ by moves the pair by 0.01/(2γ·2D).

    >>> import numpy as np
    >>> from portfolio.problem import RebalanceProblem
    >>> problem = RebalanceProblem(
    ...     alpha=np.array([0.004, -0.004]), B=np.ones((2, 1)), F=np.array([[4e-4]]), D=np.full(2, 1e-3), w0=np.zeros(2),
    ...     exposure_lower=np.array([-np.inf]), exposure_upper=np.array([np.inf]), factor_kinds=("market",),
    ...     position_lower=np.full(2, -1.0), position_upper=np.full(2, 1.0), gross_max=2.0, turnover_max=10.0,
    ...     half_spread=np.zeros(2), impact=np.zeros(2), borrow=np.zeros(2), dead=np.zeros(2, bool), risk_aversion=4.0)
    >>> active_set(problem, np.array([0.5, -0.5])).apply(np.array([0.01, 0.0])).round(6).tolist()
    [0.625, -0.625]
    """
    problem.check()
    if weights.shape != problem.w0.shape or not np.isfinite(weights).all():
        raise InputRejected(Code.PROBLEM_INVALID, "A book holds one finite weight for each asset of its problem.")
    live, p, w = ~problem.dead, live_part(problem), weights[~problem.dead]
    limits = _limits(p, w)
    bound, start, zero = _stopped(p, w, limits.presses)
    free = ~(bound | start | zero)
    # Beyond a cap that gave way a name is free, at a price that is not known here.
    inside = free & (w >= p.position_lower) & (w <= p.position_upper)
    rows = limits.rows[:, free]
    return ActiveSet(
        free=_among(live, free),
        at_bound=_among(live, bound),
        at_zero=_among(live, zero),
        at_start=_among(live, start),
        binding=limits.names,
        stationarity=_stationarity(p, w, inside, np.concatenate([limits.rows, limits.priced])[:, inside]),
        _rows=rows,
        _curvature=_curvature(p, w, free),
    )


def _among(live: BoolArray, mask: BoolArray) -> BoolArray:
    out = np.zeros(live.shape, dtype=bool)
    out[live] = mask
    return out


def _limits(p: RebalanceProblem, w: FloatArray) -> _Limits:
    """Compare each limit on a sum with the book."""
    x, exposure = w - p.w0, p.B.T @ w
    found = [
        ("net", np.ones(p.n), abs(float(w.sum()) - p.net_target), p.net_band),
        ("gross", np.sign(w), float(np.abs(w).sum()), p.gross_max),
        ("short", np.where(w < 0, -1.0, 0.0), float(np.maximum(-w, 0.0).sum()), p.short_max),
        ("turnover", np.sign(x), float(np.abs(x).sum()), p.turnover_max),
    ]
    for j, e in enumerate(exposure):
        above = p.exposure_upper[j] - e <= e - p.exposure_lower[j]
        value, limit = (e, p.exposure_upper[j]) if above else (-e, -p.exposure_lower[j])
        found.append((f"factor:{j}", p.B[:, j], float(value), float(limit)))
    names: list[str] = []
    rows: list[FloatArray] = []
    priced: list[FloatArray] = []
    presses: set[str] = set()
    risk = volatility(p, w)
    if risk > 0 and risk >= p.volatility_max * (1.0 - 2.0 * CLOSE_ENOUGH):
        # γ is the price of this limit: it moves with alpha, and the book keeps its volatility.
        names.append("volatility")
        rows.append((p.B @ (p.F @ exposure) + p.D * w) / risk)
    for name, row, value, limit in found:
        room = AT_LIMIT * max(1.0, abs(limit))
        if not np.isfinite(limit) or limit - value > room:
            continue
        presses.add(name)
        if limit - value >= -room:
            names.append(name)
            rows.append(row)
        else:
            # What was exceeded was bought at a price: it does not hold the book, but its kinks do.
            priced.append(row)
    return _Limits(tuple(names), _matrix(rows, p.n), _matrix(priced, p.n), frozenset(presses))


def _matrix(rows: list[FloatArray], n: int) -> FloatArray:
    return np.array(rows) if rows else np.zeros((0, n))


def _stopped(p: RebalanceProblem, w: FloatArray, presses: frozenset[str]) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Return which names stop at a bound, at w0 and at zero, (n,) bool each; a name counts once, in that order."""
    bound = _at(w, p.position_lower, p.position_upper)
    if p.position_lower_hard is not None and p.position_upper_hard is not None:
        # A cap that gave way holds a name where it stopped giving way; one that did not is an end as well.
        bound |= _at(w, p.position_lower_hard, p.position_upper_hard)
    costly = (p.half_spread > 0) | (p.impact > 0) | ("turnover" in presses)
    start = ~bound & costly & (np.abs(w - p.w0) <= AT_WEIGHT)
    at_zero_costly = (p.borrow > 0) | (not presses.isdisjoint({"gross", "short"}))
    zero = ~bound & ~start & at_zero_costly & (np.abs(w) <= AT_WEIGHT)
    return bound, start, zero


def _at(w: FloatArray, lower: FloatArray, upper: FloatArray) -> BoolArray:
    found: BoolArray = (np.abs(w - lower) <= AT_WEIGHT) | (np.abs(upper - w) <= AT_WEIGHT)
    return found


def _curvature(p: RebalanceProblem, w: FloatArray, free: BoolArray) -> _Curvature:
    trade = np.maximum(np.abs(w - p.w0)[free], AT_WEIGHT)
    diagonal = 2.0 * p.risk_aversion * p.D[free] + 0.75 * p.impact[free] / np.sqrt(trade)
    return _Curvature(diagonal, p.B[free] @ covariance_root(p.F) * np.sqrt(2.0 * p.risk_aversion))


def _stationarity(p: RebalanceProblem, w: FloatArray, inside: BoolArray, rows: FloatArray) -> float:
    """Return what is left of the objective's gradient at names inside their bounds, once ``rows`` have explained it."""
    largest = float(np.abs(p.alpha).max(initial=0.0))
    if not inside.any() or largest == 0.0:
        return float("nan")
    x = w - p.w0
    risk = 2.0 * p.risk_aversion * (p.B @ (p.F @ (p.B.T @ w)) + p.D * w)
    cost = np.sign(x) * (p.half_spread + 1.5 * p.impact * np.sqrt(np.abs(x))) - p.borrow * (w < 0)
    gradient = (p.alpha - risk - cost)[inside]
    if rows.shape[0]:
        multipliers, *_ = np.linalg.lstsq(rows.T, gradient, rcond=None)
        gradient = gradient - rows.T @ multipliers
    return float(np.abs(gradient).max()) / largest
