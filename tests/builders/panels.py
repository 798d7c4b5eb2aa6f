"""Small seeded panels and views for everyone's tests. Plain random walks: independent of the synthetic market's code."""

from dataclasses import replace
from datetime import date, datetime
from itertools import pairwise

import numpy as np

from market.calendars import SessionCalendar, session_calendar, to_instant
from market.dividends import inferred_dividends
from market.panel import NOT_DELISTED, AssetTable, PanelView, PointInTimePanel
from market.quotes import NOTHING, Quotes

CALENDAR_START = date(2013, 1, 1)
CALENDAR_END = date(2019, 12, 31)
SECTORS = ("Energy", "Finance", "Health Care", "Technology")


def new_york() -> SessionCalendar:
    """The XNYS sessions of 2013 to 2019, more than any builder's panel needs."""
    return session_calendar("XNYS", CALENDAR_START, CALENDAR_END)


def hand_panel(close, *, open_=None, adj_close=None, volume=None, splits=None, shares=None, sectors=None, countries=None,
               delistings=None, calendar=None, first=date(2014, 1, 2), delay_minutes=60) -> PointInTimePanel:  # fmt: skip
    """Make a panel from written-out prices (T, n): NaN is no trade. ``delistings`` maps a position to (row, return).

    Dividends are what ``adj_close`` says beside ``close``.
    """
    close = np.array(close, dtype=np.float64)
    t, n = close.shape
    calendar = calendar or new_york()
    at = calendar.index_of(first)
    ids = np.array([f"A{i:03d}" for i in range(n)])
    index, returns = np.full(n, NOT_DELISTED, dtype=np.int64), np.full(n, np.nan)
    for position, (row, value) in (delistings or {}).items():
        index[position], returns[position] = row, value

    def matrix(given, default):
        return np.array(default if given is None else given, dtype=np.float64)

    splits = None if splits is None else matrix(splits, splits)
    paid = None if adj_close is None else inferred_dividends(close, matrix(adj_close, close), splits)[0]
    return PointInTimePanel(
        assets=AssetTable(
            asset_ids=ids,
            tickers=ids.copy(),
            sectors=np.array([SECTORS[i % len(SECTORS)] for i in range(n)]) if sectors is None else np.array(sectors),
            countries=np.array(["US"] * n) if countries is None else np.array(countries),
            exchanges=np.full(n, calendar.exchange),
            currencies=np.full(n, "USD"),
            shares=matrix(shares, np.full(n, 1e6)),
        ),
        calendar=calendar,
        sessions=calendar.sessions[at : at + t].copy(),
        known_at=calendar.closes[at : at + t] + np.timedelta64(delay_minutes, "m"),
        quotes=Quotes(
            open=matrix(open_, close),
            close=close,
            volume=matrix(volume, np.where(np.isnan(close), np.nan, 1e5)),
            splits=splits,
            dividends=paid,
        ),
        delisting_index=index,
        delisting_return=returns,
        price_basis="split_adjusted" if splits is None else "raw",
        flags=frozenset({"assumed"}),
        source="parquet",
    )


def small_panel(seed: int = 0, n_assets: int = 40, n_sessions: int = 320, first: date = date(2014, 1, 2)) -> PointInTimePanel:
    """Make a panel of one-factor random walks with a dividend, gaps, a late listing, a delisting, and a few unknown shares."""
    rng = np.random.default_rng(seed)
    shape = (n_sessions, n_assets)
    market = rng.normal(3e-4, 8e-3, n_sessions)[:, None]
    returns = market * rng.uniform(0.5, 1.5, n_assets) + rng.normal(0, 0.015, shape)
    night = 0.3 * returns + rng.normal(0, 4e-3, shape)
    adj_close = 50.0 * np.exp(np.cumsum(returns, axis=0)) * rng.uniform(0.2, 3.0, n_assets)
    adj_open = np.vstack([adj_close[:1], adj_close[:-1]]) * np.exp(night)
    factor = np.ones(shape)
    factor[: n_sessions // 2, ::3] = 0.99  # every third asset pays one percent in the middle of the panel
    close, open_ = adj_close / factor, adj_open / factor
    volume = np.exp(rng.normal(11.0, 1.0, n_assets) + rng.normal(0, 0.4, shape))
    absent = rng.random(shape) < 0.002
    delistings = {}
    if n_assets >= 10:
        absent[: n_sessions // 4, 3] = True
        gone = n_sessions - 8
        absent[gone:, 5] = True
        delistings[5] = (gone, -0.4)
    for array in (close, open_, adj_close, volume):
        array[absent] = np.nan
    shares = rng.lognormal(16, 1, n_assets)
    shares[7::11] = np.nan
    return hand_panel(close, open_=open_, adj_close=adj_close, volume=volume, shares=shares, delistings=delistings, first=first)


def view_at(panel: PointInTimePanel, row: int = -1) -> PanelView:
    """The view at the instant at which the session of ``row`` was learnt."""
    return panel.as_of(to_instant(panel.known_at[row]))


def small_view(seed: int = 0, n_assets: int = 40, n_sessions: int = 320) -> PanelView:
    """The last view of :func:`small_panel`."""
    return view_at(small_panel(seed, n_assets, n_sessions))


def changed_after(panel: PointInTimePanel, row: int, seed: int = 1) -> PointInTimePanel:
    """The same panel with every datum after ``row`` changed: prices, gaps, splits and delistings. What is decided on
    data up to ``row`` must not notice."""
    rng = np.random.default_rng(seed)
    later = np.arange(len(panel.sessions))[:, None] > row
    gone = later & (rng.random(panel.close.shape) < 0.1)

    def other(array):
        changed = array * rng.uniform(0.3, 3.0, array.shape)
        return np.where(gone, np.nan, np.where(later, changed, array))

    event = panel.delisting_index
    fresh = (event > row) | ((event == NOT_DELISTED) & (rng.random(len(event)) < 0.2))
    last = len(panel.sessions) - 1
    index = np.where(fresh, min(row + 1, last) if row < last else event, event)
    returns = np.where(fresh & (index != NOT_DELISTED), -0.9, panel.delisting_return)
    quotes = panel.quotes
    splits = None if quotes.splits is None else np.where(later, rng.choice([1.0, 2.0], quotes.splits.shape), quotes.splits)
    close = other(quotes.close)
    changed = Quotes(
        open=np.where(np.isnan(close), np.nan, np.where(later, close * 1.01, quotes.open)),
        close=close,
        volume=np.where(np.isnan(close), np.nan, other(quotes.volume)),
        splits=splits,
        dividends=None if quotes.dividends is None else np.where(later, rng.uniform(0, 1, close.shape), quotes.dividends),
    )
    return replace(
        panel,
        quotes=changed,
        delisting_index=index,
        delisting_return=np.where(index == NOT_DELISTED, np.nan, returns),
    )


def session_pairs(panel: PointInTimePanel) -> list[tuple[datetime, datetime]]:
    """Neighbouring known_at instants, for tests at their edges."""
    return list(pairwise(to_instant(k) for k in panel.known_at))


def without_quotes(panel: PointInTimePanel, rows: slice, assets: np.ndarray) -> Quotes:
    """The quotes of a panel less those of some assets on some sessions: nobody traded them."""
    arrays = {name: values.copy() for name, values in panel.quotes.arrays().items()}
    for name, values in arrays.items():
        values[rows, assets] = NOTHING[name]
    return Quotes(**arrays)
