"""Goal: the book is the optimum of the stated problem. Method: a two-asset case solved by hand; small problems against SciPy's
SLSQP and against the un-restated quad_form statement; both sides valued by the plain NumPy objective."""

import warnings
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import minimize

from portfolio import convex
from portfolio.convex import candidate
from portfolio.ladder import SOLVED, solve
from portfolio.problem import RebalanceProblem, objective
from tests.builders.books import random_problem, without_limits


def two_assets(**changes) -> RebalanceProblem:
    """Assets of specific variance 0.001, opposite alphas, one factor that dollar neutrality cancels."""
    p = RebalanceProblem(
        alpha=np.array([0.004, -0.004]),
        B=np.ones((2, 1)),
        F=np.array([[4e-4]]),
        D=np.full(2, 1e-3),
        w0=np.zeros(2),
        exposure_lower=np.array([-np.inf]),
        exposure_upper=np.array([np.inf]),
        factor_kinds=("market",),
        position_lower=np.full(2, -1.0),
        position_upper=np.full(2, 1.0),
        gross_max=2.0,
        turnover_max=10.0,
        half_spread=np.zeros(2),
        impact=np.zeros(2),
        borrow=np.zeros(2),
        dead=np.zeros(2, dtype=bool),
        risk_aversion=4.0,
    )
    return replace(p, **changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # maximize 2aw − 2γDw²: w = a / (2γD) = 0.004 / 0.008
        ({}, 0.5),
        # a half-spread of 0.001 on both legs: w = (a − h) / (2γD)
        ({"half_spread": np.full(2, 0.001)}, 0.375),
        # a borrow fee of 0.002 on the short leg alone: w = (2a − b) / (4γD)
        ({"borrow": np.full(2, 0.002)}, 0.375),
        ({"gross_max": 0.6}, 0.3),
        ({"turnover_max": 0.4}, 0.2),
        ({"position_upper": np.array([0.1, 1.0])}, 0.1),
        # a spread above the alpha: no trade, and from a held book no trade back either
        ({"half_spread": np.full(2, 0.01)}, 0.0),
        ({"half_spread": np.full(2, 0.01), "w0": np.array([0.2, -0.2])}, 0.2),
        # impact m: a − 2γDw = 1.5 m √w, with m = 0.002: 0.004 − 0.008w = 0.003√w, √w = 0.5442...
        ({"impact": np.full(2, 0.002)}, ((-0.003 + np.sqrt(0.003**2 + 4 * 0.008 * 0.004)) / 0.016) ** 2),
    ],
)
def test_two_assets_by_hand(changes, expected):
    """The closed-form answer of each two-asset case comes out to 1e-6; with impact, where the value is flat, to 2e-5."""
    solution = solve(two_assets(**changes))
    assert solution.status == SOLVED
    np.testing.assert_allclose(solution.weights, [expected, -expected], atol=2e-5 if "impact" in changes else 1e-6)


def slsqp_value(p: RebalanceProblem, start: np.ndarray) -> float:
    """Return the optimum by SLSQP over (long, short, buy, sell) parts, which makes the problem smooth."""
    n = p.n
    split = np.concatenate([np.eye(n), -np.eye(n), np.zeros((n, 2 * n))], axis=1)
    trade = np.concatenate([np.zeros((n, 2 * n)), np.eye(n), -np.eye(n)], axis=1)
    bounded = np.isfinite(p.exposure_upper)
    G = p.B[:, bounded].T @ split

    def cost(y: np.ndarray) -> float:
        w, r = split @ y, y[2 * n : 3 * n] + y[3 * n :]
        e = p.B.T @ w
        risk = p.risk_aversion * (e @ p.F @ e + p.D @ w**2)
        return -1e3 * (p.alpha @ w - risk - p.half_spread @ r - p.borrow @ y[n : 2 * n])

    def slope(y: np.ndarray) -> np.ndarray:
        w = split @ y
        inner = p.alpha - 2 * p.risk_aversion * (p.B @ (p.F @ (p.B.T @ w)) + p.D * w)
        direct = np.concatenate([np.zeros(n), p.borrow, p.half_spread, p.half_spread])
        return -1e3 * (split.T @ inner - direct)

    total, turn = np.r_[np.ones(2 * n), np.zeros(2 * n)], np.r_[np.zeros(2 * n), np.ones(2 * n)]
    rules = [
        {"type": "eq", "fun": lambda y: split @ y - p.w0 - trade @ y, "jac": lambda y: split - trade},
        {"type": "eq", "fun": lambda y: np.array([(split @ y).sum()]), "jac": lambda y: split.sum(axis=0)[None]},
        {"type": "ineq", "fun": lambda y: p.gross_max - total @ y, "jac": lambda y: -total},
        {"type": "ineq", "fun": lambda y: p.turnover_max - turn @ y, "jac": lambda y: -turn},
        {"type": "ineq", "fun": lambda y: p.exposure_upper[bounded] - G @ y, "jac": lambda y: -G},
        {"type": "ineq", "fun": lambda y: G @ y - p.exposure_lower[bounded], "jac": lambda y: G},
    ]
    bounds = [(0, u) for u in p.position_upper] + [(0, -v) for v in p.position_lower] + [(0, None)] * (2 * n)
    move = start - p.w0
    y0 = np.concatenate([np.maximum(start, 0), np.maximum(-start, 0), np.maximum(move, 0), np.maximum(-move, 0)])
    options = {"maxiter": 1000, "ftol": 1e-14}
    answer = minimize(cost, y0, jac=slope, bounds=bounds, constraints=rules, method="SLSQP", options=options)
    return -float(answer.fun) / 1e3


def test_small_problems_equal_slsqp():
    """On ten problems of nine assets the value equals SLSQP's, started from a feasible flat book, to 1e-6."""
    print("seed 31")
    rng = np.random.default_rng(31)
    for _ in range(10):
        p = random_problem(rng, 9, sectors=2, styles=1, drifted=False)
        p = replace(p, alpha=p.alpha * 4)
        ours, theirs = solve(p), slsqp_value(p, np.zeros(p.n))
        assert ours.status == SOLVED
        scale = max(abs(theirs), 1e-5)
        assert abs(objective(p, ours.weights) - theirs) <= 1e-6 * scale + 1e-10, (ours.objective, theirs)


def plain_value(p: RebalanceProblem) -> float:
    """Return the optimum of the textbook statement: the whole covariance, four separate absolute values."""
    w = cp.Variable(p.n)
    covariance = p.B @ p.F @ p.B.T + np.diag(p.D)
    trade = cp.abs(w - p.w0)
    value = p.alpha @ w - p.risk_aversion * cp.quad_form(w, cp.psd_wrap(covariance))
    value = value - p.half_spread @ trade - p.borrow @ cp.neg(w) - p.impact @ cp.power(trade, 1.5)
    rules = [cp.sum(w) == 0, cp.norm1(w) <= p.gross_max, cp.norm1(w - p.w0) <= p.turnover_max]
    rules += [w <= p.position_upper, w >= p.position_lower]
    bounded = np.isfinite(p.exposure_upper)
    exposure = p.B[:, bounded].T @ w
    rules += [exposure <= p.exposure_upper[bounded], exposure >= p.exposure_lower[bounded]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "may be inaccurate": the comparison itself decides
        cp.Problem(cp.Maximize(1e3 * value), rules).solve(solver="CLARABEL")
    return objective(p, w.value)


@pytest.mark.parametrize("impact", [False, True])
def test_restated_form_equals_the_textbook_form(impact):
    """The explicit statement has the optimum of the un-restated one, with and without impact, to 1e-6 of its size."""
    print("seed 32")
    rng = np.random.default_rng(32)
    for _ in range(6):
        p = random_problem(rng, 40, impact=impact, drifted=False)
        p = replace(p, alpha=p.alpha * 4)
        ours, theirs = solve(p), plain_value(p)
        assert ours.status == SOLVED
        assert abs(objective(p, ours.weights) - theirs) <= 1e-6 * max(abs(theirs), 1e-4)


@pytest.mark.parametrize("impact", [False, True])
def test_both_solvers_agree(impact):
    """PIQP and Clarabel agree in value; with impact, quadratic programs in a row reach the value of the power cones."""
    p = without_limits(random_problem(np.random.default_rng(33), 80, impact=impact, drifted=False))
    values = [objective(p, candidate(p, solver).weights) for solver in ("PIQP", "CLARABEL")]
    assert abs(values[0] - values[1]) <= 1e-6 * abs(values[0])


def test_a_pass_that_does_not_converge_is_tried_with_a_higher_floor(monkeypatch):
    """When the third pass fails the next one expands elsewhere, and the answer is as good as ever."""
    p = random_problem(np.random.default_rng(34), 60, impact=True, drifted=False)
    p = replace(p, alpha=p.alpha * 4)
    usual, run, calls = objective(p, candidate(p, "PIQP").weights), convex._run, []

    def failing(program, statement):
        calls.append(1)
        return convex.Candidate(None, "user_limit", 80) if len(calls) == 3 else run(program, statement)

    monkeypatch.setattr(convex, "_run", failing)
    assert abs(objective(p, candidate(p, "PIQP").weights) - usual) <= 1e-5 * abs(usual)
    assert len(calls) > 3
