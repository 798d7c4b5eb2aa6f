"""The timetable: which step of the platform is due at which instant, as a pure function of an exchange calendar.

It is not a scheduler and keeps nothing: the plan is written to the store by :mod:`service.jobs.plan` and worked off by
:mod:`service.jobs.runner`. Live running and the replay read the same timetable.

For each week, with s₀ the last session of the ISO week:

1. ``open_round`` of each tournament, ``open_after_close_minutes`` after the close of s₀;
2. ``close_round`` of each tournament, ``window_minutes`` after its opening and before the next session closes, so that s₀
   stays the last session whose close precedes the round's close;
3. ``rebalance`` of the fund at the later of the closes, ordered after them;
4. ``score_round`` on each scored day k, once the close of s₀ + lag + k is known on every exchange that assets trade on;
5. ``resolve_round`` at the instant of the last score, ordered after it.

Each round is a chain, and so is the fund: the steps of a chain run in order, each after the one before it is done, and a step
that fails holds up its own chain and no other.

For each session of any exchange, ``settle_fund`` marks the book to that session's close; after it ``keep_head`` keeps the
ledger's head outside the database and ``publish_bundles`` publishes what proves the rounds that were settled, each in a chain
of its own: nothing waits for them.

Rounds open and close by the hours of one exchange, so a week has one round however many exchanges there are. What has to wait
for prices waits for those of all of them.

Rules are in exchange-local time, because sessions are; the due instants are aware UTC datetimes, so that a change of the clocks
moves an instant and never drops or doubles one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import Tournament
from market.calendars import SessionCalendar, to_date, to_instant
from service.settings import Schedule
from service.store.records import PlannedOccurrence

PRIORITY = {
    "settle_fund": 0,
    "score_round": 10,
    "resolve_round": 20,
    "open_round": 30,
    "close_round": 40,
    "rebalance": 50,
    "publish_bundles": 60,
    "keep_head": 70,
}
"""Order among steps that fall due together: what is known is booked first, the fund decides last, then the head is kept."""


FUND_CHAIN = "fund"
HEADS_CHAIN, BUNDLES_CHAIN = "heads", "bundles"


@dataclass(frozen=True, slots=True)
class Timed:
    """The hours of one tournament's rounds, and the window of returns that they are scored on.

    Attributes
    ----------
    schedule : Schedule
        When rounds open, close and are scored.
    lag_sessions, horizon_sessions : int
        The target's window: a round can resolve when s₀ + lag + horizon is known.
    """

    schedule: Schedule
    lag_sessions: int = 2
    horizon_sessions: int = 20


def occurrences(
    calendar: SessionCalendar,
    tournaments: Mapping[Tournament, Timed],
    first: datetime,
    last: datetime,
    vendor_delay_minutes: int = 60,
    markets: SessionCalendar | None = None,
) -> list[PlannedOccurrence]:
    """Return what falls due, in the order in which it is to be run.

    Parameters
    ----------
    calendar : SessionCalendar
        Sessions of the exchange by which rounds open and close; it has to cover ``last``.
    tournaments : Mapping of Tournament to Timed
        The tournaments that run, each with its own hours.
    first, last : datetime
        Aware UTC. Rounds that open in [first, last] are planned, with those of their steps that are due up to ``last``;
        so are the settlements that are due in [first, last].
    vendor_delay_minutes : int
        Minutes after a close at which that session's prices are known.
    markets : SessionCalendar, optional
        Sessions of all exchanges that assets trade on; ``calendar`` alone by default.

    Returns
    -------
    list of PlannedOccurrence
        Sorted by (due_at, priority, job, payload); no two share job and due_at. A job's name holds the step and its subject,
        as in ``open_round:signals:2016-01-08``.

    Raises
    ------
    InputRejected
        CALENDAR_END when a calendar ends before ``last``; SETTING_INVALID when a round would still be open at the next
        session's close, or a scored day lies outside the horizon; DATE_INVALID when ``first`` is after ``last``.
    """
    if first > last:
        raise InputRejected(Code.DATE_INVALID, "The first instant of a timetable is not after its last.")
    markets = markets or calendar
    if min(calendar.last_date, markets.last_date) < last.date():
        raise InputRejected(Code.CALENDAR_END, f"The exchange calendar ends before {last:%Y-%m-%d}.")
    for timed in tournaments.values():
        _check(timed)
    delay = timedelta(minutes=vendor_delay_minutes)
    settled_after = delay + timedelta(minutes=max((t.schedule.settle_after_minutes for t in tournaments.values()), default=0))
    found = list(_settlements(markets, first, last, settled_after))
    # A round can open up to a week end after its base session closed.
    since = max(calendar.first_date, (first - timedelta(days=7)).date())
    for base in calendar.week_ends(since, last.date()):
        found.extend(_week(calendar, markets, base, tournaments, first, delay))
    return sorted((p for p in found if first <= p.due_at <= last), key=order)


def order(planned: PlannedOccurrence) -> tuple[datetime, int, str, tuple[tuple[str, str], ...]]:
    """Return the key by which occurrences are worked off."""
    return planned.due_at, planned.priority, planned.job, tuple(sorted(planned.payload.items()))


def _check(timed: Timed) -> None:
    if any(not 1 <= k <= timed.horizon_sessions for k in timed.schedule.score_days):
        raise InputRejected(Code.SETTING_INVALID, f"Scored days lie between 1 and {timed.horizon_sessions}.")
    if timed.schedule.open_after_close_minutes < 0 or timed.schedule.window_minutes < 1:
        raise InputRejected(Code.SETTING_INVALID, "A round opens at or after a close and lasts a minute or more.")


def _settlements(calendar: SessionCalendar, first: datetime, last: datetime, after: timedelta) -> Iterator[PlannedOccurrence]:
    since = max(calendar.first_date, (first - after).date())
    for session in calendar.sessions_between(since, last.date()):
        payload = {"session": session.isoformat()}
        due_at = calendar.close_at(session) + after
        yield PlannedOccurrence("settle_fund:fund", due_at, payload, PRIORITY["settle_fund"], FUND_CHAIN)
        yield PlannedOccurrence("keep_head:ledger", due_at, payload, PRIORITY["keep_head"], HEADS_CHAIN)
        yield PlannedOccurrence("publish_bundles:all", due_at, payload, PRIORITY["publish_bundles"], BUNDLES_CHAIN)


def _week(
    calendar: SessionCalendar,
    markets: SessionCalendar,
    base: date,
    tournaments: Mapping[Tournament, Timed],
    first: datetime,
    delay: timedelta,
) -> Iterator[PlannedOccurrence]:
    """Yield the steps of the rounds with base session ``base``, if they open at or after ``first``."""
    closes: list[datetime] = []
    for tournament in sorted(tournaments):
        timed = tournaments[tournament]
        opens_at = calendar.close_at(base) + timedelta(minutes=timed.schedule.open_after_close_minutes)
        if opens_at < first:
            continue
        closes_at = opens_at + timedelta(minutes=timed.schedule.window_minutes)
        _check_base(calendar, base, closes_at, tournament)
        closes.append(closes_at)
        subject = f"{tournament.label}:{base.isoformat()}"
        payload = {"tournament": tournament.label, "base_session": base.isoformat()}
        yield _step("open_round", subject, opens_at, payload)
        yield _step("close_round", subject, closes_at, payload)
        yield from _scores(markets, closes_at, timed, subject, payload, delay)
    if closes:
        payload = {"base_session": base.isoformat()}
        yield PlannedOccurrence(f"rebalance:fund:{base.isoformat()}", max(closes), payload, PRIORITY["rebalance"], FUND_CHAIN)


def _check_base(calendar: SessionCalendar, base: date, closes_at: datetime, tournament: Tournament) -> None:
    """Refuse a window in which another session closes: the round's s₀ would not be the week's last session."""
    position = calendar.index_of(base)
    following = [to_instant(c) for c in calendar.closes[position + 1 : position + 2]]
    if following and closes_at > following[0]:
        raise InputRejected(
            Code.SETTING_INVALID, f"The {tournament.label} round of {base} would still be open when the next session closes."
        )


def _scores(
    markets: SessionCalendar, closes_at: datetime, timed: Timed, subject: str, payload: Mapping[str, str], delay: timedelta
) -> Iterator[PlannedOccurrence]:
    """Yield the scorings of one round and its resolution, as far as the calendars reach."""
    after = delay + timedelta(minutes=timed.schedule.score_after_minutes)
    for day in sorted({*timed.schedule.score_days, timed.horizon_sessions}):
        known = _known_from(markets, closes_at, timed.lag_sessions + day)
        if known is None:
            return
        yield _step("score_round", subject, known + after, payload)
        if day == timed.horizon_sessions:
            yield _step("resolve_round", subject, known + after, payload)


def _known_from(markets: SessionCalendar, closes_at: datetime, sessions: int) -> datetime | None:
    """Return the close after which every exchange has had ``sessions`` sessions since its s₀; None beyond the calendars."""
    try:
        bases = zip(markets.exchanges, markets.own_last_closed_before(closes_at), strict=True)
        return max(markets.close_at(markets.own_offset(exchange, to_date(base), sessions)) for exchange, base in bases)
    except InputRejected as error:
        if error.code is Code.CALENDAR_END:
            return None
        raise


def _step(step: str, subject: str, due_at: datetime, payload: Mapping[str, str]) -> PlannedOccurrence:
    return PlannedOccurrence(f"{step}:{subject}", due_at, payload, PRIORITY[step], subject)
