"""Corrections of the ledger on their way: proposed, then posted or withdrawn. The posted ones are transfers as well."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from service.store.records import CorrectionRecord
from service.store.schema import corrections

PROPOSED, POSTED, WITHDRAWN = "proposed", "posted", "withdrawn"


def _record(row: Row[Any]) -> CorrectionRecord:
    entries = tuple((account, int(atoms)) for account, atoms in row.entries)
    about = (row.id, row.transfer_id, row.reason, entries, row.proposed_by, row.proposed_at)
    return CorrectionRecord(*about, row.approved_by, row.approved_at, row.state)


def add_correction(connection: Connection, record: CorrectionRecord) -> None:
    """Keep a proposal."""
    entries = [[account, str(atoms)] for account, atoms in record.entries]
    connection.execute(insert(corrections), [asdict(record) | {"entries": entries}])


def correction_by_id(connection: Connection, correction_id: str) -> CorrectionRecord | None:
    """Return the correction of that id, or None."""
    row = connection.execute(select(corrections).where(corrections.c.id == correction_id)).first()
    return None if row is None else _record(row)


def list_corrections(connection: Connection, transfer_id: str | None = None) -> list[CorrectionRecord]:
    """Return all corrections, or those of one transfer, the oldest first."""
    statement = select(corrections)
    if transfer_id is not None:
        statement = statement.where(corrections.c.transfer_id == transfer_id)
    return sorted((_record(row) for row in connection.execute(statement)), key=lambda record: (record.proposed_at, record.id))


def end_correction(
    connection: Connection, correction_id: str, state: str, approved_by: str | None = None, approved_at: datetime | None = None
) -> None:
    """Take a proposal to ``posted`` or ``withdrawn``; one that has ended stays as it is."""
    proposed = (corrections.c.id == correction_id) & (corrections.c.state == PROPOSED)
    changes = {"state": state, "approved_by": approved_by, "approved_at": approved_at}
    connection.execute(update(corrections).where(proposed).values(**changes))
