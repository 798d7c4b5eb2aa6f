"""Goal: limits have a soft and a hard form, and net, shorts and volatility have their own. Method: problems in which limits
contradict each other by construction, and every limit measured here with plain NumPy; the book under a volatility target is
compared with the cone program that states the target itself."""

import tomllib
import warnings
from dataclasses import replace
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest

from portfolio.alpha import alpha_from_signal
from portfolio.aversion import CLOSE_ENOUGH, QUESTIONS_MAX, aversion_for
from portfolio.build import build_problem
from portfolio.ladder import HELD, RELAXED, SOLVED, solve
from portfolio.mandate import mandate_from_mapping
from portfolio.problem import RebalanceProblem, objective
from portfolio.scaled import covariance_root
from tests.builders.books import market_model, random_problem, without_limits
from tests.portfolio.test_ladder import measure

CONFIG = Path(__file__).parents[2] / "config" / "mandates"


def far_off(**changes) -> RebalanceProblem:
    """Return a problem whose holdings, all long, cannot become neutral within its turnover."""
    p = random_problem(np.random.default_rng(7), 24)
    return replace(p, **({"w0": np.full(p.n, 0.5 / p.n), "turnover_max": 0.1} | changes))


def test_a_soft_limit_gives_way_up_to_its_hard_figure_and_no_further():
    """Neutrality takes a turnover of a little over one half: with room it is used, with less the book is held."""
    wide = solve(far_off(room={"turnover": 1.0}))
    assert wide.status == RELAXED
    assert set(wide.violations) == {"turnover"}
    assert 0.3 < wide.violations["turnover"] <= 1.0
    narrow = solve(far_off(room={"turnover": 0.2, "gross": 0.0}, relaxation=("turnover", "gross")))
    assert narrow.status == HELD
    assert solve(far_off(room={"turnover": 0.0}, relaxation=("turnover",))).rungs[-2].name.startswith("solve:")


def test_limits_give_way_in_the_declared_order():
    """Where turnover has too little room, it is used up first, and net, which has a hard figure here, gives the rest."""
    p = without_limits(far_off())
    p = replace(p, turnover_max=0.1, room={"turnover": 0.2, "net": 1.0}, relaxation=("turnover", "net"))
    solution = solve(p)
    assert solution.status == RELAXED
    assert set(solution.violations) == {"turnover", "net"}
    assert solution.violations["turnover"] == pytest.approx(0.2, abs=1e-5)
    assert abs(solution.weights.sum()) == pytest.approx(0.5 - 0.3, abs=1e-5)
    assert [r.name for r in solution.rungs if r.accepted] == ["relax:turnover+net:PIQP"]


def test_caps_give_way_to_their_hard_bounds():
    """A net target that the caps do not reach is reached by the hard ones, none of which is exceeded; beta gives way alike."""
    p = without_limits(random_problem(np.random.default_rng(12), 20, drifted=False))
    cap, hard = np.full(20, 0.02), np.full(20, 0.06)
    p = replace(p, net_target=0.7, gross_max=1.0, position_lower=-cap, position_upper=cap)
    assert solve(replace(p, relaxation=("position",))).status == HELD
    given = replace(p, relaxation=("position",), position_lower_hard=-hard, position_upper_hard=hard)
    solution = solve(given)
    assert set(solution.violations) == {"position"}
    assert solution.weights.sum() == pytest.approx(0.7, abs=1e-9)
    assert np.abs(solution.weights).max() <= 0.06 + 1e-9


def test_a_book_that_is_net_long_within_its_shorts():
    """Net comes out at its target, shorts within theirs, and a tighter limit on shorts leaves fewer of them."""
    p = without_limits(random_problem(np.random.default_rng(13), 60, drifted=False))
    p = replace(p, alpha=8 * p.alpha, net_target=0.6, gross_max=1.6, position_upper=np.full(60, 0.05))
    shorts = {}
    for most in (np.inf, 0.3, 0.1, 0.0):
        solution = solve(replace(p, short_max=most))
        assert solution.status == SOLVED
        assert solution.weights.sum() == pytest.approx(0.6, abs=1e-9)
        shorts[most] = float(-np.minimum(solution.weights, 0).sum())
        assert shorts[most] <= most + 1e-9
    assert shorts[np.inf] > 0.3 > shorts[0.3] - 1e-6 > 0.29
    assert shorts[0.0] <= 1e-9


def cone_value(p: RebalanceProblem) -> tuple[float, np.ndarray]:
    """Return the best expected return after costs with volatility as a second-order cone, by Clarabel, and its book."""
    w = cp.Variable(p.n)
    trade, exposure = cp.abs(w - p.w0), p.B.T @ w
    value = p.alpha @ w - p.half_spread @ trade - p.borrow @ cp.neg(w)
    risk = cp.hstack([covariance_root(p.F).T @ exposure, cp.multiply(np.sqrt(p.D), w)])
    rules = [cp.sum(w) == p.net_target, cp.norm1(w) <= p.gross_max, cp.norm1(w - p.w0) <= p.turnover_max]
    rules += [w <= p.position_upper, w >= p.position_lower, cp.norm2(risk) <= p.volatility_max]
    bounded = np.isfinite(p.exposure_upper)
    rules += [exposure[bounded] <= p.exposure_upper[bounded], exposure[bounded] >= p.exposure_lower[bounded]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cp.Problem(cp.Maximize(1e3 * value), rules).solve(solver="CLARABEL")
    return objective(replace(p, risk_aversion=0.0), w.value), w.value


def test_the_book_under_a_volatility_target_is_that_of_the_cone():
    """The search ends within a thousandth below the target, and no more of the cone's optimum is lost than that is worth."""
    print("seed 14")
    rng = np.random.default_rng(14)
    for _ in range(4):
        p = random_problem(rng, 60, drifted=False)
        p = replace(p, alpha=4 * p.alpha, turnover_max=2.0)
        unbound = solve(p)
        target = 0.6 * np.sqrt(measure_variance(p, unbound.weights))
        p = replace(p, volatility_max=target)
        solution = solve(p)
        reached = np.sqrt(measure_variance(p, solution.weights))
        assert solution.status == SOLVED
        assert target * (1 - 1.1 * CLOSE_ENOUGH) <= reached <= target + 1e-8
        assert solution.risk_aversion > p.risk_aversion
        best, _ = cone_value(p)
        ours = objective(replace(p, risk_aversion=0.0), solution.weights)
        assert best * (1 - 2 * CLOSE_ENOUGH) <= ours <= best * (1 + 1e-6)


def measure_variance(p: RebalanceProblem, w: np.ndarray) -> float:
    covariance = p.B @ p.F @ p.B.T + np.diag(p.D)
    return float(w @ covariance @ w)


def test_a_target_out_of_reach_gives_way_to_the_calmest_book():
    """After a storm no book within the turnover is calm enough: it gives way, and the book is calmer than what is held."""
    p = random_problem(np.random.default_rng(15), 40)
    held = np.sqrt(measure_variance(p, p.w0))
    p = replace(p, volatility_max=held / 10, turnover_max=0.5)
    solution = solve(p)
    assert solution.status == RELAXED
    assert set(solution.violations) == {"volatility"}
    assert np.sqrt(measure_variance(p, solution.weights)) < held
    assert solve(replace(p, relaxation=())).status == HELD
    assert solve(replace(p, relaxation=("volatility",), room={"volatility": held / 1000})).status == HELD


def test_a_target_far_above_leaves_the_book_to_the_other_limits():
    """With a target that nothing reaches, aversion hardly counts, and the book has the most expected return after costs."""
    p = replace(random_problem(np.random.default_rng(16), 30, drifted=False), volatility_max=1.0)
    solution = solve(p)
    assert solution.status == SOLVED
    assert objective(replace(p, risk_aversion=0.0), solution.weights) >= cone_value(p)[0] * (1 - 1e-3)


@pytest.mark.parametrize("shape", [lambda g: 0.1 / g, lambda g: 0.1 / (0.3 + g) + 0.01, lambda g: 0.05 if g < 7 else 0.2 / g])
def test_the_search_ends_near_the_target_in_few_questions(shape):
    """Along an inverse, a plateau and a cliff the search finds the smallest γ that keeps to the target."""
    asked = []
    found = aversion_for(lambda g: asked.append(g) or shape(g), 0.02, 2.0)
    assert 0.02 * (1 - CLOSE_ENOUGH) <= shape(found) <= 0.02
    assert len(asked) <= 12


def test_the_search_ends_without_an_answer():
    """Nothing calm enough, no book at all, and a book without any risk all end the search."""
    asked = []
    assert aversion_for(lambda g: asked.append(g) or 0.5, 0.02, 2.0) is None
    assert aversion_for(lambda g: None, 0.02, 2.0) is None
    assert aversion_for(lambda g: asked.append(g) or 0.1, 0.0, 0.0) is None
    assert aversion_for(lambda g: asked.append(g) or 0.0, 0.02, 2.0) < 1e-3
    assert len(asked) <= 3 * QUESTIONS_MAX


DRIFTS = {
    "gross": {"w0": np.array([2.0, -2.0] * 10) / 20},
    "net": {"w0": np.full(20, 0.03)},
    "caps": {"w0": np.array([0.5, -0.5] + [0.0] * 18)},
    "shorts": {"w0": np.array([0.05, -0.05] * 10), "short_max": 0.1},
    "volatility": {"w0": np.array([0.1, -0.1] * 10), "volatility_max": 1e-3},
    "factors": {"w0": np.array([0.15] * 5 + [-0.15] * 5 + [0.0] * 10)},
}


@pytest.mark.parametrize("limit", DRIFTS)
def test_holdings_may_start_outside_any_limit(limit):
    """From far outside a limit, with turnover enough to come back, the book that leaves is inside every one."""
    p = random_problem(np.random.default_rng(17), 20, drifted=False)
    p = replace(p, gross_max=1.0, turnover_max=5.0, **DRIFTS[limit])
    solution = solve(p)
    assert solution.status == SOLVED
    assert measure(p, solution.weights) == {}


@pytest.mark.parametrize("name", [path.stem for path in CONFIG.glob("*.toml")])
def test_each_shipped_mandate_runs_from_cash_to_its_book(name):
    """Week after week on three hundred names each example leaves books inside its hard figures, and in the end one that
    satisfies every limit and has the net that is aimed at."""
    print("seed 82")
    rng = np.random.default_rng(82)
    n = 300
    mandate = mandate_from_mapping(tomllib.loads((CONFIG / f"{name}.toml").read_text()))
    model = market_model(rng, n)
    score, adv, w = rng.standard_normal(n), 10 ** rng.uniform(8, 9.5, n), np.zeros(n)
    weeks = {"market-neutral": 5, "long-biased": 5, "low-turnover": 14}[name]
    for _ in range(weeks):
        score = 0.95 * score + 0.3 * rng.standard_normal(n)
        alpha = alpha_from_signal(score, model, mandate.information_coefficient, 20)
        p = build_problem(mandate, model, alpha, w, alpha_horizon_sessions=20, equity=mandate.aum, adv_dollars=adv)
        solution = solve(p)
        assert solution.status in {SOLVED, RELAXED}
        for word, excess in solution.violations.items():
            assert word in mandate.relaxation
            assert excess <= p.room.get(word, np.inf) + 1e-8
        w = solution.weights * (1 + 0.01 * rng.standard_normal(n))
    assert solution.status == SOLVED
    assert measure(p, solution.weights) == {}
    assert abs(solution.weights.sum() - mandate.net_target) <= mandate.net_band + 1e-9
    volatility = model.book_volatility(solution.weights) * np.sqrt(252)
    print(
        f"{name}: gross {np.abs(solution.weights).sum():.3f}, volatility {volatility:.4f}, gamma {solution.risk_aversion:.3g}"
    )
    assert np.abs(solution.weights).sum() > 0.5
    assert mandate.volatility_target == 0 or volatility <= mandate.volatility_target + 1e-6
