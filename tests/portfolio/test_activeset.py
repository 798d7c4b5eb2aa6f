"""Goal: the map from alpha to weights is the derivative of the optimum. Method: two assets solved by hand, finite differences
of the solver's own optimum on random problems, and a dense KKT system as the plain twin."""

from dataclasses import replace

import numpy as np
import pytest

from crowdalpha.errors import InputRejected
from portfolio.activeset import ActiveSet, active_set
from portfolio.convex import candidate
from portfolio.ladder import HELD, RELAXED, SOLVED, solve
from portfolio.ownership import model_weights
from portfolio.polish import polish
from portfolio.problem import RebalanceProblem
from portfolio.scaled import CLARABEL
from tests.builders.books import random_problem, without_limits

EXACT = {False: 1e-6, True: 1e-4}
"""Residual of the optimality conditions, as a part of alpha, up to which a book is the optimum; the latter with impact."""
STEP = {False: 1e-5, True: 3e-4}
"""Largest change of a weight in a finite difference: far above what the solver leaves open, which with impact is more."""
NOTHING = 1e-9
"""Movement of a book that sits in a corner: as many limits as free names."""


def pair(**changes) -> RebalanceProblem:
    """Two assets of specific variance 0.001 and 0.003, γ = 4, dollar-neutral, without factor risk."""
    p = RebalanceProblem(
        alpha=np.array([0.004, -0.004]),
        B=np.zeros((2, 0)),
        F=np.zeros((0, 0)),
        D=np.array([1e-3, 3e-3]),
        w0=np.zeros(2),
        exposure_lower=np.zeros(0),
        exposure_upper=np.zeros(0),
        factor_kinds=(),
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


PRICED = ((-0.006 + np.sqrt(0.006**2 + 4 * 0.032 * 0.008)) / 0.064) ** 2
PAIRED = np.array([[1.0, -1.0], [-1.0, 1.0]])


@pytest.mark.parametrize(
    ("changes", "w", "slope"),
    [
        # maximize (a₁ − a₂)w − γ(D₁ + D₂)w²: w = (a₁ − a₂)/(2γ·0.004), so dw/da = ±1/0.032
        ({}, 0.25, 1 / 0.032),
        # spreads shift the book and leave the slope: w = (0.008 − 0.002)/0.032
        ({"half_spread": np.full(2, 0.001)}, 0.1875, 1 / 0.032),
        # impact m = 0.002 on both legs: 0.008 − 0.032w = 2·1.5·0.002√w; slope 1/(0.032 + 2·0.75·0.002/√w)
        ({"impact": np.full(2, 0.002)}, PRICED, 1 / (0.032 + 0.003 / np.sqrt(PRICED))),
        # a cap, the gross and the turnover limit each hold both legs
        ({"position_upper": np.array([0.1, 1.0]), "position_lower": np.array([-1.0, -0.1])}, 0.1, 0.0),
        ({"gross_max": 0.3}, 0.15, 0.0),
        ({"turnover_max": 0.3}, 0.15, 0.0),
        # shorts may be a tenth, and the dollar then holds the long leg
        ({"short_max": 0.1}, 0.1, 0.0),
        # trading costs more than it brings: the pair stays where it was
        ({"half_spread": np.full(2, 0.01), "w0": np.array([0.2, -0.2])}, 0.2, 0.0),
    ],
)
def test_two_assets_by_hand(changes, w, slope):
    """Weights and slopes worked out on paper; a cap on one leg holds the other through the dollar."""
    p = pair(**changes)
    found = active_set(p, np.array([w, -w]))
    np.testing.assert_allclose(found.apply(np.eye(2)), slope * PAIRED, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(solve(p).weights, [w, -w], atol=2e-5)
    if slope:
        assert found.stationarity < 1e-6


def test_a_book_that_is_net_long_answers_like_one_that_is_neutral():
    """w₁ + w₂ = 0.3: 0.008 = 8(0.001w₁ − 0.003(0.3 − w₁)), so w₁ = 0.475; the slope is that of the neutral pair."""
    p = pair(net_target=0.3)
    w = np.array([0.475, -0.175])
    np.testing.assert_allclose(solve(p).weights, w, atol=2e-5)
    found = active_set(p, w)
    assert "net" in found.binding
    np.testing.assert_allclose(found.apply(np.eye(2)), PAIRED / 0.032, rtol=1e-6)


def test_a_book_at_its_volatility_target_only_turns():
    """Equal variances D and no other limit: w = s·α/|α| with s√D the target, γ = |α|/(2Ds), M = (I − uu')/(2γD)."""
    D, target, alpha = 1e-3, 0.01, np.array([0.003, 0.004])
    p = pair(alpha=alpha, D=np.full(2, D), net_band=10.0, gross_max=10.0, volatility_max=target)
    u, size = alpha / 0.005, target / np.sqrt(D)
    gamma = 0.005 / (2 * D * size)
    solution = solve(p)
    np.testing.assert_allclose(solution.weights, size * u, rtol=2e-3)
    np.testing.assert_allclose(solution.risk_aversion, gamma, rtol=2e-3)
    found = active_set(replace(p, risk_aversion=gamma), size * u)
    assert found.binding == ("volatility",)
    np.testing.assert_allclose(found.apply(np.eye(2)), (np.eye(2) - np.outer(u, u)) / (2 * gamma * D), rtol=1e-9, atol=1e-12)
    assert found.stationarity < 1e-12
    parts = model_weights(p, solution, np.array([[0.003, 0.0], [0.0, 0.004]]))
    np.testing.assert_allclose(parts.sum(axis=0), solution.weights, atol=1e-15)


def test_a_name_at_its_bound_leaves_the_rest_to_the_others():
    """Three assets, the first at its cap: the other two answer as a pair of their own, and the first not at all."""
    p = RebalanceProblem(
        **{
            **{f: getattr(pair(), f) for f in ("B", "F", "exposure_lower", "exposure_upper", "factor_kinds")},
            "B": np.zeros((3, 0)),
            "alpha": np.array([0.02, 0.0, -0.004]),
            "D": np.full(3, 1e-3),
            "w0": np.zeros(3),
            "position_lower": np.full(3, -1.0),
            "position_upper": np.array([0.1, 1.0, 1.0]),
            "gross_max": 2.0,
            "turnover_max": 10.0,
            "half_spread": np.zeros(3),
            "impact": np.zeros(3),
            "borrow": np.zeros(3),
            "dead": np.zeros(3, dtype=bool),
            "risk_aversion": 4.0,
        }
    )
    solution = solve(p)
    found = active_set(p, solution.weights)
    assert found.at_bound.tolist() == [True, False, False]
    expected = np.zeros((3, 3))
    expected[1:, 1:] = PAIRED / (2 * 4.0 * 2e-3)
    np.testing.assert_allclose(found.apply(np.eye(3)), expected, rtol=1e-9, atol=1e-12)


def dense_map(p: RebalanceProblem, w: np.ndarray) -> np.ndarray:
    """Return M from one dense KKT system over all live names: names that stop are rows of their own."""
    found, n = active_set(p, w), p.n
    x, exposure = w - p.w0, p.B.T @ w
    H = 2 * p.risk_aversion * (p.B @ p.F @ p.B.T + np.diag(p.D))
    H += np.diag(np.where(found.free, 0.75 * p.impact / np.sqrt(np.maximum(np.abs(x), 1e-9)), 0.0))
    rows = [np.eye(n)[i] for i in np.flatnonzero(~found.free)] + [np.ones(n)]
    if "turnover" in found.binding:
        rows.append(np.sign(x))
    if "gross" in found.binding:
        rows.append(np.sign(w))
    rows += [p.B[:, j] for j in range(len(exposure)) if f"factor:{j}" in found.binding]
    C = np.array(rows)
    K = np.block([[H, C.T], [C, np.zeros((len(C), len(C)))]])
    return np.linalg.pinv(K, rcond=1e-13)[:n, :n]


@pytest.mark.parametrize("impact", [False, True])
def test_map_is_the_dense_kkt_block_symmetric_and_never_negative(impact):
    """On ten random problems M equals the block of the KKT inverse, is symmetric and has no negative direction."""
    for seed in range(80, 90):
        print("seed", seed)
        p = random_problem(np.random.default_rng(seed), 40, impact=impact)
        w = solve(p).weights
        found = active_set(p, w)
        M = found.apply(np.eye(p.n))
        twin = dense_map(p, w)
        scale = np.abs(twin).max()
        np.testing.assert_allclose(M, twin, atol=1e-6 * scale)
        np.testing.assert_allclose(M, M.T, atol=1e-9 * scale)
        assert np.linalg.eigvalsh((M + M.T) / 2)[0] > -1e-9 * scale
        groups = [found.free, found.at_bound, found.at_zero, found.at_start]
        assert (np.sum(groups, axis=0) == 1).all()


def optimum(p: RebalanceProblem) -> np.ndarray | None:
    """Return the book as exactly as a solver gives it: with impact by power cones, not by expansions that stop early."""
    if not p.has_impact:
        solution = solve(p)
        return solution.weights if solution.status == SOLVED else None
    answer = candidate(p, CLARABEL)
    return None if answer.weights is None else polish(p, answer.weights).weights


@pytest.mark.parametrize(("impact", "wanted"), [(False, 7), (True, 6)])
def test_map_is_the_derivative_of_the_solvers_optimum(impact, wanted):
    """A small change of alpha, solved again on both sides, moves the book by M times the change: to 1 %, with impact to 2 %.

    Asked wherever the books are optimal and the same names are free on the same side of their kinks; so it is for most."""
    tested = 0
    for seed in range(14):
        rng = np.random.default_rng(seed)
        p = random_problem(rng, 60, impact=impact)
        w = optimum(p)
        direction = rng.standard_normal(p.n) * np.abs(p.alpha).max()
        found = None if w is None else active_set(p, w)
        moved = np.zeros(p.n) if found is None else found.apply(direction)
        largest = float(np.abs(moved).max())
        if found is None or largest < NOTHING or found.stationarity > EXACT[impact]:
            continue
        step = STEP[impact] / largest
        sides = [optimum(replace(p, alpha=p.alpha + sign * step * direction)) for sign in (1, -1)]
        if any(side is None or not same_pieces(p, found, w, side) for side in sides):
            continue
        print("seed", seed, found.binding)
        np.testing.assert_allclose((sides[0] - sides[1]) / (2 * step), moved, atol=(2e-2 if impact else 1e-2) * largest)
        tested += 1
    print("tested", tested)
    assert tested >= wanted


def same_pieces(p: RebalanceProblem, found: ActiveSet, w: np.ndarray, side: np.ndarray) -> bool:
    """Tell whether a neighbouring book has the same active set and the same signs of weights and trades."""
    near = active_set(p, side)
    signs = (np.sign(side) == np.sign(w)) & (np.sign(side - p.w0) == np.sign(w - p.w0))
    return near.binding == found.binding and (near.free == found.free).all() and signs[found.free].all()


def test_a_limit_bought_at_a_price_does_not_hold_the_book():
    """Where turnover gave way it binds no more, yet names kept by its price stay put: the finite difference says the same."""
    tested = 0
    for seed in range(2, 30):
        rng = np.random.default_rng(seed)
        p = random_problem(rng, 50)
        p = replace(p, turnover_max=0.6 * p.turnover_max)
        solution = solve(p)
        if solution.status != RELAXED or "turnover" not in solution.violations:
            continue
        found = active_set(p, solution.weights)
        assert "turnover" not in found.binding
        assert found.at_start.any()
        direction = rng.standard_normal(p.n) * np.abs(p.alpha).max()
        moved = found.apply(direction)
        largest = float(np.abs(moved).max())
        if largest < NOTHING or found.stationarity > EXACT[False]:
            continue
        step = 3e-5 / largest
        sides = [solve(replace(p, alpha=p.alpha + sign * step * direction)).weights for sign in (1, -1)]
        if any(not same_pieces(p, found, solution.weights, side) for side in sides):
            continue
        print("seed", seed)
        np.testing.assert_allclose((sides[0] - sides[1]) / (2 * step), moved, atol=3e-2 * largest)
        tested += 1
        if tested == 3:
            break
    print("tested", tested)
    assert tested >= 2


@pytest.mark.parametrize(
    ("changes", "binding"),
    [
        ({"net_target": 0.3}, "net"),
        ({"short_max": 0.4}, "short"),
        ({"net_target": 0.3, "net_band": 0.05, "short_max": 0.4}, "short"),
    ],
)
def test_targets_and_limits_on_shorts_are_in_the_map(changes, binding):
    """A net target, a limit on shorts, and both: finite differences agree."""
    tested = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        # Sector bands that a neutral book keeps would leave no room for a net target.
        p = without_limits(random_problem(rng, 60, drifted=False))
        p = replace(p, alpha=6 * p.alpha)
        p = replace(p, **changes)
        solution = solve(p)
        if solution.status != SOLVED:
            continue
        found = active_set(p, solution.weights)
        assert binding in found.binding
        direction = rng.standard_normal(p.n) * np.abs(p.alpha).max()
        moved = found.apply(direction)
        largest = float(np.abs(moved).max())
        if largest < NOTHING or found.stationarity > EXACT[False]:
            continue
        step = STEP[False] / largest
        sides = [solve(replace(p, alpha=p.alpha + sign * step * direction)).weights for sign in (1, -1)]
        if any(not same_pieces(p, found, solution.weights, side) for side in sides):
            continue
        print("seed", seed, found.binding)
        np.testing.assert_allclose((sides[0] - sides[1]) / (2 * step), moved, atol=2e-2 * largest)
        tested += 1
    print("tested", tested)
    assert tested >= 3


def test_a_cap_bought_at_a_price_is_no_bound_and_its_hard_one_is():
    """Where caps gave way a name stops at its hard bound, is free between the two, and stops at its cap."""
    p = replace(
        random_problem(np.random.default_rng(92), 3, sectors=1, styles=1, drifted=False),
        net_target=0.3,
        position_lower=np.full(3, -0.1),
        position_upper=np.full(3, 0.1),
        position_lower_hard=np.full(3, -0.2),
        position_upper_hard=np.full(3, 0.2),
        relaxation=("position",),
    )
    found = active_set(p, np.array([0.2, 0.15, 0.1]))
    assert found.at_bound.tolist() == [True, False, True]
    assert found.free.tolist() == [False, True, False]


def test_dead_and_halted_names_do_not_answer():
    """A delisted name and one with equal bounds have zero rows and columns."""
    rng = np.random.default_rng(91)
    p = random_problem(rng, 30, drifted=False)
    w0 = p.w0.copy()
    w0[[2, 5]] = 0.01
    dead = np.zeros(30, dtype=bool)
    dead[2] = True
    lower, upper = p.position_lower.copy(), p.position_upper.copy()
    lower[5] = upper[5] = 0.01
    p = replace(p, w0=w0, dead=dead, position_lower=lower, position_upper=upper)
    solution = solve(p)
    M = active_set(p, solution.weights).apply(np.eye(30))
    assert solution.status != HELD
    assert not M[[2, 5]].any()
    assert not M[:, [2, 5]].any()
    assert M.any()


def test_without_any_risk_nothing_answers_smoothly():
    """A linear problem sits in a corner: the map is zero, and no inverse fails."""
    p = replace(
        pair(), D=np.zeros(2), risk_aversion=0.0, position_upper=np.array([1.0, 0.7]), position_lower=np.array([-1.0, -0.7])
    )
    found = active_set(p, solve(p).weights)
    np.testing.assert_allclose(found.apply(np.eye(2)), 0.0, atol=1e-12)


def test_a_book_of_another_length_or_with_nan_is_refused():
    """What is no book of the problem has no active set."""
    for weights in (np.zeros(3), np.array([0.1, np.nan])):
        with pytest.raises(InputRejected):
            active_set(pair(), weights)
