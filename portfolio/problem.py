"""One rebalance decision as arrays, and its objective in plain NumPy.

What it is: the frozen statement of ::

    maximize  α'w − γ(w'BFB'w + Σ Dᵢ wᵢ²) − h'|w − w0| − m'|w − w0|^1.5 − b'max(−w, 0)
    where     |Σw − net_target| ≤ net_band,  Σ|w| ≤ gross_max,  Σ max(−w, 0) ≤ short_max,  lower ≤ w ≤ upper,
              exposure_lower ≤ B'w ≤ exposure_upper,  Σ|w − w0| ≤ turnover_max (dead names apart)

with every term per rebalance period. Where ``volatility_max`` is finite, γ is the least that keeps √(w'BFB'w + Σ D w²) to it.
What it is not: a solver (:mod:`portfolio.convex`), a judge of books (:mod:`portfolio.verify`) or a reader of mandates
(:mod:`portfolio.build`).

Dead names have a target of zero whatever else is asked for, and do not count as turnover. Names that cannot trade are pinned
by equal bounds. ``w0`` may lie outside every limit, because prices drift.

The limits are those that are aimed at. Those that ``relaxation`` names give way in its order, each by at most its ``room``;
:func:`widened` states the problem with some of them given way.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from market.arrays import BoolArray, FloatArray
from portfolio.contradictions import LIMIT_KEYS, RELAXABLE

SUMS: Mapping[str, str] = {
    "gross": "gross_max",
    "turnover": "turnover_max",
    "net": "net_band",
    "short": "short_max",
    "volatility": "volatility_max",
}
"""Limits that are one number each, by their word: the attribute that holds it."""

FACTOR_KINDS = ("market", "beta", "sector", "country", "style")
"""Kinds of factor columns. ``market`` is the intercept, bounded by the dollar limit; it and ``beta`` are never relaxed."""


_HARD_BOUNDS = ("position_lower_hard", "position_upper_hard")


@dataclass(frozen=True, slots=True)
class RebalanceProblem:
    """The data of one rebalance of n assets over k factors. Weights are fractions of equity; rates are per rebalance period.

    Attributes
    ----------
    alpha : (n,) float64
        Expected return of a period. NaN is refused, as everywhere here.
    B : (n, k) float64
        Exposures; may be rank deficient.
    F : (k, k) float64
        Factor covariance of a period, positive semidefinite.
    D : (n,) float64
        Specific variance of a period, not negative.
    w0 : (n,) float64
        Weights held now, after drift.
    exposure_lower, exposure_upper : (k,) float64
        Bands of B'w; ±inf where there is none, equal where it is an equality.
    factor_kinds : tuple of str, length k
        One of :data:`FACTOR_KINDS` each; says which limits relax together.
    position_lower, position_upper : (n,) float64
        Bounds of w, finite; equal for a name that cannot trade.
    gross_max, turnover_max, net_band, risk_aversion : float
        Limits on Σ|w|, Σ|w − w0| and |Σw − net_target|; γ.
    half_spread, impact, borrow : (n,) float64
        Cost per unit traded; coefficient of |w − w0|^1.5; fee per unit short. Not negative.
    dead : (n,) bool
        Names to be closed: target 0, exempt from the turnover limit and from the bounds.
    relaxation : tuple of str
        Order in which limits give way; words of :data:`portfolio.contradictions.LIMIT_KEYS`.
    net_target : float
        Middle of the band that Σw is kept in.
    short_max, volatility_max : float
        Limits on Σ max(−w, 0) and on the forecast volatility of a period; infinite for none.
    room : mapping of str to float
        By its word, how far a limit that gives way may do so, in its own unit. Without an entry, those of
        :data:`portfolio.contradictions.RELAXABLE` have no bound and the others do not give way.
    position_lower_hard, position_upper_hard : (n,) float64, optional
        Bounds of w when ``position`` has given way; None where it does not.
    periods_per_year : float
        What turns values of a period into those of a year, in words about the solution.

    Examples
    --------
    Two stocks of equal risk, one liked as much as the other is disliked; γ and costs leave the caps binding:

    >>> import numpy as np
    >>> problem = RebalanceProblem(
    ...     alpha=np.array([0.01, -0.01]), B=np.ones((2, 1)), F=np.array([[4e-4]]), D=np.full(2, 1e-3), w0=np.zeros(2),
    ...     exposure_lower=np.array([-np.inf]), exposure_upper=np.array([np.inf]), factor_kinds=("market",),
    ...     position_lower=np.full(2, -0.5), position_upper=np.full(2, 0.5), gross_max=1.0, turnover_max=2.0,
    ...     half_spread=np.zeros(2), impact=np.zeros(2), borrow=np.zeros(2), dead=np.zeros(2, bool))
    >>> from portfolio import solve
    >>> solve(problem).weights.round(4).tolist()
    [0.5, -0.5]
    """

    alpha: FloatArray
    B: FloatArray
    F: FloatArray
    D: FloatArray
    w0: FloatArray
    exposure_lower: FloatArray
    exposure_upper: FloatArray
    factor_kinds: tuple[str, ...]
    position_lower: FloatArray
    position_upper: FloatArray
    gross_max: float
    turnover_max: float
    half_spread: FloatArray
    impact: FloatArray
    borrow: FloatArray
    dead: BoolArray
    risk_aversion: float = 2.0
    net_band: float = 0.0
    relaxation: tuple[str, ...] = RELAXABLE
    net_target: float = 0.0
    short_max: float = np.inf
    volatility_max: float = np.inf
    room: Mapping[str, float] = field(default_factory=dict)
    position_lower_hard: FloatArray | None = None
    position_upper_hard: FloatArray | None = None
    periods_per_year: float = 50.4

    @property
    def n(self) -> int:
        """Number of assets."""
        return int(self.w0.shape[0])

    @property
    def has_impact(self) -> bool:
        """True when the 3/2-power term is there, which makes the problem a cone program instead of a quadratic one."""
        return bool(np.any(self.impact[~self.dead] > 0))

    def gives_way(self, word: str) -> bool:
        """Return whether the limit ``word`` is there and may be exceeded at all."""
        if word == "position":
            return self.position_lower_hard is not None and self.position_upper_hard is not None
        if word in SUMS and not np.isfinite(getattr(self, SUMS[word])):
            return False
        there = word in SUMS or word in self.factor_kinds
        return there and self.room.get(word, np.inf if word in RELAXABLE else 0.0) > 0

    @property
    def frozen(self) -> BoolArray:
        """Holdings that this decision cannot change, (n,) bool: nobody trades them, or nobody may."""
        pinned = (self.position_lower == self.w0) & (self.position_upper == self.w0)
        found: BoolArray = pinned & (self.w0 != 0.0) & ~self.dead
        return found

    def exposure_rows(self, kind: str) -> BoolArray:
        """Return which factors are of ``kind``, (k,) bool."""
        return np.array([k == kind for k in self.factor_kinds], dtype=bool)

    def findings(self) -> tuple[Finding, ...]:
        """Return everything that makes the arrays unusable: shapes first, then values, one finding an array."""
        return _shape_findings(self) or _value_findings(self)

    def check(self) -> None:
        """Refuse the problem when anything is wrong with it.

        Raises
        ------
        InputRejected
            PROBLEM_INVALID with every finding.
        """
        refuse(self.findings())


def refuse(findings: tuple[Finding, ...]) -> None:
    """Raise InputRejected PROBLEM_INVALID when ``findings`` is not empty."""
    if findings:
        raise InputRejected(Code.PROBLEM_INVALID, f"The rebalance problem is not usable: {findings[0].message}", findings)


def _finding(column: str, message: str) -> Finding:
    return Finding(Code.PROBLEM_INVALID, f"{column} {message}.", column=column)


def _shape_findings(p: RebalanceProblem) -> tuple[Finding, ...]:
    if p.w0.ndim != 1:
        return (_finding("w0", "is one-dimensional"),)
    n, k = p.w0.shape[0], len(p.factor_kinds)
    wanted: dict[str, tuple[int, ...]] = {"B": (n, k), "F": (k, k), "exposure_lower": (k,), "exposure_upper": (k,)}
    for name in ("alpha", "D", "position_lower", "position_upper", "half_spread", "impact", "borrow", "dead", *_HARD_BOUNDS):
        wanted[name] = (n,)
    found = [
        _finding(name, f"has shape {getattr(p, name).shape} instead of {shape}")
        for name, shape in wanted.items()
        if getattr(p, name) is not None and getattr(p, name).shape != shape
    ]
    if any(kind not in FACTOR_KINDS for kind in p.factor_kinds):
        found.append(_finding("factor_kinds", f"holds other words than {', '.join(FACTOR_KINDS)}"))
    if any(word not in LIMIT_KEYS for word in p.relaxation):
        found.append(_finding("relaxation", f"holds other words than {', '.join(LIMIT_KEYS)}"))
    return tuple(found)


def _value_findings(p: RebalanceProblem) -> tuple[Finding, ...]:
    """Return findings on values; of dead names only ``w0`` matters."""
    found: list[Finding] = []
    live = ~p.dead
    if not np.isfinite(p.w0).all():
        found.append(_finding("w0", "holds values that are not finite"))
    for name in ("alpha", "B", "D", "position_lower", "position_upper", "half_spread", "impact", "borrow"):
        if not np.isfinite(getattr(p, name)[live]).all():
            found.append(_finding(name, "holds values that are not finite"))
        elif name in {"D", "half_spread", "impact", "borrow"} and (getattr(p, name)[live] < 0).any():
            found.append(_finding(name, "holds negative values"))
    if not np.isfinite(p.F).all():
        found.append(_finding("F", "holds values that are not finite"))
    if np.isnan(p.exposure_lower).any() or np.isnan(p.exposure_upper).any() or (p.exposure_lower > p.exposure_upper).any():
        found.append(_finding("exposure_lower", "is NaN or above exposure_upper"))
    if (p.position_lower[live] > p.position_upper[live]).any():
        found.append(_finding("position_lower", "is above position_upper"))
    return (*found, *_scalar_findings(p), *_hard_bound_findings(p, live))


def _scalar_findings(p: RebalanceProblem) -> list[Finding]:
    """Return findings on single numbers; a NaN is no number of at least zero."""
    finite = [name for name in ("gross_max", "turnover_max", "net_band", "risk_aversion") if not 0 <= getattr(p, name) < np.inf]
    found = [_finding(name, "is not a finite number of at least zero") for name in finite]
    others = [name for name in ("short_max", "volatility_max") if not getattr(p, name) >= 0]
    found += [_finding(name, "is not a number of at least zero") for name in others]
    if not np.isfinite(p.net_target):
        found.append(_finding("net_target", "is not finite"))
    if any(not room >= 0 for room in p.room.values()):
        found.append(_finding("room", "holds values that are not at least zero"))
    return found


def _hard_bound_findings(p: RebalanceProblem, live: BoolArray) -> list[Finding]:
    """Return findings on the hard bounds, which lie outside of the others."""
    lower, upper = p.position_lower_hard, p.position_upper_hard
    if lower is None or upper is None:
        return [] if lower is upper else [_finding("position_lower_hard", "and position_upper_hard come together")]
    wider = (lower <= p.position_lower)[live].all() and (upper >= p.position_upper)[live].all()
    finite = np.isfinite(lower[live]).all() and np.isfinite(upper[live]).all()
    return [] if wider and finite else [_finding("position_lower_hard", "and position_upper_hard are finite and no narrower")]


def live_part(problem: RebalanceProblem) -> RebalanceProblem:
    """Return the problem without its dead names, in the same order; the same object when there is none."""
    if not problem.dead.any():
        return problem
    keep = ~problem.dead
    names = ["alpha", "B", "D", "w0", "position_lower", "position_upper", "half_spread", "impact", "borrow", "dead"]
    names += [name for name in _HARD_BOUNDS if getattr(problem, name) is not None]
    return replace(problem, **{name: getattr(problem, name)[keep] for name in names})


def widened(problem: RebalanceProblem, words: Collection[str]) -> RebalanceProblem:
    """Return the problem with the limits of ``words`` at the figures that they never exceed, without those that have none."""
    if not words:
        return problem
    room = {word: problem.room.get(word, np.inf) for word in words}
    changes: dict[str, object] = {SUMS[word]: getattr(problem, SUMS[word]) + room[word] for word in words if word in SUMS}
    wide = np.array([room.get(kind, 0.0) for kind in problem.factor_kinds])
    changes |= {"exposure_lower": problem.exposure_lower - wide, "exposure_upper": problem.exposure_upper + wide}
    if "position" in room and problem.position_lower_hard is not None and problem.position_upper_hard is not None:
        changes |= {"position_lower": problem.position_lower_hard, "position_upper": problem.position_upper_hard}
    return replace(problem, **changes)  # type: ignore[arg-type]


def volatility(problem: RebalanceProblem, weights: FloatArray) -> float:
    """Return the forecast volatility of ``weights`` over a period, dead names apart: √(w'BFB'w + Σ D w²)."""
    p = live_part(problem)
    return float(np.sqrt(max(_variance(p, weights[~problem.dead]), 0.0)))


def _variance(p: RebalanceProblem, w: FloatArray) -> float:
    exposure = p.B.T @ w
    return float(exposure @ p.F @ exposure + p.D @ w**2)


def objective(problem: RebalanceProblem, weights: FloatArray) -> float:
    """Return the value of ``weights`` under the problem, per rebalance period, as a fraction of equity.

    Parameters
    ----------
    problem : RebalanceProblem
    weights : (n,) float64
        Any book, inside the limits or not. Trades of dead names cost nothing here: they are not a choice.

    Notes
    -----
    α'w − γ(‖·‖²_F of B'w + Σ D w²) − h'|w − w0| − m'|w − w0|^1.5 − b'max(−w, 0).
    """
    p = live_part(problem)
    w = weights[~problem.dead]
    trade = np.abs(w - p.w0)
    cost = float(p.half_spread @ trade + p.impact @ trade**1.5 + p.borrow @ np.maximum(-w, 0.0))
    return float(p.alpha @ w) - p.risk_aversion * _variance(p, w) - cost
