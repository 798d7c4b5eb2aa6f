"""Records as JSON: the one place where the command line turns what a workflow returned into plain values."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import typer

from crowdalpha.ids import RoundKey, Tournament


def plain(value: Any) -> Any:
    """Return ``value`` as nested dicts, lists, text and numbers.

    Dataclasses become dicts, instants and dates ISO text, a tournament its label, a round key ``signals-12``, an enumeration
    its value; arrays become lists. Whatever else it is becomes its text.
    """
    if value is None or (isinstance(value, bool | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Tournament):
        return value.label
    if isinstance(value, RoundKey):
        return str(value)
    if isinstance(value, Enum) and not isinstance(value, IntEnum):
        return plain(value.value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value.as_posix() if isinstance(value, Path) else str(value)


def echo_json(value: Any) -> None:
    """Print ``value`` as indented JSON on standard output."""
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))
