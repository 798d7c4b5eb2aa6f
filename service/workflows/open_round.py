"""Open a round: freeze its universe, neutralizers, terms and, in the classic tournament, its era.

1. *load* the instant, the panel as known then, the terms in force.
2. *decide* the universe, the exposures, the sample weights, s₀ (the last session that closes before the round does) and the
   resolve session.
3. *commit* the files, then the round's row with its own copy of the terms.

Opening a round that stands already for the same s₀ returns the standing one.
"""

from datetime import date, timedelta

import numpy as np
from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, Unavailable
from crowdalpha.ids import RoundKey, RoundState, Tournament
from market.neutralizers import neutralizers_of, sample_weights
from market.panel import PanelView
from service.context import Platform
from service.frames import RoundFrame, put_frame
from service.settings import load_schedule, load_terms
from service.store import audit, rounds
from service.store.records import RoundRecord
from service.vendors.files import parquet_bytes

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
    InputRejected
        DATE_INVALID when the clock's s₀ is not ``base_session``; UNIVERSE_TOO_SMALL, CALENDAR_END.
    """
    now = platform.clock.now()
    settings = getattr(platform.settings.tournaments, tournament.label)
    terms = load_terms(settings.terms, platform.settings.config_dir)
    calendar = platform.desk.calendar(now)
    schedule = load_schedule(settings.schedule, platform.settings.config_dir)
    closes_at = now + timedelta(minutes=schedule.window_minutes)
    if base_session is not None:
        # A round that opens late still closes when it was announced to, unless hardly any window would be left.
        planned = calendar.close_at(base_session) + timedelta(
            minutes=schedule.open_after_close_minutes + schedule.window_minutes
        )
        closes_at = max(planned, now + WINDOW_MIN)
    base = calendar.last_closed_before(closes_at)
    if base_session is not None and base != base_session:
        raise InputRejected(
            Code.DATE_INVALID, f"A round opened at {now:%Y-%m-%d %H:%M} UTC is based on {base}, not on {base_session}."
        )
    standing = _standing(platform, tournament, base)
    if standing is not None:
        return standing
    view = platform.desk.view(now)
    if view.last_session < calendar.last_closed_before(now):
        raise Unavailable(Code.MARKET_COVERAGE, f"Prices of {calendar.last_closed_before(now)} are not known yet.")
    frame, universe_hash, live = freeze(platform, view, tournament, base)
    files = put_frame(platform.blobs, frame)
    if live is not None:
        files["live"] = platform.blobs.put(live)
    last = terms.scoring.lag_sessions + terms.scoring.horizon_sessions
    with platform.store.write() as connection:
        number = _next_number(connection, tournament)
        record = RoundRecord(
            key=RoundKey(tournament, number),
            state=RoundState.OPEN,
            opens_at=now,
            closes_at=closes_at,
            base_session=base,
            resolve_session=calendar.offset(base, last),
            terms=terms.as_dict(),
            terms_hash=terms.hash,
            universe_hash=universe_hash,
            opened_at=now,
        )
        rounds.add_round(connection, record)
        for name, sha in files.items():
            rounds.set_artifact(connection, record.key, name, sha)
        audit.record(connection, now, "schedule", "open_round", str(record.key), {"terms": terms.hash})
    return record


def freeze(platform: Platform, view: PanelView, tournament: Tournament, base: date) -> tuple[RoundFrame, str, bytes | None]:
    """Return what a round opened at ``view.instant`` freezes: frame, universe hash, and the classic era as Parquet."""
    universe = platform.desk.universe(view)
    exposures = platform.desk.exposures(view, universe.members)
    labels = [str(t) for t in np.asarray(view.assets.tickers)[universe.members]]
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
    return frame, universe.hash, live


def _standing(platform: Platform, tournament: Tournament, base: date) -> RoundRecord | None:
    with platform.store.read() as connection:
        latest = rounds.latest_round(connection, tournament)
    return latest if latest is not None and latest.base_session == base else None


def _next_number(connection: Connection, tournament: Tournament) -> int:
    latest = rounds.latest_round(connection, tournament)
    return 1 if latest is None else latest.key.number + 1
