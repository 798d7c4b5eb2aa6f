"""The ledger balances, and shows whatever was done to it. Method: forms by example, golden bytes, drawn edits of a chain."""

import dataclasses
import hashlib
import random

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InvariantBroken
from staking import (
    ATOMS_MAX,
    GENESIS_HASH,
    KIND_FLOWS,
    LedgerEntry,
    LedgerRecord,
    Transfer,
    append,
    apply,
    changed_balances,
    deposit,
    replay,
    seal,
    verify_chain,
)
from tests.builders.money import AT, transfer

ACCOUNTS = {
    "external": "external",
    "treasury": "treasury",
    "burned": "burned",
    "provider": "provider:p1",
    "pool": "pool:p1",
    "stake": "stake:m1",
    "reserve": "reserve:signals-1:m1",
}
OTHERS = ACCOUNTS | {name: f"{account}x" for name, account in ACCOUNTS.items() if ":" in account}
"""A second account of each class that has more than one."""


def chain(length: int) -> list[LedgerRecord]:
    """Return a valid chain: a deposit, then stakes and unstakes."""
    transfers = [transfer("t0", "deposit", "external", "provider:p1", 10**24)]
    for i in range(1, length):
        kind, giver, taker = ("stake", "provider:p1", "stake:m1") if i % 3 else ("unstake", "stake:m1", "provider:p1")
        transfers.append(transfer(f"t{i}", kind, giver, taker, 10**18 + i))
    records: list[LedgerRecord] = []
    for item in transfers:
        records.append(append(records[-1] if records else None, item))
    return records


# --- forms ---------------------------------------------------------------------------------------------------------------


def test_entries_that_do_not_sum_to_zero_are_a_bug() -> None:
    with pytest.raises(InvariantBroken) as caught:
        Transfer("t", "deposit", AT, (LedgerEntry("external", -2), LedgerEntry("provider:p1", 1)))
    assert caught.value.code is Code.LEDGER_UNBALANCED


@pytest.mark.parametrize("amount", [0, 1.0, True, 10**78, -(10**78)])
def test_an_entry_holds_a_whole_amount_other_than_zero(amount: object) -> None:
    with pytest.raises(InvariantBroken):
        LedgerEntry("external", amount)  # type: ignore[arg-type]


@pytest.mark.parametrize("account", ["", "Treasury", "treasury:x", "provider", "provider:", "stake:a:b", "reserve:r", "bank:1"])
def test_an_account_has_a_known_class_and_whole_name(account: str) -> None:
    with pytest.raises(InvariantBroken):
        LedgerEntry(account, 1)


@pytest.mark.parametrize("kind", sorted(KIND_FLOWS))
@pytest.mark.parametrize("giver", sorted(ACCOUNTS))
@pytest.mark.parametrize("taker", sorted(ACCOUNTS))
def test_money_flows_only_where_its_kind_allows(kind: str, giver: str, taker: str) -> None:
    """All pairs of account classes under each kind: the table's pairs pass, everything else is a bug."""
    givers, takers = KIND_FLOWS[kind]
    if giver in givers and taker in takers and ACCOUNTS[giver] != OTHERS[taker]:
        assert transfer("t", kind, ACCOUNTS[giver], OTHERS[taker], 5).kind == kind
        return
    with pytest.raises(InvariantBroken):
        transfer("t", kind, ACCOUNTS[giver], OTHERS[taker], 5)


def test_only_a_correction_leaves_burned_and_only_a_withdrawal_or_a_correction_reaches_external() -> None:
    assert [kind for kind, (givers, _) in KIND_FLOWS.items() if "burned" in givers] == ["correction"]
    assert [kind for kind, (_, takers) in KIND_FLOWS.items() if "external" in takers] == ["withdraw", "correction"]


@pytest.mark.parametrize(
    "at", ["", "yesterday", "2016-01-08 21:00", "2016-01-08T21:00:00", "2016-01-08T21:00:00+01:00", "2016-01-08T21:00:00.1Z"]
)
def test_an_instant_is_text_in_utc(at: str) -> None:
    with pytest.raises(InvariantBroken):
        transfer("t", "deposit", "external", "provider:p1", 1, at)


def test_an_account_stands_once_in_a_transfer() -> None:
    with pytest.raises(InvariantBroken):
        Transfer(
            "t", "deposit", AT, (LedgerEntry("external", -2), LedgerEntry("provider:p1", 1), LedgerEntry("provider:p1", 1))
        )


def test_the_order_of_entries_given_does_not_matter() -> None:
    entries = (LedgerEntry("provider:p1", 7), LedgerEntry("external", -7))
    assert Transfer("t", "deposit", AT, entries) == Transfer("t", "deposit", AT, entries[::-1])


# --- balances ------------------------------------------------------------------------------------------------------------


def test_no_account_falls_below_zero_but_external_and_treasury() -> None:
    with pytest.raises(Conflict) as caught:
        apply({"provider:p1": 4}, transfer("t", "stake", "provider:p1", "stake:m1", 5))
    assert caught.value.code is Code.BALANCE_TOO_LOW
    assert replay([transfer("t", "payout", "treasury", "stake:m1", 5)]) == {"stake:m1": 5, "treasury": -5}


def test_no_account_comes_to_more_than_a_database_can_hold_on_either_side_of_zero() -> None:
    most = deposit("d1", "ada", ATOMS_MAX, AT)
    held = replay([most])
    assert held == {"external": -ATOMS_MAX, "provider:ada": ATOMS_MAX}
    for who in ("ada", "bob"):  # too much for the wallet, or for what came from outside
        with pytest.raises(Conflict) as caught:
            apply(held, deposit("d2", who, 10**18, AT))
        assert caught.value.code is Code.AMOUNT_INVALID
        assert caught.value.message.startswith("A deposit of 1 tokens is too much: ")


def test_applying_a_transfer_changes_no_argument_and_no_other_account() -> None:
    before = {"provider:p1": 9, "stake:m2": 3}
    after = apply(before, transfer("t", "stake", "provider:p1", "stake:m1", 5))
    assert before == {"provider:p1": 9, "stake:m2": 3}
    assert after == {"provider:p1": 4, "stake:m1": 5, "stake:m2": 3}
    assert changed_balances(before, transfer("t", "stake", "provider:p1", "stake:m1", 5)) == {"provider:p1": 4, "stake:m1": 5}


# --- the chain -----------------------------------------------------------------------------------------------------------


def test_the_sealed_bytes_never_change() -> None:
    """Golden vector: the bytes are written out here by hand, so any change of the format fails."""
    item = Transfer("t1", "deposit", AT, (LedgerEntry("provider:p1", 10**19), LedgerEntry("external", -(10**19))), "für uns")
    written = (
        '{"format":1,"previous":"' + "0" * 64 + '","sequence":1,"transfer":{"at":"2016-01-08T21:00:00.000000Z",'
        '"entries":[["external","-10000000000000000000"],["provider:p1","10000000000000000000"]],'
        '"id":"t1","kind":"deposit","reference":"für uns"}}'
    )
    assert seal(GENESIS_HASH, 1, item) == hashlib.sha256(written.encode()).hexdigest()
    assert seal(GENESIS_HASH, 1, item) == "a1b43c2e1499db369bf588e29f5968cc03f8716d12db73fa64f00968bb3026fd"


GOLDEN = [
    ("withdraw", "provider:p1", "external", "56025d7f0c848c12f721d047d01618560993e4828349b55050d2998587876f8c"),
    ("stake", "provider:p1", "pool:p1", "3fc4ba183cbe361bdd17c2fc7478bb849a3ca676f825a86127c8d7104502cae3"),
    ("unstake", "pool:p1", "provider:p1", "8db87447900a786d7c8d36bd282f54ba54e1aac75cf2f0cbbeb4ff4141ea92c6"),
    ("reweight", "pool:p1", "stake:m1", "e86522e672ef25e2a3d72c4cabc54f887cbf0e3e788c53eeef22ba30d10dabf1"),
    ("payout", "treasury", "provider:p1", "ab95b04bdc6112389ffff54e3042f967f258fa9e6050c2938f296cf64afddd28"),
    ("correction", "burned", "stake:m1", "73b4bd12b5a47da872008e8000570d04e60752455c9c4bf47638a282589a4e8e"),
]
"""Kind, giver, taker of 5 atoms, and the seal of that transfer as the first of a ledger, computed once with sha256sum."""


@pytest.mark.parametrize(("kind", "giver", "taker", "expected"), GOLDEN)
def test_each_kind_of_transfer_has_its_golden_seal(kind: str, giver: str, taker: str, expected: str) -> None:
    entries = ",".join(f'["{account}","{amount}"]' for account, amount in sorted([(giver, -5), (taker, 5)]))
    written = (
        '{"format":1,"previous":"' + "0" * 64 + '","sequence":1,"transfer":{"at":"2016-01-08T21:00:00.000000Z",'
        f'"entries":[{entries}],"id":"t1","kind":"{kind}","reference":""}}}}'
    )
    sealed = seal(GENESIS_HASH, 1, transfer("t1", kind, giver, taker, 5))
    assert sealed == hashlib.sha256(written.encode()).hexdigest()
    assert sealed == expected


def test_a_whole_chain_has_no_problem() -> None:
    records = chain(20)
    assert verify_chain(records, expected_head=records[-1].hash) == []
    assert verify_chain([]) == []


def tamper(rng: random.Random, records: list[LedgerRecord]) -> list[LedgerRecord]:
    """Return the records after one act that an honest program never does."""
    i, j = rng.sample(range(len(records)), 2)
    old = records[i]
    edited = records.copy()
    match rng.choice(
        ["delete", "swap", "repeat", "truncate", "amount", "at", "id", "reference", "kind", "sequence", "hash", "previous"]
    ):
        case "delete":
            del edited[i]
        case "swap":
            edited[i], edited[j] = edited[j], edited[i]
        case "repeat":
            edited.insert(j, old)
        case "truncate":
            edited = edited[: min(i, j) or 1]
        case "sequence":
            edited[i] = dataclasses.replace(old, sequence=old.sequence + 1)
        case "hash":
            edited[i] = dataclasses.replace(old, hash=hashlib.sha256(old.hash.encode()).hexdigest())
        case "previous":
            edited[i] = dataclasses.replace(old, previous_hash=hashlib.sha256(old.previous_hash.encode()).hexdigest())
        case "amount":
            giver, taker = sorted(old.transfer.entries, key=lambda e: e.amount_atoms)
            entries = (LedgerEntry(giver.account, giver.amount_atoms - 1), LedgerEntry(taker.account, taker.amount_atoms + 1))
            edited[i] = dataclasses.replace(old, transfer=dataclasses.replace(old.transfer, entries=entries))
        case "kind":
            swapped = transfer(old.transfer.id, "payout", "treasury", "stake:m1", 1)
            edited[i] = dataclasses.replace(old, transfer=swapped)
        case field:
            text = "2017-01-01" if field == "at" else "x"
            edited[i] = dataclasses.replace(old, transfer=dataclasses.replace(old.transfer, **{field: text}))
    return edited


def test_every_edit_deletion_swap_and_truncation_is_noticed() -> None:
    seed = 7
    print(f"seed {seed}")
    rng = random.Random(seed)
    records = chain(30)
    for _ in range(1000):
        edited = tamper(rng, records)
        assert edited != records
        assert verify_chain(edited, expected_head=records[-1].hash), "an act of tampering went unnoticed"


def test_a_chain_that_an_insider_computed_anew_is_caught_by_the_published_head() -> None:
    records = chain(10)
    rebuilt: list[LedgerRecord] = []
    for record in records[:5] + records[6:]:
        rebuilt.append(append(rebuilt[-1] if rebuilt else None, record.transfer))
    assert verify_chain(rebuilt) == []
    assert verify_chain(rebuilt, expected_head=records[-1].hash)


def test_a_booking_below_zero_and_a_reused_id_are_problems_of_a_chain() -> None:
    first = append(None, transfer("t", "stake", "provider:p1", "stake:m1", 5))
    second = append(first, transfer("t", "payout", "treasury", "stake:m1", 5))
    messages = [problem.message for problem in verify_chain([first, second])]
    assert len(messages) == 2
