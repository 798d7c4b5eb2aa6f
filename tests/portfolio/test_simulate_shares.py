"""Goal: splits and dividends, also those that shorts pay, come out of total returns to the cent. Method: raw prices with
split and dividend events; a ledger of shares and cash, written here, that knows no return, must come to the equity of the twin.

Between two fills total returns hold a dividend in the stock that paid it. The ledger therefore gets it in cash and buys shares
for it in the same session, without cost; where every session has a fill it leaves it in cash, with no such purchase.
"""

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd
import pytest

from market.calendars import session_calendar
from market.pivot import build_panel
from portfolio.book import TradingCosts
from portfolio.simulate import backtest
from tests.builders.panels import view_at

SESSIONS, NAMES = 60, 12
CAPITAL = 1e6


@dataclass
class RawMarket:
    """Raw prices (T, n), carried where a name is halted; what each new share pays; what one share becomes; deaths."""

    open: np.ndarray
    close: np.ndarray
    dividend: np.ndarray
    split: np.ndarray
    traded: np.ndarray
    dies: np.ndarray
    death_return: np.ndarray

    def returns(self) -> tuple[np.ndarray, np.ndarray]:
        """Return total returns from prices and events, the dividend worth what it is worth at the open."""
        before = np.concatenate([self.open[:1], self.close[:-1]])
        night = self.split * (self.open + self.dividend) / before - 1
        return night, self.close / self.open - 1

    def extras(self) -> dict:
        """Return what the twin is told beside returns."""
        return {"traded": self.traded, "delisting_rows": self.dies, "delisting_returns": self.death_return}


def raw_market(rng: np.random.Generator, *, quiet=()) -> RawMarket:
    """Make a market with halts, deaths, splits 2:1, 3:2 and 1:10, and dividends up to 3 %; no events on ``quiet`` rows."""
    shape = (SESSIONS, NAMES)
    traded = rng.random(shape) > 0.05
    traded[0] = True
    dies = np.where(rng.random(NAMES) < 0.25, rng.integers(10, SESSIONS, NAMES), -1)
    dead = (dies >= 0) & (np.arange(SESSIONS)[:, None] >= dies)
    traded &= ~dead
    event = traded & ~np.isin(np.arange(SESSIONS), [0, *quiet])[:, None]
    split = np.where(event & (rng.random(shape) < 0.04), rng.choice([2.0, 1.5, 0.1], shape), 1.0)
    night, day = np.exp(0.01 * rng.standard_normal(shape)), np.exp(0.02 * rng.standard_normal(shape))
    opened, close = np.empty(shape), np.empty(shape)
    last = rng.uniform(10, 200, NAMES)
    for t in range(SESSIONS):
        opened[t] = np.where(traded[t], last * night[t] / split[t], last)
        close[t] = np.where(traded[t], opened[t] * day[t], last)
        last = close[t]
    dividend = np.where(event & (rng.random(shape) < 0.06), rng.uniform(0.001, 0.03, shape) * opened, 0.0)
    return RawMarket(opened, close, dividend, split, traded, dies, rng.uniform(-1.0, 0.2, NAMES))


@dataclass
class ShareLedger:
    """Shares and cash, and what was paid for dividends on both sides."""

    market: RawMarket
    costs: TradingCosts
    cash: float = CAPITAL
    shares: np.ndarray = field(default_factory=lambda: np.zeros(NAMES))
    received: float = 0.0
    paid_by_shorts: float = 0.0

    def fill(self, target: np.ndarray, price: np.ndarray, t: int) -> None:
        """Trade to ``target`` × equity at ``price``, name by name."""
        equity = self.cash + sum(self.shares * price)
        for i in np.flatnonzero(self.market.traded[t]):
            bought = target[i] * equity / price[i] - self.shares[i]
            self.shares[i] += bought
            self.cash -= bought * price[i] + self.costs.half_spread * abs(bought) * price[i]

    def run(self, targets: dict, fill: str, reinvest: str | None) -> list[float]:
        """Live through all sessions; return equity at each close."""
        m, out = self.market, []
        for t in range(SESSIONS):
            for i in np.flatnonzero(m.dies == t):
                self.cash += self.shares[i] * m.close[t - 1, i] * (1 + m.death_return[i])
                self.shares[i] = 0.0
            self.shares = self.shares * m.split[t]
            paid = self.shares * m.dividend[t]
            self.cash += sum(paid)
            self.received += sum(np.maximum(paid, 0))
            self.paid_by_shorts -= sum(np.minimum(paid, 0))
            for moment, price in (("open", m.open[t]), ("close", m.close[t])):
                if reinvest == moment:
                    self.shares = self.shares + paid / price
                    self.cash -= sum(paid)
                if fill == moment and t in targets:
                    self.fill(targets[t], price, t)
            value = self.shares * m.close[t]
            shorts = -sum(np.minimum(value, 0))
            self.cash += self.cash * self.costs.cash_per_year / 252 - shorts * self.costs.borrow_per_year / 252
            out.append(self.cash + sum(value))
        return out


def long_short(rng: np.random.Generator, every: int) -> dict[int, np.ndarray]:
    """Return dollar-neutral targets of gross 1.5, from the first session that has a close before it."""
    targets = {}
    for row in range(1, SESSIONS, every):
        w = rng.standard_normal(NAMES)
        w -= w.mean()
        targets[row] = 1.5 * w / np.abs(w).sum()
    return targets


def panel_returns(market: RawMarket) -> tuple[np.ndarray, np.ndarray]:
    """Return what the panel makes of the raw prices and events, as a vendor's file would bring them."""
    calendar = session_calendar("XNYS", date(2014, 1, 1), date(2015, 12, 31))
    days = [str(d) for d in calendar.sessions[:SESSIONS]]
    t, i = np.nonzero(market.traded)
    table = pd.DataFrame(
        {
            "ticker": [f"A{k:02d}" for k in i],
            "date": [days[k] for k in t],
            "open": market.open[t, i],
            "close": market.close[t, i],
            "volume": 1e6,
            "dividend": market.dividend[t, i],
            "split": market.split[t, i],
        }
    )
    view = view_at(build_panel(table, None, calendar, price_basis="raw"))
    return view.overnight_returns(), view.intraday_returns()


FRICTIONS = TradingCosts(half_spread=0.001, borrow_per_year=0.02, cash_per_year=0.03)


def agree(market: RawMarket, returns, targets, costs: TradingCosts, fill: str, reinvest: str | None) -> None:
    """Compare both engines to 1e-9, and see that there was something to compare."""
    ledger = ShareLedger(market, costs)
    expected = ledger.run(targets, fill, reinvest)
    result = backtest(*returns, targets, costs, initial=CAPITAL, fill=fill, **market.extras())
    np.testing.assert_allclose(result.equity, expected, rtol=1e-9)
    assert ledger.received > 1e-3 * CAPITAL
    assert ledger.paid_by_shorts > 1e-3 * CAPITAL
    assert (market.split != 1).sum() > 5


@pytest.mark.parametrize("seed", range(71, 77))
@pytest.mark.parametrize("fill", ["open", "close"])
def test_held_through_splits_and_dividends(fill, seed):
    """Weekly fills, with spread, fee, interest, halts and deaths; a dividend buys shares at the open of its ex-date."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    market = raw_market(rng)
    agree(market, market.returns(), long_short(rng, 5), FRICTIONS, fill, "open")


@pytest.mark.parametrize("seed", range(81, 84))
def test_dividends_in_cash(seed):
    """A fill at every open: dividends go to cash, and from shorts out of cash, and nothing buys shares for them."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    market = raw_market(rng)
    market.traded[:] = True
    market.dies[:] = -1
    costs = TradingCosts(borrow_per_year=0.02, cash_per_year=0.03)
    agree(market, market.returns(), long_short(rng, 1), costs, "open", None)


@pytest.mark.parametrize("fill", ["open", "close"])
def test_from_a_vendors_raw_file(fill):
    """Through the panel, which puts a dividend back at the close of its ex-date; fills at opens fall on other dates."""
    print("seed 91")
    rng = np.random.default_rng(91)
    targets = long_short(rng, 5)
    market = raw_market(rng, quiet=targets if fill == "open" else ())
    agree(market, panel_returns(market), targets, FRICTIONS, fill, "close")
