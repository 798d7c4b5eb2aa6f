"""The season as a whole: rounds in their states, money conserved, summary repeatable, reports written."""

import json
from pathlib import Path

import pytest

from crowdalpha.ids import RoundState, Tournament
from crowdalpha.terms import RoundTerms
from service.heads import head_paths, misfits, read_head
from service.home import Home
from service.replay.report import Summary
from service.store import fund, ledger, rounds, scores, submissions
from service.store.engine import Store
from staking import GENESIS_HASH
from tests.builders.seasons import play_small


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Summary]:
    return play_small(tmp_path_factory.mktemp("season") / "home")


@pytest.fixture
def store(season: tuple[Home, Summary]) -> Store:
    return Store(f"sqlite:///{season[0].database}")


def test_every_week_opens_a_round_in_both_tournaments_and_the_last_ones_stay_pending(store: Store) -> None:
    with store.read() as connection:
        for tournament in Tournament:
            states = [r.state for r in rounds.list_rounds(connection, tournament)]
            assert len(states) == 12
            assert states.count(RoundState.RESOLVED) == 8
            assert set(states[8:]) <= {RoundState.CLOSED, RoundState.SCORING}


def test_the_ledger_sums_to_zero_and_its_chain_holds(store: Store) -> None:
    with store.read() as connection:
        assert sum(ledger.balances(connection).values()) == 0
        assert ledger.verify(connection) == []


def test_every_session_left_a_head_that_the_ledger_bears_out(season: tuple[Home, Summary], store: Store) -> None:
    home = season[0]
    heads = [read_head(path) for path in head_paths(home.path)]
    with store.read() as connection:
        days = [day.session.isoformat() for day in fund.fund_days(connection)]
        hashes = {0: GENESIS_HASH} | ledger.hashes_of(connection, [head.sequence for head in heads])
    assert set(days) <= {head.date for head in heads}
    assert [head.sequence for head in heads] == sorted(head.sequence for head in heads)
    assert heads[0].sequence < heads[-1].sequence
    assert misfits(heads, hashes, (home.keys / "receipt.pub").read_text().strip(), ()) == []


def test_pending_rounds_hold_exactly_what_they_reserved(store: Store) -> None:
    with store.read() as connection:
        held = {a: v for a, v in ledger.balances(connection).items() if a.startswith("reserve:")}
        pending = {
            str(r.key) for t in Tournament for r in rounds.list_rounds(connection, t) if r.state is not RoundState.RESOLVED
        }
        assert {a.split(":")[1] for a, v in held.items() if v} <= pending
        assert sum(held.values()) > 0


def test_careless_files_meet_their_verdicts(season: tuple[Home, Summary]) -> None:
    verdicts = season[1].data["submissions"]
    assert verdicts["accepted"] > 400
    assert verdicts["late"] > 0
    assert any(name.startswith("refused:") for name in verdicts)


def test_a_mirror_scores_the_negative_and_a_clone_the_same(store: Store) -> None:
    with store.read() as connection:
        from service.store import models

        ids = {m.name: m.id for m in models.list_models(connection)}
        compared = 0
        for tournament, mirror, clone, original in (
            (Tournament.SIGNALS, "mirror_momentum", "clone_momentum", "momentum"),
            (Tournament.CLASSIC, "mirror_ridge", "clone_ridge", "ridge_plain"),
        ):
            for record in rounds.list_rounds(connection, tournament, (RoundState.RESOLVED,)):
                by_model: dict[str, dict[str, float]] = {}
                for s in scores.scores_of_round(connection, record.key):
                    by_model.setdefault(s.model_id, {})[s.kind] = s.value
                mine = by_model[ids[original]]
                for kind in RoundTerms.from_dict(record.terms).scoring.kinds:
                    assert by_model[ids[mirror]][kind] == pytest.approx(-mine[kind], abs=1e-12)
                    assert by_model[ids[clone]][kind] == pytest.approx(mine[kind], abs=1e-15)
                    compared += 1
        assert compared >= 40


def test_the_fund_stays_inside_its_bands_at_every_decision(season: tuple[Home, Summary], store: Store) -> None:
    from service.blobs import Blobs

    blobs = Blobs(season[0].rounds)
    with store.read() as connection:
        decisions = fund.list_rebalances(connection)
    assert len(decisions) == 12
    for record in decisions:
        evidence = json.loads(blobs.get(record.sha256))["evidence"]
        assert evidence["status"] == "solved", evidence["rungs"]
        assert abs(evidence["net"]) <= 1e-9
        assert evidence["risk_model"]["sessions"] >= 5  # of one week at least
        assert evidence["risk_model"]["specific_lags"] == 4
        for name, value in evidence["exposures"].items():
            kind = evidence["exposure_kinds"][name]
            if kind in evidence["bands"]:
                assert abs(value) <= evidence["bands"][kind] + 1e-8, name


def test_net_less_gross_equals_the_booked_costs(season: tuple[Home, Summary], store: Store) -> None:
    with store.read() as connection:
        days = fund.fund_days(connection)
    assert len(days) > 50
    equity = [season[1].data["fund"]["initial_capital"], *[d.equity for d in days]]
    for before, day, after in zip(equity[:-1], days, equity[1:], strict=True):
        assert after - before - day.gross_pnl == pytest.approx(-sum(day.costs.values()), abs=1e-9 * before)


def test_the_same_seed_gives_the_same_summary_to_the_byte(season: tuple[Home, Summary], tmp_path: Path) -> None:
    again = play_small(tmp_path / "home")[1]
    assert again.paths["summary"].read_bytes() == season[1].paths["summary"].read_bytes()


def test_reports_hold_no_wall_time_path_or_version(season: tuple[Home, Summary]) -> None:
    text = season[1].paths["summary"].read_text()
    assert str(season[0].path) not in text
    assert "0.1.0" not in text
    html = season[1].paths["tearsheet"].read_text()
    assert html.lower().startswith("<!doctype html>")
    assert "<script" not in html
    assert len(html) < 1_000_000


def test_every_accepted_file_has_a_receipt_that_verifies(season: tuple[Home, Summary], store: Store) -> None:
    from service.receipts import Receipt, verify_receipt

    key = (season[0].keys / "receipt.pub").read_text()
    with store.read() as connection:
        record = rounds.list_rounds(connection, Tournament.SIGNALS)[0]
        rows = submissions.submissions_of_round(connection, record.key)
    assert rows
    for row in rows:
        if row.accepted:
            assert row.receipt is not None
            verify_receipt(Receipt.from_dict(row.receipt), key)
