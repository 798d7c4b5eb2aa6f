"""What a close puts at risk is covered by what it reserves. Method: cases by hand, drawn stakes against inequalities."""

import random

import pytest

from crowdalpha.errors import InvariantBroken
from crowdalpha.terms import PPB
from staking import Candidate, at_risk, close_stakes, deposit, replay, reservation, reserve, stake, top_up, top_ups, unstake
from tests.builders.money import AT, payout_terms, random_atoms

FIVE_PERCENT = 50_000_000

# Stake, free, clip, at risk, reserved: worked out by hand.
BY_HAND = [
    (100, 100, FIVE_PERCENT, 100, 5),
    (101, 101, FIVE_PERCENT, 101, 6),  # 5.05 is reserved as 6
    (100, 4, FIVE_PERCENT, 80, 4),  # 4 free cover 80 at risk
    (100, 5, FIVE_PERCENT, 100, 5),
    (100, 0, FIVE_PERCENT, 0, 0),
    (0, 0, FIVE_PERCENT, 0, 0),
    (100, 100, PPB, 100, 100),
    (100, 60, PPB, 60, 60),
    (10, 1, 300_000_000, 3, 1),  # floor(1 / 0.3) = 3, ceil(0.9) = 1
]


@pytest.mark.parametrize(("stake_atoms", "free", "clip", "risk", "reserved"), BY_HAND)
def test_cases_by_hand(stake_atoms: int, free: int, clip: int, risk: int, reserved: int) -> None:
    assert at_risk(stake_atoms, free, clip) == risk
    assert reservation(risk, clip) == reserved


def test_a_reservation_never_exceeds_what_is_free_and_is_the_largest_burn() -> None:
    seed = 11
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(5000):
        free, held, clip = random_atoms(rng), random_atoms(rng), rng.choice([1, 3, FIVE_PERCENT, rng.randint(1, PPB), PPB])
        risk = at_risk(free + held, free, clip)
        reserved = reservation(risk, clip)
        assert risk <= free + held
        assert reserved <= free
        assert reserved * PPB >= risk * clip > (reserved - 1) * PPB or risk == 0
        # One atom more at risk is either more than the stake or not covered.
        assert risk == free + held or reservation(risk + 1, clip) > free


def test_a_close_leaves_out_what_is_below_the_least_stake_or_empty() -> None:
    terms = payout_terms(stake_min_atoms=10)
    candidates = [Candidate("c", 9, 9), Candidate("b", 10, 10), Candidate("a", 50, 0), Candidate("d", 0, 0)]
    assert [line.model_id for line in close_stakes(candidates, terms)] == ["b"]


def test_a_close_does_not_depend_on_the_order_of_models() -> None:
    candidates = [Candidate(f"m{i}", 1000 + i, 500) for i in range(20)]
    assert close_stakes(candidates, payout_terms()) == close_stakes(candidates[::-1], payout_terms())


def test_a_model_stands_once_in_a_close() -> None:
    with pytest.raises(InvariantBroken):
        close_stakes([Candidate("a", 1, 1), Candidate("a", 1, 1)], payout_terms())


@pytest.mark.parametrize(("stake_atoms", "free"), [(1, 2), (1, -1)])
def test_more_free_than_owned_is_a_bug(stake_atoms: int, free: int) -> None:
    with pytest.raises(InvariantBroken):
        at_risk(stake_atoms, free, FIVE_PERCENT)


def test_tokens_travel_from_outside_to_the_reserve_and_the_free_rest_back() -> None:
    lines = close_stakes([Candidate("m", 60, 60)], payout_terms())
    aside = reserve("signals-1", lines, AT)
    assert aside is not None
    moves = [deposit("1", "p", 100, AT), stake("2", "p", "m", 60, AT), aside, unstake("4", "p", "m", 7, AT)]
    assert replay(moves) == {"external": -100, "provider:p": 47, "stake:m": 50, "reserve:signals-1:m": 3}


def test_a_round_without_stakes_reserves_nothing() -> None:
    assert reserve("signals-1", (), AT) is None


# --- fixed stakes --------------------------------------------------------------------------------------------------------

# Stake, free, fixed amount, at risk, reserved: worked out by hand.
FIXED_BY_HAND = [
    (100, 100, 60, 60, 3),
    (100, 100, 100, 100, 5),
    (50, 50, 60, 50, 3),  # a wallet that was empty: what there is
    (100, 2, 60, 40, 2),
    (100, 100, 1, 1, 1),
]


@pytest.mark.parametrize(("stake_atoms", "free", "fixed", "risk", "reserved"), FIXED_BY_HAND)
def test_more_than_the_fixed_amount_is_not_at_risk(stake_atoms: int, free: int, fixed: int, risk: int, reserved: int) -> None:
    frozen = close_stakes([Candidate("m", stake_atoms, free, 0, fixed)], payout_terms())
    assert [(f.at_risk_atoms, f.reserved_atoms) for f in frozen] == [(risk, reserved)]


def test_a_fixed_amount_below_the_least_stake_is_not_at_risk() -> None:
    assert close_stakes([Candidate("m", 100, 100, 0, 49)], payout_terms(stake_min_atoms=50)) == ()
    assert len(close_stakes([Candidate("m", 100, 100, 0, 50)], payout_terms(stake_min_atoms=50))) == 1


def test_wallets_fill_fixed_stakes_in_turn_as_far_as_they_reach() -> None:
    fixed = {
        "p": [Candidate("b", 10, 10, 0, 40), Candidate("a", 5, 5, 5, 20), Candidate("c", 90, 1, 0, 50)],
        "q": [Candidate("d", 0, 0, 0, 7)],
        "r": [Candidate("e", 0, 0, 0, 7)],
    }
    amounts = top_ups(fixed, {"p": 45, "q": 100})
    assert amounts == {"a": 20, "b": 25, "d": 7}
    move = top_up("signals-9", amounts, {"a": "p", "b": "p", "d": "q"}, AT)
    assert move is not None
    assert (move.id, move.kind) == ("signals-9:top-up", "stake")
    assert {e.account: e.amount_atoms for e in move.entries} == {
        "provider:p": -45,
        "provider:q": -7,
        "stake:a": 20,
        "stake:b": 25,
        "stake:d": 7,
    }
    assert top_up("signals-9", {}, {}, AT) is None
