"""No future: what was decided up to a date doesn't depend on any price after it.

The same small season is played on markets that are edited after a cut (``market.edits``). Everything with an instant at or
before the cut must be bit-identical: files, verdicts, weights, meta-models, final scores, payouts, the fund's book.
"""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from market.calendars import session_calendar
from market.edits import Edit, edit_after
from market.panel import PointInTimePanel
from service.home import Home
from service.replay.run import AFTER_LAST_CLOSE
from service.store.engine import Store
from service.vendors.ingested import panel_of_files
from tests.builders.seasons import play_small, small_panel, small_settings

SEED = 0
CUTS = (
    (date(2021, 1, 22), Edit.NAN),
    (date(2021, 2, 3), Edit.SCALE),
    (date(2021, 2, 19), Edit.SHUFFLE),
    (date(2021, 3, 4), Edit.TRUNCATE),
    (date(2021, 3, 19), Edit.NAN),
)

WITH_ROUND = "JOIN rounds r USING (tournament, number)"
QUERIES = {
    "rounds": "SELECT tournament, number, opens_at, closes_at, base_session, terms_hash, universe_hash"
    " FROM rounds WHERE opened_at <= :at",
    "submissions": "SELECT id, tournament, number, model_id, sha256, received_at, accepted, vector_sha"
    " FROM submissions WHERE received_at <= :at",
    "frozen": f"SELECT a.tournament, a.number, a.name, a.sha256 FROM round_artifacts a {WITH_ROUND}"
    " WHERE r.opened_at <= :at AND a.name IN ('universe', 'exposures', 'live')",
    "closed": f"SELECT a.tournament, a.number, a.name, a.sha256 FROM round_artifacts a {WITH_ROUND}"
    " WHERE r.closed_at <= :at AND a.name IN ('predictions', 'weights', 'metamodel', 'metareport')",
    "at_risk": f"SELECT k.* FROM at_risk k {WITH_ROUND} WHERE r.closed_at <= :at",
    "scores": f"SELECT s.* FROM scores s {WITH_ROUND} WHERE r.resolved_at <= :at",
    "payouts": f"SELECT p.* FROM resolution_lines p {WITH_ROUND} WHERE r.resolved_at <= :at",
    "weights": "SELECT id, decided_at, as_of, status, sha256 FROM rebalances WHERE decided_at <= :at",
    "ledger": "SELECT id, kind, at, hash FROM transfers WHERE at <= :at",
}


def end_of_season(cut: date) -> datetime:
    """The instant at which a season whose last session is ``cut`` ends."""
    return session_calendar("XNYS", cut, cut + timedelta(days=7)).close_at(cut) + AFTER_LAST_CLOSE


def decided_up_to(home: Home, cut: date) -> dict[str, list[Any]]:
    """Return all rows that were written at or before the end of a season whose last session is ``cut``."""
    at = end_of_season(cut)
    store = Store(f"sqlite:///{home.database}")
    try:
        with store.read() as connection:
            stamp = at.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
            found = {name: sorted(map(str, connection.execute(text(q), {"at": stamp}))) for name, q in QUERIES.items()}
            days = "SELECT session, equity, gross_pnl, costs, exposures FROM fund_days WHERE session <= :day"
            found["fund"] = sorted(map(str, connection.execute(text(days), {"day": cut.isoformat()})))
            return found
    finally:
        store.dispose()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home, _ = play_small(tmp_path_factory.mktemp("season") / "home")
    return home


def check_cut(expected_home: Home, path: Path, panel: PointInTimePanel, cut: date, how: Edit, **season: Any) -> None:
    """Play the season up to ``cut`` on a market that is edited after it, and compare everything decided by then."""
    edited = edit_after(panel, end_of_season(cut), how, np.random.default_rng(SEED))
    home, _ = play_small(path, edited, last=cut, **season)
    expected, found = decided_up_to(expected_home, cut), decided_up_to(home, cut)
    assert len(expected["submissions"]) >= 40
    for name, rows in expected.items():
        assert found[name] == rows, f"{name} differ before {cut}"


@pytest.mark.parametrize(("cut", "how"), CUTS, ids=[f"{c}-{h}" for c, h in CUTS])
def test_prices_after_a_date_change_nothing_decided_up_to_it(undisturbed: Home, tmp_path: Path, cut: date, how: Edit) -> None:
    check_cut(undisturbed, tmp_path / "home", small_panel(), cut, how)


@pytest.mark.soak
@pytest.mark.parametrize("how", list(Edit))
def test_the_same_at_many_cuts_of_the_synthetic_market(undisturbed: Home, tmp_path: Path, how: Edit) -> None:
    sessions = [s.astype("datetime64[D]").item() for s in small_panel().sessions if s >= np.datetime64("2021-01-15")]
    for cut in sessions[:-1:5]:
        check_cut(undisturbed, tmp_path / f"{cut}", small_panel(), cut, how)


@pytest.mark.soak
def test_the_same_on_real_prices(real_data: Path, tmp_path: Path) -> None:
    settings = small_settings()
    last = date(2014, 4, 30)
    panel = panel_of_files(settings, real_data / "us_daily.parquet", real_data / "equity_meta.csv.gz", last)
    season: dict[str, Any] = {"first": date(2014, 1, 2)}
    home, _ = play_small(tmp_path / "whole", panel, last=last, **season)
    for cut, how in ((date(2014, 2, 14), Edit.NAN), (date(2014, 3, 12), Edit.SCALE), (date(2014, 4, 4), Edit.SHUFFLE)):
        check_cut(home, tmp_path / f"{cut}", panel, cut, how, **season)
