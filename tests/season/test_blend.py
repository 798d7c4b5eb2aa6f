"""The fund may weigh crowd and tournaments as it likes; what pays never moves, and no decision knows a round before its end.

The same small season is played under other variants and blends and compared, table by table; modes are asked for on one played
home; what was stored is recomputed from frozen files. Independent sources: numpy's corrcoef, and the meta-model built again.
"""

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from crowdalpha.ids import RoundState, Tournament
from service.blobs import Blobs
from service.clock import SimulatedClock
from service.context import Platform, build_platform
from service.frames import get_book, get_frame, get_prepared
from service.home import Home
from service.store import fund, models, rounds, stakes
from service.store.engine import Store
from service.workflows.blend import FUND_VECTOR, fund_vectors, fund_view, past_scores
from service.workflows.metareport import read_report
from signals.contribution import vector_score
from signals.metamodel import blend, build_meta_model
from tests.builders.seasons import play_small, small_settings

LAST = date(2021, 2, 26)
"""Eight weeks: the first rounds of each tournament have resolved, and some decisions followed."""

PAYING = {
    "scores": "SELECT * FROM scores",
    "retentions": "SELECT * FROM retentions",
    "at_risk": "SELECT * FROM at_risk",
    "payouts": "SELECT * FROM resolution_lines",
    "resolutions": "SELECT * FROM resolutions",
    "transfers": "SELECT id, kind, at, hash FROM transfers",
    "files": "SELECT tournament, number, name, sha256 FROM round_artifacts"
    " WHERE name IN ('prepared', 'weights', 'metamodel', 'target', 'contribution', 'models')",
}
WALK_FORWARD = {
    "metamodel.variant": "equal",
    "metamodel.candidates": "stake",
    "metamodel.blend": "walk_forward",
    "metamodel.ensemble_rounds_min": 2,
    "metamodel.ensemble_prior_rounds": "1",
    "metamodel.ensemble_turnover_penalty": "0",
}
OTHERS: dict[str, dict[str, Any]] = {
    "equal": WALK_FORWARD,
    "stake_min": {"metamodel.variant": "stake_min", "metamodel.stake_min_tokens": "400", "metamodel.blend": "stake"},
    "provider_cap": {"metamodel.variant": "provider_cap", "metamodel.provider_share_max": "0.15"},
}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Home]:
    """The season under the shipped settings, and under each other variant."""
    folder = tmp_path_factory.mktemp("blend")
    played = {name: play_small(folder / name, last=LAST, overrides=changes)[0] for name, changes in OTHERS.items()}
    return {"stake": play_small(folder / "stake", last=LAST)[0], **played}


def store_of(home: Home) -> Store:
    return Store(f"sqlite:///{home.database}")


def rows(home: Home, query: str) -> list[str]:
    store = store_of(home)
    try:
        with store.read() as connection:
            return sorted(map(str, connection.execute(text(query))))
    finally:
        store.dispose()


def decisions(home: Home) -> list[tuple[Any, dict[str, Any]]]:
    """Return each decision's row and its evidence, oldest first."""
    store = store_of(home)
    try:
        with store.read() as connection:
            found = fund.list_rebalances(connection)
    finally:
        store.dispose()
    return [(r, json.loads(Blobs(home.rounds).get(r.sha256))) for r in sorted(found, key=lambda r: r.as_of)]


@pytest.mark.parametrize("variant", OTHERS)
def test_whatever_the_fund_listens_to_scores_and_payouts_are_unchanged(homes: dict[str, Home], variant: str) -> None:
    for name, query in PAYING.items():
        expected = rows(homes["stake"], query)
        assert expected, name
        assert rows(homes[variant], query) == expected, name
    vectors = rows(homes[variant], f"SELECT sha256 FROM round_artifacts WHERE name = '{FUND_VECTOR}'")
    assert len(vectors) > 10
    assert not rows(homes["stake"], f"SELECT sha256 FROM round_artifacts WHERE name = '{FUND_VECTOR}'")
    books = [[d["weights"] for _, d in decisions(home)] for home in (homes["stake"], homes[variant])]
    assert books[0] != books[1], "the fund itself must follow its settings"


# --- what a decision knows -----------------------------------------------------------------------------------------------


def test_the_ensemble_is_fitted_on_rounds_that_had_resolved_and_on_no_others(homes: dict[str, Home]) -> None:
    store = store_of(homes["equal"])
    with store.read() as connection:
        resolved = [{r.base_session: r.resolved_at for r in rounds.list_rounds(connection, t)} for t in Tournament]
    store.dispose()
    reasons = []
    for record, payload in decisions(homes["equal"]):
        evidence = payload["evidence"]["blend"]
        assert evidence["mode"] == "walk_forward"
        assert sum(evidence["weights"].values()) == pytest.approx(1.0, abs=1e-12)
        assert min(evidence["weights"].values()) >= 0
        known = [s for s in resolved[0] if all((at := r.get(s)) is not None and at <= record.decided_at for r in resolved)]
        reasons.append(evidence["reason"])
        if len(known) < 2:
            assert (evidence["reason"], evidence["rounds_used"]) == ("too_few_rounds", 0)
            assert evidence["weights"] == evidence["stake_weights"]
            assert evidence["rounds_from"] is None
        else:
            assert (evidence["reason"], evidence["rounds_used"]) == ("fitted", len(known))
            assert (evidence["rounds_from"], evidence["rounds_to"]) == (min(known).isoformat(), max(known).isoformat())
            assert set(evidence["weights"]) == {"signals:equal", "signals:stake", "classic:equal", "classic:stake"}
            assert evidence["weights"] != evidence["stake_weights"]
    assert {"too_few_rounds", "fitted"} == set(reasons)


def test_past_scores_end_at_the_instant_of_the_decision(homes: dict[str, Home]) -> None:
    home = homes["equal"]
    store, blobs = store_of(home), Blobs(home.rounds)
    wanted = [(t, v) for t in Tournament for v in ("equal", "stake")]
    with store.read() as connection:
        done = [r for r in rounds.list_rounds(connection, None, (RoundState.RESOLVED,)) if r.resolved_at is not None]
        instants = sorted({r.resolved_at for r in done})
        sessions, history = past_scores(connection, blobs, wanted, instants[-1])
        assert history.shape == (len(sessions), 4)
        assert sessions == sorted({r.base_session for r in done})
        for at in instants:
            earlier, part = past_scores(connection, blobs, wanted, at - timedelta(microseconds=1))
            known = {r.base_session for r in done if r.resolved_at < at}
            assert earlier == sorted(known)
            assert np.array_equal(part, history[: len(earlier)])
        # A candidate that no round knows leaves no whole round, and no guess.
        assert past_scores(connection, blobs, [*wanted, (Tournament.SIGNALS, "provider_cap")], instants[-1])[1].shape == (0, 5)
        for column, (tournament, variant) in enumerate(wanted):
            for row, session in enumerate(sessions):
                record = next(r for r in done if r.key.tournament is tournament and r.base_session == session)
                vector = get_book(connection, blobs, record.key).neutral
                if variant != "stake":
                    vector = fund_vectors(connection, blobs, record.key)[variant]
                target = blobs.get_array(rounds.artifacts(connection, record.key)["target"])
                assert history[row, column] == pytest.approx(vector_score(vector, target), abs=0.5e-9 + 1e-12)
    store.dispose()


# --- the modes, on one played home -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def platform(homes: dict[str, Home]) -> Any:
    settings = small_settings(OTHERS["provider_cap"])
    with homes["provider_cap"].lock():
        made = build_platform(
            homes["provider_cap"], settings, SimulatedClock(decisions(homes["provider_cap"])[-1][0].decided_at)
        )
        yield made
        made.store.dispose()


def with_settings(platform: Platform, **changes: Any) -> Platform:
    overrides = {f"metamodel.{name}": value for name, value in changes.items()}
    return replace(platform, settings=platform.settings.with_overrides(overrides))


def sources_of(platform: Platform, connection: Any) -> list[Any]:
    newest = [rounds.list_rounds(connection, t, (RoundState.CLOSED, RoundState.SCORING))[-1] for t in Tournament]
    assert len({r.base_session for r in newest}) == 1
    return newest


def test_each_mode_blends_as_it_says(platform: Platform) -> None:
    now = platform.clock.now()
    with platform.store.read() as connection:
        sources = sources_of(platform, connection)
        vectors = {s.key.tournament: fund_vectors(connection, platform.blobs, s.key)["provider_cap"] for s in sources}
        at_risk = {s.key.tournament: sum(a.at_risk_atoms for a in stakes.at_risk_of_round(connection, s.key)) for s in sources}
        by_stake = {t: a / sum(at_risk.values()) for t, a in at_risk.items()}
        expected_shares = {
            ("fixed", "0.3", "0.7"): {Tournament.SIGNALS: 0.3, Tournament.CLASSIC: 0.7},
            ("fixed", "1", "0"): {Tournament.SIGNALS: 1.0, Tournament.CLASSIC: 0.0},
            ("stake", "0.5", "0.5"): by_stake,
            # Few rounds have resolved, so that the ensemble believes the stakes.
            ("walk_forward", "0.5", "0.5"): by_stake,
        }
        for (mode, signals, classic), shares in expected_shares.items():
            asked = with_settings(platform, blend=mode, signals_share=signals, classic_share=classic)
            view = fund_view(asked, connection, sources, now)
            assert view.evidence["mode"] == mode
            assert view.evidence["weights"] == pytest.approx({f"{t.label}:provider_cap": s for t, s in shares.items()})
            # Both tournaments have one universe in this market.
            expected = blend([(vectors[t], s) for t, s in shares.items()])
            assert np.abs(view.score - expected).max() <= 1e-12


def test_a_variant_that_a_round_did_not_close_with_gives_way_to_the_stakes(platform: Platform) -> None:
    with platform.store.read() as connection:
        sources = sources_of(platform, connection)
        view = fund_view(with_settings(platform, variant="equal"), connection, sources, platform.clock.now())
        expected = blend([(get_book(connection, platform.blobs, s.key).neutral, 0.5) for s in sources])
    assert view.evidence["weights"] == pytest.approx({"signals:stake": 0.5, "classic:stake": 0.5})
    assert np.abs(view.score - expected).max() <= 1e-12


@pytest.mark.parametrize("mode", ["fixed", "stake", "walk_forward"])
def test_one_tournament_alone_is_the_whole_view(platform: Platform, mode: str) -> None:
    with platform.store.read() as connection:
        only = [s for s in sources_of(platform, connection) if s.key.tournament is Tournament.CLASSIC]
        view = fund_view(with_settings(platform, blend=mode), connection, only, platform.clock.now())
    assert view.evidence["weights"] == {"classic:provider_cap": 1.0}
    assert np.std(view.score) == pytest.approx(1.0)


# --- what a round wrote down -----------------------------------------------------------------------------------------------


def test_the_report_of_each_round_is_what_its_frozen_files_say(homes: dict[str, Home], platform: Platform) -> None:
    with platform.store.read() as connection:
        owner = {m.id: m.provider_id for m in models.list_models(connection)}
        for record in rounds.list_rounds(connection, None, (RoundState.CLOSED, RoundState.SCORING, RoundState.RESOLVED)):
            report = read_report(platform, connection, record.key)
            frame = get_frame(connection, platform.blobs, record.key)
            book = get_book(connection, platform.blobs, record.key)
            assert [m["model_id"] for m in report["models"]] == list(book.model_ids)
            shares = book.weights / book.weights.sum()
            assert [m["share_ppb"] / 1e9 for m in report["models"]] == pytest.approx(shares.tolist(), abs=1e-9)
            held: dict[str, float] = {}
            capped: dict[str, float] = {}
            for model, share in zip(report["models"], shares, strict=True):
                held[owner[model["model_id"]]] = held.get(owner[model["model_id"]], 0.0) + share
                capped[owner[model["model_id"]]] = capped.get(owner[model["model_id"]], 0.0) + model["fund_share_ppb"] / 1e9
            spread = report["concentration_ppb"]
            assert spread["hhi_providers"] / 1e9 == pytest.approx(sum(s * s for s in held.values()), abs=1e-9)
            assert spread["largest_provider"] / 1e9 == pytest.approx(max(held.values()), abs=1e-9)
            assert max(capped.values()) <= max(0.15, 1 / len(capped)) + 1e-7
            for name, column in zip(frame.names, frame.exposures.T, strict=True):
                expected = np.corrcoef(book.raw, column)[0, 1] if np.ptp(column) > 0 else 0.0
                assert report["exposures_ppb"]["raw"][name] / 1e9 == pytest.approx(expected, abs=1e-9)
                assert report["exposures_ppb"]["neutral"][name] == 0


def test_contributions_equal_building_the_meta_model_again_without_each_model(platform: Platform) -> None:
    with platform.store.read() as connection:
        for tournament in Tournament:
            record = rounds.list_rounds(connection, tournament, (RoundState.RESOLVED,))[0]
            files = rounds.artifacts(connection, record.key)
            found = json.loads(platform.blobs.get(files["contribution"]))["contribution_ppb"]
            frame = get_frame(connection, platform.blobs, record.key)
            book = get_book(connection, platform.blobs, record.key)
            ranks = get_prepared(connection, platform.blobs, record.key).places.astype(np.float64)
            target = platform.blobs.get_array(files["target"])
            whole = vector_score(book.neutral, target)
            assert json.loads(platform.blobs.get(files["metascore"]))["metamodel_corr_ppb"] == round(whole * 1e9)
            assert set(found) == set(book.model_ids)
            for i, model_id in enumerate(book.model_ids):
                kept = [j for j in range(len(book.model_ids)) if j != i]
                without = build_meta_model(ranks[kept], book.weights[kept], frame.exposures).neutral
                assert found[model_id] / 1e9 == pytest.approx(whole - vector_score(without, target), abs=0.5e-9 + 1e-12)


# --- the command ---------------------------------------------------------------------------------------------------------


def test_the_command_shows_the_newest_a_history_and_one_round(homes: dict[str, Home]) -> None:
    from typer.testing import CliRunner

    from service.cli.app import app

    def shown(*options: str) -> Any:
        answer = CliRunner().invoke(app, ["metamodel", "show", "--home", str(homes["stake"].path), *options])
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout) if "--json" in options else answer.stdout

    newest, history = shown("--json"), shown("--tournament", "classic", "--json")
    assert newest["classic"] == history[0]
    assert [line["round"] for line in history] == [f"classic-{n}" for n in range(len(history), 0, -1)]
    for line in history:
        assert (line["score"] is not None) == (line["state"] == "resolved" and not line["withheld"])
        assert line["withheld"] == (line["effective_providers"] < 5)
    one = shown("--round", "1", "--json")
    assert (one["round"], one["withheld"]) == ("signals-1", False)
    assert sum(m["share"] for m in one["models"]) == pytest.approx(1.0, abs=1e-7)
    assert all(isinstance(m["contribution"], float) for m in one["models"])
    for options in ((), ("-t", "signals"), ("-t", "classic", "--round", "1")):
        assert "effective providers" in shown(*options)
