"""Publish the classic tournament's history: weekly eras with known targets, for models to be trained on.

Each era is what would have been frozen on its evening: universe, features and neutralizers as known then. Its target is added
once every return in it is known at the publishing instant, so the newest 22 sessions are never part of the history. Eras of the
platform's own rounds follow as those rounds get their final score.
"""

import io
from typing import Any

from crowdalpha.ids import RoundState, Tournament
from crowdalpha.terms import RoundTerms
from market.calendars import to_date, to_instant
from market.panel import PanelView
from market.targets import forward_returns, neutral_target
from market.windows import last_base_row
from service.context import Platform
from service.desk import week_end_rows
from service.settings import load_terms
from service.store import audit, meta, rounds
from service.vendors.files import parquet_bytes

TRAIN_KEY = "classic_train_sha256"


def publish_classic(platform: Platform, weeks: int) -> int:
    """Publish the last ``weeks`` eras whose targets are known now; return how many there were.

    Decision instant: the clock's. Publishing again replaces the published history.
    """
    import pyarrow as pa

    now = platform.clock.now()
    view = platform.desk.view(now)
    terms = load_terms(platform.settings.tournaments.classic.terms, platform.settings.config_dir)
    last_row = last_base_row(view.trading, terms.scoring.horizon_sessions, terms.scoring.lag_sessions)
    tables = [
        _era(platform, view, row, terms)
        for row in week_end_rows(view.sessions[: last_row + 1], platform.settings.universe.min_history_sessions, weeks)
    ]
    if not tables:
        return 0
    sha = platform.blobs.put(parquet_bytes(pa.concat_tables(tables)))
    with platform.store.write() as connection:
        meta.set_meta(connection, TRAIN_KEY, sha)
        audit.record(connection, platform.clock.now(connection), "operator", "publish_classic", sha, {"eras": len(tables)})
    return len(tables)


def training_table(platform: Platform) -> Any:
    """Return the published history as one Arrow table (columns era, id, features, target), or None before the first one."""
    import pyarrow.parquet as pq

    with platform.store.read() as connection:
        sha = meta.get_meta(connection, TRAIN_KEY)
    return None if sha is None else pq.read_table(io.BytesIO(platform.blobs.get(sha)))


def resolved_eras(platform: Platform, after: int = 0) -> list[tuple[int, Any]]:
    """Return (round number, Arrow table with targets) of the classic rounds numbered above ``after`` whose target is public."""
    import pyarrow.parquet as pq

    found = []
    with platform.store.read() as connection:
        for record in rounds.list_rounds(connection, Tournament.CLASSIC, (RoundState.RESOLVED,)):
            if record.key.number > after:
                sha = rounds.artifacts(connection, record.key)["era"]
                found.append((record.key.number, pq.read_table(io.BytesIO(platform.blobs.get(sha)))))
    return sorted(found, key=lambda item: item[0])


def _era(platform: Platform, view: PanelView, row: int, terms: RoundTerms) -> Any:
    from signals.classic.dataset import live_era, to_table

    session = to_date(view.sessions[row])
    evening = platform.desk.view(to_instant(view.known_at[row]))
    members = platform.desk.universe(evening).members
    exposures = platform.desk.exposures(evening, members)
    scoring = terms.scoring
    returns = forward_returns(view, members, session, scoring.horizon_sessions, scoring.lag_sessions)
    target = neutral_target(returns, exposures.values, scoring.bin_shares_percent)
    era = live_era(evening, members, platform.classic_secret, str(session))
    return to_table(era, target)
