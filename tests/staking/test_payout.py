"""A payout is an exact function of integers. Independent sources: a twin in fractions, a table by hand, and inequalities."""

import random
from dataclasses import replace
from fractions import Fraction
from math import floor

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import ATOMS_PER_TOKEN, PPB, PayoutTerms
from staking import StakeLine, payout, payouts
from tests.builders.money import payout_terms, random_atoms, random_choice, random_scores, random_terms, stake_line

CASES = 100_000
NANO = 10**9  # atoms in a billionth of a token


def twin(
    at_risk: int, scores: dict[str, int], retention: int, total: int, terms: PayoutTerms, chosen: dict[str, int] | None = None
) -> int:
    """Return the payout as the formula reads, in fractions."""
    chosen = chosen or {}
    value = sum(
        (Fraction(chosen.get(kind, m), PPB) * Fraction(scores[kind], PPB) for kind, m in terms.multipliers_ppb), Fraction(0)
    )
    factor = Fraction(1)
    if total and terms.stake_threshold_atoms is not None:
        factor = min(factor, Fraction(terms.stake_threshold_atoms, total))
    clip = Fraction(terms.clip_ppb, PPB)
    clipped = min(max(factor * value, -clip), clip)
    kept = clipped * Fraction(retention, PPB) if clipped > 0 else clipped
    return floor(at_risk * kept)


def test_payouts_equal_the_twin_to_the_atom() -> None:
    seed = 20
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(CASES):
        terms, scores, at_risk = random_terms(rng), random_scores(rng), random_atoms(rng)
        total = at_risk + random_atoms(rng)
        retention, chosen = rng.choice([0, 1, PPB, rng.randint(0, PPB)]), random_choice(rng, terms)
        got = payout(at_risk, scores, retention, total, terms, chosen)
        assert got == twin(at_risk, scores, retention, total, terms, chosen)
        assert -(-at_risk * terms.clip_ppb // PPB) >= abs(got) or got > 0
        assert got * PPB <= at_risk * terms.clip_ppb


# Multipliers (first, second score), clip, threshold in tokens; at risk and total in tokens; scores; retention; payout in
# billionths of a token. Each row was worked out by hand from the formula, in decimal.
RULES_2024 = ((500, 2000), 50, 72_000)  # 0.5 and 2, clip 5 %
RULES_2026 = ((750, 2250), 50, 72_000)  # 0.75 and 2.25, clip 5 %
RULES_FULL = ((5000, 10_000), 1000, 10**9)  # 5 and 10, nothing clipped, no threshold
RULES_LONG = ((3000, 15_000), 1000, 10**9)  # 3 and 15
RULES_SMALL = ((300, 800), 17, 36_000)  # 0.3 and 0.8, clip 1.7 %
RULES_WIDER = ((300, 800), 35, 36_000)  # the same, clip 3.5 %
RULES_CHURN = ((500, 2000), 35, 72_000)  # 0.5 and 2, clip 3.5 %, with retention

TABLE = [
    # 0.015 + 0.02 = 0.035
    (RULES_2024, 100, 36_000, 0.030, 0.010, PPB, 3_500_000_000),
    # 0.0225 + 0.0225 = 0.045
    (RULES_2026, 100, 36_000, 0.030, 0.010, PPB, 4_500_000_000),
    (RULES_FULL, 100, 36_000, 0.030, 0.010, PPB, 25_000_000_000),
    (RULES_LONG, 100, 36_000, 0.030, 0.010, PPB, 24_000_000_000),
    # Twice the threshold: half of it
    (RULES_2024, 100, 144_000, 0.030, 0.010, PPB, 1_750_000_000),
    (RULES_2026, 100, 144_000, 0.030, 0.010, PPB, 2_250_000_000),
    (RULES_FULL, 100, 144_000, 0.030, 0.010, PPB, 25_000_000_000),
    # Ten times the threshold: (-0.025 - 0.04) / 10
    (RULES_2024, 100, 720_000, -0.050, -0.020, PPB, -650_000_000),
    (RULES_2026, 100, 720_000, -0.050, -0.020, PPB, -825_000_000),
    (RULES_FULL, 100, 720_000, -0.050, -0.020, PPB, -45_000_000_000),
    (RULES_LONG, 100, 720_000, -0.050, -0.020, PPB, -45_000_000_000),
    # Nothing at risk, and a score of nothing
    (RULES_2026, 0, 720_000, 0.050, 0.020, PPB, 0),
    (RULES_2026, 100, 1_000, 0.0, 0.0, PPB, 0),
    # 0.006 + 0.0032 = 0.0092; then 0.012 + 0.008 = 0.02 burned at half
    (RULES_SMALL, 100, 20_000, 0.020, 0.004, PPB, 920_000_000),
    (RULES_WIDER, 100, 20_000, 0.020, 0.004, PPB, 920_000_000),
    (RULES_SMALL, 100, 72_000, -0.040, -0.010, PPB, -1_000_000_000),
    # Clipped at 1.7 % only after the factor: 0.04 · 0.5 = 0.02
    (RULES_SMALL, 100, 72_000, 0.080, 0.020, PPB, 1_700_000_000),
    (RULES_SMALL, 100, 720_000, 0.080, 0.020, PPB, 200_000_000),
    # At the clip exactly: nothing is cut
    (RULES_CHURN, 100, 1_000, 0.030, 0.010, PPB, 3_500_000_000),
    (RULES_CHURN, 100, 1_000, -0.030, -0.010, PPB, -3_500_000_000),
    # Retention of 0.755081338 and of 0.364851048 (churns of 0.15 and 0.25 over 0.10, slope 10); burns are not softened
    (RULES_CHURN, 100, 1_000, 0.030, 0.010, 755_081_338, 2_642_784_683),
    (RULES_CHURN, 100, 1_000, -0.030, -0.010, 755_081_338, -3_500_000_000),
    (RULES_CHURN, 100, 1_000, 0.030, 0.010, 364_851_048, 1_276_978_668),
    (RULES_CHURN, 100, 1_000, -0.030, -0.010, 364_851_048, -3_500_000_000),
    (RULES_CHURN, 100, 1_000, 0.030, 0.010, 0, 0),
    # Clipped first, retained after: 0.035 · 0.5, not 0.06 · 0.5
    (RULES_CHURN, 100, 1_000, 0.040, 0.020, 500_000_000, 1_750_000_000),
    # The two scores against each other: 0.0225 - 0.045, 0.03 - 0.0225
    (RULES_2026, 100, 1_000, 0.030, -0.020, PPB, -2_250_000_000),
    (RULES_2026, 100, 1_000, 0.040, -0.010, PPB, 750_000_000),
    # 0.09 is clipped at 5 %, both ways
    (RULES_2026, 250, 1_000, 0.060, 0.020, PPB, 12_500_000_000),
    (RULES_2026, 250, 1_000, -0.060, -0.020, PPB, -12_500_000_000),
]


@pytest.mark.parametrize("row", TABLE, ids=range(len(TABLE)))
def test_payouts_worked_out_by_hand(row: tuple[tuple[tuple[int, int], int, int], int, int, float, float, int, int]) -> None:
    ((first, second), clip, threshold), at_risk, total, score_1, score_2, retention, expected = row
    terms = payout_terms({"corr": first * 10**6, "mmc": second * 10**6}, clip * 10**6, threshold)
    scores = {"corr": round(score_1 * PPB), "mmc": round(score_2 * PPB)}
    got = payout(at_risk * ATOMS_PER_TOKEN, scores, retention, total * ATOMS_PER_TOKEN, terms)
    assert got == expected * NANO


def test_the_table_has_thirty_rows() -> None:
    assert len(TABLE) == 30


def test_rounding_favours_the_treasury() -> None:
    terms = payout_terms({"corr": PPB}, PPB)
    assert payout(1, {"corr": 1}, PPB, 1, terms) == 0
    assert payout(1, {"corr": -1}, PPB, 1, terms) == -1


def test_a_payout_rises_with_score_and_retention() -> None:
    seed = 21
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(3000):
        terms = payout_terms(threshold_tokens=rng.choice([1, 72_000]))
        scores, at_risk = random_scores(rng), random_atoms(rng)
        better = {kind: value + rng.randint(0, 10**7) for kind, value in scores.items()}
        low, high = sorted((rng.randint(0, PPB), rng.randint(0, PPB)))
        total = at_risk + 10**20
        assert payout(at_risk, better, low, total, terms) >= payout(at_risk, scores, low, total, terms)
        assert payout(at_risk, scores, high, total, terms) >= payout(at_risk, scores, low, total, terms)
        assert payout(at_risk, dict.fromkeys(scores, 0), high, total, terms) == 0


def test_without_a_threshold_nothing_shrinks_however_much_is_at_risk() -> None:
    terms = payout_terms({"corr": PPB}, PPB)
    free = replace(terms, stake_threshold_atoms=None)
    scores = {"corr": PPB // 10}
    assert payout(1000, scores, PPB, 10**30, free) == 100
    assert payout(1000, scores, PPB, 10**30, terms) == 0


def test_a_choice_replaces_the_multiplier_of_its_kind_alone() -> None:
    """By hand, as the classic tournament paid in 2021: corr + 2 mmc is 0.03 + 0.02, and corr alone 0.03."""
    terms = replace(payout_terms({"corr": PPB, "mmc": 0}, PPB // 4), choices_ppb=(("mmc", (0, PPB // 2, PPB, 2 * PPB)),))
    scores = {"corr": 30_000_000, "mmc": 10_000_000}
    assert payout(1000, scores, PPB, 1000, terms, {"mmc": 2 * PPB}) == 50
    assert payout(1000, scores, PPB, 1000, terms, {"mmc": PPB // 2}) == 35
    assert payout(1000, scores, PPB, 1000, terms, {}) == payout(1000, scores, PPB, 1000, terms) == 30
    lines = [StakeLine("a", 1000, 250, scores, PPB, {"mmc": 2 * PPB}), StakeLine("b", 1000, 250, scores)]
    assert [line.payout_atoms for line in payouts(lines, terms)] == [50, 30]


@pytest.mark.parametrize("chosen", [{"mmc": 3 * PPB}, {"corr": PPB}, {"fnc": 0}, {"mmc": float(PPB)}, {"mmc": False}])
def test_a_choice_that_the_terms_do_not_offer_is_refused(chosen: dict[str, int]) -> None:
    terms = replace(payout_terms({"corr": PPB, "mmc": 0}, PPB // 4), choices_ppb=(("mmc", (0, PPB)),))
    with pytest.raises(InputRejected) as caught:
        payout(1000, {"corr": 1, "mmc": 1}, PPB, 1000, terms, chosen)
    assert caught.value.code is Code.PAYOUT_INPUT


# --- no free lunch -------------------------------------------------------------------------------------------------------


def test_a_model_and_its_mirror_never_gain_together() -> None:
    seed = 22
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(10_000):
        terms, scores, at_risk = random_terms(rng), random_scores(rng), random_atoms(rng)
        mirror = {kind: -value for kind, value in scores.items()}
        chosen = random_choice(rng, terms)
        lines = [
            StakeLine("a", at_risk, 0, scores, rng.randint(0, PPB), chosen),
            StakeLine("b", at_risk, 0, mirror, rng.randint(0, PPB), chosen),
            StakeLine("other", random_atoms(rng), 0, random_scores(rng)),
        ]
        first, second, _ = payouts(lines, terms)
        assert first.payout_atoms + second.payout_atoms <= 0


def test_a_stake_split_over_many_models_earns_at_most_the_whole() -> None:
    seed = 23
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(300):
        terms, scores, retention = random_terms(rng), random_scores(rng), rng.randint(0, PPB)
        parts, chosen = [random_atoms(rng) for _ in range(rng.randint(2, 100))], random_choice(rng, terms)
        other = StakeLine("other", random_atoms(rng), 0, random_scores(rng))
        whole = payouts([StakeLine("a", sum(parts), 0, scores, retention, chosen), other], terms)[0]
        pieces = [StakeLine(f"a{i}", part, 0, scores, retention, chosen) for i, part in enumerate(parts)]
        split = payouts([*pieces, other], terms)[:-1]
        assert sum(line.payout_atoms for line in split) <= whole.payout_atoms
        before = sum(line.before_budget_atoms for line in split)
        assert whole.before_budget_atoms - len(parts) <= before <= whole.before_budget_atoms


def test_over_overlapping_rounds_at_fixed_stakes_a_mirrored_pair_never_ends_above_its_start() -> None:
    """Each round freezes the same stake of both and is settled some rounds later, whatever the pair has then."""
    seed = 25
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(200):
        terms, stake, chosen = random_terms(rng), random_atoms(rng), {}
        start = pair = 10**33
        open_rounds: list[list[StakeLine]] = []
        for _ in range(rng.randint(1, 60)):
            scores, chosen = random_scores(rng), random_choice(rng, terms)
            mirror = {kind: -value for kind, value in scores.items()}
            open_rounds.append(
                [
                    StakeLine("a", stake, 0, scores, rng.randint(0, PPB), chosen),
                    StakeLine("b", stake, 0, mirror, rng.randint(0, PPB), chosen),
                    *(StakeLine(f"m{i}", random_atoms(rng), 0, random_scores(rng)) for i in range(rng.randint(0, 3))),
                ]
            )
            while open_rounds and rng.random() < 0.3:
                settled = payouts(open_rounds.pop(rng.randrange(len(open_rounds))), terms)
                pair += settled[0].payout_atoms + settled[1].payout_atoms
                assert pair <= start
        for lines in open_rounds:
            pair += sum(line.payout_atoms for line in payouts(lines, terms)[:2])
        assert pair <= start


@pytest.mark.parametrize(("outcomes", "ends_at"), [([1] * 10, 222.76), ([1, -1] * 5, 197.51)])
def test_compounding_is_convex_so_a_pair_that_compounds_may_end_above_its_start(outcomes: list[int], ends_at: float) -> None:
    """Two mirrored stakes of 100 tokens, ten rounds one after the other, each at the clip of 5 %: 1.05ⁿ and 0.95ⁿ by a pocket
    calculator. In one direction the pair gains 22.76 tokens; back and forth it loses 2.49."""
    terms = payout_terms({"corr": PPB})
    stakes = [100 * ATOMS_PER_TOKEN, 100 * ATOMS_PER_TOKEN]
    for outcome in outcomes:
        lines = [StakeLine(f"m{i}", stakes[i], 0, {"corr": (1 - 2 * i) * outcome * PPB}) for i in range(2)]
        stakes = [stake + line.payout_atoms for stake, line in zip(stakes, payouts(lines, terms), strict=True)]
    assert sum(stakes) / ATOMS_PER_TOKEN == pytest.approx(ends_at, abs=0.005)


# --- the budget ----------------------------------------------------------------------------------------------------------


def test_payouts_never_exceed_the_budget_and_burns_do_not_shrink() -> None:
    seed = 24
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(500):
        terms = random_terms(rng)
        lines = [StakeLine(f"m{i}", random_atoms(rng), 0, random_scores(rng)) for i in range(rng.randint(1, 20))]
        outcome = payouts(lines, terms)
        assert sum(max(line.payout_atoms, 0) for line in outcome) <= terms.budget_atoms
        promised = sum(max(line.before_budget_atoms, 0) for line in outcome)
        for line in outcome:
            if line.before_budget_atoms <= 0 or promised <= terms.budget_atoms:
                assert line.payout_atoms == line.before_budget_atoms
            else:
                assert line.payout_atoms == floor(Fraction(line.before_budget_atoms * terms.budget_atoms, promised))


def test_a_budget_by_hand() -> None:
    """Promised 50 + 100, budget 100 tokens: two thirds of each; the burn of 50 stands."""
    terms = payout_terms(threshold_tokens=10**6, budget_tokens=100)
    good, bad = {"corr": PPB, "mmc": 0}, {"corr": -PPB, "mmc": 0}
    lines = [
        stake_line(name, size * ATOMS_PER_TOKEN, s)
        for name, size, s in (("a", 1000, good), ("b", 2000, good), ("c", 1000, bad))
    ]
    assert [line.payout_atoms for line in payouts(lines, terms)] == [
        100 * ATOMS_PER_TOKEN // 3,
        200 * ATOMS_PER_TOKEN // 3,
        -50 * ATOMS_PER_TOKEN,
    ]


def test_a_round_without_stakes_pays_nothing() -> None:
    assert payouts([], payout_terms()) == ()


# --- refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_risk", "scores", "retention", "total"),
    [
        (1, {"corr": 1}, PPB, 1),
        (1, {"corr": 1, "mmc": 0.5}, PPB, 1),
        (1.0, {"corr": 1, "mmc": 1}, PPB, 1),
        (True, {"corr": 1, "mmc": 1}, PPB, 1),
        (-1, {"corr": 1, "mmc": 1}, PPB, 1),
        (2, {"corr": 1, "mmc": 1}, PPB, 1),
        (1, {"corr": 1, "mmc": 1}, PPB + 1, 1),
        (1, {"corr": 1, "mmc": 1}, -1, 1),
    ],
)
def test_numbers_that_cannot_be_are_refused(at_risk: int, scores: dict[str, int], retention: int, total: int) -> None:
    with pytest.raises(InputRejected) as caught:
        payout(at_risk, scores, retention, total, payout_terms())
    assert caught.value.code is Code.PAYOUT_INPUT
