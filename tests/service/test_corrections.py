"""The ledger is corrected by new entries that two people stand for, and by nothing else. By hand, on both databases."""

import json
from pathlib import Path

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import CrowdalphaError
from crowdalpha.ids import Tournament
from crowdalpha.terms import PPB
from service.context import Platform
from service.store import audit, corrections, ledger, models
from service.store.engine import Store
from service.store.records import CorrectionRecord
from service.workflows import accounts
from service.workflows.correct_ledger import approve, propose, withdraw
from tests.builders.money import payout_terms
from tests.builders.stakers import close, stakers_on
from tests.builders.store_rows import T0


@pytest.fixture
def platform(store: Store, tmp_path: Path) -> Platform:
    """One provider with 60 atoms in the wallet and 40 on a model: a deposit is transfer 1, a stake transfer 2."""
    made = stakers_on(tmp_path / "home", store.url)
    accounts.create_provider(made, "ada", 100)
    accounts.create_model(made, "ada", "ada_one", Tournament.SIGNALS, 40)
    return made


def balances(platform: Platform) -> dict[str, int]:
    with platform.store.read() as connection:
        assert ledger.verify(connection) == []
        return {account.split(":")[0]: atoms for account, atoms in ledger.balances(connection).items() if atoms}


def refused(call: object, *arguments: object) -> Code:
    with pytest.raises(CrowdalphaError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_a_transfer_is_reversed_once_two_people_stand_for_it(platform: Platform) -> None:
    proposal = propose(platform, "2", "staked by mistake", "ann")
    assert balances(platform) == {"external": -100, "provider": 60, "stake": 40}
    record = approve(platform, proposal.id, "ben")
    assert balances(platform) == {"external": -100, "provider": 100}
    assert (record.sequence, record.transfer.kind, record.transfer.id) == (3, "correction", f"correction:{proposal.id}")
    with platform.store.read() as connection:
        corrected = ledger.transfer_by_sequence(connection, 2)
        lines = [(line.who, line.what) for line in audit.list_audit(connection, proposal.id)]
        standing = corrections.list_corrections(connection)
    assert corrected is not None
    assert json.loads(record.transfer.reference) == {
        "approvers": ["ann", "ben"],
        "corrects": corrected.transfer.id,
        "reason": "staked by mistake",
    }
    assert lines == [("ben", "approve_correction"), ("ann", "propose_correction")]
    assert [(one.state, one.approved_by) for one in standing] == [("posted", "ben")]


def test_a_part_is_moved_between_any_accounts_by_the_names_of_their_owners(platform: Platform) -> None:
    given = [("stake:ada_one", "burned", 7), ("provider:ada", "treasury", 5), ("burned", "pool:ada", 2)]
    approve(platform, propose(platform, "1", "as the court says", "ann", given).id, "ben")
    assert balances(platform) == {"burned": 5, "external": -100, "provider": 55, "pool": 2, "stake": 33, "treasury": 5}


def test_what_a_round_holds_in_reserve_is_no_matter_of_corrections(platform: Platform) -> None:
    """Atoms that were put there by hand would lie there for ever: a settlement gives back what the close reserved."""
    with platform.store.write() as connection:
        model = models.model_by_name(connection, "ada_one")
        close(connection, 1, payout_terms({"corr": PPB}), [model.id])
        reserved = ledger.head(connection).sequence
    assert refused(propose, platform, str(reserved), "closed by mistake", "ann") is Code.CORRECTION_INVALID
    for move in (("burned", "reserve:signals-1:ada_one", 2), ("reserve:signals-1:ada_one", "stake:ada_one", 2)):
        assert refused(propose, platform, "1", "as the court says", "ann", [move]) is Code.CORRECTION_INVALID
    # One that was proposed before the rule is not approved after it.
    with platform.store.write() as connection:
        entries = ((f"reserve:signals-1:{model.id}", -2), (f"stake:{model.id}", 2))
        first = ledger.transfer_by_sequence(connection, 1)
        corrections.add_correction(
            connection, CorrectionRecord("old", first.transfer.id, "as the court says", entries, "ann", T0)
        )
    assert refused(approve, platform, "old", "ben") is Code.CORRECTION_INVALID


@pytest.mark.parametrize("name", ["Ben", "ben ", "ben\u200b", "bеn", "b" * 41, "be"], ids=ascii)
def test_a_name_that_could_be_written_in_two_ways_stands_for_nobody(platform: Platform, name: str) -> None:
    proposal = propose(platform, "2", "wrong", "ben")
    assert refused(approve, platform, proposal.id, name) is Code.CORRECTION_INVALID
    assert refused(propose, platform, "1", "wrong", name) is Code.CORRECTION_INVALID
    assert refused(withdraw, platform, proposal.id, name) is Code.CORRECTION_INVALID


def test_nobody_approves_alone_and_nothing_is_decided_twice(platform: Platform) -> None:
    proposal = propose(platform, "2", "wrong", "ann")
    assert refused(approve, platform, proposal.id, "ann") is Code.SECOND_APPROVER
    assert refused(propose, platform, "2", "wrong again", "cid") is Code.CORRECTION_EXISTS
    approve(platform, proposal.id, "ben")
    assert refused(approve, platform, proposal.id, "cid") is Code.CORRECTION_STATE
    assert refused(withdraw, platform, proposal.id, "ann") is Code.CORRECTION_STATE
    assert refused(propose, platform, "2", "wrong again", "cid") is Code.CORRECTION_EXISTS
    # A reversal is a transfer like any other, and may be reversed itself.
    approve(platform, propose(platform, f"correction:{proposal.id}", "it was right", "cid").id, "ann")
    assert balances(platform) == {"external": -100, "provider": 60, "stake": 40}


def test_a_withdrawn_proposal_books_nothing_and_makes_room(platform: Platform) -> None:
    proposal = propose(platform, "2", "wrong", "ann")
    withdraw(platform, proposal.id, "ann")
    assert refused(approve, platform, proposal.id, "ben") is Code.CORRECTION_STATE
    assert balances(platform) == {"external": -100, "provider": 60, "stake": 40}
    assert propose(platform, "2", "wrong after all", "ann").state == "proposed"


def test_no_account_falls_below_zero_by_a_correction(platform: Platform) -> None:
    # 100 came in, and 40 of them are on the model: the wallet cannot give them all back.
    proposal = propose(platform, "1", "a deposit that bounced", "ann")
    assert refused(approve, platform, proposal.id, "ben") is Code.BALANCE_TOO_LOW
    with platform.store.read() as connection:
        assert corrections.list_corrections(connection)[0].state == "proposed"
    approve(platform, propose(platform, "2", "so that it can be taken back", "ann").id, "ben")
    approve(platform, proposal.id, "ben")
    assert balances(platform) == {}


@pytest.mark.parametrize(
    ("transfer", "reason", "by", "given", "code"),
    [
        ("99", "x", "ann", (), Code.TRANSFER_UNKNOWN),
        ("no-such-id", "x", "ann", (), Code.TRANSFER_UNKNOWN),
        ("9" * 19, "x", "ann", (), Code.TRANSFER_UNKNOWN),
        ("9" * 5_000, "x", "ann", (), Code.TRANSFER_UNKNOWN),
        ("2", "x\udc80", "ann", (), Code.CORRECTION_INVALID),
        ("2", " ", "ann", (), Code.CORRECTION_INVALID),
        ("2", "x", "", (), Code.CORRECTION_INVALID),
        ("2", "x", "ann", [("burned", "treasury", 0)], Code.CORRECTION_INVALID),
        ("2", "x", "ann", [("burned", "treasury", -5)], Code.CORRECTION_INVALID),
        ("2", "x", "ann", [("bank", "treasury", 5)], Code.CORRECTION_INVALID),
        ("2", "x", "ann", [("burned", "provider:eve", 5)], Code.CORRECTION_INVALID),
        ("2", "x", "ann", [("burned", "stake:eve_one", 5)], Code.CORRECTION_INVALID),
        ("2", "x", "ann", [("burned", "treasury", 5), ("treasury", "burned", 5)], Code.CORRECTION_INVALID),
    ],
)
def test_what_makes_no_correction_is_refused(
    platform: Platform, transfer: str, reason: str, by: str, given: list[tuple[str, str, int]], code: Code
) -> None:
    assert refused(propose, platform, transfer, reason, by, given) is code
    assert refused(approve, platform, "no-such-id", "ben") is Code.CORRECTION_UNKNOWN
