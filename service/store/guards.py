"""The guards of the ledger in the database: triggers that refuse to change, remove or replace its rows, and those of the audit.

Who can write the schema can take them away, or put others of their names there, without changing a row; then nothing keeps the
next hand from the rows. So each is compared with what the migration made.
"""

import re
from importlib import import_module

from sqlalchemy import Connection, text

TABLES = ("transfers", "entries", "audit")
_MADE_BY = "service.store.migrations.versions.0001_create_tables"
_SQLITE = "SELECT name, sql AS made FROM sqlite_master WHERE type = 'trigger'"
_POSTGRES = (
    "SELECT t.tgname AS name, c.relname AS on_table, t.tgtype AS kind, p.prosrc AS body FROM pg_trigger t"
    " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid"
    " WHERE c.oid IN (to_regclass('transfers'), to_regclass('entries'), to_regclass('audit'))"
    " AND t.tgenabled IN ('O', 'A') AND t.tgqual IS NULL AND t.tgnargs = 0"
)
_KINDS = {"no_change": 1 + 2 + 8 + 16, "no_truncate": 2 + 32}
"""Bits of ``pg_trigger.tgtype``: for each row 1, before 2, delete 8, update 16, truncate 32."""


def missing_guards(connection: Connection) -> list[str]:
    """List, a sentence each, the guards that are gone, disabled or others than they were; empty if all stand."""
    standing, needed = (_postgres if connection.dialect.name == "postgresql" else _sqlite)(connection)
    return [
        f"The database's guard {name} is gone, or is another one: rows that are never changed could be."
        for name, made in needed.items()
        if standing.get(name) != made
    ]


def _sqlite(connection: Connection) -> tuple[dict[str, str], dict[str, str]]:
    made = [_plain(statement) for statement in import_module(_MADE_BY).SQLITE_TRIGGERS]
    needed = {statement.split()[2]: statement for statement in made}
    return {row.name: _plain(row.made) for row in connection.execute(text(_SQLITE))}, needed


def _postgres(connection: Connection) -> tuple[dict[str, tuple[str, int, str]], dict[str, tuple[str, int, str]]]:
    body = _plain(import_module(_MADE_BY).POSTGRES_TRIGGERS[0].split("$$")[1])
    needed = {f"{table}_{event}": (table, kind, body) for table in TABLES for event, kind in _KINDS.items()}
    rows = connection.execute(text(_POSTGRES))
    return {row.name: (row.on_table, int(row.kind), _plain(row.body)) for row in rows}, needed


def _plain(sql: str) -> str:
    return re.sub(r"\s+", " ", sql).strip()
