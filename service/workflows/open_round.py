"""Open a round: freeze its universe, neutralizers, terms and, in the classic tournament, its era.

1. *load* the instant, the panel as known then, the terms in force.
2. *decide* the universe, the exposures, the sample weights, s₀ of each exchange (the last session that closes before the round
   does) and the resolve session, the latest at which a return of the round ends. Rounds keep the hours of the settings'
   exchange: its s₀ is the round's base session.
3. *commit* the files, then the round's row with its own copy of the terms, if the treasury covers the budget.

Opening a round that stands already for the same s₀ returns the standing one, also a void one. It is looked for before the work
and, since others may open it meanwhile, once more in the transaction that writes; the database refuses a second one too.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
from sqlalchemy import Connection

from crowdalpha.canonical import canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, Unavailable
from crowdalpha.ids import RoundKey, RoundState, Tournament
from market.calendars import SessionCalendar, to_date
from market.neutralizers import neutralizers_of, sample_weights
from market.panel import PanelView
from market.universe import Universe, rule_as_plain
from service.context import Platform
from service.desk import universe_rule
from service.frames import RoundFrame, RoundSessions, put_frame, put_schemes
from service.roundlabels import distinct_labels, frozen_schemes
from service.settings import load_schedule, load_terms
from service.store import audit, rounds
from service.store.records import RoundRecord
from service.vendors.files import parquet_bytes
from service.workflows.treasury import require_budget

WINDOW_MIN = timedelta(hours=1)
"""A provider needs an hour at least; a window is rather extended than cut below it."""


def open_round(platform: Platform, tournament: Tournament, base_session: date | None = None) -> RoundRecord:
    """Open the next round of ``tournament`` now; the decision instant is the clock's.

    Parameters
    ----------
    tournament : Tournament
    base_session : date, optional
        The s₀ that the caller expects; a schedule gives it so that a late opening cannot slip to another week.

    Raises
    ------
    Unavailable
        MARKET_COVERAGE when the panel does not hold the last closed session yet.
    Conflict
        TREASURY_TOO_LOW when the treasury does not cover the budget beside those of the rounds that are not settled.
    InputRejected
        DATE_INVALID when the clock's s₀ is not ``base_session``; UNIVERSE_TOO_SMALL, CALENDAR_END.
    """
    now = platform.clock.now()
    settings = getattr(platform.settings.tournaments, tournament.label)
    terms = load_terms(settings.terms, platform.settings.config_dir)
    last = terms.scoring.lag_sessions + terms.scoring.horizon_sessions
    calendar, home = platform.desk.calendar(now, last), platform.desk.home_calendar(now, last)
    schedule = load_schedule(settings.schedule, platform.settings.config_dir)
    closes_at = now + timedelta(minutes=schedule.window_minutes)
    if base_session is not None:
        # A round that opens late still closes when it was announced to, unless hardly any window would be left.
        planned = home.close_at(base_session) + timedelta(minutes=schedule.open_after_close_minutes + schedule.window_minutes)
        closes_at = max(planned, now + WINDOW_MIN)
    base = home.last_closed_before(closes_at)
    if base_session is not None and base != base_session:
        raise InputRejected(
            Code.DATE_INVALID, f"A round opened at {now:%Y-%m-%d %H:%M} UTC is based on {base}, not on {base_session}."
        )
    with platform.store.read() as connection:
        standing = rounds.round_of_session(connection, tournament, base)
    if standing is not None:
        return standing
    view = platform.desk.view(now)
    if view.last_session < calendar.last_closed_before(now):
        raise Unavailable(Code.MARKET_COVERAGE, f"Prices of {calendar.last_closed_before(now)} are not known yet.")
    frame, universe, live = freeze(platform, view, tournament, base)
    frame = replace(frame, sessions=_sessions(view, frame, calendar, home, closes_at))
    files = put_frame(platform.blobs, frame) | _put_beside(platform, view, tournament, frame, universe)
    if live is not None:
        files["live"] = platform.blobs.put(live)
    with platform.store.write() as connection:
        standing = rounds.round_of_session(connection, tournament, base)
        if standing is not None:
            return standing
        require_budget(connection, platform.settings, terms)
        number = _next_number(connection, tournament)
        record = RoundRecord(
            key=RoundKey(tournament, number),
            state=RoundState.OPEN,
            opens_at=now,
            closes_at=closes_at,
            base_session=base,
            resolve_session=_resolve_session(frame, calendar, home.offset(base, last), last),
            terms=terms.as_dict(),
            terms_hash=terms.hash,
            universe_hash=universe.hash,
            opened_at=now,
        )
        rounds.add_round(connection, record)
        for name, sha in files.items():
            rounds.set_artifact(connection, record.key, name, sha)
        audit.record(connection, now, "schedule", "open_round", str(record.key), {"terms": terms.hash})
    return record


def _put_beside(
    platform: Platform, view: PanelView, tournament: Tournament, frame: RoundFrame, universe: Universe
) -> dict[str, str]:
    """Write what a round keeps beside its frame, and return the hashes by name: the universe's rule, and other labels."""
    rule = rule_as_plain(universe_rule(platform.desk.settings.universe))
    files = {"universe_rule": platform.blobs.put(canonical_bytes({"as_of": universe.as_of.isoformat(), "rule": rule}))}
    if tournament is Tournament.SIGNALS:
        files |= put_schemes(platform.blobs, frozen_schemes(platform.home, frame.asset_ids, view.instant))
    return files


def freeze(
    platform: Platform, view: PanelView, tournament: Tournament, base: date
) -> tuple[RoundFrame, Universe, bytes | None]:
    """Return what a round opened at ``view.instant`` freezes: frame, universe, and the classic era as Parquet."""
    universe = platform.desk.universe(view)
    exposures = platform.desk.exposures(view, universe.members)
    labels = distinct_labels(view.assets, universe.members)
    live: bytes | None = None
    if tournament is Tournament.CLASSIC:
        from signals.classic.dataset import live_era, to_table

        era = live_era(view, universe.members, platform.classic_secret, base.isoformat())
        for row, position in enumerate(era.positions):
            labels[int(position)] = str(era.ids[row])
        live = parquet_bytes(to_table(era))
    weights_v = sample_weights(view, universe.members)
    frame = RoundFrame(
        asset_ids=np.asarray(universe.asset_ids),
        labels=tuple(labels),
        exposures=exposures.values,
        names=exposures.names,
        kinds=exposures.kinds,
        weights_v=weights_v,
        neutralizers=neutralizers_of(exposures.values, weights_v),
    )
    return frame, universe, live


def _sessions(
    view: PanelView, frame: RoundFrame, calendar: SessionCalendar, home: SessionCalendar, closes_at: datetime
) -> RoundSessions | None:
    """Return where the assets trade and each exchange's s₀; None where everything is on the rounds' own exchange."""
    at = np.searchsorted(view.assets.asset_ids, frame.asset_ids)
    exchanges = np.asarray(view.assets.exchanges[at])
    used = np.unique(exchanges).tolist()
    if used == [home.exchange]:
        return None
    bases = dict(zip(calendar.exchanges, calendar.own_last_closed_before(closes_at), strict=True))
    return RoundSessions(exchanges, {exchange: to_date(bases[exchange]) for exchange in used})


def _resolve_session(frame: RoundFrame, calendar: SessionCalendar, at_home: date, last: int) -> date:
    if frame.sessions is None:
        return at_home
    return max(calendar.own_offset(exchange, base, last) for exchange, base in frame.sessions.bases.items())


def _next_number(connection: Connection, tournament: Tournament) -> int:
    latest = rounds.latest_round(connection, tournament)
    return 1 if latest is None else latest.key.number + 1
