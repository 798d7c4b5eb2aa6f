"""Stake on its way out burns its share and is always there at the end. Method: cases by hand, drawn lives of a stake."""

import random
from fractions import Fraction
from math import ceil

import pytest

from crowdalpha.errors import InvariantBroken
from crowdalpha.terms import PPB
from staking import Candidate, PendingRelease, close_stakes, release, shared_burn
from tests.builders.money import AT, payout_terms, random_atoms

LIVES = 400
OLD, NEW = "signals-1", "signals-2"


def pending(amount: int, *rounds: str, name: str = "r", burned: int = 0) -> PendingRelease:
    return PendingRelease(name, "m", amount, burned, rounds or (OLD,))


# Pending, burned by the round, whole stake before, left afterwards: worked out by hand.
BY_HAND = [
    (50, 5, 100, 47),  # 2.5 is borne as 3
    (100, 5, 100, 95),
    (100, 0, 100, 100),
    (1, 1, 100, 0),  # a share is never less than a whole atom
    (0, 5, 100, 0),
    (99, 5, 100, 94),  # 4.95 as 5
    (30, 100, 100, 0),
]


@pytest.mark.parametrize(("amount", "burned", "stake", "left"), BY_HAND)
def test_a_burn_takes_the_share_of_what_is_pending(amount: int, burned: int, stake: int, left: int) -> None:
    assert shared_burn([pending(amount)], OLD, burned, stake)[0].left_atoms == left


def test_a_round_that_was_not_open_at_the_request_burns_nothing_of_it() -> None:
    one, other = pending(50), pending(20, OLD, NEW, name="s")
    after = shared_burn([one, other], NEW, 10, 100)
    assert after[0] == one
    assert after[1].left_atoms == 18


def test_what_is_pending_never_exceeds_what_a_burn_leaves() -> None:
    one, other = pending(50), pending(50, OLD, NEW, name="s")
    after = shared_burn([one, other], NEW, 10, 100)
    assert [x.left_atoms for x in after] == [50, 40]


def test_more_than_there_is_cannot_burn() -> None:
    with pytest.raises(InvariantBroken):
        shared_burn([pending(5)], OLD, 11, 10)


def test_a_release_moves_what_is_left_and_no_more_than_is_free() -> None:
    move = release(pending(50, burned=8), "p", 100, AT)
    assert move is not None
    assert (move.id, move.kind, move.reference) == ("release:r", "unstake", "r")
    assert {entry.account: entry.amount_atoms for entry in move.entries} == {"stake:m": -42, "provider:p": 42}
    less = release(pending(50), "p", 7, AT)
    assert less is not None
    assert max(entry.amount_atoms for entry in less.entries) == 7
    assert release(pending(50, burned=50), "p", 100, AT) is None


def test_a_close_counts_neither_stake_nor_free_balance_that_is_pending() -> None:
    terms = payout_terms()
    frozen = close_stakes([Candidate("m", 100, 90, 60)], terms)
    assert (frozen[0].stake_atoms, frozen[0].at_risk_atoms, frozen[0].reserved_atoms) == (40, 40, 2)
    # 92 of 100 pending and 90 free: the 8 that stay are held by rounds, so nothing can be set aside.
    assert close_stakes([Candidate("m", 100, 90, 92)], terms) == ()


@pytest.mark.parametrize("clip_ppb", [50_000_000, 333_333_333, PPB])
def test_over_drawn_lives_what_is_pending_is_free_when_its_rounds_are_settled(clip_ppb: int) -> None:
    seed = 20260106
    print(f"seed {seed}")
    rng = random.Random(seed)
    terms = payout_terms({"corr": PPB}, clip_ppb)
    for _ in range(LIVES):
        live(rng, terms)


def live(rng: random.Random, terms: object) -> None:
    """Live through 40 requests, closes and settlements of one stake; look at every release that falls due."""
    free, held, waiting, count = random_atoms(rng), {}, [], 0
    for _ in range(40):
        stake, out = free + sum(held.values()), sum(one.left_atoms for one in waiting)
        match rng.choice(["request", "close", "settle", "settle", "increase"]):
            case "increase":
                free += random_atoms(rng)
            case "request" if held and stake > out:
                count += 1
                amount = rng.choice([stake - out, rng.randint(1, stake - out)])
                waiting.append(PendingRelease(f"r{count}", "m", amount, 0, tuple(held)))
            case "close":
                count += 1
                for line in close_stakes([Candidate("m", stake, free, out)], terms):  # type: ignore[arg-type]
                    held[f"signals-{count}"] = line.reserved_atoms
                    free -= line.reserved_atoms
            case "settle" if held:
                name = rng.choice(list(held))
                burned = rng.choice([0, held[name], rng.randint(0, held[name])])
                before = waiting
                waiting = list(shared_burn(waiting, name, burned, stake))
                for was, now in zip(before, waiting, strict=True):
                    share = ceil(Fraction(burned * was.left_atoms, stake)) if name in was.rounds else 0
                    assert 0 <= now.left_atoms <= was.left_atoms - min(share, was.left_atoms)
                free += held.pop(name) - burned
                for one in [x for x in waiting if held.keys().isdisjoint(x.rounds)]:
                    assert free >= one.left_atoms
                    free -= one.left_atoms
                    waiting.remove(one)
        assert free >= 0
        assert sum(one.left_atoms for one in waiting) <= free + sum(held.values())
