"""From stored rows with two instants each to a point-in-time panel.

It opens no file: the shell reads the rows. Nothing is judged here; what was set aside is not among them.

1. A row's place is its date among the calendar's sessions and its asset among the table's.
2. The first word on a cell, if it was known when its session was learnt (close plus the vendor's delay), is what the panel
   starts from. Of several words known by then the last holds.
3. Every later word is a revision, with the instant at which it was learnt; so is a first word that came late.
4. Splits and dividends stand on their own sessions in the same way. A delisting is an event of the first session without
   listing, known with that session or when it was learnt, whichever is later.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray
from market.batch import DELISTING, DIVIDEND, SPLIT
from market.calendars import SessionCalendar
from market.panel import NOT_DELISTED, AssetTable, PointInTimePanel
from market.quotes import FIELDS, NOTHING, Quotes
from market.revisions import Revisions

PRICES = ("open", "high", "low", "close", "volume")
_EVENT_FIELDS = {SPLIT: "splits", DIVIDEND: "dividends"}


@dataclass(frozen=True, slots=True, eq=False)
class StoredRows:
    """Daily prices as they are kept, in any order; all columns have length r.

    Attributes
    ----------
    assets : (r,) int64
        Positions in the asset table.
    dates : (r,) datetime64[D]
    known_at : (r,) datetime64[us]
        UTC.
    values : mapping of name to (r,) float64
        ``open``, ``close`` and ``volume``, and ``high`` and ``low`` where the source has them; NaN for none.
    """

    assets: IntArray
    dates: DateArray
    known_at: DateArray
    values: Mapping[str, FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class StoredEvents:
    """Splits, dividends and delistings as they are kept, in any order; all columns have length e.

    Attributes
    ----------
    kinds : (e,) str
        Of :data:`market.batch.EVENT_KINDS`.
    assets : (e,) int64
        Positions in the asset table.
    dates : (e,) datetime64[D]
        Session on which each takes effect; one without a session takes effect on the next.
    known_at : (e,) datetime64[us]
        UTC.
    values : (e,) float64
        See :class:`market.batch.EventRows`.
    """

    kinds: StrArray
    assets: IntArray
    dates: DateArray
    known_at: DateArray
    values: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """What all rows of a panel share.

    Attributes
    ----------
    calendar : SessionCalendar
        Must reach every date.
    vendor_delay_minutes : int
        ``known_at`` of a session is its close plus this.
    price_basis, source : str
    flags : frozenset of str
    """

    calendar: SessionCalendar
    vendor_delay_minutes: int
    price_basis: str
    source: str
    flags: frozenset[str]


def assemble(rows: StoredRows, events: StoredEvents, assets: AssetTable, setting: Setting) -> PointInTimePanel:
    """Build the panel that stored rows and events amount to.

    Parameters
    ----------
    rows, events : StoredRows, StoredEvents
    assets : AssetTable
    setting : Setting

    Returns
    -------
    PointInTimePanel
        From the first to the last session with a row. ``notes`` counts ``rows_read``, ``rows_not_sessions`` and ``revisions``.

    Raises
    ------
    InputRejected
        ``prices_invalid`` without a row on any session, ``calendar_end`` for a date beyond the calendar.
    """
    places = _places(rows.dates, setting.calendar)
    on = places >= 0
    if not on.any():
        raise InputRejected(Code.PRICES_INVALID, f"No stored price is on a session of {setting.calendar.exchange}.")
    first, last = int(places[on].min()), int(places[on].max())
    sessions = setting.calendar.sessions[first : last + 1].copy()
    delay = np.timedelta64(setting.vendor_delay_minutes, "m")
    known_at = (setting.calendar.closes[first : last + 1] + delay).astype("datetime64[s]")
    table = _Cells(known_at, len(sessions), len(assets))
    spoken = slice(None) if on.all() else on
    values = {name: rows.values[name][spoken] for name in PRICES if name in rows.values}
    table.write(places[spoken] - first, rows.assets[spoken], rows.known_at[spoken], values)
    _write_events(table, events, setting.calendar, first)
    index, returns, learnt = _delistings(events, setting.calendar, first, len(sessions), len(assets))
    quotes, revisions = table.finish()
    trading = setting.calendar.trading[first : last + 1]
    notes = {"rows_read": len(places), "rows_not_sessions": int((~on).sum()), "revisions": len(revisions)}
    flags = setting.flags | ({"survivors_only"} if (index == NOT_DELISTED).all() else set())
    return PointInTimePanel(
        assets=assets, calendar=setting.calendar, sessions=sessions, known_at=known_at, quotes=quotes,
        delisting_index=index, delisting_return=returns, delisting_known_at=learnt, revisions=revisions,
        trading=trading[:, setting.calendar.columns(np.unique(assets.exchanges))],
        price_basis=setting.price_basis, flags=frozenset(flags), source=setting.source, notes=notes,
    )  # fmt: skip


class _Cells:
    """Arrays in the making: first words in place, later ones in a list."""

    def __init__(self, known_at: DateArray, t: int, n: int) -> None:
        self.known_at, self.shape = known_at.astype("datetime64[us]"), (t, n)
        self.arrays: dict[str, FloatArray] = {}
        self.late: list[tuple[int, IntArray, IntArray, DateArray, FloatArray]] = []

    def write(self, rows: IntArray, assets: IntArray, known_at: DateArray, values: Mapping[str, FloatArray]) -> None:
        """Write words on cells, in any order."""
        cells = rows * self.shape[1] + assets
        in_time: BoolArray = known_at <= self.known_at[rows]
        first = slice(None) if in_time.all() else np.flatnonzero(in_time)
        seen = np.zeros(self.shape[0] * self.shape[1], dtype=np.bool_)
        seen[cells[first]] = True
        if np.count_nonzero(seen) < np.count_nonzero(in_time):
            # Of several words on one cell the last holds: the order in which they were learnt decides, so it is made.
            order = np.argsort(known_at, kind="stable")
            first = order[in_time[order]]
        late = np.flatnonzero(~in_time)
        for name, column in values.items():
            array = self.arrays.setdefault(name, np.full(self.shape, NOTHING[name]))
            array.reshape(-1)[cells[first]] = column[first]
            if late.size:
                self.late.append((FIELDS.index(name), rows[late], assets[late], known_at[late], column[late]))

    def finish(self) -> tuple[Quotes, Revisions]:
        for name in ("open", "close", "volume"):
            self.arrays.setdefault(name, np.full(self.shape, NOTHING[name]))
        quotes = Quotes(**self.arrays)
        if not self.late:
            return quotes, Revisions.none()
        fields = np.concatenate([np.full(len(rows), field) for field, rows, *_ in self.late])
        rows, assets, known_at, values = (np.concatenate(part) for part in list(zip(*self.late, strict=True))[1:])
        order = np.argsort(known_at, kind="stable")
        return quotes, Revisions(known_at[order], fields[order], rows[order], assets[order], values[order])


def _places(dates: DateArray, calendar: SessionCalendar) -> IntArray:
    """Return the calendar's position of each date, −1 for a date that is no session."""
    if dates.size == 0:
        return np.empty(0, dtype=np.int64)
    first, last = dates.min(), dates.max()
    if first < np.datetime64(calendar.first_date, "D") or last > np.datetime64(calendar.last_date, "D"):
        reach = f"{calendar.first_date.isoformat()} to {calendar.last_date.isoformat()}"
        raise InputRejected(Code.CALENDAR_END, f"The prices run from {first} to {last}, the calendar from {reach}.")
    place_of = np.full(int((last - first).astype(np.int64)) + 1, -1, dtype=np.int64)
    inside = (calendar.sessions >= first) & (calendar.sessions <= last)
    place_of[(calendar.sessions[inside] - first).astype(np.int64)] = np.flatnonzero(inside)
    places: IntArray = place_of[(dates - first).astype(np.int64)]
    return places


def _effective(dates: DateArray, calendar: SessionCalendar, first: int) -> IntArray:
    """Return the row on which an event of each date takes effect: its session's, or the next one's."""
    return np.searchsorted(calendar.sessions, dates, side="left").astype(np.int64) - first


def _write_events(table: _Cells, events: StoredEvents, calendar: SessionCalendar, first: int) -> None:
    row = _effective(events.dates, calendar, first)
    inside = (row >= 0) & (row < table.shape[0])
    for kind, name in _EVENT_FIELDS.items():
        at = np.flatnonzero((events.kinds == kind) & inside)
        if not at.size:
            continue
        table.write(row[at], events.assets[at], events.known_at[at], {name: events.values[at]})


def _delistings(
    events: StoredEvents, calendar: SessionCalendar, first: int, t: int, n: int
) -> tuple[IntArray, FloatArray, DateArray]:
    """Return row, return and instant of each asset's delisting: the last word on it; one outside the rows is not there."""
    index, returns = np.full(n, NOT_DELISTED, dtype=np.int64), np.full(n, np.nan)
    learnt = np.full(n, np.datetime64("NaT"), dtype="datetime64[us]")
    row = _effective(events.dates, calendar, first)
    at = np.flatnonzero((events.kinds == DELISTING) & (row >= 0) & (row < t))
    if not np.isfinite(events.values[at]).all():
        raise InvariantBroken(Code.INTERNAL, "A stored delisting has no return.")
    at = at[np.argsort(events.known_at[at], kind="stable")]
    index[events.assets[at]], returns[events.assets[at]] = row[at], events.values[at]
    learnt[events.assets[at]] = events.known_at[at]
    return index, returns, learnt
