"""Goal: a verified book or a recorded hold, whatever comes in. Method: random and broken problems through ``solve``, every
limit measured again here with plain NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio.ladder import HELD, RELAXED, SOLVED, Solution, solve
from portfolio.problem import RebalanceProblem
from tests.builders.books import random_problem

NEVER_RELAXED = {"net", "position", "dead", "beta", "market", "short"}
"""Not without a hard figure, that is."""


def measure(p: RebalanceProblem, w: np.ndarray) -> dict[str, float]:
    """Return the excess over every limit, written down here independently of portfolio.verify."""
    live = ~p.dead
    e = p.B[live].T @ w[live]
    out = {
        "net": abs(w[live].sum() - p.net_target) - p.net_band - 1e-9,
        "short": -np.minimum(w[live], 0).sum() - p.short_max - 1e-9,
        "gross": np.abs(w[live]).sum() - p.gross_max - 1e-9,
        "position": np.max(np.maximum(w - p.position_upper, p.position_lower - w)[live], initial=0.0) - 1e-9,
        "dead": np.abs(w[p.dead]).max(initial=0.0),
        "turnover": np.abs(w - p.w0)[live].sum() - p.turnover_max - 1e-8,
    }
    if np.isfinite(p.volatility_max):
        variance = float(e @ p.F @ e + w[live] @ (p.D[live] * w[live]))
        out["volatility"] = max(variance, 0.0) ** 0.5 - p.volatility_max - 1e-8
    for i, kind in enumerate(p.factor_kinds):
        over = max(e[i] - p.exposure_upper[i], p.exposure_lower[i] - e[i]) - 1e-8
        out[kind] = max(out.get(kind, -1.0), over)
    return {name: float(value) for name, value in out.items() if value > 0}


def judge(p: RebalanceProblem) -> str:
    """Solve, check what every solution promises, return the status."""
    return judged(p).status


def judged(p: RebalanceProblem) -> Solution:
    """Solve, check what every solution promises, return the solution."""
    solution = solve(p)
    assert np.isfinite(solution.weights).all()
    assert solution.rungs[-1].accepted
    assert not any(rung.accepted for rung in solution.rungs[:-1])
    broken = measure(p, solution.weights) if solution.status != HELD else {}
    if solution.status == SOLVED:
        assert broken == {}
    elif solution.status == RELAXED:
        assert set(broken) == set(solution.violations)
        assert not (set(broken) - set(p.room)) & (
            NEVER_RELAXED if p.position_lower_hard is None else NEVER_RELAXED - {"position"}
        )
        assert set(broken) <= set(p.relaxation)
        assert all(broken[word] <= p.room.get(word, np.inf) + 1e-8 for word in broken)
    else:
        np.testing.assert_array_equal(solution.weights, np.where(p.dead, 0.0, p.w0))
        assert solution.rungs[-1].reason
    return solution


def test_random_problems_leave_verified_or_held():
    """120 problems, a third of them with impact, some with dead names: no book leaves unverified."""
    print("seed 20")
    rng = np.random.default_rng(20)
    statuses = []
    for i in range(120):
        p = random_problem(rng, int(rng.integers(8, 90)), impact=i % 3 == 0, drifted=i % 4 != 0)
        if i % 5 == 0:
            p = replace(p, dead=rng.random(p.n) < 0.2)
        statuses.append(judge(p))
    print({status: statuses.count(status) for status in set(statuses)})
    assert statuses.count(SOLVED) > 60


def scaled(p: RebalanceProblem, factor: float) -> RebalanceProblem:
    money = ("alpha", "half_spread", "impact", "borrow", "D", "F")
    return replace(p, **{name: getattr(p, name) * factor for name in money})


def poisoned(name: str, value: float):
    def spoil(p: RebalanceProblem) -> RebalanceProblem:
        array = getattr(p, name).copy()
        array.flat[0] = value
        return replace(p, **{name: array})

    return spoil


def far_from_everything(p: RebalanceProblem) -> RebalanceProblem:
    return replace(p, w0=np.full(p.n, 1.5 / p.n), turnover_max=0.01)


def no_room(p: RebalanceProblem) -> RebalanceProblem:
    return replace(p, position_lower=np.full(p.n, 0.01), position_upper=np.full(p.n, 0.02))


def tied(p: RebalanceProblem) -> RebalanceProblem:
    held = np.abs(p.w0) + 0.001
    return replace(p, w0=held, position_lower=held, position_upper=held)


PATHOLOGIES = {
    "turnover cannot reach neutrality": (far_from_everything, {RELAXED}),
    "every name must be long": (no_room, {HELD}),
    "every name pinned, not neutral": (tied, {HELD}),
    "singular covariance": (lambda p: replace(p, F=np.outer(p.F[0], p.F[0]), D=np.zeros(p.n)), {SOLVED, RELAXED}),
    "no risk at all": (lambda p: replace(p, F=p.F * 0, D=p.D * 0), {SOLVED, RELAXED}),
    "eigenvalue negative by rounding": (lambda p: replace(p, F=p.F - 1e-10 * np.eye(len(p.F)) * p.F.max()), {SOLVED, RELAXED}),
    "eigenvalue truly negative": (lambda p: replace(p, F=p.F - np.eye(len(p.F))), {HELD}),
    "money a trillionth": (lambda p: scaled(p, 1e-12), {SOLVED, RELAXED}),
    "money a trillionfold": (lambda p: scaled(p, 1e12), {SOLVED, RELAXED}),
    "variance a trillionfold": (lambda p: replace(p, D=p.D * 1e12, F=p.F * 1e12), {SOLVED, RELAXED, HELD}),
    "alpha a trillionfold": (lambda p: replace(p, alpha=p.alpha * 1e12), {SOLVED, RELAXED, HELD}),
    "exposures a trillionfold": (lambda p: replace(p, B=p.B * 1e12), {SOLVED, RELAXED, HELD}),
    "equal alpha": (lambda p: replace(p, alpha=np.full(p.n, 0.01)), {SOLVED, RELAXED}),
    "nothing may be held": (lambda p: replace(p, gross_max=0.0), {SOLVED, RELAXED, HELD}),
    "nothing may be traded": (lambda p: replace(p, turnover_max=0.0), {SOLVED, RELAXED, HELD}),
    "all dead": (lambda p: replace(p, dead=np.ones(p.n, bool)), {SOLVED}),
    "NaN in alpha": (poisoned("alpha", np.nan), {HELD}),
    "infinite alpha": (poisoned("alpha", np.inf), {HELD}),
    "NaN in B": (poisoned("B", np.nan), {HELD}),
    "NaN in F": (poisoned("F", np.nan), {HELD}),
    "infinite D": (poisoned("D", np.inf), {HELD}),
    "negative D": (poisoned("D", -1.0), {HELD}),
    "NaN in a cost": (poisoned("half_spread", np.nan), {HELD}),
    "net beyond every cap": (lambda p: replace(p, net_target=p.n * 0.5, gross_max=100.0), {HELD}),
    "a neutral book without shorts": (lambda p: replace(p, short_max=0.0, turnover_max=9.0), {SOLVED, RELAXED}),
    "no volatility allowed": (lambda p: replace(p, volatility_max=0.0), {RELAXED, HELD}),
    "gross is NaN": (lambda p: replace(p, gross_max=np.nan), {HELD}),
    "a negative room": (lambda p: replace(p, room={"turnover": -1.0}), {HELD}),
    "hard bounds inside the soft ones": (
        lambda p: replace(p, position_lower_hard=p.position_lower / 2, position_upper_hard=p.position_upper / 2),
        {HELD},
    ),
    "negative borrow": (poisoned("borrow", -1e-4), {HELD}),
}


@pytest.mark.parametrize("name", PATHOLOGIES)
def test_pathological_problem_never_raises(name):
    """Each broken problem ends in a state that is allowed for it."""
    spoil, allowed = PATHOLOGIES[name]
    assert judge(spoil(random_problem(np.random.default_rng(7), 24))) in allowed


def test_one_asset_cannot_be_neutral_and_stays_flat():
    """A universe of one asset gives an empty book, not an error."""
    p = random_problem(np.random.default_rng(3), 1, drifted=False)
    solution = solve(p)
    assert solution.status == SOLVED
    assert abs(solution.weights[0]) < 1e-12


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_holdings_that_are_not_finite_are_a_callers_mistake(value):
    """NaN in w0 raises with the name of the array, because the ledger can never hold it."""
    with pytest.raises(InputRejected) as caught:
        solve(poisoned("w0", value)(random_problem(np.random.default_rng(1), 5)))
    assert caught.value.code == Code.PROBLEM_INVALID
    assert caught.value.findings[0].column == "w0"


def test_wrong_shapes_are_all_reported():
    """Two arrays of wrong shape give two findings at once."""
    p = random_problem(np.random.default_rng(1), 5)
    with pytest.raises(InputRejected) as caught:
        solve(replace(p, alpha=np.zeros(4), F=np.zeros((2, 2))))
    assert {f.column for f in caught.value.findings} == {"alpha", "F"}


def test_dead_names_are_closed_and_do_not_use_turnover():
    """With no turnover allowed at all the dead name is still closed, and nothing else moves."""
    w0 = np.array([0.1, -0.1, 0.3, 0.0])
    p = random_problem(np.random.default_rng(2), 4, drifted=False)
    wide = np.full(len(p.factor_kinds), np.inf)
    p = replace(
        p, w0=w0, dead=np.array([False, False, True, False]), turnover_max=0.0, exposure_lower=-wide, exposure_upper=wide
    )
    solution = solve(p)
    np.testing.assert_allclose(solution.weights, [0.1, -0.1, 0.0, 0.0], atol=1e-9)


def test_relaxation_follows_the_declared_order():
    """A contradiction between turnover and neutrality relaxes turnover alone; without permission the book is held."""
    p = far_from_everything(random_problem(np.random.default_rng(7), 24))
    solution = solve(p)
    assert set(solution.violations) == {"turnover"}
    assert solve(replace(p, relaxation=())).status == HELD
    relaxed = solve(replace(p, relaxation=("style", "turnover")))
    assert [r.name for r in relaxed.rungs if r.name.startswith("relax:style:")]
    assert relaxed.status == RELAXED


def test_frozen_names_keep_their_weight_to_the_bit():
    """A pinned name leaves with exactly the weight that it had, also where that was never a round number."""
    p = random_problem(np.random.default_rng(11), 40)
    pinned = np.zeros(p.n, bool)
    pinned[:3] = True
    lower, upper = np.where(pinned, p.w0, p.position_lower), np.where(pinned, p.w0, p.position_upper)
    solution = solve(replace(p, position_lower=lower, position_upper=upper, turnover_max=2.0))
    assert solution.status == SOLVED
    np.testing.assert_array_equal(solution.weights[pinned], p.w0[pinned])
