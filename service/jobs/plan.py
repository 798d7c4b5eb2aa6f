"""Write the timetable into the store, as far ahead as asked; what was planned before stays as it is.

1. *load* since when this home has a timetable, how far it was planned, and which exchanges its assets trade on.
2. *decide* with :func:`service.jobs.timetable.occurrences`. The plan starts again early enough that the later steps of rounds
   which opened before the former end are in it; rounds that would have opened before the home had a timetable are never in it.
3. *commit* the occurrences that are new, and the new end.

So a scheduler that was away for a month plans the month when it comes back, and the runner catches up in order.
"""

from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from crowdalpha.ids import Tournament
from market.calendars import SessionCalendar, joint_calendar, session_calendar
from service.clock import as_utc, instant_text
from service.context import Platform
from service.desk import REACH_MARGIN_DAYS, reach_days
from service.jobs.timetable import Timed, occurrences
from service.settings import load_schedule, load_terms
from service.store import meta
from service.store import occurrences as rows

SINCE_KEY = "timetable.since"
UNTIL_KEY = "timetable.until"


def plan_ahead(platform: Platform, until: datetime) -> int:
    """Plan what falls due up to ``until`` and return how many occurrences are new.

    Parameters
    ----------
    until : datetime
        Aware. The first plan of a home begins at its clock's present instant.

    Raises
    ------
    InputRejected
        CALENDAR_END beyond the exchange's known rules; SETTING_INVALID for hours that cannot be kept.
    """
    until = as_utc(until)
    tournaments, exchanges = timed_tournaments(platform), platform.desk.exchanges()
    with platform.store.write() as connection:
        now = platform.clock.now(connection)
        since = _instant(connection, SINCE_KEY) or now
        planned = _instant(connection, UNTIL_KEY)
        first = since if planned is None else max(since, planned - _life(tournaments))
        if until < first:
            return 0
        calendar = _calendar(platform, first.date(), until.date())
        markets = _markets(calendar, exchanges, until.date())
        delay = platform.settings.market.vendor_delay_minutes
        new = rows.plan(connection, occurrences(calendar, tournaments, first, until, delay, markets))
        meta.set_meta(connection, SINCE_KEY, instant_text(since))
        meta.set_meta(connection, UNTIL_KEY, instant_text(until if planned is None else max(planned, until)))
    return new


def timed_tournaments(platform: Platform) -> dict[Tournament, Timed]:
    """Return the hours and windows of the tournaments as the settings have them now."""
    settings = platform.settings
    found = {}
    for tournament in Tournament:
        named = getattr(settings.tournaments, tournament.label)
        scoring = load_terms(named.terms, settings.config_dir).scoring
        schedule = load_schedule(named.schedule, settings.config_dir)
        found[tournament] = Timed(schedule, scoring.lag_sessions, scoring.horizon_sessions)
    return found


def _life(tournaments: dict[Tournament, Timed]) -> timedelta:
    """Return a time that is longer than any round's from opening to resolution."""
    return timedelta(days=reach_days(max((t.lag_sessions + t.horizon_sessions for t in tournaments.values()), default=0)))


def _calendar(platform: Platform, first: date, last: date) -> SessionCalendar:
    margin = timedelta(days=REACH_MARGIN_DAYS)
    # Whole years, so that the calendars of many small plans are one calendar.
    start, end = date((first - margin).year, 1, 1), date((last + margin).year, 12, 31)
    return session_calendar(platform.settings.market.calendar, start, end)


def _markets(home: SessionCalendar, exchanges: tuple[str, ...], last: date) -> SessionCalendar:
    """Return the sessions of ``home`` and of all ``exchanges``."""
    names = sorted({*exchanges, home.exchange})
    if len(names) == 1:
        return home
    # Some exchanges announce their sessions year by year: no further than the plan needs.
    end = last + timedelta(days=REACH_MARGIN_DAYS)
    return joint_calendar([session_calendar(name, home.first_date, end) for name in names])


def _instant(connection: Connection, key: str) -> datetime | None:
    text = meta.get_meta(connection, key)
    return None if text is None else datetime.fromisoformat(text)
