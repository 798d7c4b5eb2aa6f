"""A pool reaches its weights as far as free atoms go. Method: cases by hand, drawn pools against exact sums and bounds."""

import random
from fractions import Fraction

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import PPB
from staking import Candidate, check_weights, layout, reweight, split
from tests.builders.money import AT, random_atoms

HALF, QUARTER = PPB // 2, PPB // 4

# Pool, (stake, free, pending) of two models, weights, change of each: worked out by hand.
BY_HAND = [
    (100, [(0, 0, 0), (0, 0, 0)], [HALF, HALF], [50, 50]),
    (100, [(0, 0, 0), (0, 0, 0)], [HALF, QUARTER], [50, 25]),
    (0, [(60, 60, 0), (40, 40, 0)], [HALF, HALF], [-10, 10]),
    (0, [(60, 5, 0), (40, 40, 0)], [HALF, HALF], [-5, 5]),  # 55 of the 60 are held
    (0, [(60, 60, 30), (30, 30, 0)], [HALF, HALF], [0, 0]),  # what is on its way out counts for nothing
    (10, [(90, 0, 0), (0, 0, 0)], [PPB // 10, 9 * PPB // 10], [0, 10]),  # 80 are wanted and 10 are there
    (1, [(0, 0, 0), (0, 0, 0)], [HALF, HALF], [0, 0]),  # half an atom is none
]


@pytest.mark.parametrize(("pool", "models", "weights", "changes"), BY_HAND)
def test_a_pool_is_laid_out_by_its_weights(
    pool: int, models: list[tuple[int, int, int]], weights: list[int], changes: list[int]
) -> None:
    named = [Candidate(name, *numbers) for name, numbers in zip("ab", models, strict=True)]
    found = layout(pool, named, dict(zip("ab", weights, strict=True)))
    assert [found.get(name, 0) for name in "ab"] == changes


def test_what_an_open_round_has_at_risk_stays_behind_its_model() -> None:
    models = [Candidate("a", 1_000, 950, backing_atoms=800), Candidate("b", 0, 0)]
    assert layout(0, models, {"a": 1, "b": HALF}) == {"a": -200, "b": 200}


def test_drawn_pools_keep_every_atom_and_take_none_that_is_held_or_pending_or_backs_a_round() -> None:
    seed = 20260107
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(2000):
        cuts = sorted(rng.randint(0, PPB) for _ in range(4))
        weights = {f"m{i}": max(b - a, 1) for i, (a, b) in enumerate(zip([0, *cuts[:-1]], cuts, strict=True))}
        models = []
        for name in weights:
            free, held = random_atoms(rng), random_atoms(rng)
            pending = rng.choice([0, free, rng.randint(0, free + held)])
            models.append(
                Candidate(name, free + held, free, pending, backing_atoms=rng.choice([0, rng.randint(0, free + held)]))
            )
        pool = random_atoms(rng)
        changes = layout(pool, models, weights)
        assert pool - sum(changes.values()) >= 0
        whole = pool + sum(one.own_atoms for one in models)
        for one in models:
            change, target = changes.get(one.model_id, 0), Fraction(weights[one.model_id], PPB) * whole
            assert one.free_atoms + change >= min(one.free_atoms, one.pending_atoms)
            assert one.own_atoms + change >= min(one.own_atoms, one.backing_atoms)
            # Nobody overshoots: a change leads towards the target and not beyond it, but for the part of an atom.
            assert abs(one.own_atoms + change - target) <= abs(one.own_atoms - target) + 1


def test_once_nothing_is_held_a_second_layout_changes_nothing() -> None:
    models = [Candidate("a", 7, 7), Candidate("b", 900, 900), Candidate("c", 93, 93)]
    weights = {"a": HALF, "b": QUARTER, "c": QUARTER}
    changes = layout(24, models, weights)
    after = [Candidate(m.model_id, m.stake_atoms + changes[m.model_id], m.free_atoms + changes[m.model_id]) for m in models]
    assert [m.free_atoms for m in after] == [512, 256, 256]
    assert layout(24 - sum(changes.values()), after, weights) == {}


def test_a_layout_is_one_transfer_and_none_when_nothing_moves() -> None:
    move = reweight("signals-3", "p", {"a": 60, "b": -10}, AT)
    assert move is not None
    assert (move.id, move.kind) == ("signals-3:reweight:p", "reweight")
    assert [(e.account, e.amount_atoms) for e in move.entries] == [("pool:p", -50), ("stake:a", 60), ("stake:b", -10)]
    even = reweight("signals-3", "p", {"a": 10, "b": -10}, AT)
    assert even is not None
    assert len(even.entries) == 2
    assert reweight("signals-3", "p", {}, AT) is None


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"b": PPB, "a": 0}, "The weight of 'a' is 0; a weight lies above 0 and is at most 1."),
        ({"a": -1}, "The weight of 'a' is -0.000000001; a weight lies above 0 and is at most 1."),
        ({"a": 2 * PPB}, "The weight of 'a' is 2; a weight lies above 0 and is at most 1."),
        ({"a": HALF, "b": HALF + 1}, "The weights of a pool sum to at most 1, not to 1.000000001."),
    ],
)
def test_weights_are_positive_and_sum_to_at_most_one(weights: dict[str, int], told: str) -> None:
    with pytest.raises(InputRejected) as caught:
        check_weights(weights)
    assert caught.value.message == told
    assert caught.value.code is Code.POOL_WEIGHTS
    check_weights({"a": HALF, "b": HALF})
    check_weights({})


def test_an_amount_is_split_exactly_and_nobody_gives_more_than_it_has() -> None:
    seed = 20260108
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(2000):
        owned = {f"m{i}": random_atoms(rng) for i in range(rng.randint(1, 6))}
        whole = sum(owned.values())
        amount = rng.choice([0, whole, rng.randint(0, whole)])
        parts = split(amount, owned)
        assert sum(parts.values()) == amount
        for model, part in parts.items():
            assert 0 < part <= owned[model]
            assert abs(part - Fraction(amount * owned[model], whole)) <= len(owned)
