"""The forms of what a bundle's JSON files hold: whatever has another one is unreadable, and nothing is guessed of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.bundles.archive import unreadable


def mapping_of(value: Any, name: str, needs: Sequence[str], *, exact: bool = False) -> Mapping[str, Any]:
    """Return a mapping that has the fields it ``needs``, or exactly these; raises InputRejected BUNDLE_UNREADABLE otherwise."""
    if not isinstance(value, dict) or any(need not in value for need in needs) or (exact and len(value) != len(needs)):
        raise unreadable(f"its file {name} has other fields than it should")
    return value


def list_of(value: Any, name: str) -> list[Any]:
    """Return a list; raises InputRejected BUNDLE_UNREADABLE for anything else."""
    if not isinstance(value, list):
        raise unreadable(f"its file {name} is no list where it should be one")
    return value


def atoms_of(text: str) -> int:
    """Return the atoms that a decimal text says; raises ValueError for any other text."""
    if type(text) is not str or str(int(text)) != text:
        raise ValueError("atoms are decimal text")
    return int(text)
