"""An answer of any form as named leaves, copied at once, so that two answers can be compared bit for bit.

It judges nothing: two outcomes are equal or they differ, and :func:`differences` says where.

1. Dataclasses, mappings, sequences, sets, and tables of pandas and Arrow are walked; each array, number or word that is met
   is a leaf under its path, such as ``exposures.values`` or ``[3].weights``.
2. Arrays are equal when type, shape and every bit are, but that a NaN equals a NaN of any payload: which NaN comes out of an
   operation is the processor's business. Minus zero is not zero.
3. Fields whose name begins with an underscore are no part of an answer: they are where records keep what they computed.

Copies are taken, because a strategy may hand out one buffer again and again.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray

WHOLE = "the answer"
"""Path of an answer that has no parts."""

Word = str | bytes | int | None | date | timedelta | Decimal | Fraction
Array = npt.NDArray[Any]
Outcome = Mapping[str, "Array | Word | type"]
"""Leaves by path, in the order in which they were met. A collection is a leaf too: its type, so that an empty one is seen."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two answers part.

    Attributes
    ----------
    output : str
        Path of the leaf.
    position : tuple of int or None
        First place in an array whose bits differ; None where the leaf is no array, or its type or shape differs.
    before, after : str
        What stood there in the one answer and in the other.
    """

    output: str
    position: tuple[int, ...] | None
    before: str
    after: str


def outcome(value: object) -> Outcome:
    """Return the leaves of ``value``, copied.

    Raises
    ------
    InputRejected
        ``request_invalid`` for an object of a type that cannot be compared.

    Examples
    --------
    >>> list(outcome({"weights": np.zeros(2), "ids": ("A", "B")}))
    ['the answer', 'ids', 'ids.items', 'weights']
    """
    return dict(_leaves(value, ""))


def raised(error: Exception) -> Outcome:
    """Return an error as an answer: what it is and what it says."""
    return {WHOLE: f"{type(error).__name__}: {error}"}


def differences(before: Outcome, after: Outcome) -> tuple[Difference, ...]:
    """Return where two outcomes part, each leaf once, in their order; empty when they are equal."""
    first, second = before.get(WHOLE), after.get(WHOLE)
    if WHOLE in before and WHOLE in after and not _same(first, second):
        return (_difference(WHOLE, first, second),)
    found = []
    for path in dict.fromkeys([*before, *after]):
        if path not in before or path not in after:
            there = [_told(side[path]) if path in side else "nothing" for side in (before, after)]
            found.append(Difference(path, None, there[0], there[1]))
        elif not _same(before[path], after[path]):
            found.append(_difference(path, before[path], after[path]))
    return tuple(found)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, np.ndarray | np.generic | float | complex):
        yield from _array_leaves(np.array(value), path)
    elif isinstance(value, Word):
        yield path or WHOLE, value
    else:
        yield path or WHOLE, type(value)
        for name, part in _parts(value, path or WHOLE):
            yield from _leaves(part, f"{path}{name}" if path else name.lstrip("."))


def _array_leaves(array: Array, path: str) -> Iterator[tuple[str, Any]]:
    if array.dtype.kind != "O":
        yield path or WHOLE, array
        return
    cells = array.ravel().tolist()
    yield path or WHOLE, f"objects {array.shape}"
    yield from _leaves(cells, f"{path}.cells" if path else "cells")


def _parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Names and values of what a collection holds."""
    library = type(value).__module__.partition(".")[0]
    if is_dataclass(value) and not isinstance(value, type):
        yield from ((f".{f.name}", getattr(value, f.name)) for f in fields(value) if not f.name.startswith("_"))
    elif isinstance(value, Mapping):
        yield from ((f".{key}", part) for key, part in sorted(value.items(), key=lambda item: str(item[0])))
    elif isinstance(value, AbstractSet):
        yield ".items", np.array(sorted(map(repr, value)), dtype=np.str_)
    elif isinstance(value, Sequence):
        # a long list of words is one array, which is quicker to compare than its items are
        alike = bool(value) and all(type(item) is str for item in value)
        yield from [(".items", np.array(value))] if alike else ((f"[{i}]", item) for i, item in enumerate(value))
    elif library == "pandas":
        yield from _pandas_parts(value)
    elif library == "pyarrow" and hasattr(value, "schema"):
        yield ".schema", str(value.schema)
        yield from ((f".{name}", value.column(name).to_numpy(zero_copy_only=False)) for name in value.schema.names)
    else:
        raise InputRejected(Code.REQUEST_INVALID, f"{path} is a {type(value).__name__}, which cannot be compared bit for bit.")


def _pandas_parts(value: Any) -> Iterator[tuple[str, Any]]:
    yield ".index", value.index.to_numpy() if hasattr(value, "index") else value.to_numpy()
    if hasattr(value, "columns"):
        yield ".columns", [str(name) for name in value.columns]
        yield from ((f"[{i}]", value.iloc[:, i].to_numpy()) for i in range(value.shape[1]))
    elif hasattr(value, "index"):
        yield ".values", value.to_numpy()


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and bool(_equal_bits(a, b).all())
    return type(a) is type(b) and bool(a == b)


def _equal_bits(a: Array, b: Array) -> BoolArray:
    """Where two arrays of one type and shape hold the same bits, or both NaN, or both NaT."""
    if a.dtype.kind == "c":
        return _equal_bits(a.real, b.real) & _equal_bits(a.imag, b.imag)
    same = np.asarray(a == b, dtype=np.bool_)
    if a.dtype.kind == "f":
        # two equal floats have the same bits, unless they are the two zeros
        same = (same & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))
    elif a.dtype.kind in "mM":
        same = same | (np.isnat(a) & np.isnat(b))
    return same


def _difference(path: str, a: Any, b: Any) -> Difference:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape:
        at = tuple(int(i) for i in np.argwhere(~_equal_bits(a, b))[0])
        return Difference(path, at, str(a[at]), str(b[at]))
    return Difference(path, None, _told(a), _told(b))


def _told(leaf: Any) -> str:
    if isinstance(leaf, np.ndarray):
        return f"{leaf.dtype} {leaf.shape}"
    return leaf.__name__ if isinstance(leaf, type) else str(leaf)
