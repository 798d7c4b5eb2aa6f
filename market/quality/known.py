"""What was known before a batch: the trail that accepted rows left, calendars, events, and what the batch should hold.

The trail is all that the gate remembers of a ticker, one record each. Judging a history in one batch, or session by session
with the trail handed on, gives the same verdicts; a shell keeps it, or makes it again by judging the last months once more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from market.arrays import DateArray, IntArray, StrArray
from market.batch import DELISTING, EventRows, PriceRows, join_rows
from market.calendars import SessionCalendar

StateArray = npt.NDArray[np.void]

CURRENCY_WIDTH = 8
NEVER = -1
"""Patience of a doubt that time does not settle."""

STATE = np.dtype(
    [
        ("level", "f8"),  # log of the last accepted close, moved on with the market; NaN before the first
        ("day", "M8[D]"),  # of the last accepted row
        ("seen", "M8[D]"),  # of the last row of any kind on a session
        ("traded", "M8[D]"),  # of the last row that could be a price, accepted or doubtful
        ("learnt", "M8[us]"),  # when that one was known
        ("move", "f8"),  # trailing mean of absolute moves beside the market
        ("dollars", "f8"),  # trailing mean of log value traded; NaN where unknown
        ("shares", "f8"),  # trailing mean of log shares traded
        ("count", "i8"),  # accepted rows
        ("factor", "f8"),  # log of adj_close over close at the last row; NaN where unknown
        ("open", "f8"),  # of the last row that could be a price
        ("close", "f8"),
        ("volume", "f8"),
        ("currency", f"U{CURRENCY_WIDTH}"),
        ("idle", "i8"),  # sessions without volume up to now
        ("doubt_level", "f8"),  # log of the last doubtful close, moved on with the market; NaN without a doubt
        ("doubt_since", "M8[D]"),
        ("doubt_count", "i8"),  # later sessions on the doubtful level
        ("doubt_patience", "i8"),  # how many of them settle the doubt, or NEVER
        ("doubt_fault", "i8"),  # number of its name
        ("doubt_jump", "f8"),  # log of the doubtful level over the accepted one
        ("doubt_break", "?"),  # settled as a break, not as a return
    ]
)

MOVE_AT_FIRST = 0.02
"""Mean absolute move that a new ticker is taken to have: 2 % a day, a common stock's."""


def blank(n: int) -> StateArray:
    """Return the records of ``n`` tickers of which nothing is known."""
    state = np.zeros(n, dtype=STATE)
    for name in ("level", "dollars", "shares", "factor", "open", "close", "volume", "doubt_level"):
        state[name] = np.nan
    for name in ("day", "seen", "traded", "learnt", "doubt_since"):
        state[name] = np.datetime64("NaT")
    state["move"] = MOVE_AT_FIRST
    return state


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """What accepted rows left behind: ``tickers`` (n,) str, sorted and unique, and ``state`` (n,) records of :data:`STATE`."""

    tickers: StrArray
    state: StateArray

    def __post_init__(self) -> None:
        if self.tickers.shape != self.state.shape or (self.tickers[1:] <= self.tickers[:-1]).any():
            raise InvariantBroken(Code.INTERNAL, "The trail's tickers are not sorted, repeat, or do not fit its records.")

    @staticmethod
    def nothing() -> "Trail":
        """Return the trail before any row."""
        return Trail(np.empty(0, dtype=np.str_), blank(0))

    def on(self, tickers: StrArray) -> StateArray:
        """Return records (n,) of sorted ``tickers``, fresh ones for those that the trail does not know. A copy."""
        state = blank(tickers.shape[0])
        if self.tickers.shape[0] and tickers.shape[0]:
            place = np.minimum(np.searchsorted(self.tickers, tickers), self.tickers.shape[0] - 1)
            known = self.tickers[place] == tickers
            state[known] = self.state[place[known]]
        return state


@dataclass(frozen=True, slots=True, eq=False)
class KnownMarket:
    """What was known when a batch came; the decision instant of each row is the row's own ``known_at``.

    Attributes
    ----------
    calendars : mapping of str to SessionCalendar
        By exchange.
    exchange : str
        Of tickers that ``exchanges`` does not name.
    exchanges : mapping of str to str
        Exchange by ticker.
    expected : (k,) str
        Tickers that were asked for; empty where nobody knows.
    judged_at : datetime64[us] or None
        UTC; what should be there by now is measured at it. None for a backfill: then at the batch's own last session.
    trail : Trail
        After the batch before. On a split-adjusted basis as that batch was adjusted: splits since then are taken from events.
    prices : PriceRows or None
        Accepted rows that the store has of the batch's tickers and dates; restatements are seen against them alone.
    events : EventRows
        Accepted before, of all tickers.
    cleared : frozenset of (str, str)
        Ticker and ISO date of rows that a person looked at and found right: no jump is seen there.
    """

    calendars: Mapping[str, SessionCalendar]
    exchange: str
    exchanges: Mapping[str, str] = field(default_factory=dict)
    expected: StrArray = field(default_factory=lambda: np.empty(0, dtype=np.str_))
    judged_at: np.datetime64 | None = None
    trail: Trail = field(default_factory=Trail.nothing)
    prices: PriceRows | None = None
    events: EventRows = field(default_factory=EventRows.empty)
    cleared: frozenset[tuple[str, str]] = frozenset()

    def __post_init__(self) -> None:
        named = {self.exchange, *self.exchanges.values()}
        if not named <= set(self.calendars):
            raise InvariantBroken(Code.INTERNAL, f"No calendar was given for {', '.join(sorted(named - set(self.calendars)))}.")

    def after(self, trail: Trail, events: EventRows) -> "KnownMarket":
        """Return what is known after a batch: its trail, and its accepted events beside the former ones."""
        return replace(self, trail=trail, events=join_rows([self.events, events]), prices=None)


def delisted_on(tickers: StrArray, events: EventRows) -> tuple[DateArray, DateArray]:
    """Return for sorted ``tickers`` (n,) the day from which each is not listed any more and when that was known; NaT for none.

    Where several are told, the one that was known first holds.
    """
    day = np.full(tickers.shape[0], np.datetime64("NaT"), dtype="datetime64[D]")
    known = np.full(tickers.shape[0], np.datetime64("NaT"), dtype="datetime64[us]")
    told = np.flatnonzero(events.kinds == DELISTING)
    told = told[np.argsort(events.known_at[told], kind="stable")[::-1]]
    place, there = places_of(events.tickers[told], tickers)
    day[place[there]] = events.dates[told][there]
    known[place[there]] = events.known_at[told][there]
    return day, known


def places_of(wanted: StrArray, tickers: StrArray) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Return where each of ``wanted`` stands in sorted ``tickers``, and whether it does."""
    if tickers.shape[0] == 0:
        return np.zeros(wanted.shape[0], dtype=np.int64), np.zeros(wanted.shape[0], dtype=np.bool_)
    place = np.minimum(np.searchsorted(tickers, wanted), tickers.shape[0] - 1)
    return place.astype(np.int64), np.asarray(tickers[place] == wanted, dtype=np.bool_)
