"""What closes froze, what scores say, what resolutions paid, and the leaderboard of it all: on both databases.

The leaderboard's numbers are worked out by hand in the test.
"""

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from crowdalpha.ids import RoundKey, RoundState, Tournament
from service.store import ledger, resolutions, rounds, scores, stakes
from service.store.records import AtRiskRecord, ResolutionLine, ResolutionRecord, RetentionRecord, ScoreRecord
from tests.builders.store_rows import TOKEN, add_model, add_round, deposit, later, stake


@pytest.fixture
def stage(store):
    with store.write() as connection:
        alpha, beta = add_model(connection, "alpha"), add_model(connection, "beta")
        keys = [add_round(connection, number) for number in (1, 2, 3)]
    return store, alpha, beta, keys


def _score(key, model, kind="corr", ppb=10_000_000, *, day=20, final=False):
    return ScoreRecord(key, model.id, kind, day, ppb / 1e9, ppb, final)


def test_at_risk_is_frozen_once(stage):
    store, alpha, beta, (first, second, third) = stage
    frozen = [AtRiskRecord(first, m.id, 5 * TOKEN, 4 * TOKEN, TOKEN) for m in (beta, alpha)]
    with store.write() as connection:
        stakes.add_at_risk(connection, frozen)
        stakes.add_at_risk(connection, [])
        stakes.add_at_risk(connection, [AtRiskRecord(second, alpha.id, 0, 0, 0)])
        assert stakes.at_risk_of_round(connection, first) == frozen[::-1]
        assert [r.round for r in stakes.open_reservations(connection, [alpha.id])] == [first, second]
        assert stakes.paid_to_wallet(connection, first) == []
        stakes.add_at_risk(connection, [AtRiskRecord(third, beta.id, 5, 4, 3, pays_wallet=True)])
        stakes.add_at_risk(connection, [AtRiskRecord(third, alpha.id, 5, 4, 3)])
        assert stakes.paid_to_wallet(connection, third) == [beta.id]
    with pytest.raises(IntegrityError), store.write() as connection:
        stakes.add_at_risk(connection, frozen[:1])


@pytest.mark.parametrize("end", [RoundState.RESOLVED, RoundState.VOID])
def test_a_settled_round_reserves_nothing(stage, end):
    store, alpha, _, (first, second, _) = stage
    with store.write() as connection:
        stakes.add_at_risk(connection, [AtRiskRecord(key, alpha.id, 5, 4, 3) for key in (first, second)])
        _walk(connection, first, end)
        assert [r.round for r in stakes.open_reservations(connection, [alpha.id])] == [second]


def _walk(connection, key, end):
    steps = (RoundState.OPEN, RoundState.CLOSED, RoundState.SCORING)
    for before, after in zip(steps, (*steps[1:], end), strict=True):
        rounds.advance_round(connection, key, (before,), after)


def test_the_last_score_of_a_kind_stands(stage):
    store, alpha, beta, (first, second, _) = stage
    with store.write() as connection:
        scores.put_scores(connection, [_score(first, alpha, day=1), _score(first, beta, "mmc", -5)])
        scores.put_scores(connection, [_score(first, alpha, ppb=7, day=2), _score(second, alpha)])
        scores.put_scores(connection, [])
        assert scores.scores_of_round(connection, first) == [_score(first, alpha, ppb=7, day=2), _score(first, beta, "mmc", -5)]
        assert scores.scores_of_model(connection, alpha.id) == [_score(first, alpha, ppb=7, day=2), _score(second, alpha)]


def test_a_final_score_never_changes(stage):
    store, alpha, beta, (first, *_) = stage
    final = _score(first, alpha, final=True)
    with store.write() as connection:
        scores.put_scores(connection, [_score(first, alpha, day=19), _score(first, beta)])
        scores.put_scores(connection, [final])
        scores.put_scores(connection, [final, _score(first, beta, ppb=3)])
    for other in (replace(final, score_ppb=1), replace(final, final=False), replace(final, day=21)):
        with pytest.raises(Conflict) as caught, store.write() as connection:
            scores.put_scores(connection, [other])
        assert caught.value.code is Code.ROUND_STATE
    with store.read() as connection:
        assert scores.scores_of_round(connection, first) == [final, _score(first, beta, ppb=3)]


def test_retentions(stage):
    store, alpha, beta, (first, *_) = stage
    kept = [RetentionRecord(first, alpha.id, 0.25, 900_000_000), RetentionRecord(first, beta.id, None, 10**9)]
    with store.write() as connection:
        scores.put_retentions(connection, [replace(kept[0], churn=0.1), kept[1]])
        scores.put_retentions(connection, kept[:1])
        scores.put_retentions(connection, [])
        assert scores.retentions_of_round(connection, first) == kept


def test_a_round_resolves_once(stage):
    store, alpha, beta, (first, second, _) = stage
    record = ResolutionRecord(first, later(9), "1" * 64, 10**30, 5 * TOKEN, TOKEN)
    lines = [ResolutionLine(beta.id, 4 * TOKEN, -TOKEN, 10**9), ResolutionLine(alpha.id, 10**30, 5 * TOKEN, 10**9)]
    with store.write() as connection:
        assert resolutions.resolution_of_round(connection, first) is None
        assert resolutions.add_resolution(connection, record, lines) == (record, True)
    with store.write() as connection:
        assert resolutions.add_resolution(connection, replace(record, resolved_at=later(99)), lines) == (record, False)
        assert resolutions.resolution_of_round(connection, first) == record
        assert resolutions.lines_of_round(connection, first) == lines[::-1]
        assert resolutions.lines_of_model(connection, alpha.id) == [(first, lines[1])]
        resolutions.add_resolution(connection, replace(record, round=second), ())
        assert [r.round for r in resolutions.list_resolutions(connection, Tournament.SIGNALS)] == [first, second]
        assert resolutions.list_resolutions(connection, Tournament.CLASSIC) == []
    with pytest.raises(Conflict) as caught, store.write() as connection:
        resolutions.add_resolution(connection, replace(record, sha256="2" * 64), lines)
    assert caught.value.code is Code.ALREADY_RESOLVED


def test_the_leaderboard_adds_up(stage):
    store, alpha, beta, (first, second, third) = stage
    with store.write() as connection:
        add_model(connection, "classic_one", Tournament.CLASSIC)
        ledger.post(
            connection,
            [deposit("d", "provider:a", 100 * TOKEN), stake("s", "a", alpha.id, 30 * TOKEN), stake("t", "a", beta.id, 1)],
        )
        stakes.add_at_risk(connection, [AtRiskRecord(k, alpha.id, 30 * TOKEN, 20 * TOKEN, TOKEN) for k in (first, third)])
        # Two resolved rounds with 0.01 and 0.04, and a third that is not resolved and counts in no mean.
        scores.put_scores(
            connection,
            [
                *(
                    _score(k, alpha, "corr", ppb)
                    for k, ppb in ((first, 10_000_000), (second, 40_000_000), (third, 999_000_000))
                ),
                _score(first, alpha, "mmc", -3),
                _score(third, beta, "corr", 1),
            ],
        )
        for key in (first, second):
            resolutions.add_resolution(
                connection,
                ResolutionRecord(key, later(9), "1" * 64, 0, 0, 0),
                [ResolutionLine(alpha.id, TOKEN, 3 * TOKEN if key == first else -2 * TOKEN, 10**9)],
            )
            _walk(connection, key, RoundState.RESOLVED)
        board = scores.leaderboard(connection, Tournament.SIGNALS)
    assert [row.model for row in board] == [alpha, beta]
    top, low = board
    assert top.provider.id == alpha.provider_id
    assert (top.rounds_scored, top.rounds_resolved) == (3, 2)
    assert top.mean_scores == {"corr": 0.025, "mmc": -3e-9}
    assert (top.stake_atoms, top.at_risk_atoms) == (31 * TOKEN, 20 * TOKEN)
    assert (top.payout_atoms, top.burn_atoms) == (3 * TOKEN, 2 * TOKEN)
    assert (low.rounds_scored, low.rounds_resolved, low.mean_scores) == (1, 0, {})
    assert (low.stake_atoms, low.at_risk_atoms, low.payout_atoms, low.burn_atoms) == (1, 0, 0, 0)


def test_a_leaderboard_without_models_is_empty(store):
    with store.read() as connection:
        assert scores.leaderboard(connection, Tournament.SIGNALS) == []
        assert scores.scores_of_round(connection, RoundKey(Tournament.SIGNALS, 1)) == []


def test_the_integer_scores_of_a_round_by_model(stage):
    store, alpha, beta, (first, second, _) = stage
    with store.write() as connection:
        assert scores.scores_by_model(connection, first) == ({}, 0, False)
        scores.put_scores(connection, [_score(first, alpha, ppb=7, day=3), _score(first, beta, "mmc", -5, day=2)])
        scores.put_scores(connection, [_score(second, alpha, ppb=1, final=True)])
        assert scores.scores_by_model(connection, first) == ({alpha.id: {"corr": 7}, beta.id: {"mmc": -5}}, 3, False)
        assert scores.scores_by_model(connection, second) == ({alpha.id: {"corr": 1}}, 20, True)
