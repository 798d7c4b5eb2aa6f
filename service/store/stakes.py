"""What each close froze of the stakes. The stakes themselves are balances of the ledger."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from crowdalpha.ids import RoundKey, RoundState, Tournament
from service.store.records import AtRiskRecord
from service.store.schema import at_risk, of_round, round_values, rounds

SETTLED = (RoundState.RESOLVED, RoundState.VOID)
"""States in which a round holds nothing any more."""


def _record(row: Row[Any]) -> AtRiskRecord:
    key = RoundKey(Tournament(row.tournament), row.number)
    return AtRiskRecord(key, row.model_id, row.stake_atoms, row.at_risk_atoms, row.reserved_atoms, row.chosen_ppb)


def add_at_risk(connection: Connection, records: Sequence[AtRiskRecord]) -> None:
    """Keep what a close froze. A model twice in a round fails as an IntegrityError: a close happens once."""
    rows = [
        {
            **round_values(record.round),
            "model_id": record.model_id,
            "stake_atoms": record.stake_atoms,
            "at_risk_atoms": record.at_risk_atoms,
            "reserved_atoms": record.reserved_atoms,
            "chosen_ppb": record.chosen_ppb,
        }
        for record in records
    ]
    if rows:
        connection.execute(insert(at_risk), rows)


def at_risk_of_round(connection: Connection, key: RoundKey) -> list[AtRiskRecord]:
    """Return what the round froze, by model id."""
    rows = connection.execute(select(at_risk).where(of_round(at_risk, key)))
    return sorted((_record(row) for row in rows), key=lambda record: record.model_id)


def open_reservations(connection: Connection, model_id: str) -> list[AtRiskRecord]:
    """Return what rounds that are neither resolved nor void hold of a model, by number."""
    same = (at_risk.c.tournament == rounds.c.tournament) & (at_risk.c.number == rounds.c.number)
    statement = (
        select(at_risk)
        .join(rounds, same)
        .where(at_risk.c.model_id == model_id, rounds.c.state.not_in([state.value for state in SETTLED]))
        .order_by(at_risk.c.tournament, at_risk.c.number)
    )
    return [_record(row) for row in connection.execute(statement)]


def held_by_model(connection: Connection) -> dict[str, int]:
    """Return what rounds that are neither resolved nor void hold of each model, in atoms; models with nothing are left out."""
    same = (at_risk.c.tournament == rounds.c.tournament) & (at_risk.c.number == rounds.c.number)
    statement = (
        select(at_risk.c.model_id, at_risk.c.reserved_atoms)
        .join(rounds, same)
        .where(rounds.c.state.not_in([state.value for state in SETTLED]))
    )
    held: dict[str, int] = {}
    for row in connection.execute(statement):
        held[row.model_id] = held.get(row.model_id, 0) + row.reserved_atoms
    return held
