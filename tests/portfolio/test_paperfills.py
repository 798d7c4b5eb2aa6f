"""Goal: the paper broker's fills are those that the twin books: the same trades, the same costs, the same lapses. Method:
random books, markets and orders filled both ways; the costs of the fills beside those of ``step``; cases by hand for shares
and splits."""

from dataclasses import replace

import numpy as np
import pytest

from portfolio.book import BookState, Liquidity, TradingCosts
from portfolio.paperfills import OpenMarket, fill_orders
from portfolio.simulate import step

COSTS = TradingCosts(half_spread=5e-4, impact_coefficient=0.5, borrow_per_year=0.005, cash_per_year=0.01)


def a_market(rng: np.random.Generator, n: int) -> OpenMarket:
    overnight, intraday = rng.normal(0, 0.02, (2, n))
    overnight[rng.random(n) < 0.03] = np.nan
    adv = np.exp(rng.normal(15, 1, n))
    adv[rng.random(n) < 0.03] = np.nan
    return OpenMarket(
        overnight=overnight,
        intraday=intraday,
        halted=rng.random(n) < 0.05,
        delisting=np.where(rng.random(n) < 0.03, -0.3, np.nan),
        liquidity=Liquidity(adv, np.full(n, 0.02)),
        prices=np.exp(rng.normal(3, 1, n)),
        split=np.ones(n),
    )


def carried(account: BookState, market: OpenMarket, target: np.ndarray, halted: np.ndarray):
    return step(
        account,
        market.overnight,
        market.intraday,
        COSTS,
        target=target,
        halted=halted,
        delisting=market.delisting,
        liquidity=market.liquidity,
    )


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("adv_share_max", [0.0, 0.02])
@pytest.mark.parametrize("whole", [False, True])
def test_fills_are_what_the_twin_books(seed: int, adv_share_max: float, whole: bool) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n = 60
    market = a_market(rng, n)
    account = BookState(np.arange(n).astype(str), rng.normal(0, 1e5, n), 1e7)
    weights = rng.normal(0, 0.01, n)
    shares = np.rint(rng.normal(0, 5e3, n)) if whole else None
    ordered = rng.random(n) < 0.9
    fills = fill_orders(account, market, COSTS, ordered, weights, shares, adv_share_max)
    assert fills.filled.sum() > 30
    _, day = carried(account, market, fills.weights, ~fills.filled)
    assert fills.spread.sum() == pytest.approx(day.costs["spread"], rel=1e-9)
    assert fills.impact.sum() == pytest.approx(day.costs["impact"], rel=1e-9)
    assert np.abs(fills.values).sum() == pytest.approx(day.traded, rel=1e-9)
    assert not fills.filled[market.halted | np.isfinite(market.delisting) | ~ordered].any()
    if adv_share_max:
        most = adv_share_max * market.liquidity.adv_dollars
        assert (np.abs(fills.values[fills.filled]) <= most[fills.filled] * (1 + 1e-12)).all()
        assert fills.partial.any()


def test_orders_to_weights_give_the_book_of_the_twin_to_the_bit() -> None:
    rng = np.random.default_rng(3)
    n = 60
    market, account = a_market(rng, n), BookState(np.arange(n).astype(str), np.zeros(n), 1e7)
    weights = rng.normal(0, 0.01, n)
    fills = fill_orders(account, market, COSTS, np.ones(n, dtype=bool), weights)
    after, _ = carried(account, market, fills.weights, ~fills.filled)
    expected, _ = carried(account, market, weights, market.halted)
    assert np.array_equal(after.positions, expected.positions)
    assert after.cash == expected.cash


def test_shares_by_hand() -> None:
    market = OpenMarket(
        overnight=np.array([0.1, 0.0, 0.0, 0.0]),
        intraday=np.zeros(4),
        halted=np.array([False, False, False, True]),
        delisting=np.full(4, np.nan),
        liquidity=Liquidity(np.full(4, 1e6), np.full(4, 0.02)),
        prices=np.array([11.0, 50.0, 20.0, 10.0]),
        split=np.array([1.0, 1.0, 2.0, 1.0]),
    )
    account = BookState(np.array(["a", "b", "c", "d"]), np.array([1_000.0, 0.0, 0.0, 0.0]), 8_900.0)
    shares = np.array([-100.0, 40.0, 7.0, 5.0])
    costs = replace(COSTS, impact_coefficient=0.0)
    fills = fill_orders(account, market, costs, np.ones(4, dtype=bool), np.zeros(4), shares)
    assert fills.filled.tolist() == [True, True, False, False]
    # Equity at the open is 8,900 + 1,100; 100 shares of 11 are sold, 40 of 50 bought.
    assert fills.values == pytest.approx([-1_100.0, 2_000.0, 0.0, 0.0])
    assert fills.weights[:2] == pytest.approx([0.0, 0.2])
    assert fills.spread == pytest.approx([0.55, 1.0, 0.0, 0.0])


def test_an_account_without_equity_fills_nothing() -> None:
    market = a_market(np.random.default_rng(0), 5)
    account = BookState(np.arange(5).astype(str), np.full(5, -1e5), 1e5)
    assert not fill_orders(account, market, COSTS, np.ones(5, dtype=bool), np.ones(5)).filled.any()


def test_of_a_name_that_must_not_be_sold_short_nothing_is_sold_that_is_not_there() -> None:
    """A kept short whose price fell by a tenth would be sold to reach its weight; a long is sold down to nothing."""
    account = BookState(np.array(["kept", "bought", "long", "free"]), np.array([-100.0, -100.0, 100.0, -100.0]), 1_100.0)
    still = np.zeros(4)
    market = OpenMarket(
        overnight=np.array([-0.1, -0.1, 0.0, -0.1]), intraday=still, halted=still > 0, delisting=np.full(4, np.nan),
        liquidity=Liquidity(np.full(4, 1e9), np.full(4, 0.02)), prices=np.full(4, 10.0), split=np.ones(4),
    )  # fmt: skip
    equity = 1_100.0 - 90.0 * 3 + 100.0
    weights = np.array([-100.0, -50.0, -30.0, -100.0]) / equity
    fills = fill_orders(account, market, TradingCosts(), np.ones(4, dtype=bool), weights, no_short=np.arange(4) < 3)
    assert fills.values == pytest.approx([0.0, 40.0, -100.0, -10.0])
    assert fills.weights * equity == pytest.approx([-90.0, -50.0, 0.0, -100.0])
