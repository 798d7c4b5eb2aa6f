"""Goal: a book in whole shares is carried as a broker's statement would be. Method: a ledger of shares and cash, kept in a
plain loop from prices, dividends and splits, beside the twin's step on the figures of ``share_session``; cases by hand."""

import numpy as np
import pytest

from portfolio.book import BookState, TradingCosts
from portfolio.simulate import step
from portfolio.sizing import size_orders
from portfolio.wholeshares import share_session, shares_of, snapped

FREE = TradingCosts()


def one_session(positions, shares, before, *, opened, closed, dividend=0.0, split=1.0):
    """Return book and record after a session of one name with 100,000 in cash; prices are those of one share."""
    total = (closed + dividend) * split / before - 1.0
    arrays = (np.array([float(x)]) for x in (positions, shares, before, split, total, closed / opened - 1.0))
    moved = share_session(*arrays, np.array([dividend * split / before]))
    book = BookState(np.array(["a"]), np.array([float(positions)]), 100_000.0)
    return step(book, moved.overnight, np.array([closed / opened - 1.0]), FREE, paid=moved.paid)


@pytest.mark.parametrize(
    ("shares", "case", "position", "cash"),
    [
        (1000, {"opened": 19.0, "closed": 19.5, "dividend": 1.0}, 19_500.0, 101_000.0),
        (-1000, {"opened": 19.0, "closed": 19.5, "dividend": 1.0}, -19_500.0, 99_000.0),
        (1000, {"opened": 10.0, "closed": 10.5, "split": 2.0}, 21_000.0, 100_000.0),
        # Three for two of 1,001 shares: 1,501 and half a new one, which is a third of an old one at 20.
        (1001, {"opened": 13.0, "closed": 14.0, "split": 1.5}, 1501 * 14.0, 100_000.0 + 20.0 / 3),
        (-1001, {"opened": 13.0, "closed": 14.0, "split": 1.5}, -1501 * 14.0, 100_000.0 - 20.0 / 3),
        # One for ten of 7: nothing is left of them but cash.
        (7, {"opened": 200.0, "closed": 210.0, "split": 0.1}, 0.0, 100_140.0),
        # A split and a dividend on the new shares on one day.
        (100, {"opened": 9.0, "closed": 9.0, "split": 2.0, "dividend": 0.5}, 1_800.0, 100_100.0),
    ],
)
def test_dividends_and_what_a_split_leaves_are_cash(shares: int, case: dict[str, float], position: float, cash: float) -> None:
    after, day = one_session(shares * 20.0, shares, 20.0, **case)
    assert after.positions[0] == pytest.approx(position, rel=1e-12, abs=1e-9)
    assert after.cash == pytest.approx(cash, rel=1e-12)
    assert day.gross_pnl == pytest.approx(after.equity - (shares * 20.0 + 100_000.0), rel=1e-9)


def test_a_price_that_was_corrected_since_changes_the_money_and_not_the_shares() -> None:
    after, day = one_session(20_000.0, 1000, 19.0, opened=19.0, closed=19.0)
    assert after.positions[0] == pytest.approx(19_000.0)
    assert day.gross_pnl == pytest.approx(-1_000.0)
    assert shares_of(after.positions, np.array([19.0]), np.zeros(1)).tolist() == [1000.0]


def test_without_a_known_price_a_position_stays_as_it_was_booked() -> None:
    nan = np.array([np.nan])
    moved = share_session(np.array([500.0]), np.array([10.0]), nan, np.ones(1), np.zeros(1), np.zeros(1), np.zeros(1))
    assert (moved.overnight.tolist(), moved.paid.tolist()) == ([0.0], [0.0])
    assert shares_of(np.array([500.0]), nan, np.array([10.0])).tolist() == [10.0]


def test_a_year_of_random_events_is_that_of_a_ledger_of_shares() -> None:
    seed = 20260129
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n, sessions = 40, 252
    shares = rng.integers(-5000, 5000, n).astype(float)
    before = np.round(np.exp(rng.normal(3, 1, n)), 2)
    book = BookState(np.arange(n).astype(str), shares * before, 1e9)
    counted, cash = shares.copy(), 1e9
    for _ in range(sessions):
        opened, closed = (np.round(before * np.exp(rng.normal(0, 0.02, n)), 2) + 0.01 for _ in range(2))
        split = np.where(rng.random(n) < 0.01, rng.choice([2.0, 1.5, 0.25, 1.05], n), 1.0)
        dividend = np.where(rng.random(n) < 0.02, np.round(0.02 * closed, 2), 0.0)
        total, intraday = (closed + dividend) * split / before - 1.0, closed / opened - 1.0
        moved = share_session(book.positions, counted, before, split, total, intraday, dividend * split / before)
        book, _ = step(book, moved.overnight, intraday, FREE, paid=moved.paid)
        for i in range(n):  # the statement
            grown = counted[i] * split[i]
            whole = np.trunc(grown + np.sign(grown) * 1e-6)
            cash += (grown - whole) / split[i] * before[i] + whole * dividend[i]
            counted[i] = whole
        assert book.positions == pytest.approx(counted * closed, rel=1e-9, abs=1e-6)
        assert book.cash == pytest.approx(cash, rel=1e-9)
        assert np.array_equal(shares_of(book.positions, closed, counted), counted)
        before = closed


def test_what_closes_a_position_is_the_shares_that_are_there() -> None:
    equity, prices = 100_000.0, np.array([19.0, 19.0, 19.0])
    held = np.array([0.19, -0.19, 0.19])
    sizes = size_orders(np.array([0.0, 0.0, 0.1]), held, equity, prices)
    assert sizes.shares.tolist() == [-1000.0, 1000.0, -474.0]
    assert sizes.reached(whole=True)[:2].tolist() == [0.0, 0.0]
    # Of a book that was one in money, the part of a share stays: six of 6.67 are sold, and not seven.
    assert size_orders(np.zeros(1), np.array([0.2]), 100.0, np.array([3.0])).shares.tolist() == [-6.0]


def test_only_rounding_is_taken_for_a_whole_number() -> None:
    assert snapped(np.array([999.9995, 1000.4, -3.0000001])).tolist() == [1000.0, 1000.4, -3.0]
