"""From charts to a batch: what was asked and has ended, when each row was learnt, and which sessions are missing.

It asks nobody. Instants are given: an answer is judged as of the moment it was fetched.

1. Cut the rows to the wanted dates; leave out the session that had not ended, and name it.
2. Compare with the exchange's calendar, from the listing on; name what is missing.
3. A row of sessions before the ones that are kept counts as known at its close plus the delay (flag ``assumed``); a later one
   when it was fetched.
"""

from dataclasses import fields, replace
from datetime import date, datetime
from typing import Any

import numpy as np

from market.arrays import BoolArray, DateArray
from market.batch import DIVIDEND, RAW, SPLIT, EventRows, PriceBatch, PriceRows, join_rows
from market.calendars import SessionCalendar, to_date, to_datetime64
from service.vendors.chart import Chart
from service.vendors.source import FetchRequest, FindingKind, VendorFinding, assumed_known_at, last_finished

SOURCE = "yfinance"

SESSIONS_SHOWN = 3
"""Missing sessions that a finding names."""


def first_wanted(ticker: str, request: FetchRequest, calendar: SessionCalendar) -> date:
    """Return the first date to ask for.

    Once the wanted history is kept, only the newest kept sessions are asked for again; they tell of restatements.
    """
    first = request.first or calendar.first_date
    if ticker not in request.kept:
        return first
    oldest, newest = (np.datetime64(day, "D") for day in request.kept[ticker])
    wanted = calendar.sessions[np.searchsorted(calendar.sessions, np.datetime64(first, "D"))]
    if oldest > wanted:
        return first
    at = int(np.searchsorted(calendar.sessions, newest, side="right")) - request.overlap_sessions
    return max(first, to_date(calendar.sessions[max(at, 0)]))


def finished_sessions(
    chart: Chart, start: date, fetched_at: datetime, request: FetchRequest, calendar: SessionCalendar
) -> tuple[Chart, list[VendorFinding]]:
    """Cut an answer to what was asked and has ended, and name what is missing.

    Returns
    -------
    Chart
        Rows and events from ``start`` to the request's last session, none of a session that is not finished at ``fetched_at``.
    list of VendorFinding
        ``partial_day``, ``incomplete`` and ``no_rows``.
    """
    findings = []
    ended = last_finished(calendar, fetched_at, request.delay_minutes)
    last = ended if request.last is None else min(ended, np.datetime64(request.last, "D"))
    first = np.datetime64(start, "D")
    wanted = chart.dates >= first
    if request.last is not None:
        wanted &= chart.dates <= np.datetime64(request.last, "D")
    # A row on no session is not ours to drop: the judge of prices names it.
    partial = wanted & np.isin(chart.dates, calendar.sessions[calendar.sessions > ended])
    if partial.any():
        text = f"{chart.ticker}'s row of {chart.dates[partial][0]} was left out: the session had not ended."
        findings.append(VendorFinding(FindingKind.PARTIAL_DAY, chart.ticker, text))
    wanted &= ~partial
    splits, dividends = ((days >= first) & (days <= last) for days in (chart.split_dates, chart.dividend_dates))
    cut = _cut(chart, wanted, splits, dividends)
    listed = np.datetime64(max(start, chart.listed_on or start), "D")
    expected = calendar.sessions[(calendar.sessions >= listed) & (calendar.sessions <= last)]
    missing = expected[~np.isin(expected, cut.dates[np.isfinite(cut.close)])]
    if expected.size and missing.size == expected.size:
        text = f"The answer for {chart.ticker} holds no finished session; that says nothing about a listing."
        findings.append(VendorFinding(FindingKind.NO_ROWS, chart.ticker, text))
    elif missing.size:
        findings.append(VendorFinding(FindingKind.INCOMPLETE, chart.ticker, _missing(chart.ticker, missing, expected)))
    return cut, findings


def _missing(ticker: str, missing: DateArray, expected: DateArray) -> str:
    shown = ", ".join(str(day) for day in missing[:SESSIONS_SHOWN])
    more = " …" if missing.size > SESSIONS_SHOWN else ""
    tail = "; the newest is among them, which says nothing about a listing" if missing[-1] == expected[-1] else ""
    return f"{ticker} lacks {missing.size} of {expected.size} sessions: {shown}{more}{tail}."


def _cut(chart: Chart, rows: BoolArray, splits: BoolArray, dividends: BoolArray) -> Chart:
    masks = {"split_dates": splits, "splits": splits, "dividend_dates": dividends, "dividends": dividends}
    columns = {item.name: getattr(chart, item.name) for item in fields(chart)}
    cut: dict[str, Any] = {
        name: column[masks.get(name, rows)] for name, column in columns.items() if isinstance(column, np.ndarray)
    }
    return replace(chart, **cut)


def batch_of(charts: list[tuple[Chart, datetime]], request: FetchRequest) -> PriceBatch | None:
    """Join the charts of a part; ``fetched_at`` is that of the newest."""
    if not charts:
        return None
    prices = [_price_rows(chart, at, request) for chart, at in charts]
    events = [rows for chart, at in charts for rows in _event_rows(chart, at, request)]
    assumed = any((rows.known_at != to_datetime64(at)).any() for rows, (_, at) in zip(prices, charts, strict=True))
    return PriceBatch(
        source=SOURCE,
        price_basis=RAW,
        fetched_at=max(to_datetime64(at) for _, at in charts),
        prices=join_rows(prices),
        events=join_rows(events),
        flags=frozenset({"assumed"}) if assumed else frozenset(),
    )


def _known_at(ticker: str, dates: DateArray, fetched_at: datetime, request: FetchRequest) -> DateArray:
    assumed = assumed_known_at(dates, request.calendar_of(ticker), request.delay_minutes)
    if ticker not in request.kept:
        return assumed
    older = dates < np.datetime64(request.kept[ticker][0], "D")
    return np.where(older, assumed, to_datetime64(fetched_at))


def _price_rows(chart: Chart, fetched_at: datetime, request: FetchRequest) -> PriceRows:
    count = chart.dates.shape[0]
    return PriceRows(
        row=chart.row,
        tickers=np.full(count, chart.ticker),
        dates=chart.dates,
        open=chart.open,
        high=chart.high,
        low=chart.low,
        close=chart.close,
        volume=chart.volume,
        currencies=np.full(count, chart.currency),
        known_at=_known_at(chart.ticker, chart.dates, fetched_at, request),
    )


def _event_rows(chart: Chart, fetched_at: datetime, request: FetchRequest) -> list[EventRows]:
    out = []
    for kind, dates, values in (
        (SPLIT, chart.split_dates, chart.splits),
        (DIVIDEND, chart.dividend_dates, chart.dividends),
    ):
        count = dates.shape[0]
        known_at = _known_at(chart.ticker, dates, fetched_at, request)
        out.append(EventRows(np.full(count, kind), np.full(count, chart.ticker), dates, values, np.full(count, ""), known_at))
    return out
