"""Strict reading of values: which keys exist, of which kind each is, and what is said when one is wrong.

1. A TOML file becomes a flat mapping from dotted key to value (:func:`read_toml`).
2. A schema maps each dotted key to a :class:`Key`: its kind and its bounds.
3. :func:`check` refuses unknown and missing keys and converts the rest. Text from the environment goes the same way.

Every refusal names the place (file or variable) and the key.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, Literal, NoReturn

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.settings.places import refuse_unknown

Kind = Literal["whole", "number", "text", "wholes", "texts", "exact", "exacts"]

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_EXACT_DIGITS = 100
_ONE_OF: dict[Kind, Kind] = {"wholes": "whole", "texts": "text", "exacts": "exact"}


@dataclass(frozen=True, slots=True)
class Key:
    """What a key may hold.

    Attributes
    ----------
    kind : str
        ``whole`` (int), ``number`` (float; quoted decimals too), ``text``, ``exact`` (a quoted decimal that becomes the integer
        value · 10**decimals), or a list of one of them: ``wholes``, ``texts``, ``exacts``.
    minimum, maximum : int or None
        Bounds of a number, or of each number of a list, inclusive.
    decimals : int
        For ``exact`` and ``exacts``.
    optional : bool
        Whether a file may leave the key out.
    """

    kind: Kind
    minimum: int | None = None
    maximum: int | None = None
    decimals: int = 0
    optional: bool = False


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file as a flat mapping from dotted key to value; raises InputRejected (``SETTING_INVALID``)."""
    try:
        return flat(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError as error:
        raise InputRejected(Code.SETTING_INVALID, f"There is no settings file {path}.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputRejected(Code.SETTING_INVALID, f"{path} cannot be read as TOML: {error}.") from error


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as one mapping with dotted keys; an empty table stays, so that it is checked like a key."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def check(values: Mapping[str, Any], schema: Mapping[str, Key], source: str) -> dict[str, Any]:
    """Check and convert the values of one file.

    Parameters
    ----------
    values : mapping of dotted key to value
    schema : mapping of dotted key to Key
    source : str
        How errors call the file.

    Returns
    -------
    dict
        Converted values; optional keys that the file leaves out are left out.

    Raises
    ------
    InputRejected
        ``SETTING_UNKNOWN`` for a key outside the schema; ``SETTING_INVALID`` for a missing key or a wrong value.
    """
    given = {name: value for name, value in values.items() if value != {} or not _is_table(name, schema)}
    for name in given:
        if name not in schema:
            refuse_unknown(f"{source}: there is no setting '{name}'", name, schema)
    missing = [name for name, key in schema.items() if name not in given and not key.optional]
    if missing:
        raise InputRejected(Code.SETTING_INVALID, f"{source}: the setting '{missing[0]}' is missing.")
    return {name: convert(value, schema[name], f"{source}: '{name}'") for name, value in given.items()}


def _is_table(name: str, schema: Mapping[str, Key]) -> bool:
    return any(key.startswith(f"{name}.") for key in schema)


def convert(value: Any, key: Key, where: str, *, from_text: bool = False) -> Any:
    """Return ``value`` as the kind that ``key`` asks for.

    Parameters
    ----------
    where : str
        How errors call the value: place and name.
    from_text : bool
        Whether the value is text of an environment variable: numbers are then read from it, and lists at commas.

    Raises
    ------
    InputRejected
        ``SETTING_INVALID``.
    """
    match key.kind:
        case "text":
            return value if isinstance(value, str) else _refuse(where, "must be text", value)
        case "whole":
            return _whole(value, key, where, from_text=from_text)
        case "number":
            return _number(value, key, where)
        case "exact":
            return _exact(value, key, where)
    items = [item.strip() for item in value.split(",")] if from_text else value
    if not isinstance(items, list | tuple) or not items:
        _refuse(where, "must be a list that is not empty", value)
    one = Key(_ONE_OF[key.kind], key.minimum, key.maximum, key.decimals)
    return tuple(convert(item, one, where, from_text=from_text) for item in items)


def _whole(value: Any, key: Key, where: str, *, from_text: bool) -> int:
    if from_text and isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if type(value) is not int:
        _refuse(where, "must be a whole number", value)
    _bound(value, key, where)
    return int(value)


def _number(value: Any, key: Key, where: str) -> float:
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    # NaN is the one number that does not equal itself.
    if type(value) not in {int, float} or value != value or abs(value) == float("inf"):
        _refuse(where, "must be a number", value)
    _bound(value, key, where)
    return float(value)


def _exact(value: Any, key: Key, where: str) -> int:
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        _refuse(where, 'must be a plain decimal in quotes, such as "0.05"', value)
    with localcontext(prec=_EXACT_DIGITS):
        amount = Decimal(value)
        scaled = amount.scaleb(key.decimals)
        if scaled != int(scaled):
            _refuse(where, f"must have at most {key.decimals} decimals", value)
    _bound(amount, key, where)
    return int(scaled)


def _bound(value: float | Decimal, key: Key, where: str) -> None:
    if key.minimum is not None and value < key.minimum:
        _refuse(where, f"must be at least {key.minimum}", value)
    if key.maximum is not None and value > key.maximum:
        _refuse(where, f"must be at most {key.maximum}", value)


def _refuse(where: str, why: str, value: Any) -> NoReturn:
    raise InputRejected(Code.SETTING_INVALID, f"{where} {why}, not {str(value)[:64]!r}.")
