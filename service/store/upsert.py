"""Inserts that know what to do with a row that stands already. Both databases have them, each under its own import."""

from functools import cache

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an insert into ``table`` that has ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    return _insert(connection.dialect.name, table)


def upsert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an insert into ``table`` that overwrites the row of the same primary key."""
    return _upsert(connection.dialect.name, table)


# Written once for each table: building a statement takes longer than running it.
@cache
def _insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def _upsert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)
