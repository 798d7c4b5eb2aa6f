"""Builders for tests about money: terms, stake lines and transfers, from a few numbers or from a seeded generator."""

import random
from collections.abc import Mapping

from crowdalpha.terms import ATOMS_PER_TOKEN, PAYING_KINDS, PPB, PayoutTerms
from staking import LedgerEntry, StakeLine, Transfer, reservation

AT = "2016-01-08T21:00:00.000000Z"
FIVE_PERCENT_PPB = 50_000_000


def payout_terms(
    multipliers: Mapping[str, int] | None = None,
    clip_ppb: int = FIVE_PERCENT_PPB,
    threshold_tokens: int = 72_000,
    budget_tokens: int = 10**9,
    stake_min_atoms: int = 0,
) -> PayoutTerms:
    """Return payout terms; the multipliers are given in ppb and default to 0.75 corr + 2.25 mmc."""
    given = multipliers or {"corr": 750_000_000, "mmc": 2_250_000_000}
    return PayoutTerms(
        multipliers_ppb=tuple(given.items()),
        clip_ppb=clip_ppb,
        stake_threshold_atoms=threshold_tokens * ATOMS_PER_TOKEN,
        budget_atoms=budget_tokens * ATOMS_PER_TOKEN,
        stake_min_atoms=stake_min_atoms,
    )


def stake_line(
    model_id: str, at_risk_atoms: int, scores: Mapping[str, int], retention_ppb: int = PPB, clip_ppb: int = FIVE_PERCENT_PPB
) -> StakeLine:
    """Return a stake line with the reservation that belongs to it."""
    return StakeLine(model_id, at_risk_atoms, reservation(at_risk_atoms, clip_ppb), dict(scores), retention_ppb)


def random_terms(rng: random.Random) -> PayoutTerms:
    """Return terms with everything drawn, clips and thresholds from tiny to huge; one kind in three may be chosen."""
    multipliers = {kind: rng.randint(-(10**9), 20 * 10**9) for kind in rng.sample(PAYING_KINDS, rng.randint(1, 4))}
    choices = {kind: (own, 0, rng.randint(0, 10**10)) for kind, own in multipliers.items() if rng.random() < 1 / 3}
    return PayoutTerms(
        multipliers_ppb=tuple(multipliers.items()),
        choices_ppb=tuple(choices.items()),
        clip_ppb=rng.choice([1, 17_000_000, 35_000_000, 50_000_000, rng.randint(1, PPB), PPB]),
        stake_threshold_atoms=rng.choice([1, 10**18, 72_000 * 10**18, rng.randint(1, 10**27), None]),
        budget_atoms=rng.choice([0, 1, 10**18, 10**40]),
    )


def random_scores(rng: random.Random) -> dict[str, int]:
    """Return a score of every kind, mostly of the size of real ones, sometimes zero or extreme."""
    spread = rng.choice([0, 1, 30_000_000, 300_000_000, PPB])
    return {kind: rng.randint(-spread, spread) for kind in PAYING_KINDS}


def random_choice(rng: random.Random, terms: PayoutTerms) -> dict[str, int]:
    """Return multipliers that a provider may have chosen under ``terms``: of each kind that offers some, one or none."""
    return {kind: rng.choice(among) for kind, among in terms.choices_ppb if rng.random() < 2 / 3}


def random_atoms(rng: random.Random) -> int:
    """Return an amount that is often one of those at which types overflow."""
    edges = [0, 1, 2, 10**18 - 1, 10**18, 2**63 - 1, 2**63, 10**27]
    return rng.choice([*edges, rng.randint(0, 10**24)])


def transfer(transfer_id: str, kind: str, giver: str, taker: str, amount_atoms: int, at: str = AT) -> Transfer:
    """Return a transfer between two accounts."""
    return Transfer(transfer_id, kind, at, (LedgerEntry(giver, -amount_atoms), LedgerEntry(taker, amount_atoms)))
