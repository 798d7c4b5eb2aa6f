"""Frozen bytes: one value, one byte string, for ever.

What is hashed or signed is never "whatever the JSON encoder prints". The format is JSON text in UTF-8 with keys sorted by
code point, no spaces, non-ASCII characters as they are, and integers, strings, booleans, null, lists and string-keyed
mappings only: a float has no canonical text and is refused. Golden vectors in the tests pin the bytes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import cast

Plain = None | bool | int | str | Sequence["Plain"] | Mapping[str, "Plain"]


_SCALARS = frozenset({type(None), bool, int, str})


def _fits(value: object) -> bool:
    """Say whether a value is made of plain types alone; where it is not, :func:`_check` looks closer and names the place.

    A resolution has hundreds of thousands of parts: to write the path of each would take longer than to hash them.
    """
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is dict:
        mapping = cast("dict[object, object]", value)
        return all(type(key) is str for key in mapping) and all(map(_fits, mapping.values()))
    return (kind is list or kind is tuple) and all(map(_fits, cast("list[object]", value)))


def _check(value: object, path: str) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{path}: a key is text, not {type(key).__name__}")
            _check(item, f"{path}.{key}")
        return
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check(item, f"{path}[{i}]")
        return
    raise TypeError(f"{path}: {type(value).__name__} has no canonical form")


def canonical_bytes(value: Plain) -> bytes:
    r"""Return the one byte string of ``value``.

    Parameters
    ----------
    value : nested None, bool, int, str, list or tuple, mapping with text keys
        Floats are refused, because their text is not the same everywhere.

    Raises
    ------
    TypeError
        For any other type, with the path of the offending item.

    Examples
    --------
    >>> canonical_bytes({"b": [1, None], "a": "ü"})
    b'{"a":"\xc3\xbc","b":[1,null]}'
    """
    if not _fits(value):
        _check(value, "$")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def canonical_hash(value: Plain) -> str:
    """Return the SHA-256 of the canonical bytes of ``value``, in hexadecimal."""
    return sha256_hex(canonical_bytes(value))
