"""Rows by many names: a statement is written once and asked part by part, because it takes only so many parameters.

A statement that is built anew for each call costs several times what the database needs to answer it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, bindparam

Name = TypeVar("Name", str, int)

IDS_AT_ONCE = 500
"""How many ids or accounts one statement names; SQLite and PostgreSQL both bound the number of parameters."""

_NAMES = "names"


def among(column: Column[Any]) -> ColumnElement[bool]:
    """Return the condition that ``column`` holds one of the names that :func:`rows_among` is given."""
    return column.in_(bindparam(_NAMES, expanding=True))


def rows_among(connection: Connection, statement: Select[Any], names: Sequence[Name]) -> Iterator[Row[Any]]:
    """Yield the rows of a statement that holds :func:`among`, for ``names`` part by part in their order."""
    for start in range(0, len(names), IDS_AT_ONCE):
        yield from connection.execute(statement, {_NAMES: names[start : start + IDS_AT_ONCE]})
