"""Goal: every dollar of a backtest can be recomputed. Method: sessions worked out by hand, a plain per-asset loop as an
independent twin, and the identity net − gross = −costs on random histories with every friction."""

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio.book import BookState, Liquidity, TradingCosts, costs_of
from portfolio.mandate import Mandate
from portfolio.simulate import COST_KINDS, backtest, collect, step
from tests.builders.books import random_paths

IDS = np.array(["a", "b", "c"])


def book(positions, cash: float) -> BookState:
    return BookState(IDS[: len(positions)], np.array(positions, dtype=float), cash)


def test_one_session_by_hand():
    """100 in cash, half long a, half short b; a gains 2 % after the open; spread 10 bp; yearly fee 252 bp, interest 504 bp."""
    costs = TradingCosts(half_spread=0.001, borrow_per_year=0.0252, cash_per_year=0.0504)
    target = np.array([0.5, -0.5])
    state, day = step(book([0, 0], 100.0), np.zeros(2), np.array([0.02, 0.0]), costs, target=target)
    assert day.costs["spread"] == pytest.approx(0.1)
    assert day.gross_pnl == pytest.approx(1.0)
    assert day.costs["borrow"] == pytest.approx(50 * 0.0252 / 252)
    assert day.costs["interest"] == pytest.approx(-(100 - 0.1) * 0.0504 / 252)
    assert state.equity == pytest.approx(100 - 0.1 + 1.0 - 0.005 + 0.01998)
    assert day.traded == pytest.approx(100.0)
    assert day.equity == pytest.approx(100 + day.net_pnl)


def test_target_is_a_share_of_equity_at_the_open():
    """A position of 100 that gains 10 % overnight makes equity 110; a target of 0.5 sells it to 55."""
    state, day = step(book([100.0], 0.0), np.array([0.10]), np.array([0.0]), TradingCosts(), target=np.array([0.5]))
    assert day.equity_open == pytest.approx(110)
    assert state.positions[0] == pytest.approx(55)
    assert state.cash == pytest.approx(55)


def test_impact_follows_the_square_root_law():
    """Coefficient 0.5, σ 2 %, a trade of 40,000 in a volume of 1,000,000 costs 0.5 · 0.02 · 40,000 · √0.04 = 80."""
    liquidity = Liquidity(np.array([1e6]), np.array([0.02]))
    costs = TradingCosts(impact_coefficient=0.5)
    _, day = step(book([0], 1e5), np.zeros(1), np.zeros(1), costs, target=np.array([0.4]), liquidity=liquidity)
    assert day.costs["impact"] == pytest.approx(80.0)


def test_a_name_without_volume_is_not_traded_when_impact_is_charged():
    """NaN and zero volume leave the name as it is, and it is counted as unfilled."""
    liquidity = Liquidity(np.array([np.nan, 0.0, 1e6]), np.full(3, 0.02))
    costs = TradingCosts(impact_coefficient=0.5)
    state, day = step(book([0, 0, 0], 1e5), np.zeros(3), np.zeros(3), costs, target=np.full(3, 0.1), liquidity=liquidity)
    assert state.positions.tolist() == [0.0, 0.0, pytest.approx(1e4)]
    assert day.unfilled == 2


def test_delisting_closes_a_long_and_a_short_into_cash():
    """A long of 100 at −40 % becomes 60 of cash, a short of 50 at −100 % costs nothing to close; nights are ignored."""
    delisting = np.array([-0.4, -1.0, np.nan])
    night = np.array([0.5, np.nan, 0.01])
    state, day = step(book([100, -50, 10], 0.0), night, np.zeros(3), TradingCosts(half_spread=0.01), delisting=delisting)
    assert state.positions.tolist() == [0.0, 0.0, pytest.approx(10.1)]
    assert state.cash == pytest.approx(60.0)
    assert [(close.asset, close.value) for close in day.forced_closes] == [(0, pytest.approx(60.0)), (1, pytest.approx(0.0))]
    assert day.gross_pnl == pytest.approx(-40 + 50 + 0.1)
    assert day.costs["spread"] == 0.0


def test_a_target_in_a_name_delisted_this_morning_is_not_bought():
    """The name is gone: nothing is bought, the miss is counted."""
    state, day = step(
        book([0, 0], 100.0),
        np.zeros(2),
        np.zeros(2),
        TradingCosts(),
        target=np.array([0.5, -0.5]),
        delisting=np.array([0.0, np.nan]),
    )
    assert state.positions.tolist() == [0.0, -50.0]
    assert day.unfilled == 1


@pytest.mark.parametrize("how", ["halted", "no return"])
def test_a_halted_name_is_frozen(how):
    """A halted name, or one without a return, keeps its dollars; the others reach their targets."""
    night = np.array([np.nan if how == "no return" else 0.0, 0.0])
    halted = np.array([how == "halted", False])
    state, day = step(book([30, 0], 70), night, np.zeros(2), TradingCosts(), target=np.array([0.0, 0.5]), halted=halted)
    assert state.positions.tolist() == [30.0, 50.0]
    assert day.unfilled == 1


def test_an_account_without_equity_is_liquidated():
    """A short that rises eightfold leaves −60: the book is closed, not traded further, and says so."""
    state, day = step(book([0, -20], 100.0), np.array([0.0, 7.0]), np.zeros(2), TradingCosts(), target=np.array([0.5, -0.5]))
    assert day.bankrupt
    assert state.positions.tolist() == [0.0, 0.0]
    assert state.cash == pytest.approx(-60.0)


def everything(rng: np.random.Generator, sessions: int = 90, n: int = 25):
    """Return the arguments of a backtest with every friction."""
    overnight, intraday = random_paths(rng, sessions, n)
    traded = rng.random((sessions, n)) > 0.02
    overnight[~traded] = 0.0
    intraday[~traded] = 0.0
    rows = np.where(rng.random(n) < 0.2, rng.integers(1, sessions, n), -1)
    gone = (rows >= 0) & (np.arange(sessions)[:, None] >= rows)
    overnight[gone], intraday[gone], traded[gone] = np.nan, np.nan, False
    targets, liquidity = {}, {}
    for row in range(0, sessions, 5):
        w = rng.standard_normal(n)
        w -= w.mean()
        targets[row] = 2.0 * w / np.abs(w).sum()
        liquidity[row] = Liquidity(10 ** rng.uniform(6, 8, n), rng.uniform(0.01, 0.04, n))
    costs = TradingCosts(rng.uniform(2e-4, 1e-3, n), 0.5, 0.01, 0.02)
    extras = {
        "traded": traded,
        "delisting_rows": rows,
        "delisting_returns": rng.uniform(-1, 0.1, n),
        "liquidity": liquidity,
    }
    return (overnight, intraday, targets, costs), extras


def plain_loop(arguments, extras, capital: float) -> list[float]:
    """Carry one asset after the other through each session in plain Python; return the equity at each close."""
    overnight, intraday, targets, costs = arguments
    n, cash, held, out = overnight.shape[1], capital, [0.0] * overnight.shape[1], []
    for t in range(overnight.shape[0]):
        gone = [extras["delisting_rows"][i] == t for i in range(n)]
        for i in range(n):
            if gone[i]:
                cash += held[i] * (1 + extras["delisting_returns"][i])
                held[i] = 0.0
            elif overnight[t, i] == overnight[t, i]:
                held[i] *= 1 + overnight[t, i]
        equity = cash + sum(held)
        if t in targets:
            for i in range(n):
                if not extras["traded"][t, i] or gone[i]:
                    continue
                trade = targets[t][i] * equity - held[i]
                size, liquid = abs(trade), extras["liquidity"][t]
                impact = costs.impact_coefficient * liquid.sigma[i] * size * (size / liquid.adv_dollars[i]) ** 0.5
                cash -= trade + costs.half_spread[i] * size + impact
                held[i] += trade
        for i in range(n):
            if intraday[t, i] == intraday[t, i]:
                held[i] *= 1 + intraday[t, i]
        shorts = -sum(min(0.0, h) for h in held)
        cash += cash * costs.cash_per_year / 252 - shorts * costs.borrow_per_year / 252
        out.append(cash + sum(held))
    return out


def test_twin_equals_a_plain_loop():
    """On six random histories with every friction the equity equals a per-asset Python loop to 1e-12 relative."""
    print("seed 41")
    rng = np.random.default_rng(41)
    for _ in range(6):
        arguments, extras = everything(rng)
        result = backtest(*arguments, initial=1e6, **extras)
        np.testing.assert_allclose(result.equity, plain_loop(arguments, extras, 1e6), rtol=1e-12)


def test_net_less_gross_is_the_booked_costs():
    """Equity changes by gross profit less booked costs to 1e-9 of capital, session by session and in sum."""
    print("seed 42")
    rng = np.random.default_rng(42)
    for _ in range(20):
        arguments, extras = everything(rng)
        result = backtest(*arguments, initial=1.0, **extras)
        change = np.diff(result.equity, prepend=1.0)
        np.testing.assert_allclose(change - result.gross_pnl, -result.total_costs, atol=1e-12)
        assert abs(result.equity[-1] - result.gross_equity[-1] + result.total_costs.sum()) <= 1e-9
        assert all((result.costs[kind] >= 0).all() for kind in ("spread", "impact", "borrow"))
        assert set(result.costs) == set(COST_KINDS)


def test_living_session_by_session_equals_the_whole_backtest():
    """Storing the book after each session and continuing it over a shuffled universe changes nothing but rounding."""
    print("seed 43")
    rng = np.random.default_rng(43)
    arguments, extras = everything(rng, sessions=40)
    overnight, intraday, targets, costs = arguments
    n = overnight.shape[1]
    ids = np.array([f"asset{i:03d}" for i in range(n)])
    stored, records = BookState.opening(ids, 1e6).to_arrays(), []
    for t in range(overnight.shape[0]):
        order = rng.permutation(n)
        state = BookState.from_arrays(stored).reindexed(ids[order])
        event = np.where(extras["delisting_rows"] == t, extras["delisting_returns"], np.nan)[order]
        liquid = extras["liquidity"].get(t)
        state, record = step(
            state,
            overnight[t][order],
            intraday[t][order],
            TradingCosts(costs.half_spread[order], costs.impact_coefficient, costs.borrow_per_year, costs.cash_per_year),
            target=targets[t][order] if t in targets else None,
            halted=~extras["traded"][t][order],
            delisting=event,
            liquidity=Liquidity(liquid.adv_dollars[order], liquid.sigma[order]) if liquid else None,
        )
        records.append(record)
        stored = state.to_arrays()
    whole = backtest(*arguments, initial=1e6, **extras)
    pieces = collect(1e6, records)
    np.testing.assert_allclose(pieces.equity, whole.equity, rtol=1e-12)
    assert sum(len(r.forced_closes) for r in records) == len(whole.forced_closes)


def test_a_held_asset_is_never_lost_by_reindexing():
    """Moving to a universe without a held asset is refused by its name; without a position it is fine."""
    state = book([1.0, 0.0, 2.0], 5.0)
    with pytest.raises(InputRejected, match="holds a,") as caught:
        state.reindexed(np.array(["b", "c"]))
    assert caught.value.code == Code.PROBLEM_INVALID
    moved = state.reindexed(np.array(["c", "d", "a"]))
    assert moved.positions.tolist() == [2.0, 0.0, 1.0]
    assert moved.equity == state.equity


def test_no_trade_no_cost_and_weights_are_kept_on_request():
    """Without targets nothing happens to cash; weights are there only when asked for."""
    overnight, intraday = random_paths(np.random.default_rng(5), 10, 4)
    result = backtest(overnight, intraday, {}, TradingCosts(half_spread=0.1), initial=7.0)
    assert result.equity.tolist() == [7.0] * 10
    assert result.weights is None
    kept = backtest(overnight, intraday, {0: np.full(4, 0.25)}, TradingCosts(), keep_weights=True)
    assert kept.weights.shape == (10, 4)
    np.testing.assert_allclose(kept.long_exposure, kept.weights.sum(axis=1))


def test_costs_of_a_mandate_are_whole_and_not_amortized():
    """Five basis points of the mandate are 0.0005 in the backtest, whatever the holding period."""
    costs = costs_of(Mandate("m", half_spread_bps=5.0, borrow_bps_per_year=50.0, impact_coefficient=0.3))
    assert costs == TradingCosts(0.0005, 0.3, 0.005, 0.0)


@pytest.mark.parametrize(
    "spoil",
    [
        {"targets": {9: np.zeros(2)}},
        {"targets": {0: np.zeros(3)}},
        {"targets": {0: np.array([np.nan, 0.0])}},
        {"traded": np.ones((2, 2), bool)},
        {"delisting_rows": np.zeros(2, int)},
        {"delisting_rows": np.zeros(2, int), "delisting_returns": np.array([np.nan, 0.0])},
        {"costs": TradingCosts(impact_coefficient=0.1), "targets": {0: np.zeros(2)}},
    ],
)
def test_arguments_that_do_not_fit_are_refused(spoil):
    """Rows outside, wrong lengths, NaN targets, masks of another shape, half a delisting, impact without volume."""
    given = {"targets": {}, "costs": TradingCosts(), **spoil}
    with pytest.raises(InputRejected) as caught:
        backtest(np.zeros((3, 2)), np.zeros((3, 2)), **given)
    assert caught.value.code == Code.PROBLEM_INVALID
