"""The audit trail: who did what to whom. Rows are only ever added; triggers refuse the rest."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from service.store.records import AuditRecord
from service.store.schema import audit

_LAST = select(func.max(audit.c.sequence))


def record(connection: Connection, at: datetime, who: str, what: str, subject: str, details: Mapping[str, Any]) -> AuditRecord:
    """Add a line to the trail, in the transaction of what it tells, and return it.

    Parameters
    ----------
    connection : Connection
        A writing one.
    at : datetime
        When, aware UTC.
    who, what, subject : str
        The acting account or program, the act, and the id of what it was done to.
    details : mapping
        Plain values without floats; amounts as text.
    """
    last = connection.execute(_LAST).scalar()
    line = AuditRecord((last or 0) + 1, at, who, what, subject, details)
    connection.execute(insert(audit), [asdict(line)])
    return line


def list_audit(connection: Connection, subject: str | None = None, limit: int | None = None) -> list[AuditRecord]:
    """Return lines of the trail, the latest first: all, or those about ``subject``."""
    statement = select(audit).order_by(audit.c.sequence.desc()).limit(limit)
    if subject is not None:
        statement = statement.where(audit.c.subject == subject)
    rows = connection.execute(statement)
    return [AuditRecord(row.sequence, row.at, row.who, row.what, row.subject, row.details) for row in rows]
