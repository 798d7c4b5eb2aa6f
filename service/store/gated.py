"""Which staked models a close left out of the stakes, and by which gate of the terms."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from crowdalpha.ids import RoundKey
from service.store.records import GatedRecord
from service.store.schema import gated, of_round, round_values


def add_gated(connection: Connection, records: Sequence[GatedRecord]) -> None:
    """Keep whom a close left out. A model twice in a round fails as an IntegrityError: a close happens once."""
    rows = [{**round_values(r.round), "model_id": r.model_id, "code": r.code, "value": r.value} for r in records]
    if rows:
        connection.execute(insert(gated), rows)


def gated_of_round(connection: Connection, key: RoundKey) -> list[GatedRecord]:
    """Return whom the close of a round left out, by model id."""
    rows = connection.execute(select(gated).where(of_round(gated, key)))
    records = [GatedRecord(key, row.model_id, row.code, row.value) for row in rows]
    return sorted(records, key=lambda record: record.model_id)
