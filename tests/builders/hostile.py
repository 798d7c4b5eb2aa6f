"""Rebalance problems with something wrong: infeasible, degenerate, badly scaled, poisoned, or several of these at once."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from portfolio.problem import RebalanceProblem
from tests.builders.books import random_problem

Spoil = Callable[[RebalanceProblem, np.random.Generator], RebalanceProblem]
MONEY = ("alpha", "half_spread", "impact", "borrow", "D", "F")
POISONED = (*MONEY, "B", "position_lower", "position_upper", "exposure_lower")
SCALARS = ("gross_max", "turnover_max", "net_band", "risk_aversion", "net_target", "short_max", "volatility_max")


def _scaled(names: tuple[str, ...], decades: float) -> Spoil:
    def spoil(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
        factor = 10 ** rng.uniform(-decades, decades)
        return replace(p, **{name: getattr(p, name) * factor for name in names})

    return spoil


def _spread(name: str, decades: float) -> Spoil:
    def spoil(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
        array = getattr(p, name)
        return replace(p, **{name: array * 10 ** rng.uniform(-decades, decades, array.shape)})

    return spoil


def _poisoned(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    name = rng.choice(POISONED)
    array = getattr(p, name).copy()
    if array.size:
        array.flat[rng.integers(array.size)] = rng.choice([np.nan, np.inf, -np.inf])
    return replace(p, **{name: array})


def _poisoned_scalar(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    return replace(p, **{rng.choice(SCALARS): float(rng.choice([np.nan, -1.0, np.inf]))})


def _far(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    return replace(p, w0=rng.uniform(0.2, 3.0) * rng.random(p.n) / p.n, turnover_max=float(rng.choice([0.0, 1e-9, 0.01, 0.3])))


def _one_sided(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    return replace(p, position_lower=np.full(p.n, float(rng.choice([0.0, 1e-12, 0.01]))), position_upper=np.full(p.n, 0.02))


def _pinned(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    chosen = rng.random(p.n) < rng.choice([0.3, 1.0])
    width = float(rng.choice([0.0, 1e-13, 1e-10]))
    lower = np.where(chosen, p.w0, np.minimum(p.position_lower, p.w0))
    return replace(p, position_lower=lower, position_upper=np.where(chosen, lower + width, np.maximum(p.position_upper, lower)))


def _narrow_bands(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    middle = np.where(np.isfinite(p.exposure_upper), rng.normal(0, rng.choice([0.01, 1.0]), len(p.factor_kinds)), 0.0)
    width = np.where(np.isfinite(p.exposure_upper), float(rng.choice([0.0, 1e-12, 0.01])), np.inf)
    return replace(p, exposure_lower=middle - width, exposure_upper=middle + width)


def _repeated_factors(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    B = p.B.copy()
    B[:, rng.integers(B.shape[1])] = B[:, rng.integers(B.shape[1])] * rng.choice([0.0, 1.0, -1.0])
    return replace(p, B=B)


def _indefinite(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    return replace(p, F=p.F - 10 ** rng.uniform(-18, 0) * np.eye(len(p.F)))


def _no_factors(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    none = np.zeros(0)
    return replace(p, B=np.zeros((p.n, 0)), F=np.zeros((0, 0)), exposure_lower=none, exposure_upper=none, factor_kinds=())


def _tight_sums(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    return replace(p, **{str(rng.choice(["gross_max", "turnover_max", "short_max"])): float(rng.choice([0.0, 1e-12, 1e-3]))})


def _net(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    return replace(p, net_target=float(rng.uniform(-2, 2)), net_band=float(rng.choice([0.0, 1e-12, 0.05])))


def _calm(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    return replace(p, volatility_max=float(rng.choice([0.0, 1e-9, 1e-3, 0.01, 0.1])))


def _rooms(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    words = ("turnover", "style", "sector", "gross", "net", "beta", "short", "volatility", "position")
    order = tuple(str(word) for word in rng.permutation(words)[: rng.integers(1, 10)])
    room = {word: float(rng.choice([0.0, 1e-12, 0.02, 1.0])) for word in words[:-1] if rng.random() < 0.7}
    slack = float(rng.choice([0.0, 1e-12, 0.05]))
    lower, upper = p.position_lower - slack, p.position_upper + slack
    return replace(p, relaxation=order, room=room, position_lower_hard=lower, position_upper_hard=upper)


def _dead(p: RebalanceProblem, rng: np.random.Generator) -> RebalanceProblem:
    return replace(p, dead=rng.random(p.n) < rng.choice([0.3, 1.0]))


SPOILS: dict[str, Spoil] = {
    "far from every limit": _far,
    "one-sided": _one_sided,
    "pinned": _pinned,
    "narrow bands": _narrow_bands,
    "tight sums": _tight_sums,
    "net": _net,
    "calm": _calm,
    "rooms": _rooms,
    "dead": _dead,
    "no factors": _no_factors,
    "repeated factors": _repeated_factors,
    "indefinite": _indefinite,
    "no specific risk": lambda p, rng: replace(p, D=np.zeros(p.n)),
    "no risk": lambda p, rng: replace(p, D=np.zeros(p.n), F=np.zeros(p.F.shape)),
    "equal alpha": lambda p, rng: replace(p, alpha=np.full(p.n, float(rng.choice([0.0, 1e-300, 0.01])))),
    "money of another size": _scaled(MONEY, 14),
    "alpha of another size": _scaled(("alpha",), 14),
    "variance of another size": _scaled(("D", "F"), 14),
    "exposures of another size": _scaled(("B",), 12),
    "costs of another size": _scaled(("half_spread", "impact", "borrow"), 10),
    "alphas of many sizes": _spread("alpha", 10),
    "variances of many sizes": _spread("D", 10),
    "exposures of many sizes": _spread("B", 8),
    "bounds of many sizes": lambda p, rng: replace(
        p, position_upper=np.maximum(p.position_upper * 10 ** rng.uniform(-12, 3, p.n), p.position_lower)
    ),
    "enormous": _scaled(("alpha", "B", "F"), 150),
    "poisoned": _poisoned,
    "poisoned scalar": _poisoned_scalar,
}


def hostile_problem(seed: int, assets_max: int = 14) -> tuple[str, RebalanceProblem]:
    """Return a problem with one to three things wrong, and what they are called; the same for the same seed."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, assets_max + 1))
    p = random_problem(rng, n, sectors=2, styles=1, impact=rng.random() < 0.3, drifted=rng.random() < 0.7)
    # Few limits give way, unless "rooms" is met: a ladder has two attempts a rung, and most problems here climb all of it.
    p = replace(p, relaxation=("turnover", "style")[: int(rng.integers(0, 3))])
    names = [str(name) for name in rng.choice(list(SPOILS), int(rng.integers(1, 4)), replace=False)]
    for name in names:
        if p.factor_kinds or name != "repeated factors":
            p = SPOILS[name](p, rng)
    return " + ".join(names), p
