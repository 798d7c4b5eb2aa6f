"""Goal: each model is credited with what it had the fund hold, and with nothing else. Method: a pair of assets by hand; random
decisions carried by the backtest's own step with drift, delistings, halts and unknown returns; a loop over models and assets as
the twin; leaving a model out of a solved problem."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.alpha import alpha_from_signal
from portfolio.attribution import COST, session_of
from portfolio.book import BookState, TradingCosts
from portfolio.build import build_problem
from portfolio.ladder import HELD, Rung, Solution, solve
from portfolio.mandate import Mandate
from portfolio.ownership import (
    INHERITED,
    OwnedFill,
    Owners,
    by_model,
    carry,
    filled_positions,
    model_alphas,
    model_weights,
    refill,
)
from portfolio.riskmodel import RiskModel
from portfolio.simulate import step
from tests.builders.books import factor_columns, factor_covariance, random_problem, without_limits
from tests.portfolio.test_activeset import PAIRED, pair
from tests.portfolio.test_attribution import random_session

MODELS = ("alice", "bob", "carol")
GROUPS = ("signals", "signals", "classic")


def risk_model(rng: np.random.Generator, n: int) -> RiskModel:
    B, kinds = factor_columns(rng, n, 3, 2)
    return RiskModel(
        tuple(f"f{i}" for i in range(len(kinds))), kinds, B, factor_covariance(rng, kinds), rng.uniform(1e-4, 9e-4, n)
    )


def test_two_models_by_hand():
    """alice likes a over b by 0.012, bob b over a by 0.004; w = 0.008/0.032: alice owns +0.375, bob −0.125 of a.

    A spread of 0.001 on each leg takes 0.0625 off the pair, and that is nobody's."""
    alphas = np.array([[0.006, -0.006], [-0.002, 0.002]])
    p = pair(alpha=alphas.sum(axis=0))
    np.testing.assert_allclose(
        model_weights(p, solve(p), alphas), [[0.375, -0.375], [-0.125, 0.125], [0, 0]], rtol=1e-6, atol=1e-6
    )
    costly = replace(p, half_spread=np.full(2, 0.001))
    found = model_weights(costly, solve(costly), alphas)
    np.testing.assert_allclose(found[:2], alphas @ (PAIRED / 0.032), rtol=1e-6)
    np.testing.assert_allclose(found[2], [-0.0625, 0.0625], atol=1e-6)


def test_alpha_splits_over_its_models():
    """The parts sum to the fund's own alpha as the rebalance problem states it, each free of every factor; silence is zero."""
    print("seed 111")
    rng = np.random.default_rng(111)
    model = risk_model(rng, 40)
    parts = rng.standard_normal((3, 40))
    parts[1] += 7.0
    leaving = np.arange(40) < 4
    mandate = Mandate("m")
    whole = alpha_from_signal(parts.sum(axis=0), model, 0.02, 20)
    found = model_alphas(parts, model, 0.02, 20)
    np.testing.assert_allclose(found.sum(axis=0), whole, atol=1e-12 * np.abs(whole).max())
    assert np.abs(found @ model.B).max() < 1e-10
    problem = build_problem(mandate, model, whole, np.zeros(40), alpha_horizon_sessions=20, equity=1e6, leaving=leaving)
    period = mandate.sessions_per_rebalance
    found = model_alphas(parts, model, 0.02, 20, period_sessions=period, leaving=leaving)
    np.testing.assert_allclose(found.sum(axis=0), problem.alpha, atol=1e-12 * np.abs(whole).max())
    assert not model_alphas(np.ones((3, 40)), model, 0.02, 20).any()


def test_where_nothing_limits_the_models_own_the_whole_book():
    """No costs, no caps, no holdings: only the dollar binds, and the rest is rounding; doubling one model doubles its part."""
    print("seed 112")
    rng = np.random.default_rng(112)
    p = without_limits(random_problem(rng, 30, drifted=False))
    free = {"half_spread": np.zeros(30), "borrow": np.zeros(30), "gross_max": 50.0}
    p = replace(p, position_lower=np.full(30, -9.0), position_upper=np.full(30, 9.0), **free)
    alphas = 0.01 * np.sqrt(p.D) * rng.standard_normal((3, 30))
    p = replace(p, alpha=alphas.sum(axis=0))
    found = model_weights(p, solve(p), alphas)
    np.testing.assert_allclose(found[3], 0.0, atol=1e-6)
    alphas[0] *= 2
    again = replace(p, alpha=alphas.sum(axis=0))
    np.testing.assert_allclose(model_weights(again, solve(again), alphas)[0], 2 * found[0], atol=1e-12)


def test_leaving_a_small_model_out_moves_the_book_by_what_it_owned():
    """Without a model of a thousandth of alpha the solver's book differs by that model's weights; the line of limits stays."""
    tested = 0
    for seed in (0, 1, 3, 4, 6, 7):
        rng = np.random.default_rng(seed)
        p = random_problem(rng, 60)
        small = 1e-3 * np.abs(p.alpha).max() * rng.standard_normal(60)
        solution = solve(p)
        owned = model_weights(p, solution, np.array([p.alpha - small, small]))
        without = solve(replace(p, alpha=p.alpha - small))
        np.testing.assert_allclose(owned.sum(axis=0), solution.weights, atol=1e-12)
        moved = solution.weights - without.weights
        if np.abs(moved - owned[1]).max() <= 0.02 * np.abs(owned[1]).max():
            tested += 1
    # The others crossed a kink: there the map of one side is not that of the other.
    assert tested >= 4


def test_a_held_book_is_inherited_whole():
    """When no book passed, the holdings are nobody's new decision."""
    p = pair(w0=np.array([0.1, -0.1]))
    held = Solution(p.w0, HELD, (Rung("hold", "held", accepted=True),))
    found = model_weights(p, held, np.array([[0.01, -0.01]]))
    assert found.tolist() == [[0.0, 0.0], [0.1, -0.1]]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 25), models=st.integers(0, 3))
def test_model_lines_sum_to_the_change_of_equity(seed, n, models):
    """Nine sessions with three fills, drift, delistings, halts and holes: to 1e-9 of equity, and the dollars to the book's."""
    rng = np.random.default_rng(seed)
    state = BookState(np.arange(n).astype(str), 2e4 * rng.standard_normal(n), 2e6)
    owners = Owners.inheriting(state.positions)
    costs = TradingCosts(0.001, 0.0, 0.02, 0.03)
    for session in range(9):
        overnight, intraday, halted, delisting = random_session(rng, n)
        weights = rng.uniform(-0.05, 0.05, (models + 1, n)) if session % 3 == 1 else None
        target = None if weights is None else weights.sum(axis=0)
        before = state
        state, day = step(before, overnight, intraday, costs, target=target, halted=halted, delisting=delisting)
        returns, fill = session_of(overnight, intraday, delisting), None
        if weights is not None:
            filled = filled_positions(state.positions, returns.intraday, target * day.equity_open)
            fill = OwnedFill(MODELS[:models], GROUPS[:models], weights, filled, day.equity_open)
        owners, lines = by_model(owners, returns, day.costs, fill)
        assert abs(lines.sums[0] - (state.equity - before.equity)) <= 1e-9 * before.equity
        np.testing.assert_allclose(owners.parts.sum(axis=0), state.positions, atol=1e-9 * before.equity)
        costs_line = lines.grouped().values[0, lines.grouped().groups.index(COST)]
        assert costs_line == pytest.approx(-sum(day.costs.values()), abs=1e-9 * before.equity)


def test_each_model_earns_its_own_dollars_by_a_loop():
    """A fill, three days of drift and a delisting: the twin follows every model's dollars in every asset by itself."""
    print("seed 113")
    rng = np.random.default_rng(113)
    n, state = 8, BookState(np.arange(8).astype(str), 1e4 * rng.standard_normal(8), 1e6)
    owners = Owners.inheriting(state.positions)
    weights = rng.uniform(-0.05, 0.05, (4, n))
    twin = np.zeros((3, n))
    halted = np.arange(n) == 2
    for session in range(4):
        overnight, intraday = 0.02 * rng.standard_normal(n), 0.02 * rng.standard_normal(n)
        delisting = np.where((np.arange(n) == 5) & (session == 2), -0.5, np.nan)
        target = weights.sum(axis=0) if session == 0 else None
        state, day = step(state, overnight, intraday, TradingCosts(), target=target, halted=halted, delisting=delisting)
        returns, fill = session_of(overnight, intraday, delisting), None
        if target is not None:
            filled = filled_positions(state.positions, returns.intraday, target * day.equity_open)
            fill = OwnedFill(MODELS, GROUPS, weights, filled, day.equity_open)
        owners, lines = by_model(owners, returns, day.costs, fill)
        expected = np.zeros(3)
        for m in range(3):
            for i in range(n):
                if session == 0:
                    twin[m, i] = 0.0 if halted[i] else weights[m, i] * day.equity_open
                    expected[m] += twin[m, i] * intraday[i]
                    twin[m, i] *= 1 + intraday[i]
                elif i == 5 and session == 2:
                    expected[m] += twin[m, i] * -0.5
                    twin[m, i] = 0.0
                else:
                    night = twin[m, i] * overnight[i]
                    expected[m] += night + (twin[m, i] + night) * intraday[i]
                    twin[m, i] *= (1 + overnight[i]) * (1 + intraday[i])
        found = dict(zip(lines.names, lines.values[0], strict=True))
        assert [found[m] for m in MODELS] == pytest.approx(expected.tolist())
    assert owners.names == (*MODELS, INHERITED)


def test_models_of_two_decisions_share_a_session():
    """On the day of a fill the old decision's models keep the night, those of the new one the day."""
    before = Owners(("alice", "bob", INHERITED), ("signals", "signals", INHERITED), np.array([[100.0], [50.0], [0.0]]))
    returns = session_of(np.array([0.10]), np.array([0.20]))
    fill = OwnedFill(("bob", "carol"), ("signals", "classic"), np.array([[0.1], [0.2], [0.0]]), np.array([300.0]), 1000.0)
    after, lines = by_model(before, returns, {"spread": 1.0}, fill)
    found = dict(zip(lines.names, lines.values[0], strict=True))
    expected = {"alice": 10.0, "bob": 5.0 + 20.0, INHERITED: 0.0, "carol": 40.0, "spread": -1.0}
    assert found == pytest.approx(expected)
    assert after.names == ("bob", "carol", INHERITED)
    np.testing.assert_allclose(after.parts, [[120.0], [240.0], [0.0]], atol=1e-12)


def test_rounding_to_whole_shares_is_nobodys():
    """A fill that misses its target by a share leaves the models' dollars as decided and puts the miss on the inherited line;
    a name that the fill did not touch is inherited whole."""
    parts = np.array([[0.0, 70.0], [0.0, 30.0]])
    found = refill(parts, np.array([95.0, 100.0]), np.array([[0.06, 0.2], [0.04, 0.1]]), 1000.0)
    np.testing.assert_allclose(found, [[60.0, 0.0], [35.0, 100.0]])


def test_a_name_that_was_wanted_and_never_bought_is_owned_by_nobody():
    """Decided at 10 %, not held, not filled: no model has a long there against an inherited short."""
    assert not refill(np.zeros((1, 1)), np.zeros(1), np.array([[0.06], [0.04], [0.0]]), 1000.0).any()


def test_a_name_that_loses_everything_after_the_fill_counts_as_filled():
    """Its close is zero and says nothing of what was bought: the target does."""
    found = filled_positions(np.array([0.0, 55.0]), np.array([-1.0, 0.10]), np.array([40.0, 99.0]))
    np.testing.assert_allclose(found, [40.0, 50.0])


def test_carry_turns_delisted_names_into_cash():
    """Dollars earn the return first, then the name is gone."""
    after, profit = carry(np.array([[100.0, 10.0]]), np.array([-0.4, 0.1]), np.array([True, False]))
    np.testing.assert_allclose(after, [[0.0, 11.0]])
    np.testing.assert_allclose(profit, [-39.0])
