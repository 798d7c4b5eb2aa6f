"""Goal: carrying a book through a stretch of sessions at once changes nothing. Method: the plain twin `step`, applied session
by session, on random paths with every friction, halts, gaps, delistings and ruin, for fills at the open and at the close."""

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio import stretches
from portfolio.book import BookState, Liquidity, TradingCosts
from portfolio.simulate import COST_KINDS, backtest, collect, step
from tests.builders.books import random_paths


def hard_life(rng: np.random.Generator, *, ruin: bool = False):
    """Return the arguments of a backtest in which anything may happen, and its keyword arguments."""
    sessions, n = int(rng.integers(1, 80)), int(rng.integers(1, 40))
    overnight, intraday = random_paths(rng, sessions, n)
    if ruin:
        overnight[rng.random((sessions, n)) < 0.02] = 4.0
        intraday[rng.random((sessions, n)) < 0.01] = 4.0
    overnight[rng.random((sessions, n)) < 0.01] = -1.0
    traded = rng.random((sessions, n)) > 0.05
    overnight[rng.random((sessions, n)) < 0.03] = np.nan
    intraday[rng.random((sessions, n)) < 0.03] = np.nan
    rows = np.where(rng.random(n) < 0.3, rng.integers(0, sessions, n), -1)
    after = (rows >= 0) & (np.arange(sessions)[:, None] >= rows)
    overnight[after], intraday[after], traded[after] = np.nan, np.nan, False
    due = rng.random(sessions) < rng.choice([0.05, 0.2, 1.0])
    targets, liquidity = {}, {}
    for row in np.flatnonzero(due):
        w = rng.standard_normal(n) * (rng.random(n) < 0.7)
        targets[int(row)] = rng.uniform(0.5, 6.0 if ruin else 2.0) * w / max(np.abs(w).sum(), 1e-9)
        adv = np.where(rng.random(n) < 0.05, np.nan, 10 ** rng.uniform(5, 8, n))
        liquidity[int(row)] = Liquidity(adv, rng.uniform(0.01, 0.04, n))
    costs = TradingCosts(rng.uniform(2e-4, 1e-3, n), 0.5, 0.02, 0.03)
    held = np.where(rng.random(n) < 0.5, rng.standard_normal(n) * 1e5, 0.0)
    extras = {
        "initial": BookState(np.array([f"asset{i}" for i in range(n)]), held, 1e6),
        "traded": traded,
        "delisting_rows": rows,
        "delisting_returns": rng.uniform(-1, 0.5, n),
        "liquidity": liquidity,
    }
    return (overnight, intraday, targets, costs), extras


def session_by_session(arguments, extras, fill):
    """Apply `step` to each session; return the result and the weights at each close."""
    overnight, intraday, targets, costs = arguments
    state = extras["initial"]
    start, records, weights = state.equity, [], []
    for row in range(len(overnight)):
        state, record = step(
            state,
            overnight[row],
            intraday[row],
            costs,
            target=targets.get(row),
            halted=~extras["traded"][row],
            delisting=np.where(extras["delisting_rows"] == row, extras["delisting_returns"], np.nan),
            liquidity=extras["liquidity"].get(row),
            fill=fill,
        )
        records.append(record)
        weights.append(state.weights)
    return collect(start, records, final=state, weights=np.array(weights))


def assert_same(fast, plain, rtol=1e-12):
    """Compare everything that a result holds, relative to the largest amount that the books ever held."""
    largest = max(1.0, float(np.abs(plain.long_exposure * plain.equity).max()), float(np.abs(plain.equity).max()), 1e6)
    for name in ("equity", "gross_pnl"):
        np.testing.assert_allclose(getattr(fast, name), getattr(plain, name), rtol=rtol, atol=rtol * largest, err_msg=name)
    for kind in COST_KINDS:
        np.testing.assert_allclose(fast.costs[kind], plain.costs[kind], rtol=rtol, atol=rtol * largest, err_msg=kind)
    # A fraction of an equity near zero magnifies rounding by as much as it magnifies the book.
    magnified = rtol * largest / np.where(plain.equity > 0, plain.equity, np.inf)
    for name in ("long_exposure", "short_exposure"):
        apart = np.abs(getattr(fast, name) - getattr(plain, name))
        assert (apart <= magnified * (2 + np.abs(getattr(plain, name)))).all(), name
    assert (np.abs(fast.weights - plain.weights) <= (magnified * (2 + plain.long_exposure))[:, None]).all()
    np.testing.assert_allclose(fast.turnover, plain.turnover, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(fast.unfilled, plain.unfilled)
    assert fast.bankrupt == plain.bankrupt
    assert [(row, close.asset) for row, close in fast.forced_closes] == [(row, c.asset) for row, c in plain.forced_closes]
    ours, theirs = ([close.value for _, close in result.forced_closes] for result in (fast, plain))
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * largest)
    np.testing.assert_allclose(fast.final.positions, plain.final.positions, rtol=rtol, atol=rtol * largest)
    assert fast.final.cash == pytest.approx(plain.final.cash, rel=rtol, abs=rtol * largest)
    assert fast.final.asset_ids.tolist() == plain.final.asset_ids.tolist()


@pytest.mark.parametrize("fill", ["open", "close"])
@pytest.mark.parametrize("buffer", [100_000, 120], ids=["long stretches", "cut stretches"])
def test_the_fast_path_equals_step_session_by_session(fill, buffer, monkeypatch):
    """On 120 random histories with every friction all that is reported agrees to 1e-12; deaths and misses are there."""
    monkeypatch.setattr(stretches, "BUFFER_NUMBERS", buffer)
    print("seed 61")
    rng = np.random.default_rng(61)
    deaths = misses = 0
    for _ in range(120):
        arguments, extras = hard_life(rng)
        plain = session_by_session(arguments, extras, fill)
        assert_same(backtest(*arguments, keep_weights=True, fill=fill, **extras), plain)
        deaths, misses = deaths + len(plain.forced_closes), misses + int(plain.unfilled.sum())
    assert deaths > 50
    assert misses > 500


@pytest.mark.parametrize("fill", ["open", "close"])
def test_a_ruined_book_is_the_same_on_both_paths(fill):
    """Shorts that rise fivefold ruin many of 120 leveraged books, inside stretches and at fills; halted remains stay."""
    print("seed 62")
    rng = np.random.default_rng(62)
    ruined = 0
    for _ in range(120):
        arguments, extras = hard_life(rng, ruin=True)
        plain = session_by_session(arguments, extras, fill)
        assert_same(backtest(*arguments, keep_weights=True, fill=fill, **extras), plain)
        ruined += plain.bankrupt
    print(f"{ruined} of 120 ruined")
    assert ruined > 30


def test_ruin_inside_a_stretch_is_seen_at_its_own_open():
    """A short that rises eightfold in the third night, with no target near: closed at that open, the loss is booked."""
    night = np.zeros((6, 1))
    night[3] = 7.0
    result = backtest(night, np.full((6, 1), 0.01), {0: np.array([-0.5])}, TradingCosts(), initial=100.0)
    short = 50 * 1.01**3
    expected = 100 - (short - 50) - 7 * short
    assert result.equity[2] == pytest.approx(100 - (short - 50))
    assert result.equity[3:].tolist() == [pytest.approx(expected)] * 3
    assert result.bankrupt
    assert result.final.positions.tolist() == [0.0]


def test_fill_at_the_close_by_hand():
    """100 in cash; the day's 2 % is missed, half is bought at the close with 10 bp, interest accrues after the fill."""
    costs = TradingCosts(half_spread=0.001, borrow_per_year=0.0252, cash_per_year=0.0504)
    night, day = np.array([[0.0, 0.0], [0.01, 0.0]]), np.array([[0.02, 0.0], [0.0, 0.0]])
    result = backtest(night, day, {0: np.array([0.5, -0.5])}, costs, initial=100.0, fill="close")
    first = 100 - 0.1 - 50 * 0.0001 + 99.9 * 0.0002
    assert result.equity[0] == pytest.approx(first, abs=1e-12)
    assert result.gross_pnl.tolist() == [pytest.approx(0.0), pytest.approx(0.5)]
    assert result.turnover.tolist() == [pytest.approx(1.0), 0.0]
    assert result.long_exposure[0] == pytest.approx(50 / first)


def test_a_return_below_minus_one_and_an_unknown_fill_are_refused():
    """No share loses more than all: such a return is refused wherever it stands, and so is a fill at noon."""
    for row in range(4):
        for spoilt in range(2):
            returns = np.zeros((2, 4, 3))
            returns[spoilt, row, 1] = -1.5
            with pytest.raises(InputRejected) as caught:
                backtest(*returns, {2: np.ones(3) / 3}, TradingCosts())
            assert caught.value.code == Code.PROBLEM_INVALID
    for call in (
        lambda: backtest(np.zeros((1, 1)), np.zeros((1, 1)), {}, TradingCosts(), fill="noon"),
        lambda: step(BookState.opening(np.array(["a"]), 1.0), np.zeros(1), np.zeros(1), TradingCosts(), fill="noon"),
    ):
        with pytest.raises(InputRejected) as caught:
            call()
        assert caught.value.code == Code.PROBLEM_INVALID
    with pytest.raises(InputRejected, match="other assets"):
        backtest(np.zeros((1, 2)), np.zeros((1, 2)), {}, TradingCosts(), initial=BookState.opening(np.array(["a"]), 1.0))


def test_no_return_below_minus_one_hides_behind_another():
    """Two in one name have a positive product, after a total loss any is 0, beside a gap no minimum is known: refused."""
    for first, second, elsewhere in ((-1.5, -1.5, 0.0), (-1.0, -1.5, 0.0), (0.0, -1.5, np.nan)):
        for later in (1, 2):
            returns = np.zeros((2, 4, 3))
            returns[0, 1, 2] = elsewhere
            returns[0, 1, 1], returns[later % 2, 1 + later // 2, 1] = first, second
            with pytest.raises(InputRejected, match="below -100 %"):
                backtest(*returns, {0: np.ones(3) / 3}, TradingCosts())
    rows, returned = np.array([2, -1]), np.array([-1.5, np.nan])
    with pytest.raises(InputRejected, match="delisting return is below -100 %"):
        backtest(*np.zeros((2, 4, 2)), {}, TradingCosts(), delisting_rows=rows, delisting_returns=returned)


def quiet_life(rng: np.random.Generator):
    """Return a history of 12 sessions and 9 names in which every name trades, with targets in rows 0, 5 and 6."""
    overnight, intraday = random_paths(rng, 12, 9)
    targets = {row: rng.standard_normal(9) / 9 for row in (0, 5, 6)}
    extras = {
        "initial": BookState.opening(np.array(list("abcdefghi")), 1e6),
        "traded": np.ones((12, 9), dtype=bool),
        "delisting_rows": np.full(9, -1),
        "delisting_returns": np.full(9, np.nan),
        "liquidity": {},
    }
    return (overnight, intraday, targets, TradingCosts(1e-3, 0.0, 0.02, 0.03)), extras


@pytest.mark.parametrize("fill", ["open", "close"])
@pytest.mark.parametrize("buffer", [100_000, 54], ids=["whole stretches", "stretches of three"])
def test_one_gap_or_one_death_in_a_clean_history(fill, buffer, monkeypatch):
    """Wherever the only missing return or the only delisting stands, at either edge of a stretch or inside, all is as `step`.

    Without a mask of halts, so that a stretch without gaps asks nothing of its returns, and one with a gap does.
    """
    monkeypatch.setattr(stretches, "BUFFER_NUMBERS", buffer)
    print("seed 64")
    rng = np.random.default_rng(64)
    for row in range(12):
        for spoilt in ("nothing", "night", "day", "both", "death"):
            arguments, extras = quiet_life(rng)
            if spoilt in ("night", "both"):
                arguments[0][row, 3] = np.nan
            if spoilt in ("day", "both"):
                arguments[1][row, 3] = np.nan
            if spoilt == "death":
                extras["delisting_rows"][3], extras["delisting_returns"][3] = row, -0.3
                arguments[0][row + 1 :, 3] = arguments[1][row + 1 :, 3] = np.nan
            plain = session_by_session(arguments, extras, fill)
            assert plain.unfilled[row] == (spoilt != "nothing" and row in arguments[2])
            assert_same(backtest(*arguments, keep_weights=True, fill=fill, **(extras | {"traded": None})), plain)


def test_what_is_handed_in_is_left_alone():
    """Neither returns, targets nor the book that is continued are written to."""
    print("seed 63")
    arguments, extras = hard_life(np.random.default_rng(63))
    arrays = [*arguments[:2], *arguments[2].values(), extras["initial"].positions, extras["delisting_returns"]]
    for array in [*arrays, extras["traded"]]:
        array.setflags(write=False)
    backtest(*arguments, **extras)
