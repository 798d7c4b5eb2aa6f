"""A correction undoes what it names, exactly, and is sealed with who stood for it. Method: golden bytes, drawn transfers."""

import random

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from staking import LedgerEntry, Transfer, apply, correction, moves, replay, reversal, seal
from staking.ledger import GENESIS_HASH
from tests.builders.money import AT, random_atoms, transfer


def test_a_reversal_takes_back_every_entry() -> None:
    seed = 20260109
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(300):
        amounts = [random_atoms(rng) + 1 for _ in range(rng.randint(1, 5))]
        entries = [LedgerEntry(f"stake:m{i}", amount) for i, amount in enumerate(amounts)]
        pay = Transfer("signals-1:payout", "payout", AT, (LedgerEntry("treasury", -sum(amounts)), *entries), "signals-1")
        back = correction("c", pay.id, "wrong scores", ("ann", "ben"), reversal(pay), AT)
        assert set(apply(replay([pay]), back).values()) == {0}
        assert reversal(back) == pay.entries


def test_the_sealed_bytes_of_a_correction_never_change() -> None:
    """Golden vector; the seal was computed once with sha256sum over the bytes that the docs describe."""
    made = correction("7", "t1", "für uns", ("ann", "ben"), reversal(transfer("t1", "stake", "provider:p1", "stake:m1", 5)), AT)
    assert (made.id, made.kind) == ("correction:7", "correction")
    assert made.reference == '{"approvers":["ann","ben"],"corrects":"t1","reason":"für uns"}'
    assert seal(GENESIS_HASH, 1, made) == "98e5898a1facdd9c28517e670b1051eeda9f40f319d30ff3de579a5a688a609c"


def test_moves_are_netted_by_account() -> None:
    given = [("burned", "stake:m1", 5), ("treasury", "stake:m1", 2), ("stake:m1", "burned", 1)]
    assert {e.account: e.amount_atoms for e in moves(given)} == {"burned": -4, "stake:m1": 6, "treasury": -2}


@pytest.mark.parametrize(
    "given",
    [
        [("burned", "stake:m1", 0)],
        [("burned", "stake:m1", -1)],
        [("burned", "nowhere", 1)],
        [("stake:", "burned", 1)],
        [("burned", "burned", 1)],
        [("burned", "treasury", 1), ("treasury", "burned", 1)],
    ],
)
def test_moves_that_make_no_sense_are_refused(given: list[tuple[str, str, int]]) -> None:
    with pytest.raises(InputRejected) as caught:
        moves(given)
    assert caught.value.code is Code.CORRECTION_INVALID
