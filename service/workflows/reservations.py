"""What a close sets aside of the stakes behind its submissions, inside the closing transaction: no balance moves meanwhile.

1. Every pool is laid out anew by its weights. A model that cannot give all of what it has too much, because open rounds
   stand on it, puts only its share at risk.
2. Fixed stakes that are below their amount are topped up from the wallets of their providers.
3. What is at risk is frozen, with what was chosen of the multipliers; the most that the round can burn of it goes to the
   round's reserves.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from crowdalpha.ids import RoundKey
from crowdalpha.terms import PayoutTerms
from service.clock import instant_text
from service.store import ledger, models, stakes
from service.store.records import AtRiskRecord
from service.workflows.stakes import candidates
from staking import (
    AtRisk,
    Candidate,
    Transfer,
    close_stakes,
    layout,
    pool_account,
    provider_account,
    reserve,
    reweight,
    targets,
    top_up,
    top_ups,
)


def round_reservations(
    connection: Connection, key: RoundKey, terms: PayoutTerms, model_ids: Collection[str], now: datetime
) -> dict[str, AtRisk]:
    """Freeze what round ``key`` puts at risk of each of ``model_ids``; return it by model, without those that risk nothing."""
    at = instant_text(now)
    shares = _lay_out_pools(connection, str(key), at)
    _post(connection, [_top_up(connection, str(key), model_ids, at)])
    standing = {m: replace(one, share_atoms=shares.get(m)) for m, one in candidates(connection, model_ids).items()}
    frozen = close_stakes(standing.values(), terms)
    _post(connection, [reserve(str(key), frozen, at)])
    plans = stakes.plans_of(connection, [a.model_id for a in frozen]) if terms.choices_ppb else {}
    chosen = {model: terms.allowed_choice(plan.chosen_ppb or {}) for model, plan in plans.items()}
    rows = [
        AtRiskRecord(
            key, a.model_id, a.stake_atoms, a.at_risk_atoms, a.reserved_atoms,
            standing[a.model_id].fixed_atoms is not None, chosen.get(a.model_id) or None,
        )
        for a in frozen
    ]  # fmt: skip
    stakes.add_at_risk(connection, rows)
    return {a.model_id: a for a in frozen}


def _post(connection: Connection, transfers: Collection[Transfer | None]) -> None:
    ledger.post(connection, [transfer for transfer in transfers if transfer is not None])


def _lay_out_pools(connection: Connection, round_id: str, at: str) -> dict[str, int]:
    """Lay every pool out, and return what its weights give each of its models, in atoms."""
    shares: dict[str, int] = {}
    moves = []
    for pool in stakes.pools(connection):
        standing = list(candidates(connection, list(pool.weights_ppb)).values())
        idle = ledger.balance(connection, pool_account(pool.provider_id))
        moves.append(reweight(round_id, pool.provider_id, layout(idle, standing, pool.weights_ppb), at))
        shares |= targets(idle, standing, pool.weights_ppb)
    _post(connection, moves)
    return shares


def _top_up(connection: Connection, round_id: str, model_ids: Collection[str], at: str) -> Transfer | None:
    fixed = [model for model, plan in stakes.plans_of(connection, model_ids).items() if plan.fixed_atoms is not None]
    if not fixed:
        return None
    owners = models.owners_of(connection, fixed)
    by_owner: dict[str, list[Candidate]] = {}
    for model, one in candidates(connection, fixed).items():
        by_owner.setdefault(owners[model], []).append(one)
    accounts = ledger.balances_of(connection, [provider_account(owner) for owner in by_owner])
    wallets = {owner: accounts.get(provider_account(owner), 0) for owner in by_owner}
    return top_up(round_id, top_ups(by_owner, wallets), owners, at)
