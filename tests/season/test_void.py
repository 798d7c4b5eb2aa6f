"""Goal: a round that cannot be scored gives every stake back whole, once, and is never resolved as well.

Method: a small season with pending rounds; what the close took from each stake is compared to the atom with what the void gives
back, the ledger is checked from its first record, and the job voids by itself once the returns are overdue.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import numpy as np
import pytest
from sqlalchemy import delete, update

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected, Unavailable
from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import ProofTerms, RoundTerms
from service.bundles.checking import verify
from service.clock import SimulatedClock
from service.context import Platform
from service.jobs.registry import Missed, score_round
from service.store import ledger, resolutions, rounds, schema, stakes
from service.workflows.publish_bundle import (
    COMPLETE_ARTIFACT,
    PUBLIC_ARTIFACT,
    bundle_of,
    publish_bundle,
    publish_bundles,
)
from service.workflows.resolve_round import resolve_round
from service.workflows.void_round import void_round
from staking import reserve_account, stake_account
from tests.builders.seasons import after_small, small_panel

PENDING, LATER, RESOLVED = (RoundKey(Tournament.SIGNALS, n) for n in (10, 11, 1))
CLASSIC = RoundKey(Tournament.CLASSIC, 10)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with after_small(tmp_path_factory.mktemp("void") / "home") as made:
        yield made


def test_every_stake_comes_back_whole_and_nobody_is_paid(platform: Platform) -> None:
    with platform.store.read() as connection:
        frozen = stakes.at_risk_of_round(connection, PENDING)
        before = {a.model_id: ledger.balance(connection, stake_account(a.model_id)) for a in frozen}
    assert len(frozen) > 10
    settled = void_round(platform, PENDING, "The vendor lost the prices.")
    assert (settled.total_payout, settled.total_burn) == (0, 0)
    assert settled.total_at_risk == sum(a.at_risk_atoms for a in frozen)
    with platform.store.read() as connection:
        for a in frozen:
            assert ledger.balance(connection, stake_account(a.model_id)) == before[a.model_id] + a.reserved_atoms
            assert ledger.balance(connection, reserve_account(str(PENDING), a.model_id)) == 0
        record = rounds.round_by_key(connection, PENDING)
        assert (record.state, record.void_reason) == (RoundState.VOID, "The vendor lost the prices.")
        assert ledger.verify(connection) == []
        head = ledger.head(connection)
    assert void_round(platform, PENDING, "Another reason.") == settled
    with platform.store.read() as connection:
        assert ledger.head(connection) == head
        assert rounds.round_by_key(connection, PENDING).void_reason == "The vendor lost the prices."


def test_a_void_round_is_not_resolved_and_a_resolved_one_not_voided(platform: Platform) -> None:
    void_round(platform, CLASSIC, "The vendor lost the prices.")
    assert resolve_round(platform, CLASSIC).total_payout == 0  # the settlement that stands
    with pytest.raises(Conflict) as caught:
        void_round(platform, RESOLVED, "The vendor lost the prices.")
    assert caught.value.code is Code.ALREADY_RESOLVED
    with platform.store.read() as connection:
        assert resolutions.resolution_of_round(connection, RESOLVED).total_at_risk > 0
        assert ledger.verify(connection) == []


def test_the_bundle_of_a_void_round_verifies(platform: Platform) -> None:
    void_round(platform, CLASSIC, "The vendor lost the prices.")
    publish_bundle(platform, CLASSIC)
    assert verify(bundle_of(platform, CLASSIC)).facts["outcome"] == "void"


def promise(platform: Platform, key: RoundKey, proof: ProofTerms) -> None:
    """Let a round be one whose terms had promised ``proof`` when it opened."""
    with platform.store.write() as connection:
        terms = replace(RoundTerms.from_dict(rounds.round_by_key(connection, key).terms), proof=proof)
        own = (schema.rounds.c.tournament == int(key.tournament)) & (schema.rounds.c.number == key.number)
        connection.execute(update(schema.rounds).where(own).values(terms=terms.as_dict(), terms_hash=terms.hash))


def test_the_files_of_a_void_round_stay_secret_while_its_returns_run(platform: Platform) -> None:
    """Voided three weeks early with a promise of seven days: counted from the void, live signals would be public."""
    void_round(platform, PENDING, "The vendor lost the prices.")
    promise(platform, PENDING, ProofTerms(reveal_after_days=7))
    with platform.store.read() as connection:
        record = rounds.round_by_key(connection, PENDING)
    last = datetime.combine(record.resolve_session + timedelta(days=1), time(), UTC)
    assert record.resolved_at + timedelta(days=7) < last
    for at, public in ((last + timedelta(days=6, hours=23), False), (last + timedelta(days=7), True)):
        publish_bundle(replace(platform, clock=SimulatedClock(at)), PENDING)
        with platform.store.read() as connection:
            assert (COMPLETE_ARTIFACT in rounds.artifacts(connection, PENDING)) == public
    found = verify(bundle_of(platform, PENDING)).facts
    assert (found["kind"], found["outcome"], found["rescored_models"]) == ("complete", "void", 0)


def test_a_round_that_cannot_be_sealed_has_its_public_bundle_and_holds_up_no_other(platform: Platform) -> None:
    void_round(platform, CLASSIC, "The vendor lost the prices.")
    promise(platform, CLASSIC, ProofTerms(auditor_key="0" * 64))
    with platform.store.write() as connection:
        for key in (CLASSIC, RESOLVED):
            connection.execute(
                delete(schema.round_artifacts).where(
                    schema.of_round(schema.round_artifacts, key) & (schema.round_artifacts.c.name == PUBLIC_ARTIFACT)
                )
            )
    with pytest.raises(Conflict, match=f"A bundle of {CLASSIC} cannot be made") as caught:
        publish_bundles(platform)
    assert caught.value.code is Code.AUDITOR_KEY
    for key in (CLASSIC, RESOLVED):
        assert verify(bundle_of(platform, key)).facts["kind"] == "public"


@pytest.mark.parametrize("reason", ["", "   ", "x" * 401])
def test_a_round_is_voided_for_a_reason(platform: Platform, reason: str) -> None:
    with pytest.raises(InputRejected):
        void_round(platform, LATER, reason)


def test_the_job_holds_a_round_and_voids_it_once_its_returns_are_overdue(platform: Platform) -> None:
    panel = small_panel()
    # From here on the prices of two thirds of the assets are missing.
    gone = np.arange(panel.quotes.close.shape[1]) % 3 > 0
    quotes = {}
    for name in ("open", "close", "volume"):
        quotes[name] = getattr(panel.quotes, name).copy()
        quotes[name][-12:, gone] = np.nan
    with platform.store.read() as connection:
        record = rounds.round_by_key(connection, LATER)
    payload = {"tournament": "signals", "base_session": record.base_session.isoformat()}
    days = platform.settings.rounds.void_after_days
    for after, overdue in ((days, False), (days + 1, True)):
        at = datetime.combine(record.resolve_session + timedelta(days=after), time(12), UTC)
        later = replace(platform, clock=SimulatedClock(at))
        later.desk.use(replace(panel, quotes=replace(panel.quotes, **quotes)))
        if not overdue:
            with pytest.raises(Unavailable) as held:
                score_round(later, payload)
            assert held.value.code is Code.MARKET_COVERAGE
        else:
            assert isinstance(score_round(later, payload), Missed)
    with platform.store.read() as connection:
        found = rounds.round_by_key(connection, LATER)
    assert found.state is RoundState.VOID
    assert "Prices of only" in found.void_reason
    platform.desk.use(panel)
