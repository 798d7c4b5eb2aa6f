"""A round settles once, wholly, in any order. Method: balances replayed from the transfers, drawn rounds and orders."""

import random

import pytest

from crowdalpha.errors import InvariantBroken
from crowdalpha.terms import ATOMS_PER_TOKEN, PPB, PayoutTerms
from staking import (
    Balances,
    Candidate,
    Resolution,
    StakeLine,
    Transfer,
    apply,
    changed_balances,
    close_stakes,
    deposit,
    replay,
    reserve,
    resolve,
    stake,
    stake_account,
    void,
)
from tests.builders.money import AT, payout_terms, random_scores, stake_line

START_ATOMS = 1000 * ATOMS_PER_TOKEN
ROUNDS = 25
GOOD, BAD = {"corr": PPB, "mmc": 0}, {"corr": -PPB, "mmc": 0}


def staked(models: list[str]) -> Balances:
    """Return balances in which each model has the same stake."""
    moves: list[Transfer] = []
    for model in models:
        moves += [deposit(f"d{model}", "p", START_ATOMS, AT), stake(f"s{model}", "p", model, START_ATOMS, AT)]
    return replay(moves)


def owned(balances: Balances, model: str) -> int:
    """Return free and reserved stake of a model, each account once."""
    return sum(v for account, v in balances.items() if account.split(":")[-1] == model and not account.startswith("provider"))


def close(
    balances: Balances, round_id: str, models: list[str], terms: PayoutTerms
) -> tuple[Balances, list[tuple[str, int, int]]]:
    """Return balances after a round's close, and (model, at risk, reserved) of each stake."""
    candidates = [Candidate(m, owned(balances, m), balances.get(stake_account(m), 0)) for m in models]
    frozen = close_stakes(candidates, terms)
    aside = reserve(round_id, frozen, AT)
    return (apply(balances, aside) if aside else balances), [(f.model_id, f.at_risk_atoms, f.reserved_atoms) for f in frozen]


def settle(balances: Balances, resolution: Resolution) -> Balances:
    for item in resolution.transfers:
        balances = apply(balances, item)
        assert sum(balances.values()) == 0
    return balances


# --- one round -----------------------------------------------------------------------------------------------------------


def test_a_round_by_hand() -> None:
    """1,000 tokens each; one earns the clip, one burns it, one is at zero: +50, −50, 0, and every reserve is empty."""
    terms = payout_terms()
    balances, frozen = close(staked(["a", "b", "c"]), "signals-1", ["a", "b", "c"], terms)
    scores = {"a": GOOD, "b": BAD, "c": {"corr": 0, "mmc": 0}}
    resolution = resolve("signals-1", [StakeLine(m, risk, kept, scores[m]) for m, risk, kept in frozen], terms, AT)
    after = settle(balances, resolution)
    assert [after[f"stake:{m}"] // ATOMS_PER_TOKEN for m in "abc"] == [1050, 950, 1000]
    assert (after["treasury"], after["burned"]) == (-50 * ATOMS_PER_TOKEN, 50 * ATOMS_PER_TOKEN)
    assert [after[f"reserve:signals-1:{m}"] for m in "abc"] == [0, 0, 0]
    assert resolution.total_at_risk_atoms == 3 * START_ATOMS
    assert (resolution.total_payout_atoms, resolution.total_burn_atoms) == (50 * ATOMS_PER_TOKEN, 50 * ATOMS_PER_TOKEN)
    assert [item.id for item in resolution.transfers] == ["signals-1:burn", "signals-1:release", "signals-1:payout"]


def test_the_same_inputs_give_the_same_bytes_whatever_their_order_and_instant() -> None:
    lines = [stake_line(f"m{i}", 10**18 + i, GOOD if i % 2 else BAD) for i in range(9)]
    first = resolve("signals-1", lines, payout_terms(), AT)
    again = resolve("signals-1", lines[::-1], payout_terms(), "2017-01-01")
    assert first.canonical() == again.canonical()
    assert first.hash == again.hash
    assert [t.id for t in first.transfers] == [t.id for t in again.transfers]


def test_other_inputs_give_other_bytes() -> None:
    base = [stake_line("a", 10**18, GOOD), stake_line("b", 10**18, BAD)]
    hashes = {
        resolve("signals-1", base, payout_terms(), AT).hash,
        resolve("signals-2", base, payout_terms(), AT).hash,
        resolve("signals-1", base[:1], payout_terms(), AT).hash,
        resolve("signals-1", [stake_line("a", 10**18, BAD), base[1]], payout_terms(), AT).hash,
        resolve("signals-1", base, payout_terms(budget_tokens=1), AT).hash,
        void("signals-1", base, payout_terms(), AT).hash,
    }
    assert len(hashes) == 6


def test_the_bytes_of_a_resolution_never_change() -> None:
    """Golden vector, with amounts beyond 64 bits as text."""
    resolution = resolve("signals-1", [stake_line("a", 10**20, {"corr": 10_000_000, "mmc": 0})], payout_terms(), AT)
    assert resolution.canonical() == (
        b'{"format":1,"lines":[{"at_risk_atoms":"100000000000000000000","before_budget_atoms":"750000000000000000",'
        b'"model_id":"a","payout_atoms":"750000000000000000","reserved_atoms":"5000000000000000000","retention_ppb":1000000000,'
        b'"scores_ppb":{"corr":10000000,"mmc":0}}],"outcome":"resolved","round":"signals-1",'
        b'"terms":"' + resolution.terms_hash.encode() + b'","total_at_risk_atoms":"100000000000000000000",'
        b'"total_burn_atoms":"0","total_payout_atoms":"750000000000000000","total_released_atoms":"5000000000000000000"}'
    )


def test_a_void_round_gives_everything_back() -> None:
    before = staked(["a", "b"])
    balances, frozen = close(before, "classic-3", ["a", "b"], payout_terms())
    resolution = void("classic-3", [StakeLine(m, risk, kept, {}) for m, risk, kept in frozen], payout_terms(), AT)
    after = settle(balances, resolution)
    assert {k: v for k, v in after.items() if v} == {k: v for k, v in before.items() if v}
    assert resolution.outcome == "void"
    assert resolution.total_released_atoms == 100 * ATOMS_PER_TOKEN


def test_a_round_without_stakes_books_nothing() -> None:
    assert resolve("signals-1", [], payout_terms(), AT).transfers == ()


def test_a_reservation_that_does_not_fit_and_a_model_twice_are_bugs() -> None:
    with pytest.raises(InvariantBroken):
        resolve("signals-1", [StakeLine("a", 1000, 49, GOOD)], payout_terms(), AT)
    with pytest.raises(InvariantBroken):
        resolve("signals-1", [stake_line("a", 1000, GOOD), stake_line("a", 1000, GOOD)], payout_terms(), AT)


def test_a_model_with_nothing_but_losses_burns_no_more_than_its_reserve() -> None:
    lines = [stake_line(f"m{i}", 10**18 + i, BAD) for i in range(50)]
    for line in resolve("signals-1", lines, payout_terms(), AT).lines:
        assert line.burned_atoms <= line.reserved_atoms
        assert line.burned_atoms + line.released_atoms == line.reserved_atoms


# --- rounds that overlap -------------------------------------------------------------------------------------------------


def test_overlapping_rounds_never_take_a_stake_below_zero() -> None:
    """25 rounds close and resolve interleaved at random; `apply` refuses any account below zero."""
    seed = 31
    print(f"seed {seed}")
    rng = random.Random(seed)
    terms = payout_terms(clip_ppb=200_000_000)  # Five full losses exhaust a stake
    models = ["a", "b", "c"]
    for _ in range(60):
        balances, waiting, next_round = staked(models), {}, 1
        while next_round <= ROUNDS or waiting:
            if next_round <= ROUNDS and (not waiting or rng.random() < 0.6):
                round_id = f"signals-{next_round}"
                balances, waiting[round_id] = close(balances, round_id, models, terms)
                next_round += 1
                continue
            round_id = rng.choice(sorted(waiting))
            scores = {m: rng.choice([GOOD, BAD, BAD, random_scores(rng)]) for m in models}
            lines = [StakeLine(m, risk, kept, scores[m]) for m, risk, kept in waiting.pop(round_id)]
            balances = settle(balances, resolve(round_id, lines, terms, AT))
        assert all(v == 0 for account, v in balances.items() if account.startswith("reserve:"))
        assert all(v >= 0 for account, v in balances.items() if account != "treasury" and account != "external")


@pytest.mark.parametrize("rounds", [ROUNDS, 64])
def test_rounds_closed_before_end_the_same_in_a_thousand_orders_and_none_goes_below_zero(rounds: int) -> None:
    """Payouts and burns are mixed, one stake is paid to its wallet; `changed_balances` refuses any account below zero."""
    seed = 32
    print(f"seed {seed}")
    rng = random.Random(seed)
    terms, models = payout_terms(), ["a", "b", "c"]
    balances = staked(models)
    resolutions = []
    for number in range(1, rounds + 1):
        balances, frozen = close(balances, f"signals-{number}", models, terms)
        lines = [StakeLine(m, risk, kept, rng.choice([GOOD, BAD, random_scores(rng)])) for m, risk, kept in frozen]
        resolutions.append(resolve(f"signals-{number}", lines, terms, AT, wallets={"b": "p"}))
    ends = []
    for _ in range(1_000):
        rng.shuffle(resolutions)
        after = dict(balances)
        for resolution in resolutions:
            for item in resolution.transfers:
                after.update(changed_balances(after, item))
        ends.append(after)
    assert all(end == ends[0] for end in ends)
    assert sum(ends[0].values()) == 0
    assert ends[0]["burned"] > 0 > ends[0]["treasury"]


def test_a_stake_in_many_rounds_is_spread_by_what_is_still_free() -> None:
    """By hand, clip 50 %: a stake of 8 puts 8, then 8 again (4 free cover 8), then nothing at risk."""
    terms = payout_terms(clip_ppb=500_000_000)
    balances = replay([deposit("d", "p", 8, AT), stake("s", "p", "m", 8, AT)])
    seen = []
    for number in range(1, 4):
        balances, frozen = close(balances, f"signals-{number}", ["m"], terms)
        seen.append([(risk, kept) for _, risk, kept in frozen])
    assert seen == [[(8, 4)], [(8, 4)], []]


def test_a_mirrored_pair_at_fixed_stakes_never_ends_above_its_start() -> None:
    """Each round starts from the same at-risk stakes, as in the fixed mode; compounding is convex and is not promised."""
    seed = 33
    print(f"seed {seed}")
    rng = random.Random(seed)
    terms = payout_terms()
    for _ in range(200):
        total = 0
        for number in range(ROUNDS):
            scores = random_scores(rng)
            mirror = {kind: -value for kind, value in scores.items()}
            lines = [
                stake_line("a", START_ATOMS, scores, rng.randint(0, PPB)),
                stake_line("b", START_ATOMS, mirror, rng.randint(0, PPB)),
            ]
            total += sum(line.payout_atoms for line in resolve(f"signals-{number}", lines, terms, AT).lines)
            assert total <= 0


def test_a_payout_of_a_fixed_stake_goes_to_the_wallet_and_its_release_to_the_stake() -> None:
    terms = payout_terms({"corr": PPB, "mmc": PPB})
    lines = [stake_line(model, 1000, GOOD) for model in ("m1", "m2", "m3")]
    found = resolve("signals-1", lines, terms, AT, wallets={"m1": "p", "m3": "p"})
    paid = {e.account: e.amount_atoms for t in found.transfers if t.kind == "payout" for e in t.entries}
    assert paid == {"treasury": -150, "provider:p": 100, "stake:m2": 50}
    freed = {e.account for t in found.transfers if t.kind == "release" for e in t.entries if e.amount_atoms > 0}
    assert freed == {"stake:m1", "stake:m2", "stake:m3"}
    assert [line.as_plain().get("wallet_of") for line in found.lines] == ["p", None, "p"]
    assert found.hash != resolve("signals-1", lines, terms, AT).hash
