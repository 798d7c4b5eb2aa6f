"""Goal: of a season that was played, it is known who earned what. Method: four weeks through every workflow; lines are compared
with the fund's own days, parts with the fund's score, one model's profit with its dollars followed here by hand."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection

from crowdalpha.ids import RoundKey, Tournament
from portfolio.ownership import INHERITED
from service import ownership
from service.attribution import LINES, OWNERS, SessionLines, read_lines
from service.book import read_book
from service.clock import SimulatedClock
from service.context import Platform, build_platform
from service.ownership import OTHERS, ScoreParts, score_parts
from service.replay.sheet import render
from service.store import fund, rounds
from service.workflows.blend import FundView, fund_view
from service.workflows.rebalance import Decision, read_decision
from tests.builders.seasons import play_small, small_panel, small_settings

LAST = date(2021, 1, 29)
SETTINGS = {"metamodel.variant": "provider_cap", "metamodel.provider_share_max": "0.2"}


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, dict[str, Any]]]:
    """The played home after its last session, with its panel in memory, and its summary."""
    home, summary = play_small(tmp_path_factory.mktemp("earned") / "home", last=LAST, overrides=SETTINGS)
    clock = SimulatedClock(small_panel().calendar.close_at(LAST) + timedelta(hours=3))
    made = build_platform(home, small_settings(SETTINGS), clock, durable=False)
    made.desk.use(small_panel())
    yield made, summary.data
    made.store.dispose()


def decisions(platform: Platform, connection: Connection) -> list[Decision]:
    """Return the decisions that were filled, oldest first."""
    days = {d.session for d in fund.fund_days(connection)}
    return [read_decision(platform, r) for r in fund.list_rebalances(connection) if r.fill_session in days]


def parts_of(platform: Platform, connection: Connection, decision: Decision) -> tuple[FundView, ScoreParts]:
    """Return the view that a decision acted on, and its parts on the same assets."""
    sources = [
        rounds.round_by_key(connection, RoundKey(tournament, decision.evidence["sources"][tournament.label]))
        for tournament in Tournament
        if tournament.label in decision.evidence["sources"]
    ]
    view = fund_view(platform, connection, sources, platform.clock.now())
    assert view.evidence["weights"] == decision.evidence["blend"]["weights"]
    split = score_parts(platform, connection, sources, view.evidence["weights"], view.asset_ids, view.asset_ids)
    return view, split


def test_lines_sum_to_the_result_of_every_session(season: tuple[Platform, dict[str, Any]]) -> None:
    """Both splits, each session, to 1e-9 of equity; costs are the booked ones; each tournament and model has a line."""
    platform, _ = season
    with platform.store.read() as connection:
        lines, days = read_lines(connection, platform), fund.fund_days(connection)
    equity = np.array([platform.settings.fund.initial_capital, *(d.equity for d in days)])
    assert lines is not None
    assert lines.sessions == tuple(d.session for d in days)
    for split in (lines.by_factor, lines.by_model):
        np.testing.assert_allclose(split.sums, np.diff(equity), atol=1e-9 * equity[0])
        for kind in days[0].costs:
            booked = [-d.costs[kind] for d in days]
            np.testing.assert_allclose(split.values[:, split.names.index(kind)], booked, atol=1e-9 * equity[0])
    assert {"signals", "classic", INHERITED} <= set(lines.by_model.groups)
    assert {"market", "sector", "beta", "style"} <= set(lines.by_factor.groups)


def test_parts_sum_to_the_score_that_the_fund_acted_on(season: tuple[Platform, dict[str, Any]]) -> None:
    """Under a capped variant of two tournaments, model by model; and with most models put together as others."""
    platform, _ = season
    with platform.store.read() as connection:
        view, split = parts_of(platform, connection, decisions(platform, connection)[-1])
        whole = split.parts.sum(axis=0)
        np.testing.assert_allclose(whole, view.score - view.score.mean(), atol=1e-9)
        assert set(split.tournaments) == {"signals", "classic"}
        assert len(set(zip(split.names, split.tournaments, strict=True))) == len(split.names)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ownership, "MODELS_MAX", 4)
            _, few = parts_of(platform, connection, decisions(platform, connection)[-1])
    assert [few.tournaments.count(t) for t in ("signals", "classic")] == [5, 5]
    assert few.names.count(OTHERS) == 2
    np.testing.assert_allclose(few.parts.sum(axis=0), whole, atol=1e-9)


def test_a_decision_keeps_what_each_model_owns_of_it(season: tuple[Platform, dict[str, Any]]) -> None:
    """The kept rows sum to the decided weights, and some model owns something."""
    platform, _ = season
    with platform.store.read() as connection:
        for decision in decisions(platform, connection):
            told = decision.evidence["owners"]
            weights = platform.blobs.get_array(told["weights_sha256"])
            assert weights.shape == (len(told["names"]) + 1, len(decision.asset_ids))
            np.testing.assert_allclose(weights.sum(axis=0), decision.weights, atol=1e-12)
            assert np.abs(weights[:-1]).max() > 1e-4


def test_one_models_profit_by_hand(season: tuple[Platform, dict[str, Any]]) -> None:
    """The first decision's largest owner: its dollars at the fill, then each asset's own returns until the second fill."""
    platform, _ = season
    view = platform.desk.view(platform.clock.now())
    with platform.store.read() as connection:
        lines, (first, second, *_) = read_lines(connection, platform), decisions(platform, connection)
    told = first.evidence["owners"]
    owned = platform.blobs.get_array(told["weights_sha256"])[:-1]
    place = int(np.abs(owned).sum(axis=1).argmax())
    column = list(zip(lines.by_model.groups, lines.by_model.names, strict=True)).index(
        (told["tournaments"][place], told["names"][place])
    )
    at = platform.desk.positions_of(first.asset_ids)
    start = int(np.searchsorted(view.sessions, np.datetime64(first.fill_session, "D")))
    end = int(np.searchsorted(view.sessions, np.datetime64(second.fill_session, "D")))
    night, day = (np.nan_to_num(r[:, at]) for r in (view.overnight_returns(), view.intraday_returns()))
    # Before its first fill the fund is cash: equity at that open is its capital. What did not trade was not bought.
    dollars = np.where(view.traded[start, at], owned[place] * platform.settings.fund.initial_capital, 0.0)
    for row in range(start, end):
        earned = 0.0
        if row > start:
            earned += float(dollars @ night[row])
            dollars = dollars * (1 + night[row])
        earned += float(dollars @ day[row])
        dollars = dollars * (1 + day[row])
        assert lines.by_model.values[row - start, column] == pytest.approx(earned, abs=1e-6)


def test_the_sheet_shows_who_earned_what(season: tuple[Platform, dict[str, Any]]) -> None:
    """With the lines the season's sheet has the sections, without them it has not, and is a sheet all the same."""
    platform, summary = season
    with platform.store.read() as connection:
        models = read_lines(connection, platform).by_model
    earned = {n: v for n, g, v in zip(models.names, models.groups, models.values.sum(axis=0), strict=True) if g == "classic"}
    name = max(earned, key=lambda n: abs(earned[n]))
    text = render(platform, summary)
    for words in ("Profit by model", "Profit by factor", "Drift between decisions", name):
        assert words in text
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.replay.sheet.read_lines", lambda *_: None)
        assert "Profit by model" not in render(platform, summary)


def test_a_book_of_before_there_were_owners_is_inherited(season: tuple[Platform, dict[str, Any]]) -> None:
    """Without kept dollars and without lines, the book that stands is nobody's, and nothing is read."""
    platform, _ = season
    with platform.store.read() as connection:
        book, _ = read_book(connection, platform)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fund, "get_fund_state", lambda *_: None)
            assert read_lines(connection, platform) is None
            lines = SessionLines(platform, connection, book)
        assert lines._owners.names == (INHERITED,)
        np.testing.assert_array_equal(lines._owners.parts[0], book.positions)
        for key in (OWNERS, LINES):
            assert fund.get_fund_state(connection, key).through == fund.fund_days(connection)[-1].session
