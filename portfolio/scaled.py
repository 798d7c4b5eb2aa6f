"""A rebalance as a solver gets it: which rows there are, apart from the numbers in them.

What it is not: a statement to a solver (:mod:`portfolio.convex`), which is compiled once for a shape and gets the numbers of
week after week. Steps:

1. :func:`shape_of` tells what decides on variables, rows and terms, so that problems of one shape differ in numbers only;
2. :func:`scaled` counts weights in units of gross/n and divides the objective by its largest term, so that numbers are O(1);
3. limits on sums and bands are tightened by a hair, so that a solver's own tolerance stays inside of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from market.arrays import BoolArray, FloatArray
from portfolio.problem import RebalanceProblem, widened

PIQP = "PIQP"
CLARABEL = "CLARABEL"
SOLVERS = (PIQP, CLARABEL)

TIGHTENING = {PIQP: 1e-8, CLARABEL: 1e-7}
"""Relative tightening of limits on sums: a few times the violation that each solver was seen to leave."""
PENALTY_FIRST = 1e2
PENALTY_STEP = 10.0
"""Price of one unit of relaxation in the scaled objective, times the step for each later kind: far above any limit's shadow
price there (which is O(1)), and never so large that it drowns the objective in rounding."""
PENALTY_SPAN = 1e4
"""Most that the last kind's price is above the first one's: many kinds take smaller steps."""
PINNED_WIDTH = 1e-11
"""A name whose bounds are closer than a hundredth of the tightest tolerance has no choice left."""
TRADE_TYPICAL = 4.0
"""Trade at which impact is first expanded, in turnover per asset: most names do not trade, and those that do trade more."""
TRADE_FLOOR = 3e-4
"""Part of it below which no expansion is made: the curvature of r^1.5 has no bound at zero."""
EIGENVALUE_CUT = 1e-14
"""Part of the largest eigenvalue of F below which a direction carries no risk."""


@dataclass(frozen=True, slots=True)
class Band:
    """Factors of one kind with an upper bound (``sign`` 1), a lower one (−1), or one value (0)."""

    kind: str
    sign: int
    rows: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name of its numbers."""
        return f"exposure {self.kind} {self.sign}"


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides on the variables, rows and terms of a statement.

    Attributes
    ----------
    solver : str
    elastic : tuple of str
        Kinds of limits that may be exceeded at a price, the cheapest first.
    roomy : tuple of str
        Those of them that may be so up to a figure.
    n, rank : int
        Assets, and directions in which factors carry risk.
    free, fixed : tuple of int
        Assets with a choice and without.
    dense, sparse : tuple of int
        Columns of B without zeros, such as styles, and with some, such as dummies.
    bands : tuple of Band
    has_net_value, has_short_limit, has_borrow : bool
        Whether Σw has one value, and whether shorts are limited, and cost.
    costly : tuple of int
        Assets whose trades have impact.
    dummies : bytes
        The sparse columns of B: where they are zero is a part of the shape, so their values may as well be.
    """

    solver: str
    elastic: tuple[str, ...]
    roomy: tuple[str, ...]
    n: int
    rank: int
    free: tuple[int, ...]
    fixed: tuple[int, ...]
    dense: tuple[int, ...]
    sparse: tuple[int, ...]
    bands: tuple[Band, ...]
    has_net_value: bool
    has_short_limit: bool
    has_borrow: bool
    costly: tuple[int, ...]
    dummies: bytes = field(repr=False)

    @property
    def factors(self) -> int:
        """Number of factors."""
        return len(self.dense) + len(self.sparse)

    @property
    def sparse_exposures(self) -> FloatArray:
        """The sparse columns of B, (columns, n)."""
        return np.frombuffer(self.dummies).reshape(len(self.sparse), self.n)


@dataclass(frozen=True, slots=True)
class Scaled:
    """The numbers of a problem by the names that a statement calls them by, and the units that they are counted in.

    Attributes
    ----------
    numbers : mapping of str to float64 array or float
    unit : float
        The weight that one unit of the variables stands for.
    money : float
        The factor that brings the objective to O(1).
    """

    numbers: Mapping[str, FloatArray | float]
    unit: float
    money: float


def covariance_root(F: FloatArray) -> FloatArray:
    """Return L, (k, rank), with LL' = F; eigenvalues that are negative by rounding count as zero."""
    values, vectors = np.linalg.eigh((F + F.T) / 2)
    keep = values > max(values[-1] * EIGENVALUE_CUT, 0.0) if values.size else np.zeros(0, dtype=bool)
    root: FloatArray = vectors[:, keep] * np.sqrt(values[keep])
    return root


def _places(mask: BoolArray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())


def _outer(p: RebalanceProblem, elastic: tuple[str, ...]) -> RebalanceProblem:
    """Return the problem with the bounds of names as far as they give way."""
    return widened(p, ("position",)) if "position" in elastic else p


def shape_of(problem: RebalanceProblem, solver: str, elastic: tuple[str, ...] = ()) -> Shape:
    """Return the shape of ``problem`` for ``solver``; a live problem, checked."""
    p, outer = problem, _outer(problem, elastic)
    # A name without room is an equality: two opposite bounds would leave an interior-point method no interior.
    pinned = outer.position_upper - outer.position_lower <= PINNED_WIDTH
    sparse = (p.B == 0).any(axis=0)
    return Shape(
        solver=solver,
        elastic=elastic,
        roomy=tuple(kind for kind in elastic if kind != "position" and np.isfinite(p.room.get(kind, np.inf))),
        n=p.n,
        rank=covariance_root(p.F).shape[1],
        free=_places(~pinned),
        fixed=_places(pinned),
        dense=_places(~sparse),
        sparse=_places(sparse),
        bands=tuple(_bands(p, elastic)),
        has_net_value=p.net_band == 0.0 and "net" not in elastic,
        has_short_limit=bool(np.isfinite(p.short_max)),
        has_borrow=bool(np.any(p.borrow > 0)),
        costly=_places(p.impact > 0),
        dummies=p.B[:, sparse].T.tobytes(),
    )


def _bands(p: RebalanceProblem, elastic: tuple[str, ...]) -> Iterator[Band]:
    """Yield the bands of each kind: those of one value first, unless it gives way."""
    lower, upper = p.exposure_lower, p.exposure_upper
    for kind in dict.fromkeys(p.factor_kinds):
        rows = p.exposure_rows(kind)
        equal = rows & (lower == upper) & (kind not in elastic)
        bounded = ((0, equal), (1, rows & np.isfinite(upper) & ~equal), (-1, rows & np.isfinite(lower) & ~equal))
        for sign, chosen in bounded:
            if chosen.any():
                yield Band(kind, sign, _places(chosen))


def _money(p: RebalanceProblem, unit: float) -> float:
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


def scaled(problem: RebalanceProblem, shape: Shape) -> Scaled:
    """Return the numbers of ``problem`` in a statement of ``shape``, which must be its own."""
    unit = problem.gross_max / problem.n if problem.gross_max > 0 else 1.0
    money = _money(problem, unit)
    return Scaled({**_terms(problem, unit, money), **_limits(problem, shape, unit)}, unit, money)


def _terms(p: RebalanceProblem, unit: float, money: float) -> dict[str, FloatArray | float]:
    """Return the numbers of the objective, but for the expansion of impact."""
    risk = p.risk_aversion * money * unit * unit
    return {
        "alpha": p.alpha * (unit * money),
        "specific": np.sqrt(risk * p.D),
        "root": (covariance_root(p.F) * np.sqrt(risk)).T,
        "spread": p.half_spread * (unit * money),
        "borrow": p.borrow * (unit * money),
        "impact": p.impact[p.impact > 0] * (unit**1.5 * money),
    }


def _limits(p: RebalanceProblem, shape: Shape, unit: float) -> dict[str, FloatArray | float]:
    """Return the numbers of the limits, tightened."""
    tight = TIGHTENING[shape.solver]
    part, held, outer = (1 - tight) / unit, p.w0 / unit, _outer(p, shape.elastic)
    free, fixed = list(shape.free), list(shape.fixed)
    found: dict[str, FloatArray | float] = {
        "held": held,
        "gross": p.gross_max * part,
        # The statement knows held + |trade|, whose sum this limits.
        "turnover": p.turnover_max * part + float(held.sum()),
        "net": p.net_target / unit,
        "net most": p.net_target / unit + p.net_band * part,
        "net least": p.net_target / unit - p.net_band * part,
        "lower": p.position_lower[free] / unit,
        "upper": p.position_upper[free] / unit,
        "fixed": outer.position_lower[fixed] / unit,
        "styles": p.B[:, list(shape.dense)].T,
    }
    if shape.has_short_limit:
        found["short"] = p.short_max * part
    if "position" in shape.elastic:
        found |= {"lower hard": outer.position_lower[free] / unit, "upper hard": outer.position_upper[free] / unit}
    width = p.exposure_upper - p.exposure_lower
    inset = tight * np.where(np.isfinite(width), width, 1.0)
    for band in shape.bands:
        rows = list(band.rows)
        bound = p.exposure_lower[rows] if band.sign < 0 else p.exposure_upper[rows]
        found[band.name] = (band.sign * bound - inset[rows] if band.sign else bound) / unit
    step = min(PENALTY_STEP, PENALTY_SPAN ** (1 / max(1, len(shape.elastic) - 1)))
    for place, kind in enumerate(shape.elastic):
        # One unit of slack is one unit of gross, so that the price does not depend on how weights are counted.
        found[f"price {kind}"] = PENALTY_FIRST * step**place * unit / max(p.gross_max, unit)
    for kind in shape.roomy:
        found[f"room {kind}"] = p.room[kind] * part
    return found


def expansion(
    problem: RebalanceProblem, units: Scaled, trades: FloatArray | None = None, floor: float = TRADE_FLOOR
) -> dict[str, FloatArray]:
    """Return the expansion of impact at ``trades`` ρ: ¾ρ^½ r + ⅜ρ^−½ r² in place of r^1.5, up to a constant.

    Parameters
    ----------
    problem : RebalanceProblem
    units : Scaled
    trades : (n,) float64, optional
        As weights, not negative; the typical trade where there are none yet.
    floor : float
        Part of the typical trade below which none is expanded.

    Returns
    -------
    dict
        ``slope``, and ``curve``, the root of the second coefficient, (n,) float64 each.
    """
    typical = max(TRADE_TYPICAL * min(problem.turnover_max, problem.gross_max) / problem.n, 1e-9)
    rho = np.full(problem.n, typical) if trades is None else np.maximum(trades, floor * typical)
    price = problem.impact * units.money
    return {"slope": 0.75 * price * np.sqrt(rho) * units.unit, "curve": np.sqrt(0.375 * price / np.sqrt(rho)) * units.unit}
