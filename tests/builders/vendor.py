"""Vendor batches for tests: a clean answer made of the synthetic market, and the faults that vendors put into such answers.

Each injector takes a clean answer and a generator and returns the answer with the fault at several places, the tickers that it
concerns, and the rows that nobody may use. The injectors know nothing of the gate."""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from market.batch import DELISTING, DIVIDEND, SPLIT, EventRows, PriceBatch, PriceRows
from market.calendars import SessionCalendar
from market.panel import NOT_DELISTED, PointInTimePanel
from market.quality import KnownMarket
from market.synthetic import SyntheticSpec, generate_market

DELAY = np.timedelta64(60, "m")


def rows_of(**columns) -> PriceRows:
    """Rows from a few columns; what is not given is empty. ``known_at`` and ``dates`` are converted."""
    n = len(columns["tickers"])
    nothing = np.full(n, np.nan)
    given = {"row": np.arange(1, n + 1), "open": nothing, "high": nothing, "low": nothing, "volume": nothing,
             "currencies": np.full(n, "USD")} | columns  # fmt: skip
    given["tickers"] = np.asarray(given["tickers"], dtype=np.str_)
    given["dates"] = np.asarray(given["dates"], dtype="datetime64[D]")
    given["known_at"] = np.asarray(given["known_at"], dtype="datetime64[us]")
    return PriceRows(**given)


def events_of(*told: tuple[str, str, str, float, str, str]) -> EventRows:
    """Events from tuples of kind, ticker, ISO date, value, reason, ISO instant."""
    if not told:
        return EventRows.empty()
    kinds, tickers, dates, values, reasons, known_at = zip(*told, strict=True)
    return EventRows(
        np.array(kinds, dtype=np.str_), np.array(tickers, dtype=np.str_), np.array(dates, dtype="datetime64[D]"),
        np.array(values, dtype=np.float64), np.array(reasons, dtype=np.str_), np.array(known_at, dtype="datetime64[us]"),
    )  # fmt: skip


def batch_of(panel: PointInTimePanel) -> PriceBatch:
    """What an honest vendor would say of a panel on a raw basis: its rows, splits, dividends and delistings."""
    quotes = panel.quotes
    asset, row = np.nonzero(np.isfinite(quotes.close.T))
    cells = (row, asset)
    close, tickers = quotes.close[cells], panel.assets.tickers
    prices = rows_of(
        tickers=tickers[asset],
        dates=panel.sessions[row],
        open=quotes.open[cells],
        high=np.maximum(quotes.open, quotes.close)[cells] * 1.002,
        low=np.minimum(quotes.open, quotes.close)[cells] * 0.998,
        close=close,
        volume=quotes.volume[cells],
        known_at=panel.known_at[row],
    )
    told = []
    effective = panel.known_at.astype("datetime64[us]") - DELAY
    for kind, matrix in ((SPLIT, quotes.splits), (DIVIDEND, quotes.dividends)):
        when, which = np.nonzero(matrix != (1.0 if kind == SPLIT else 0.0))
        told += [
            (kind, tickers[a], panel.sessions[t], matrix[t, a], "", effective[t]) for t, a in zip(when, which, strict=True)
        ]
    for asset_at in np.flatnonzero(panel.delisting_index != NOT_DELISTED).tolist():
        at, value = panel.delisting_index[asset_at], panel.delisting_return[asset_at]
        reason = "merger" if value >= 0 else "performance"
        told.append((DELISTING, tickers[asset_at], panel.sessions[at], value, reason, effective[at]))
    return PriceBatch("synthetic", "raw", panel.known_at[-1].astype("datetime64[us]"), prices, events_of(*told))


@dataclass(frozen=True)
class Answer:
    """A batch, what was known before it, and what is wrong with it: ``tickers`` concerned and ``bad`` (r,) rows."""

    batch: PriceBatch
    known: KnownMarket
    calendar: SessionCalendar
    tickers: frozenset[str] = frozenset()
    bad: np.ndarray | None = None

    def with_prices(self, prices: PriceRows, tickers, bad, **changes) -> "Answer":
        return replace(self, batch=replace(self.batch, prices=prices, **changes), tickers=frozenset(map(str, tickers)), bad=bad)

    def with_events(self, events: EventRows, tickers, bad=None) -> "Answer":
        bad = np.zeros(len(self.batch.prices), dtype=bool) if bad is None else bad
        return replace(self, batch=replace(self.batch, events=events), tickers=frozenset(map(str, tickers)), bad=bad)


def market(seed: int, n_assets: int, first: date, last: date, **traits) -> Answer:
    """A clean answer over a synthetic market."""
    panel = generate_market(SyntheticSpec(seed=seed, n_assets=n_assets, start=first, end=last, **traits))
    return Answer(batch_of(panel), KnownMarket({"XNYS": panel.calendar}, "XNYS"), panel.calendar)
