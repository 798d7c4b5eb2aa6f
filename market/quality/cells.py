"""What can be told of a row by itself and its exchange's calendar: ticker, date, instant, prices, volume.

1. Judge each distinct ticker's text once.
2. Place each date on the sessions of the ticker's exchange; tell weekends, holidays, unfinished and future sessions apart.
3. Judge the numbers of the row.
4. Put in doubt a ticker whose rows seem to stand a day off: see :func:`shifted`.

Nothing here compares prices with other rows.
"""

from typing import NamedTuple

import numpy as np

from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray
from market.batch import PriceBatch, PriceRows
from market.quality.faults import Fault, Found, of_prices
from market.quality.known import KnownMarket
from market.quality.rules import QualityRules

NO_SESSION = -1

TICKER_MARKS = frozenset(".-^=/&_:+")
"""Characters beside letters and digits that exchanges put into tickers."""

DAYS_A_WEEK = 7
MONDAY_OF_DAY_ZERO = 3
"""1970-01-01, day 0 of datetime64, was a Thursday: three days after a Monday."""


class Placed(NamedTuple):
    """Where each row of a batch stands; all (r,) but the first two.

    ``exchanges`` are the names that ``exchange`` points into; ``tickers`` the sorted names that ``code`` points into, those of
    the trail among them; ``session`` is the position in the exchange's calendar, or :data:`NO_SESSION`; ``sound`` says that
    ticker and date hold.
    """

    tickers: StrArray
    exchanges: tuple[str, ...]
    exchange_of: IntArray  # of each ticker
    code: IntArray
    session: IntArray
    sound: BoolArray

    @property
    def exchange(self) -> IntArray:
        """Exchange of each row."""
        return self.exchange_of[self.code]


def coded(labels: StrArray) -> tuple[StrArray, IntArray]:
    """Return the sorted distinct labels, and for each of ``labels`` (r,) its position among them.

    Rows of a ticker usually follow each other: only the heads of such runs are sorted.
    """
    if labels.shape[0] == 0:
        return np.empty(0, dtype=np.str_), np.empty(0, dtype=np.int64)
    head = np.concatenate([[True], labels[1:] != labels[:-1]])
    names, place = np.unique(labels[head], return_inverse=True)
    return names, place.astype(np.int64)[np.cumsum(head) - 1]


def is_ticker(text: str, length_max: int) -> bool:
    """Tell whether ``text`` can be a ticker: plain letters, digits and the marks that exchanges use."""
    plain = text.isascii() and all(mark.isalnum() or mark in TICKER_MARKS for mark in text)
    return 0 < len(text) <= length_max and plain


def _sessions(prices: PriceRows, known: KnownMarket, names: tuple[str, ...], exchange: IntArray) -> IntArray:
    """Position of each row's date in its exchange's calendar."""
    session = np.full(len(prices), NO_SESSION, dtype=np.int64)
    for at, name in enumerate(names):
        sessions = known.calendars[name].sessions
        rows = slice(None) if len(names) == 1 else exchange == at
        days = prices.dates[rows]
        place = np.minimum(np.searchsorted(sessions, days), sessions.shape[0] - 1)
        session[rows] = np.where(sessions[place] == days, place, NO_SESSION)
    return session


def _too_soon(batch: PriceBatch, known: KnownMarket, placed: Placed) -> tuple[BoolArray, BoolArray]:
    """Rows whose session had not begun, and whose session had not closed, when they were known or fetched."""
    learnt = np.minimum(batch.prices.known_at, batch.fetched_at)
    learnt = np.where(np.isnat(learnt), batch.fetched_at, learnt)
    future, partial = np.zeros(len(batch.prices), dtype=np.bool_), np.zeros(len(batch.prices), dtype=np.bool_)
    exchange, on = placed.exchange, placed.session != NO_SESSION
    for at, name in enumerate(placed.exchanges):
        calendar, rows = known.calendars[name], np.flatnonzero(on & (exchange == at))
        session = placed.session[rows]
        future[rows] = learnt[rows] < calendar.opens[session]
        partial[rows] = ~future[rows] & (learnt[rows] < calendar.closes[session])
    off = ~on & ~np.isnat(batch.prices.dates)
    future[off] = batch.prices.dates[off] > learnt[off].astype("datetime64[D]")
    return future, partial


def place(batch: PriceBatch, known: KnownMarket, rules: QualityRules) -> tuple[Placed, list[Found]]:
    """Place the rows of ``batch`` on tickers, exchanges and sessions.

    Returns
    -------
    placed : Placed
    found : list of Found
        At most one for each row: ``ticker_text``, ``date_missing``, ``outside_calendar``, ``future_date``, ``partial_day``,
        ``weekend_row`` or ``holiday_row``.
    """
    prices = batch.prices
    labels, code = coded(prices.tickers)
    tickers = np.union1d(labels, known.trail.tickers)
    code = np.searchsorted(tickers, labels).astype(np.int64)[code]
    names = tuple(sorted(known.calendars))
    exchange_of = np.array([names.index(known.exchanges.get(t, known.exchange)) for t in tickers.tolist()], dtype=np.int64)
    readable = np.array([is_ticker(t, rules.ticker_length_max) for t in tickers.tolist()], dtype=np.bool_)
    session = _sessions(prices, known, names, exchange_of[code])
    placed = Placed(tickers, names, exchange_of, code, session, np.zeros(len(prices), dtype=np.bool_))
    future, partial = _too_soon(batch, known, placed)
    weekday = (prices.dates.astype(np.int64) + MONDAY_OF_DAY_ZERO) % DAYS_A_WEEK
    firsts = np.array([np.datetime64(known.calendars[n].first_date, "D") for n in names])[exchange_of[code]]
    lasts = np.array([np.datetime64(known.calendars[n].last_date, "D") for n in names])[exchange_of[code]]
    cases = [
        (~readable[code], Fault.TICKER_TEXT, "ticker"),
        (np.isnat(prices.dates), Fault.DATE_MISSING, "date"),
        (future, Fault.FUTURE_DATE, "date"),
        ((prices.dates < firsts) | (prices.dates > lasts), Fault.OUTSIDE_CALENDAR, "date"),
        (partial, Fault.PARTIAL_DAY, "date"),
        ((session == NO_SESSION) & (weekday >= 5), Fault.WEEKEND_ROW, "date"),
        (session == NO_SESSION, Fault.HOLIDAY_ROW, "date"),
    ]
    found, rest = first_of(prices, cases)
    return placed._replace(sound=rest), found


def first_of(prices: PriceRows, cases: list[tuple[BoolArray, Fault, str]]) -> tuple[list[Found], BoolArray]:
    """Return for each case the rows that it is the first to hold for, and the rows for which none does."""
    rest = np.ones(len(prices), dtype=np.bool_)
    found = []
    for holds, fault, column in cases:
        hit = rest & holds
        if hit.any():
            found.append(of_prices(prices, fault, np.flatnonzero(hit), column))
            rest &= ~hit
    return found, rest


def judge_numbers(prices: PriceRows, rules: QualityRules, adjusted: FloatArray | None = None) -> tuple[list[Found], BoolArray]:
    """Judge the numbers of each row by itself.

    Parameters
    ----------
    prices : PriceRows
    rules : QualityRules
    adjusted : (r,) float64, optional
        ``adj_close`` of the rows, where the source has it.

    Returns
    -------
    found : list of Found
        At most one for each row: ``no_trade``, ``not_positive``, ``price_missing``, ``volume_negative``, ``volume_missing``,
        ``zero_volume`` or ``range_broken``.
    rest : (r,) bool
        Rows that can be prices.
    """
    spoken = [prices.open, prices.high, prices.low, prices.close]
    needed = [prices.close, prices.open] if rules.open_required else [prices.close]
    empty, negative = np.ones(len(prices), dtype=np.bool_), np.zeros(len(prices), dtype=np.bool_)
    for column in spoken:
        empty &= np.isnan(column)
        negative |= column <= 0
    missing = np.zeros(len(prices), dtype=np.bool_)
    for column in needed:
        missing |= ~np.isfinite(column)
    for column in spoken:
        missing |= np.isinf(column)
    if adjusted is not None:
        negative |= adjusted <= 0
        missing |= ~np.isfinite(adjusted)
    slack = rules.range_tolerance_share
    top, bottom = prices.high * (1 + slack), prices.low * (1 - slack)
    outside = prices.high < bottom
    for column in (prices.open, prices.close):
        outside |= (column > top) | (column < bottom)
    unknown = ~np.isfinite(prices.volume) & (rules.volume_required | np.isinf(prices.volume))
    return first_of(
        prices,
        [
            (empty & ~(prices.volume > 0), Fault.NO_TRADE, "close"),
            (negative, Fault.NOT_POSITIVE, _worst(prices)),
            (missing, Fault.PRICE_MISSING, "close"),
            (prices.volume < 0, Fault.VOLUME_NEGATIVE, "volume"),
            (unknown, Fault.VOLUME_MISSING, "volume"),
            (prices.volume == 0, Fault.ZERO_VOLUME, "volume"),
            (outside, Fault.RANGE_BROKEN, "close"),
        ],
    )


def _worst(prices: PriceRows) -> str:
    """The column to show for prices that are not positive: the one that has most of them."""
    names = ("close", "open", "high", "low")
    return max(names, key=lambda name: int((getattr(prices, name) <= 0).sum()))


def shifted(prices: PriceRows, placed: Placed, known: KnownMarket) -> IntArray:
    """Return positions of rows whose dates stand in doubt, since a weekend row of their ticker was known by then.

    A day too early, Mondays become Sundays and no row is dated on the last session of a week; a day too late, Fridays become
    Saturdays and no row is dated on the first. Between two rows that *are* dated so, a weekend row puts all others in doubt
    that were not known before it.
    """
    weekday = (prices.dates.astype(np.int64) + MONDAY_OF_DAY_ZERO) % DAYS_A_WEEK
    off = (placed.session == NO_SESSION) & ~np.isnat(prices.dates)
    doubtful: list[IntArray] = []
    for day_of_weekend, ends in ((6, True), (5, False)):
        strange = off & (weekday == day_of_weekend)
        if not strange.any():
            continue
        concerned = np.zeros(placed.tickers.shape[0], dtype=np.bool_)
        concerned[placed.code[strange]] = True
        rows = np.flatnonzero(concerned[placed.code] & (placed.sound | strange))
        rows = rows[np.lexsort((prices.dates[rows], placed.code[rows]))]
        edge = _at_the_edge(prices.dates[rows], placed.session[rows], placed.exchange[rows], placed, known, last=ends)
        doubtful.append(rows[_in_doubt(placed.code[rows], edge, strange[rows], prices.known_at[rows])])
    return np.unique(np.concatenate(doubtful)) if doubtful else np.empty(0, dtype=np.int64)


def _at_the_edge(
    days: DateArray, session: IntArray, exchange: IntArray, placed: Placed, known: KnownMarket, *, last: bool
) -> BoolArray:
    """Rows on the last (or first) session of their week."""
    week = (days.astype(np.int64) + MONDAY_OF_DAY_ZERO) // DAYS_A_WEEK
    out = np.zeros(days.shape[0], dtype=np.bool_)
    for at, name in enumerate(placed.exchanges):
        sessions = known.calendars[name].sessions
        weeks = (sessions.astype(np.int64) + MONDAY_OF_DAY_ZERO) // DAYS_A_WEEK
        changes = weeks[1:] != weeks[:-1]
        edges = np.append(changes, True) if last else np.insert(changes, 0, True)
        mine = (exchange == at) & (session != NO_SESSION)
        out[mine] = edges[session[mine]] & (week[mine] == weeks[session[mine]])
    return out


def _in_doubt(code: IntArray, edge: BoolArray, strange: BoolArray, known_at: DateArray) -> BoolArray:
    """Rows, sorted by ticker and date, in a stretch between edges that holds a weekend row known by then."""
    fresh = np.concatenate([[True], code[1:] != code[:-1]])
    stretch = np.cumsum(fresh | edge)
    instant = np.where(np.isnat(known_at), np.iinfo(np.int64).max, known_at.astype("datetime64[us]").astype(np.int64))
    first = np.full(int(stretch[-1]) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, stretch[strange], instant[strange])
    # a stretch begins at an edge, which is itself dated right
    return np.asarray(~edge & ~strange & (instant >= first[stretch]) & (first[stretch] < np.iinfo(np.int64).max))
