"""Providers: the accounts. A name stands once."""

from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from service.store.records import ProviderRecord
from service.store.schema import providers

_BY_NAME = select(providers).where(providers.c.name == bindparam("name"))


def _record(row: Row[Any]) -> ProviderRecord:
    return ProviderRecord(row.id, row.name, row.created_at)


def add_provider(connection: Connection, record: ProviderRecord) -> None:
    """Add a provider; raises Conflict PROVIDER_EXISTS if the name or the id stands already."""
    standing = select(providers.c.id).where((providers.c.name == record.name) | (providers.c.id == record.id))
    if connection.execute(standing).first() is not None:
        raise Conflict(Code.PROVIDER_EXISTS, f"There is a provider '{record.name}' already.")
    connection.execute(insert(providers).values(id=record.id, name=record.name, created_at=record.created_at))


def provider_by_id(connection: Connection, provider_id: str) -> ProviderRecord | None:
    """Return the provider of that id, or None."""
    row = connection.execute(select(providers).where(providers.c.id == provider_id)).first()
    return None if row is None else _record(row)


def provider_by_name(connection: Connection, name: str) -> ProviderRecord | None:
    """Return the provider of that name, or None."""
    row = connection.execute(_BY_NAME, {"name": name}).first()
    return None if row is None else _record(row)


def list_providers(connection: Connection) -> list[ProviderRecord]:
    """Return all providers, by name."""
    records = [_record(row) for row in connection.execute(select(providers))]
    # Sorted here: the databases need not agree about the order of letters.
    return sorted(records, key=lambda record: record.name)
