"""API keys. Only the hash of a secret is kept; a key is found by its public prefix and is revoked, never removed."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.store.records import KeyRecord
from service.store.schema import api_keys


def _record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(row.id, row.provider_id, row.prefix, row.secret_hash, tuple(row.scopes), row.created_at, row.revoked_at)


def add_key(connection: Connection, record: KeyRecord) -> None:
    """Add a key; a prefix that stands already fails as an IntegrityError, which random prefixes do not meet."""
    connection.execute(
        insert(api_keys).values(
            id=record.id,
            provider_id=record.provider_id,
            prefix=record.prefix,
            secret_hash=record.secret_hash,
            scopes=list(record.scopes),
            created_at=record.created_at,
            revoked_at=record.revoked_at,
        )
    )


def key_by_prefix(connection: Connection, prefix: str) -> KeyRecord | None:
    """Return the key with that prefix, revoked or not, or None."""
    row = connection.execute(select(api_keys).where(api_keys.c.prefix == prefix)).first()
    return None if row is None else _record(row)


def keys_of_provider(connection: Connection, provider_id: str) -> list[KeyRecord]:
    """Return the provider's keys, the oldest first."""
    statement = select(api_keys).where(api_keys.c.provider_id == provider_id).order_by(api_keys.c.created_at)
    return [_record(row) for row in connection.execute(statement)]


def revoke_key(connection: Connection, prefix: str, at: datetime) -> KeyRecord:
    """Revoke a key as of ``at`` and return it; a key that was revoked before keeps its first instant.

    Raises
    ------
    InputRejected
        KEY_INVALID if there is no such key.
    """
    connection.execute(
        update(api_keys).where(api_keys.c.prefix == prefix, api_keys.c.revoked_at.is_(None)).values(revoked_at=at)
    )
    record = key_by_prefix(connection, prefix)
    if record is None:
        raise InputRejected(Code.KEY_INVALID, "There is no such key.")
    return record
