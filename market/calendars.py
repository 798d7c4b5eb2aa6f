"""Sessions of one exchange or of several: which dates trade, and when they open and close in UTC.

Not here: when rounds open (``signals.rounds``), which exchange a country's prices come from (:mod:`market.countries`), and any
clock. The exchange's rules come from exchange_calendars with an explicit first and last date, since its default reach moves
with the day on which one asks. A question beyond that reach is refused: a guess about an unknown session would move money to
the wrong day.

The calendar of several exchanges is a calendar like another: its dates are those on which any of them trades, a date opens with
the first of those that trade on it and closes with the last. What is counted in the sessions of one exchange is asked of that
exchange (:meth:`SessionCalendar.own_offset`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, DateArray, IntArray, StrArray, readonly


def to_datetime64(instant: datetime) -> np.datetime64:
    """Return an aware instant as datetime64[us] in UTC, the form in which arrays compare it.

    Raises
    ------
    InputRejected
        ``date_invalid`` for an instant without a time zone.
    """
    if instant.tzinfo is None:
        raise InputRejected(Code.DATE_INVALID, f"The instant {instant.isoformat()} has no time zone.")
    return np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us")


def to_instant(value: np.datetime64) -> datetime:
    """Return a datetime64 in UTC as an aware datetime, to the second."""
    naive: datetime = value.astype("datetime64[s]").item()
    return naive.replace(tzinfo=UTC)


def to_date(value: np.datetime64) -> date:
    """Return a datetime64 as a date."""
    day: date = value.astype("datetime64[D]").item()
    return day


@dataclass(frozen=True, slots=True, eq=False)
class SessionCalendar:
    """The sessions of an exchange, or of several together, over a stretch of dates.

    Attributes
    ----------
    exchange : str
        ISO 10383 code, for example XNYS; the codes of several exchanges joined by ``+``.
    sessions : (T,) datetime64[D]
        Trading dates, ascending, without repetition.
    opens, closes : (T,) datetime64[s]
        UTC. Half days and daylight saving are in them. Of several exchanges: the earliest open and the latest close among
        those that trade on the date; both ascend.
    covered : (date, date)
        First and last date that the calendar speaks of; by default its first and last session.
    parts : tuple of SessionCalendar
        The calendars that were joined, each with its own reach; empty for the calendar of one exchange.
    """

    exchange: str
    sessions: DateArray
    opens: DateArray
    closes: DateArray
    covered: tuple[date, date] | None = None
    parts: tuple["SessionCalendar", ...] = ()

    def __post_init__(self) -> None:
        if self.sessions.shape[0] == 0:
            raise InputRejected(Code.CALENDAR_END, f"The {self.exchange} calendar holds no session.")
        if self.covered is None:
            object.__setattr__(self, "covered", (to_date(self.sessions[0]), to_date(self.sessions[-1])))

    @property
    def first_date(self) -> date:
        """First date that the calendar speaks of."""
        return self.covered[0] if self.covered else to_date(self.sessions[0])

    @property
    def last_date(self) -> date:
        """Last date that the calendar speaks of."""
        return self.covered[1] if self.covered else to_date(self.sessions[-1])

    @property
    def exchanges(self) -> tuple[str, ...]:
        """The E exchanges, in the order of the columns of :attr:`trading`."""
        return tuple(part.exchange for part in self.parts) or (self.exchange,)

    @property
    def trading(self) -> BoolArray:
        """(T, E) bool: which exchange trades on which session."""
        own = [part.sessions for part in self.parts] or [self.sessions]
        return readonly(np.column_stack([np.isin(self.sessions, sessions) for sessions in own]))

    def of(self, exchange: str) -> "SessionCalendar":
        """Return the calendar of one of the exchanges; raises InputRejected ``setting_invalid`` for another one."""
        for part in self.parts or (self,):
            if part.exchange == exchange:
                return part
        raise InputRejected(Code.SETTING_INVALID, f"{exchange[:40]!r} is none of the exchanges {', '.join(self.exchanges)}.")

    def columns(self, exchanges: StrArray) -> IntArray:
        """Return for exchanges (n,), such as those of assets, their columns of :attr:`trading`; another one is refused."""
        of = {name: self.exchanges.index(self.of(str(name)).exchange) for name in np.unique(exchanges)}
        return np.array([of[name] for name in exchanges], dtype=np.int64)

    def own_offset(self, exchange: str, session: date, n: int) -> date:
        """Return :meth:`offset` counted in the sessions of ``exchange`` alone, of which ``session`` must be one."""
        return self.of(exchange).offset(session, n)

    def own_last_closed_before(self, instant: datetime) -> DateArray:
        """Return for each exchange (E,) its last own session whose close strictly precedes ``instant``, as datetime64[D].

        The decision instant is ``instant``. The dates differ: Tokyo's session of a date has closed before New York's opens.
        """
        return np.array([part.last_closed_before(instant) for part in self.parts or (self,)], dtype="datetime64[D]")

    def is_session(self, day: date) -> bool:
        """Tell whether ``day`` trades; a date outside the calendar raises InputRejected ``calendar_end``."""
        self._check(day)
        at = int(np.searchsorted(self.sessions, np.datetime64(day, "D")))
        return at < self.sessions.shape[0] and to_date(self.sessions[at]) == day

    def index_of(self, session: date) -> int:
        """Return the position of ``session``; raises InputRejected ``date_not_session`` for another date."""
        if not self.is_session(session):
            raise InputRejected(Code.DATE_NOT_SESSION, f"{session.isoformat()} is not a session of {self.exchange}.")
        return int(np.searchsorted(self.sessions, np.datetime64(session, "D")))

    def open_at(self, session: date) -> datetime:
        """Return the aware UTC instant at which ``session`` opens."""
        return to_instant(self.opens[self.index_of(session)])

    def close_at(self, session: date) -> datetime:
        """Return the aware UTC instant at which ``session`` closes."""
        return to_instant(self.closes[self.index_of(session)])

    def offset(self, session: date, n: int) -> date:
        """Return the session ``n`` sessions after ``session`` (before it for a negative ``n``).

        Raises
        ------
        InputRejected
            ``calendar_end`` when that session lies outside the calendar, ``date_not_session`` for a wrong start.
        """
        at = self.index_of(session) + n
        if not 0 <= at < self.sessions.shape[0]:
            raise self._too_far(f"{n} sessions from {session.isoformat()}")
        return to_date(self.sessions[at])

    def last_closed_before(self, instant: datetime) -> date:
        """Return the last session whose close strictly precedes ``instant``; the decision instant is ``instant``."""
        at = to_datetime64(instant)
        if at >= np.datetime64(self.last_date + timedelta(days=1), "us"):
            raise self._too_far(instant.isoformat())
        index = int(np.searchsorted(self.closes, at, side="left")) - 1
        if index < 0:
            raise self._too_far(instant.isoformat())
        return to_date(self.sessions[index])

    def next_session(self, day: date) -> date:
        """Return the first session after ``day``, which need not be a session itself."""
        self._check(day)
        at = int(np.searchsorted(self.sessions, np.datetime64(day, "D"), side="right"))
        if at >= self.sessions.shape[0]:
            raise self._too_far(f"the session after {day.isoformat()}")
        return to_date(self.sessions[at])

    def sessions_between(self, first: date, last: date) -> list[date]:
        """Return the sessions from ``first`` to ``last``, both included."""
        self._check(first)
        self._check(last)
        lo = np.searchsorted(self.sessions, np.datetime64(first, "D"), side="left")
        hi = np.searchsorted(self.sessions, np.datetime64(last, "D"), side="right")
        return [to_date(s) for s in self.sessions[lo:hi]]

    def week_ends(self, first: date, last: date) -> list[date]:
        """Return the last session of each ISO week, where it lies between ``first`` and ``last``, both included.

        A week whose Sunday lies beyond the calendar is left out: its last session is not determined yet.
        """
        self._check(first)
        self._check(last)
        reach = min(last + timedelta(days=7), self.last_date)
        ends: dict[date, date] = {}
        for session in self.sessions_between(first, reach):
            ends[session - timedelta(days=session.weekday())] = session
        return [end for monday, end in ends.items() if end <= last and monday + timedelta(days=6) <= self.last_date]

    def _check(self, day: date) -> None:
        if not self.first_date <= day <= self.last_date:
            raise self._too_far(day.isoformat())

    def _too_far(self, what: str) -> InputRejected:
        reach = f"from {self.first_date.isoformat()} to {self.last_date.isoformat()}"
        return InputRejected(Code.CALENDAR_END, f"The {self.exchange} calendar reaches {reach}, not to {what}.")


@lru_cache(maxsize=128)  # room for the exchanges of all countries, over a few stretches of dates
def session_calendar(exchange: str, start: date, end: date) -> SessionCalendar:
    """Return the sessions of ``exchange`` from ``start`` to ``end``, both included.

    Parameters
    ----------
    exchange : str
        ISO 10383 code that exchange_calendars knows, for example XNYS.
    start, end : date
        Reach of the calendar. Give an end well after the last price: rounds look ahead.

    Raises
    ------
    InputRejected
        ``date_invalid`` when start is after end, ``calendar_end`` beyond the exchange's known rules, ``setting_invalid``
        for an unknown exchange.
    """
    from exchange_calendars import get_calendar
    from exchange_calendars.errors import InvalidCalendarName

    if start > end:
        raise InputRejected(Code.DATE_INVALID, f"{start.isoformat()} is after {end.isoformat()}.")
    try:
        schedule = get_calendar(exchange, start=start.isoformat(), end=end.isoformat()).schedule
    except InvalidCalendarName as error:
        raise InputRejected(Code.SETTING_INVALID, f"There is no exchange calendar {exchange!r}.") from error
    except (ValueError, RuntimeError) as error:  # the latter: Orthodox Easter, on the pandas of today
        reach = f"from {start.isoformat()} to {end.isoformat()}"
        raise InputRejected(Code.CALENDAR_END, f"The {exchange} calendar cannot be made {reach}.") from error

    def seconds(column: str) -> DateArray:
        naive = schedule[column].dt.tz_localize(None)
        return readonly(naive.to_numpy().astype("datetime64[s]"))

    sessions = readonly(schedule.index.to_numpy().astype("datetime64[D]"))
    return SessionCalendar(exchange, sessions, seconds("open"), seconds("close"), (start, end))


def joint_calendar(calendars: Sequence[SessionCalendar]) -> SessionCalendar:
    """Return the union of the sessions of several exchanges.

    It speaks of the dates that all of them speak of: beyond the reach of one, a date without a session there would not be
    known to be one.

    Parameters
    ----------
    calendars : sequence of SessionCalendar
        Of different exchanges, at least one.

    Returns
    -------
    SessionCalendar
        A date once, however many exchanges trade on it; :attr:`SessionCalendar.trading` tells which.

    Raises
    ------
    InputRejected
        ``setting_invalid`` for no calendar, for an exchange twice, or for one that is joined already; ``calendar_end`` when no
        date is in the reach of all.
    """
    names = [calendar.exchange for calendar in calendars]
    if not names or len(set(names)) != len(names) or any(calendar.parts for calendar in calendars):
        raise InputRejected(Code.SETTING_INVALID, f"Calendars are joined of different single exchanges, not of {names}.")
    first, last = max(c.first_date for c in calendars), min(c.last_date for c in calendars)
    if first > last:
        raise InputRejected(Code.CALENDAR_END, f"The calendars of {', '.join(names)} have no date in common.")
    inside = [(c.sessions >= np.datetime64(first, "D")) & (c.sessions <= np.datetime64(last, "D")) for c in calendars]
    every = np.concatenate([c.sessions[i] for c, i in zip(calendars, inside, strict=True)])
    sessions, row = np.unique(every, return_inverse=True)
    opens = np.full(sessions.shape[0], np.iinfo(np.int64).max)
    closes = np.full(sessions.shape[0], np.iinfo(np.int64).min)
    np.minimum.at(opens, row, np.concatenate([c.opens[i].astype(np.int64) for c, i in zip(calendars, inside, strict=True)]))
    np.maximum.at(closes, row, np.concatenate([c.closes[i].astype(np.int64) for c, i in zip(calendars, inside, strict=True)]))
    return SessionCalendar(
        "+".join(names),
        readonly(sessions),
        readonly(opens.astype("datetime64[s]")),
        readonly(closes.astype("datetime64[s]")),
        (first, last),
        tuple(calendars),
    )
