"""The guards of the ledger in the database: triggers that refuse to change, remove or replace its rows, and those of the audit.

Who can write the schema can take them away without changing a row; then nothing keeps the next hand from the rows.
"""

from sqlalchemy import Connection, text

TABLES = ("transfers", "entries", "audit")
_EVENTS = {"sqlite": ("no_update", "no_delete", "no_replace"), "postgresql": ("no_change", "no_truncate")}
_STANDING = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%RAISE(ABORT%'",
    # Disabled ones do not fire, and a function of that name may have been given another body.
    "postgresql": (
        "SELECT t.tgname AS name FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
        " WHERE t.tgrelid IN (to_regclass('transfers'), to_regclass('entries'), to_regclass('audit'))"
        " AND t.tgenabled IN ('O', 'A') AND p.prosrc LIKE '%RAISE EXCEPTION%'"
    ),
}


def missing_guards(connection: Connection) -> list[str]:
    """List, a sentence each, the guards that are gone or disabled; an empty list means that all stand."""
    dialect = connection.dialect.name
    standing = {row.name for row in connection.execute(text(_STANDING[dialect]))}
    needed = [f"{table}_{event}" for table in TABLES for event in _EVENTS[dialect]]
    return [
        f"The database's guard {name} is gone: rows that are never changed could be." for name in needed if name not in standing
    ]
