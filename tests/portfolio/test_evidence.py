"""Goal: what a limit is said to be worth is what it is worth. Method: the limit is moved a little to both sides and the optimum
is found again: its finite difference is the independent source; the sentences are written down here."""

from dataclasses import replace

import numpy as np
import pytest

from portfolio.convex import candidate
from portfolio.evidence import BindingLimit, ShadowPrices, told_limits
from portfolio.ladder import HELD, RELAXED, SOLVED, Rung, Solution, solve
from portfolio.problem import RebalanceProblem, objective
from portfolio.scaled import CLARABEL, PIQP
from tests.builders.books import random_problem

H = 1e-3


def net_long(impact: bool, **changes) -> RebalanceProblem:
    """Return a net long problem in which turnover, net, beta, caps and several bands bind."""
    p = random_problem(np.random.default_rng(5), 80, impact=impact, drifted=False)
    width = np.array([{"market": np.inf, "beta": 0.0, "sector": 0.06, "style": 0.04}[kind] for kind in p.factor_kinds])
    limits = {"net_band": 0.05, "net_target": 0.2, "turnover_max": 1.2, "gross_max": 1.3, "risk_aversion": 2.0}
    changed = {**limits, "alpha": 8 * p.alpha, "exposure_lower": -width, "exposure_upper": width, **changes}
    return replace(p, **changed)


def optimum(p: RebalanceProblem) -> float:
    solution = solve(p)
    assert solution.status == SOLVED
    return objective(p, solution.weights)


def difference(p: RebalanceProblem, key: str, step: float | np.ndarray) -> float:
    """Return the slope of the optimum in the bound ``key``, moved by ±step."""
    up, down = (optimum(replace(p, **{key: getattr(p, key) + sign * step})) for sign in (1, -1))
    return (up - down) / (2 * float(np.abs(step).max()))


@pytest.mark.parametrize("impact", [False, True])
@pytest.mark.parametrize(
    ("word", "key", "changes"),
    [
        ("turnover", "turnover_max", {}),
        ("gross", "gross_max", {"turnover_max": 5.0, "gross_max": 0.9}),
        ("short", "short_max", {"turnover_max": 5.0, "short_max": 0.1}),
        ("net", "net_band", {}),
    ],
)
def test_prices_of_sums_are_finite_differences(impact, word, key, changes):
    """The dual value of each limit on a sum is the slope of the optimum in it, by both solvers."""
    p = net_long(impact, **changes)
    slope = difference(p, key, H)
    assert slope > 1e-4
    for solver in (PIQP, CLARABEL):
        assert abs(getattr(candidate(p, solver).prices, word)) == pytest.approx(slope, rel=1e-3)


def test_prices_of_bounds_and_bands_are_finite_differences():
    """The same for the dearest bound of a single name, the dearest three bands and an equality."""
    p = net_long(impact=False)
    prices = candidate(p, PIQP).prices
    one = np.zeros(p.n)
    one[np.argmax(np.abs(prices.position))] = H
    price = float(prices.position @ one) / H
    assert difference(p, "position_upper" if price > 0 else "position_lower", one) == pytest.approx(price, rel=1e-3)
    for k in np.argsort(-np.abs(prices.exposure))[:4]:
        step = np.zeros(len(p.factor_kinds))
        step[k] = H
        if p.exposure_lower[k] == p.exposure_upper[k]:
            moved = [
                replace(p, exposure_lower=p.exposure_lower + s, exposure_upper=p.exposure_upper + s) for s in (step, -step)
            ]
            slope = (optimum(moved[0]) - optimum(moved[1])) / (2 * H)
        else:
            slope = difference(p, "exposure_upper" if prices.exposure[k] > 0 else "exposure_lower", step)
        assert slope == pytest.approx(prices.exposure[k], rel=1e-3, abs=1e-9)


def test_what_one_per_cent_is_worth_is_what_it_brings():
    """Each limit of a solution, given its step more, raises the optimum of a year by what is told, within a twentieth."""
    p = net_long(impact=False)
    solution = solve(p)
    base = optimum(p)
    moved = {
        "turnover": {"turnover_max": p.turnover_max * 1.01},
        "short": {"short_max": p.short_max * 1.01},
        "gross": {"gross_max": p.gross_max * 1.01},
        "net": {"net_band": p.net_band * 1.01},
        "position": {"position_lower": p.position_lower - 1e-4, "position_upper": p.position_upper + 1e-4},
    }
    for kind in ("sector", "style"):
        wide = np.where(p.exposure_rows(kind), 1.01, 1.0)
        moved[kind] = {"exposure_lower": p.exposure_lower * wide, "exposure_upper": p.exposure_upper * wide}
    told = {limit.word: limit for limit in solution.limits}
    assert {"turnover", "net", "position", "style"} <= set(told)
    for word, changes in moved.items():
        gain = (optimum(replace(p, **changes)) - base) * p.periods_per_year
        assert gain == pytest.approx(told[word].worth_per_year if word in told else 0.0, rel=0.05, abs=2e-7), word
    worths = [limit.worth_per_year for limit in solution.limits]
    assert worths == sorted(worths, reverse=True)


def test_the_price_of_volatility_is_a_finite_difference():
    """Under a target, one per cent more of it raises the expected return after costs by what the evidence says."""
    p = net_long(impact=False, turnover_max=5.0, gross_max=5.0, volatility_max=0.012)

    def earned(target: float) -> float:
        solution = solve(replace(p, volatility_max=target))
        return objective(replace(p, risk_aversion=0.0), solution.weights) * p.periods_per_year

    told = {limit.word: limit for limit in solve(p).limits}
    # The search ends anywhere in the last thousandth, so the difference is taken over a wide step.
    slope = (earned(0.012 * 1.05) - earned(0.012 * 0.95)) / 10
    assert told["volatility"].worth_per_year == pytest.approx(slope, rel=0.05)


def test_limits_are_told_in_words():
    """Each kind of step has its sentence; singular and plural are right; basis points a year have two digits."""
    limits = (
        BindingLimit("turnover", "part", 3e-4),
        BindingLimit("position", "capital", 1.26e-4, 37),
        BindingLimit("sector", "part", 1e-5, 1),
        BindingLimit("beta", "room", 1.5e-6),
        BindingLimit("volatility", "part", 2.5e-3),
    )
    assert told_limits(Solution(np.zeros(1), SOLVED, (), limits=limits)) == [
        "turnover binds: 1 % more is worth 3 bp a year",
        "caps or volume bind on 37 names: a basis point of capital more in each is worth 1.3 bp a year",
        "sector bands bind on 1 factor: 1 % more is worth 0.1 bp a year",
        "beta binds: 0.01 of room is worth 0.015 bp a year",
        "the volatility target binds: 1 % more is worth 25 bp a year",
    ]
    assert told_limits(Solution(np.zeros(1), SOLVED, ())) == ["no limit binds"]
    relaxed = Solution(np.zeros(1), RELAXED, (), {"turnover": 0.25, "short": 0.1})
    assert told_limits(relaxed) == ["turnover gave way by 0.25", "the limit on shorts gave way by 0.1"]
    held = Solution(np.zeros(1), HELD, (Rung("hold", "held", accepted=True, reason="F holds values that are not finite."),))
    assert told_limits(held) == ["held: F holds values that are not finite"]


def test_evidence_is_whole():
    """A solution tells status, violations, objective, γ, seconds, limits and the rungs; a relaxed one claims no prices."""
    p = net_long(impact=True)
    solution = solve(p)
    assert (solution.status, solution.violations, solution.risk_aversion) == (SOLVED, {}, 2.0)
    assert solution.objective == objective(p, solution.weights)
    assert solution.seconds == sum(rung.seconds for rung in solution.rungs) > 0
    assert solution.limits
    tight = solve(replace(p, turnover_max=0.1))
    assert tight.status == RELAXED
    assert tight.limits == ()
    assert isinstance(candidate(p, PIQP).prices, ShadowPrices)
    assert candidate(p, PIQP, ("turnover",)).prices is None
