"""Goal: attributed lines sum to the profit, and each is what it says. Method: a session by hand; random books with drift,
delistings, halts and unknown returns, carried by the backtest's own step; a plain loop over assets as the twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdalpha.errors import InputRejected
from portfolio.attribution import (
    COST,
    SPECIFIC,
    TRADING,
    Lines,
    by_factor,
    carino_linked,
    session_of,
    stacked,
)
from portfolio.book import BookState, Liquidity, TradingCosts
from portfolio.simulate import step
from tests.builders.books import random_paths

KINDS = ("market", "sector", "sector", "country", "style")
NAMES = ("market", "energy", "banks", "us", "size")


def test_one_session_by_hand():
    """Long 60 of a, short 40 of b; the factor made 1 %, exposures 1 and 0.5; a +3 %, b +1 %; 0.2 of spread.

    Factor: (60 − 20)·0.01 = 0.4. Held: 1.8 − 0.4 = 1.4, so specific 1.0. Booked 1.5, so trades made 0.1."""
    lines = by_factor(
        np.array([60.0, -40.0]),
        session_of(np.array([0.03, 0.0]), np.array([0.0, 0.01])),
        np.array([[1.0], [0.5]]),
        np.array([0.01]),
        ("market",),
        ("market",),
        gross_pnl=1.5,
        costs={"spread": 0.2, "interest": -0.05},
    )
    found = dict(zip(lines.names, lines.values[0], strict=True))
    expected = {"market": 0.4, SPECIFIC: 1.0, TRADING: 0.1, "spread": -0.2, "interest": 0.05}
    assert found == pytest.approx(expected)
    assert lines.sums[0] == pytest.approx(1.5 - 0.15)
    assert lines.grouped().names == ("market", SPECIFIC, TRADING, COST)
    assert lines.grouped().values[0, -1] == pytest.approx(-0.15)


def random_session(rng: np.random.Generator, n: int):
    """Return returns with holes, a halt mask and delistings of a few names."""
    overnight, intraday = (path[0] for path in random_paths(rng, 1, n))
    overnight[rng.random(n) < 0.1] = np.nan
    intraday[rng.random(n) < 0.1] = np.nan
    delisting = np.where(rng.random(n) < 0.08, rng.choice([-1.0, -0.4, 0.1], n), np.nan)
    return overnight, intraday, rng.random(n) < 0.1, delisting


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), hostile=st.booleans())
def test_factor_lines_sum_to_the_change_of_equity(seed, n, hostile):
    """Eight sessions of a drifting book, three of them filled: each sums to the change of equity to 1e-9 of it."""
    rng = np.random.default_rng(seed)
    state = BookState(np.arange(n).astype(str), 2e4 * rng.standard_normal(n), 2e6)
    costs = TradingCosts(0.001, 0.5, 0.02, 0.03)
    liquidity = Liquidity(np.full(n, 1e8), np.full(n, 0.02))
    for session in range(8):
        overnight, intraday, halted, delisting = random_session(rng, n)
        target = rng.uniform(-0.05, 0.05, n) if session % 3 == 0 else None
        before = state
        state, day = step(
            before, overnight, intraday, costs, target=target, halted=halted, delisting=delisting, liquidity=liquidity
        )
        B, f = rng.standard_normal((n, 5)), 0.01 * rng.standard_normal(5)
        if hostile:
            B[rng.random(n) < 0.2] = np.nan
            f[0] = np.nan
        returns = session_of(overnight, intraday, delisting)
        lines = by_factor(before.positions, returns, B, f, NAMES, KINDS, gross_pnl=day.gross_pnl, costs=day.costs)
        assert np.isfinite(lines.values).all()
        assert abs(lines.sums[0] - (state.equity - before.equity)) <= 1e-9 * before.equity
        assert abs(lines.grouped().sums[0] - lines.sums[0]) <= 1e-9 * before.equity


def test_each_factor_line_is_a_loop_over_assets():
    """Exposure dollars times factor return, asset by asset; trading is each trade times its return to the close."""
    print("seed 101")
    rng = np.random.default_rng(101)
    n = 12
    state = BookState(np.arange(n).astype(str), 1e4 * rng.standard_normal(n), 1e6)
    overnight, intraday = (path[0] for path in random_paths(rng, 1, n))
    target = rng.uniform(-0.05, 0.05, n)
    after, day = step(state, overnight, intraday, TradingCosts(), target=target)
    B, f = rng.standard_normal((n, 5)), 0.01 * rng.standard_normal(5)
    lines = by_factor(
        state.positions, session_of(overnight, intraday), B, f, NAMES, KINDS, gross_pnl=day.gross_pnl, costs=day.costs
    )
    for k in range(5):
        assert lines.values[0, k] == pytest.approx(sum(state.positions[i] * B[i, k] * f[k] for i in range(n)))
    total = (1 + overnight) * (1 + intraday) - 1
    specific = sum(state.positions[i] * (total[i] - B[i] @ f) for i in range(n))
    assert lines.values[0, 5] == pytest.approx(specific)
    trade = after.positions / (1 + intraday) - state.positions * (1 + overnight)
    assert lines.values[0, 6] == pytest.approx(float(trade @ intraday), abs=1e-9)


def test_without_a_trade_there_is_no_trading_line_and_without_exposure_no_factor_line():
    """A held book earns by factors and specific alone; an asset outside the model is all specific."""
    print("seed 102")
    rng = np.random.default_rng(102)
    state = BookState(np.arange(6).astype(str), 1e4 * rng.standard_normal(6), 1e6)
    overnight, intraday = (path[0] for path in random_paths(rng, 1, 6))
    _, day = step(state, overnight, intraday, TradingCosts())
    outside = np.full((6, 5), np.nan)
    lines = by_factor(
        state.positions,
        session_of(overnight, intraday),
        outside,
        np.ones(5),
        NAMES,
        KINDS,
        gross_pnl=day.gross_pnl,
        costs={},
    )
    np.testing.assert_allclose(lines.values[0], [0, 0, 0, 0, 0, day.gross_pnl, 0], atol=1e-6)


def test_carino_by_hand_and_against_growth():
    """Two sessions by hand: +50 % and −20 % link to +20 %, each by its logarithm's share; a single session is itself."""
    lines, before = np.array([[50.0, 0.0], [0.0, -30.0]]), np.array([100.0, 150.0])
    k = np.log(1.2) / 0.2
    expected = [0.5 * np.log(1.5) / 0.5 / k, -0.2 * np.log(0.8) / -0.2 / k]
    np.testing.assert_allclose(carino_linked(lines, before), expected, rtol=1e-14)
    assert sum(expected) == pytest.approx(0.2)
    np.testing.assert_allclose(carino_linked(lines[:1], before[:1]), [0.5, 0.0], rtol=1e-15)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), sessions=st.integers(0, 1500), size=st.sampled_from([0.0, 1e-12, 1e-4, 0.02, 0.2]))
def test_linked_lines_sum_to_the_total_return(seed, sessions, size):
    """To 1e-12 of the growth, also for tiny returns, a still book, no session at all, and a total of nearly zero."""
    rng = np.random.default_rng(seed)
    shares = size * rng.standard_normal((sessions, 7)) / 3
    returns = np.maximum(shares.sum(axis=1), -0.9)
    shares[:, 0] += returns - shares.sum(axis=1)
    equity = 1e8 * np.cumprod(np.concatenate([[1.0], 1.0 + shares.sum(axis=1)]))
    linked = carino_linked(shares * equity[:-1, None], equity[:-1])
    growth = float(np.prod(1.0 + shares.sum(axis=1)))
    assert abs(linked.sum() - (growth - 1.0)) <= 1e-12 * max(1.0, growth, float(np.abs(linked).sum()))


def test_linking_says_nothing_of_a_ruined_fund():
    """Equity at or below zero, or a loss of everything, gives NaN and no error; a wrong length is refused."""
    assert np.isnan(carino_linked(np.ones((2, 3)), np.array([1.0, 0.0]))).all()
    assert np.isnan(carino_linked(np.array([[-1.0, 0.0]]), np.array([1.0]))).all()
    with pytest.raises(InputRejected):
        carino_linked(np.ones((2, 3)), np.ones(3))


def test_stacked_sessions_keep_lines_that_come_and_go():
    """A line of one session is zero in the others; equal names of two groups stay apart; sums are kept."""
    first = Lines(("a", "b"), ("signals", "signals"), np.array([[1.0, 2.0]]))
    second = Lines(("b", "a"), ("classic", "signals"), np.array([[5.0, 3.0], [7.0, 4.0]]))
    both = stacked([first, second])
    assert list(zip(both.groups, both.names, strict=True)) == [("signals", "a"), ("signals", "b"), ("classic", "b")]
    assert both.values.tolist() == [[1, 2, 0], [3, 0, 5], [4, 0, 7]]
    assert both.sums.tolist() == [3, 8, 11]
    assert both.grouped().values.tolist() == [[3, 0], [3, 5], [4, 7]]
    assert stacked([]).values.shape == (0, 0)


def test_lines_without_a_name_are_refused():
    """One name and one group for each column."""
    with pytest.raises(InputRejected):
        Lines(("a",), ("x",), np.zeros((3, 2)))
