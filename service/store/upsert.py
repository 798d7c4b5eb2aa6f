"""Inserts that know what to do with a row that stands already. Both databases have them, each under its own import."""

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an insert into ``table`` that has ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def upsert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an insert into ``table`` that overwrites the row of the same primary key."""
    statement = insert_into(connection, table)
    keys = [column.name for column in table.primary_key]
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)
