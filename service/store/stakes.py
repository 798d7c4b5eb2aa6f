"""What each close froze of the stakes, and what providers have said about them: plans, pools, releases that wait.

The stakes themselves are balances of the ledger.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from crowdalpha.ids import RoundKey, RoundState, Tournament
from service.store.parts import among, rows_among
from service.store.records import AtRiskRecord, StakePlan, StakePool, StakeRelease
from service.store.schema import at_risk, of_round, round_values, rounds, stake_plans, stake_pools, stake_releases
from service.store.upsert import upsert_into

SETTLED = (RoundState.RESOLVED, RoundState.VOID)
"""States in which a round holds nothing any more."""

PENDING = "pending"

_OPEN_RESERVATIONS = (
    select(at_risk)
    .join(
        rounds,
        (at_risk.c.tournament == rounds.c.tournament)
        & (at_risk.c.number == rounds.c.number)
        & rounds.c.state.not_in([state.value for state in SETTLED]),
    )
    .where(among(at_risk.c.model_id))
)
_PLANS_OF = select(stake_plans).where(among(stake_plans.c.model_id))
_POOLS = select(stake_pools)
_POOL_OF = _POOLS.where(stake_pools.c.provider_id == bindparam("provider"))
_PENDING = select(stake_releases).where(stake_releases.c.state == PENDING)
_PENDING_OF = _PENDING.where(among(stake_releases.c.model_id))


def _record(row: Row[Any], key: RoundKey | None = None) -> AtRiskRecord:
    key = key or RoundKey(Tournament(row.tournament), row.number)
    numbers = (row.stake_atoms, row.at_risk_atoms, row.reserved_atoms)
    return AtRiskRecord(key, row.model_id, *numbers, bool(row.pays_wallet), row.chosen_ppb)


def add_at_risk(connection: Connection, records: Sequence[AtRiskRecord]) -> None:
    """Keep what a close froze. A model twice in a round fails as an IntegrityError: a close happens once."""
    rows = [
        {
            **round_values(record.round),
            "model_id": record.model_id,
            "stake_atoms": record.stake_atoms,
            "at_risk_atoms": record.at_risk_atoms,
            "reserved_atoms": record.reserved_atoms,
            "pays_wallet": record.pays_wallet,
            "chosen_ppb": record.chosen_ppb,
        }
        for record in records
    ]
    if rows:
        connection.execute(insert(at_risk), rows)


def at_risk_of_round(connection: Connection, key: RoundKey) -> list[AtRiskRecord]:
    """Return what the round froze, by model id."""
    rows = connection.execute(select(at_risk).where(of_round(at_risk, key)))
    return sorted((_record(row, key) for row in rows), key=lambda record: record.model_id)


def paid_to_wallet(connection: Connection, key: RoundKey) -> list[str]:
    """Return the models whose payouts of the round go to the wallets of their providers, as the close froze it."""
    rows = connection.execute(select(at_risk.c.model_id).where(of_round(at_risk, key) & at_risk.c.pays_wallet.is_(True)))
    return sorted(row.model_id for row in rows)


def at_risk_of_model(connection: Connection, model_id: str) -> dict[RoundKey, AtRiskRecord]:
    """Return what rounds froze of a model, by round."""
    rows = connection.execute(select(at_risk).where(at_risk.c.model_id == model_id))
    return {record.round: record for record in sorted(map(_record, rows), key=lambda record: record.round)}


def open_reservations(connection: Connection, model_ids: Collection[str]) -> list[AtRiskRecord]:
    """Return what rounds that are neither resolved nor void hold of models, by round and model id."""
    found = [_record(row) for row in rows_among(connection, _OPEN_RESERVATIONS, sorted(model_ids))]
    return sorted(found, key=lambda record: (record.round, record.model_id))


def put_plan(connection: Connection, plan: StakePlan) -> None:
    """Keep what a provider says of a model's stake; the last word holds."""
    connection.execute(upsert_into(connection, stake_plans), [asdict(plan)])


def plans_of(connection: Connection, model_ids: Collection[str]) -> dict[str, StakePlan]:
    """Return the plans of those models that have one, by model id."""
    return {
        row.model_id: StakePlan(row.model_id, row.mode, row.fixed_atoms, row.changed_at, row.chosen_ppb)
        for row in rows_among(connection, _PLANS_OF, sorted(model_ids))
    }


def put_pool(connection: Connection, pool: StakePool) -> None:
    """Keep a provider's weights; the last word holds."""
    connection.execute(upsert_into(connection, stake_pools), [asdict(pool)])


def remove_pool(connection: Connection, provider_id: str) -> None:
    """Forget a provider's weights."""
    connection.execute(delete(stake_pools).where(stake_pools.c.provider_id == provider_id))


def pools(connection: Connection, provider_id: str | None = None) -> list[StakePool]:
    """Return all pools, or that of one provider if it has one, by provider id."""
    rows = connection.execute(_POOLS) if provider_id is None else connection.execute(_POOL_OF, {"provider": provider_id})
    found = [StakePool(row.provider_id, row.weights_ppb, row.changed_at) for row in rows]
    return sorted(found, key=lambda pool: pool.provider_id)


def add_release(connection: Connection, record: StakeRelease) -> None:
    """Keep a request to release stake."""
    connection.execute(insert(stake_releases), [asdict(record)])


def pending_releases(connection: Connection, model_ids: Collection[str] | None = None) -> list[StakeRelease]:
    """Return the pending releases of all models, or of some, the oldest first."""
    rows = connection.execute(_PENDING) if model_ids is None else rows_among(connection, _PENDING_OF, sorted(model_ids))
    return sorted((_release(row) for row in rows), key=lambda record: (record.requested_at, record.id))


def releases_of_model(connection: Connection, model_id: str) -> list[StakeRelease]:
    """Return every release that was asked for a model's stake, the oldest first."""
    rows = connection.execute(select(stake_releases).where(stake_releases.c.model_id == model_id))
    return sorted((_release(row) for row in rows), key=lambda record: (record.requested_at, record.id))


def put_burned(connection: Connection, burned: Mapping[str, int]) -> None:
    """Keep what burns have taken of releases, in atoms by their ids."""
    for release_id, atoms in burned.items():
        connection.execute(update(stake_releases).where(stake_releases.c.id == release_id).values(burned_atoms=atoms))


def end_release(connection: Connection, release_id: str, state: str, at: datetime) -> None:
    """End a pending release as ``released`` or ``cancelled``; one that has ended stays as it is."""
    pending = (stake_releases.c.id == release_id) & (stake_releases.c.state == PENDING)
    connection.execute(update(stake_releases).where(pending).values(state=state, ended_at=at))


def _release(row: Row[Any]) -> StakeRelease:
    numbers = (row.amount_atoms, row.burned_atoms)
    return StakeRelease(row.id, row.model_id, row.requested_at, *numbers, tuple(row.rounds), row.state, row.ended_at)
