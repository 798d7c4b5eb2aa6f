"""Long lists of ids in statements that take only so many parameters."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Name = TypeVar("Name", str, int)

IDS_AT_ONCE = 500
"""How many ids or accounts one statement names; SQLite and PostgreSQL both bound the number of parameters."""


def parts(names: Sequence[Name]) -> Iterator[Sequence[Name]]:
    """Yield ``names`` in order, as many at once as a statement may name."""
    for start in range(0, len(names), IDS_AT_ONCE):
        yield names[start : start + IDS_AT_ONCE]
