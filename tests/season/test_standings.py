"""Goal: reports of a played season agree with its rows. Method: reputation, pending payouts and a model's earnings are computed
again with plain loops over the store's records and the fund's days; pages and routes show the same."""

from collections.abc import Iterator

import numpy as np
import pytest
from starlette.testclient import TestClient

from crowdalpha.errors import InputRejected
from crowdalpha.ids import RoundState, Tournament
from crowdalpha.terms import RoundTerms
from service.attribution import read_lines
from service.context import Platform
from service.http.app import create_app
from service.reports.earned import earned_by
from service.reports.pending import pending_payouts
from service.reports.standings import model_line, provider_standings, season_standings, standings
from service.store import fund, models, resolutions, rounds, scores, stakes
from staking import StakeLine, format_amount, payouts
from tests.builders.seasons import LAST, after_small


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with after_small(tmp_path_factory.mktemp("standings") / "home") as made:
        yield made


def test_a_reputation_is_the_mean_over_all_rounds_of_the_year(platform: Platform) -> None:
    for tournament in Tournament:
        board = standings(platform, tournament, "corr")
        with platform.store.read() as connection:
            ids = {m.name: m.id for m in models.list_models(connection, tournament)}
            resolved = rounds.list_rounds(connection, tournament, (RoundState.RESOLVED,))
            found = {r.key: scores.scores_of_round(connection, r.key) for r in resolved}
        assert len(board) == len(ids)
        for line in board:
            sums = dict.fromkeys(line["reputation"], 0.0)
            for record in resolved:
                own = {s.kind: s.score_ppb / 1e9 for s in found[record.key] if s.model_id == ids[line["model"]]}
                multipliers = RoundTerms.from_dict(record.terms).payout.multipliers_ppb
                own["paid"] = sum(m / 1e9 * own.get(k, 0.0) for k, m in multipliers)
                for kind in sums:
                    sums[kind] += own.get(kind, 0.0)
            assert line["rounds_of_year"] == len(resolved) == 8
            for kind, total in sums.items():
                assert (line["reputation"][kind] or 0.0) == pytest.approx(total / 8, abs=1e-12)
        values = [line["reputation"]["corr"] for line in board if line["reputation"]["corr"] is not None]
        assert values == sorted(values, reverse=True)
        assert len(values) > 10


def test_a_model_alone_stands_as_it_does_among_all(platform: Platform) -> None:
    for tournament in Tournament:
        for line in standings(platform, tournament):
            assert model_line(platform, line["model"]) == {name: line[name] for name in line if name != "rank"}


def test_pending_payouts_are_the_resolutions_formula_on_todays_scores(platform: Platform) -> None:
    shown = {(line["round"], line["model"]): line for line in pending_payouts(platform)}
    count = 0
    with platform.store.read() as connection:
        names = {m.id: m.name for m in models.list_models(connection)}
        for record in rounds.list_rounds(connection, states=(RoundState.SCORING,)):
            by_model: dict[str, dict[str, int]] = {}
            for s in scores.scores_of_round(connection, record.key):
                by_model.setdefault(s.model_id, {})[s.kind] = s.score_ppb
                assert not s.final
            kept = {r.model_id: r.retention_ppb for r in scores.retentions_of_round(connection, record.key)}
            lines = [
                StakeLine(a.model_id, a.at_risk_atoms, a.reserved_atoms, by_model[a.model_id], kept[a.model_id])
                for a in stakes.at_risk_of_round(connection, record.key)
            ]
            for outcome in payouts(lines, RoundTerms.from_dict(record.terms).payout):
                line = shown[str(record.key), names[outcome.model_id]]
                assert line["pending_tokens"] == format_amount(outcome.payout_atoms)
                assert 1 <= line["day"] < line["days"]
                count += 1
    assert count == len(shown) > 20


@pytest.mark.parametrize("binds", [False, True])
def test_one_models_pending_payouts_are_its_lines_among_all(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, binds: bool
) -> None:
    shown = pending_payouts(platform)
    monkeypatch.setattr("service.reports.pending.budget_can_bind", lambda *_: binds)
    for name in {line["model"] for line in shown}:
        assert pending_payouts(platform, name) == [line for line in shown if line["model"] == name]


def test_what_a_stake_earned_stands_beside_the_fund(platform: Platform) -> None:
    with platform.store.read() as connection:
        model = models.model_by_name(connection, "momentum")
        booked = resolutions.lines_of_model(connection, model.id)
        days = fund.fund_days(connection)
        lines = read_lines(connection, platform)
        records = {str(key): rounds.round_by_key(connection, key) for key, _ in booked}
    report = earned_by(platform, "momentum")
    assert [r["round"] for r in report["rounds"]] == [str(key) for key, _ in reversed(booked)]
    assert report["payout_tokens"] == format_amount(sum(line.payout_atoms for _, line in booked))
    equity = {d.session: d.equity for d in days}
    sessions, column = [d.session for d in days], lines.by_model.names.index("momentum")
    earned = dict(zip(lines.sessions, lines.by_model.values[:, column], strict=True))
    told = 0
    for line in report["rounds"]:
        record = records[line["round"]]
        span = [s for s in sessions if record.base_session < s <= record.resolve_session][2:]
        before = sessions.index(span[0]) - 1
        start = equity[sessions[before]] if before >= 0 else platform.settings.fund.initial_capital
        assert line["fund_return"] == pytest.approx(equity[span[-1]] / start - 1, rel=1e-12)
        own = [earned[s] for s in span if s in earned]
        if own:
            assert line["attributed"] == pytest.approx(sum(own), rel=1e-9, abs=1e-9)
            told += 1
    assert told
    assert report["attributed"] == pytest.approx(np.sum(list(earned.values())), rel=1e-9)


def test_nobody_qualifies_in_a_season_of_eight_rounds(platform: Platform) -> None:
    found = season_standings(platform, Tournament.SIGNALS, LAST.year)
    assert (found["rounds"], found["over"]) == (8, False)
    assert {line["rank"] for line in found["providers"]} == {None}
    assert found["providers"]
    assert season_standings(platform, Tournament.SIGNALS, 1999)["providers"] == []
    first = provider_standings(platform, Tournament.SIGNALS)[0]
    assert first["provider"] == found["providers"][0]["provider"]


def test_routes_and_page_show_the_same(platform: Platform) -> None:
    client = TestClient(create_app(platform))
    assert client.get("/v1/standings/signals").json()["models"] == standings(platform, Tournament.SIGNALS)
    assert client.get("/v1/models/momentum/report").json() == earned_by(platform, "momentum")
    assert client.get("/v1/models/momentum/pending").json()["pending"] == pending_payouts(platform, "momentum")
    page = client.get("/models/momentum")
    assert page.status_code == 200
    assert "Return on stake, a year" in page.text
    assert client.get("/models/nobody_at_all").status_code == 404


def test_another_word_than_a_kind_is_refused(platform: Platform) -> None:
    with pytest.raises(InputRejected, match=r"no standing by 'luck'; there are: paid, .*, mpc, return\."):
        standings(platform, Tournament.SIGNALS, "luck")
    with pytest.raises(InputRejected, match=r"no standing by 'return'; there are: paid, .*, mpc\."):
        provider_standings(platform, Tournament.SIGNALS, "return")
