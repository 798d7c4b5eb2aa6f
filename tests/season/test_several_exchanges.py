"""A season on two exchanges with their own holidays and currencies plays to resolved rounds, one tournament over 60 sessions.

Method: a synthetic market of New York and Tokyo over Washington's Birthday, Good Friday and Golden Week. What each round froze
and paid by is recomputed from the two exchanges' single calendars and the panel's returns."""

import shutil
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from crowdalpha.ids import RoundState, Tournament
from market.calendars import session_calendar, to_instant
from market.synthetic import SyntheticSpec, generate_market
from market.targets import neutral_target
from service import queries
from service.bundles.checking import verify
from service.clock import SimulatedClock
from service.context import build_platform
from service.frames import get_frame
from service.home import Home
from service.idsource import SeededIds
from service.replay.crowd import roster
from service.replay.run import play
from service.settings import load_settings, shipped_config
from service.store import fund, rounds
from service.workflows.publish_bundle import bundle_of
from tests.builders.panels import view_at
from tests.builders.seasons import HISTORY_FROM, N_ASSETS

FIRST, LAST, SEED = date(2021, 1, 18), date(2021, 5, 21), 7
LAG, HORIZON = 2, {Tournament.SIGNALS: 20, Tournament.CLASSIC: 60}
CALENDARS = {name: session_calendar(name, HISTORY_FROM, date(2021, 12, 31)) for name in ("XNYS", "XTKS")}


def settings_with_a_long_classic_horizon(folder: Path):
    config = shutil.copytree(shipped_config(), folder / "config")
    terms = (config / "terms" / "classic-weekly.toml").read_text()
    (config / "terms" / "classic-60.toml").write_text(terms.replace("horizon_sessions = 20", "horizon_sessions = 60"))
    return load_settings(config, env={}).with_overrides(
        {
            "universe.size": 120,
            "universe.hysteresis": "0.1",
            "fund.risk_weeks": 40,
            "tournaments.classic.terms": "classic-60",
        }
    )


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    print(f"seed {SEED}")
    folder = tmp_path_factory.mktemp("several")
    settings = settings_with_a_long_classic_horizon(folder)
    spec = SyntheticSpec(seed=SEED, n_assets=N_ASSETS, countries=("US", "JP"), start=HISTORY_FROM, end=LAST)
    panel = generate_market(spec)
    home = Home.create(folder / "home")
    summary = play(home, settings, panel, FIRST, panel.last_session, SEED, members=roster(panel.source, SEED))
    platform = build_platform(home, settings, SimulatedClock(datetime(2021, 5, 25, tzinfo=UTC)), SeededIds(SEED))
    platform.desk.use(panel)
    yield panel, platform, summary.data
    platform.store.dispose()


def opened(platform, tournament):
    with platform.store.read() as connection:
        found = rounds.list_rounds(connection, tournament)
        return [(r, get_frame(connection, platform.blobs, r.key), rounds.artifacts(connection, r.key)) for r in found]


def window_of(exchange: str, closes_at: datetime, horizon: int) -> tuple[date, date, date]:
    """s₀, first and last date of a window, by counting along the one exchange's closes."""
    calendar = CALENDARS[exchange]
    s0 = sum(to_instant(close) < closes_at for close in calendar.closes) - 1
    return tuple(calendar.sessions[s0 + steps].item() for steps in (0, LAG, LAG + horizon))


def test_each_week_has_one_round_a_tournament_and_rounds_are_paid(season):
    _, platform, summary = season
    for tournament in Tournament:
        found = [record for record, _, _ in opened(platform, tournament)]
        weeks = [record.base_session.isocalendar()[:2] for record in found]
        assert weeks == [(2021, week) for week in range(3, 20)]
        states = summary["rounds"][tournament.label]
        print(tournament.label, states)
        assert states["resolved"] >= (12 if tournament is Tournament.SIGNALS else 4)
    assert any(float(line["paid_tokens"]) > 0 for line in summary["leaderboard"])
    assert any(float(line["burned_tokens"]) > 0 for line in summary["leaderboard"])
    assert queries.health(platform)["ledger_sum_atoms"] == "0"


@pytest.mark.parametrize("tournament", list(Tournament))
def test_a_round_freezes_the_base_of_each_exchange_and_resolves_on_the_latest_end(season, tournament):
    _, platform, _ = season
    apart = 0
    for record, frame, _ in opened(platform, tournament):
        windows = {x: window_of(x, record.closes_at, HORIZON[tournament]) for x in CALENDARS}
        assert frame.sessions.bases == {x: windows[x][0] for x in CALENDARS}
        assert record.base_session == windows["XNYS"][0]
        assert record.resolve_session == max(end for _, _, end in windows.values())
        apart += windows["XNYS"][2] != windows["XTKS"][2]
        closes = [c.close_at(record.resolve_session) for c in CALENDARS.values() if c.is_session(record.resolve_session)]
        if record.state is RoundState.RESOLVED:
            assert record.resolved_at == max(closes) + timedelta(minutes=60 + 30)
        else:
            assert max(closes) > datetime(2021, 5, 21, 19, tzinfo=UTC)
    assert apart > 5
    by_base = {record.base_session: frame for record, frame, _ in opened(platform, tournament)}
    good_friday = by_base[date(2021, 4, 1)].sessions.bases
    assert good_friday == {"XNYS": date(2021, 4, 1), "XTKS": date(2021, 4, 2)}


@pytest.mark.parametrize("tournament", list(Tournament))
def test_the_target_is_that_of_each_assets_own_window(season, tournament):
    panel, platform, _ = season
    everything = view_at(panel)
    grown = 1.0 + np.nan_to_num(everything.total_returns())
    compared = 0
    for record, frame, files in opened(platform, tournament):
        if record.state is not RoundState.RESOLVED:
            continue
        members = platform.desk.positions_of(frame.asset_ids)
        returns = np.empty(len(members))
        for i, (asset, exchange) in enumerate(zip(members, frame.sessions.exchanges.tolist(), strict=True)):
            assert exchange == panel.assets.exchanges[asset]
            _, first, last = window_of(exchange, record.closes_at, HORIZON[tournament])
            start, end = panel.index_of(first), panel.index_of(last)
            returns[i] = np.prod(grown[start + 1 : end + 1, asset])
            gone = panel.delisting_index[asset]
            if start < gone <= end:
                returns[i] *= 1.0 + panel.delisting_return[asset]
            elif 0 <= gone <= start:
                returns[i] = np.nan
        expected = neutral_target(returns - 1.0, frame.exposures)
        target = platform.blobs.get_array(files["target"])
        np.testing.assert_array_equal(target, expected)
        compared += 1
    assert compared >= 4


@pytest.mark.parametrize("tournament", list(Tournament))
def test_the_sessions_and_the_bookings_of_every_bundle_hold(season, tournament):
    """Base and last session are of one exchange each, and not of the same one."""
    _, platform, _ = season
    resolved = [record.key for record, _, _ in opened(platform, tournament) if record.state is RoundState.RESOLVED]
    assert len(resolved) >= 4
    for key in resolved:
        assert verify(bundle_of(platform, key), public_key=platform.signer.public_key).facts["outcome"] == "resolved"


def test_the_fund_is_marked_on_every_date_of_either_exchange(season):
    panel, platform, _ = season
    with platform.store.read() as connection:
        days = [day.session for day in fund.fund_days(connection)]
        decided = fund.list_rebalances(connection)
    since = decided[0].fill_session
    assert days == [day for day in panel.sessions.tolist() if day >= since]
    assert date(2021, 4, 2) in days  # Good Friday: Tokyo alone
    assert date(2021, 5, 3) in days  # Golden Week: New York alone
    assert {d.as_of: d.fill_session for d in decided}[date(2021, 4, 1)] == date(2021, 4, 5)


def test_who_entered_and_who_left_is_told_with_the_round(season):
    _, platform, _ = season
    frames = [(record.key, set(frame.asset_ids.tolist())) for record, frame, _ in opened(platform, Tournament.SIGNALS)]
    assert queries.round_detail(platform, frames[0][0])["universe_change"] is None
    moved = 0
    for (_, before), (key, now) in pairwise(frames):
        detail = queries.round_detail(platform, key)
        change = detail["universe_change"]
        assert (set(change["entered_ids"]), set(change["left_ids"])) == (now - before, before - now)
        assert change["churn"] == len(now ^ before) / (len(now) + len(before))
        moved += len(now ^ before)
        assert set(detail["base_sessions"]) == {"XNYS", "XTKS"}
    assert moved > 0
    classic = queries.round_detail(platform, opened(platform, Tournament.CLASSIC)[1][0].key)["universe_change"]
    assert set(classic) == {"churn", "entered", "left"}  # no asset of a classic round is ever named
