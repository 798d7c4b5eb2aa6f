"""Prices of the seeded synthetic market as a source, so that the whole way of a batch can be walked without any vendor.

It says nothing about any real market; the batch carries the flag ``synthetic``.
"""

from collections.abc import Iterator
from datetime import date

import numpy as np

from market.arrays import DateArray, FloatArray, StrArray
from market.batch import DELISTING, DIVIDEND, RAW, SPLIT, EventRows, PriceBatch, PriceRows, Rows, join_rows
from market.calendars import to_datetime64
from market.panel import NOT_DELISTED, PointInTimePanel
from market.synthetic import SOURCE, SyntheticSpec, generate_market
from service.vendors.source import FetchedPart, FetchRequest


class SyntheticSource:
    """The source ``synthetic``: one part, the market of a spec."""

    name: str = SOURCE
    remote: bool = False

    def __init__(self, spec: SyntheticSpec) -> None:
        self._spec = spec
        self._panel: PointInTimePanel | None = None

    def _market(self) -> PointInTimePanel:
        if self._panel is None:
            self._panel = generate_market(self._spec)
        return self._panel

    def steps(self, request: FetchRequest) -> int:  # noqa: ARG002 - the market is made in one piece
        """Return 1."""
        return 1

    def exchange_of(self, ticker: str) -> str | None:
        """Return the exchange on whose sessions a ticker trades; None for one that the market lacks."""
        assets = self._market().assets
        at = np.flatnonzero(assets.tickers == ticker)
        return str(assets.exchanges[at[0]]) if at.size else None

    def fetch(self, request: FetchRequest) -> Iterator[FetchedPart]:
        """Yield the market, cut to the tickers and dates that are asked for."""
        panel = self._market()
        request.advance(SOURCE)
        if 1 not in request.done:
            batch = panel_batch(panel, request)
            yield FetchedPart(1, tuple(np.unique(batch.prices.tickers).tolist()), batch)


def panel_batch(panel: PointInTimePanel, request: FetchRequest) -> PriceBatch:
    """Return a panel's rows and events as a batch, sorted by asset, then session."""
    asset, row = np.nonzero(np.isfinite(panel.close).T)
    tickers, dates = panel.assets.tickers[asset], panel.sessions[row]
    known_at = panel.known_at[row].astype("datetime64[us]")
    quotes, empty = panel.quotes, np.full(row.shape, np.nan)
    nothing = np.zeros(quotes.close.shape)
    splits = np.where(quotes.splits == 1, 0.0, quotes.splits) if quotes.splits is not None else nothing
    dividends = quotes.dividends if quotes.dividends is not None else nothing
    prices = PriceRows(
        row=np.arange(1, row.shape[0] + 1),
        tickers=tickers,
        dates=dates,
        open=quotes.open[row, asset],
        high=empty,
        low=empty,
        close=quotes.close[row, asset],
        volume=quotes.volume[row, asset],
        currencies=panel.assets.currencies[asset],
        known_at=known_at,
    )
    events = [
        _events(kind, tickers, dates, values[row, asset], known_at) for kind, values in ((SPLIT, splits), (DIVIDEND, dividends))
    ]
    gone = np.flatnonzero(panel.delisting_index != NOT_DELISTED)
    at = panel.delisting_index[gone]
    events.append(
        EventRows(
            np.full(gone.shape, DELISTING),
            panel.assets.tickers[gone],
            panel.sessions[at],
            panel.delisting_return[gone],
            np.full(gone.shape, "unknown"),
            panel.known_at[at].astype("datetime64[us]"),
        )
    )
    asked_at = to_datetime64(request.asked_at)
    return PriceBatch(SOURCE, RAW, asked_at, _wanted(prices, request), _wanted(join_rows(events), request), panel.flags)


def _wanted(rows: Rows, request: FetchRequest) -> Rows:
    first, last = (np.datetime64(day or edge, "D") for day, edge in ((request.first, date.min), (request.last, date.max)))
    wanted = (rows.dates >= first) & (rows.dates <= last)
    if request.tickers:
        wanted &= np.isin(rows.tickers, np.asarray(request.tickers))
    return rows.take(wanted)


def _events(kind: str, tickers: StrArray, dates: DateArray, values: FloatArray, known_at: DateArray) -> EventRows:
    at = np.flatnonzero(values)
    return EventRows(np.full(at.shape, kind), tickers[at], dates[at], values[at], np.full(at.shape, ""), known_at[at])
