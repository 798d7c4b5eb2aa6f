"""Column types that bring back exactly what was put in, on both databases.

Amounts do not fit the integers of SQLite (9.2 tokens is the ceiling) and its NUMERIC is a float, so there they are text whose
order is the order of the numbers; no SQL ever computes with them. Instants are aware UTC with microseconds. Measured numbers
are finite or absent: SQLite would turn a NaN into NULL without a word.
"""

import json
import math
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import TIMESTAMP, Dialect, Double, Numeric, Text
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.types import TypeDecorator, TypeEngine

from crowdalpha.canonical import canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken

AMOUNT_DIGITS = 78
"""An unsigned 256-bit integer, the largest amount that a token contract knows, has 78 digits."""

_BOUND = 10**AMOUNT_DIGITS
_AMOUNT_TEXT = re.compile(rf"[np][0-9]{{{AMOUNT_DIGITS}}}")


class ValueUnfit(InvariantBroken, DontWrapMixin):
    """A value that its column cannot hold exactly reached the store: a bug of the caller; a retry fails the same way."""


def encode_amount(atoms: int) -> str:
    """Return the text of ``atoms`` whose order as text is the order of the numbers.

    ``p`` and 78 digits for zero and above; ``n`` and the ten's complement below zero, because ``n`` sorts before ``p`` and
    -1 = n99…9 after -2 = n99…8.
    """
    return f"p{atoms:0{AMOUNT_DIGITS}d}" if atoms >= 0 else f"n{_BOUND + atoms:0{AMOUNT_DIGITS}d}"


def decode_amount(text: object) -> int:
    """Return the atoms that :func:`encode_amount` wrote as ``text``; anything else raises ValueUnfit."""
    if not isinstance(text, str) or not _AMOUNT_TEXT.fullmatch(text):
        raise ValueUnfit(Code.LEDGER_BROKEN, f"The database holds {text!r:.100} where an amount belongs.")
    digits = int(text[1:])
    return digits if text[0] == "p" else digits - _BOUND


class Amount(TypeDecorator[int]):
    """Atoms: any integer of at most 78 digits, sign apart; always ``int`` in Python. A bool or a float is refused."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose NUMERIC(78, 0) on PostgreSQL, text elsewhere."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(AMOUNT_DIGITS, 0))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Turn atoms into what the database keeps."""
        if value is None:
            return None
        if type(value) is not int or not -_BOUND < value < _BOUND:
            raise ValueUnfit(Code.AMOUNT_INVALID, f"An amount is an integer of at most 78 digits, not {value!r:.100}.")
        return Decimal(value) if dialect.name == "postgresql" else encode_amount(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """Turn what the database kept into atoms."""
        if value is None:
            return None
        return int(value) if dialect.name == "postgresql" else decode_amount(value)


class UtcInstant(TypeDecorator[datetime]):
    """An instant: an aware ``datetime`` in UTC with microseconds. A naive one is refused; another zone is converted."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose TIMESTAMP WITH TIME ZONE on PostgreSQL, text of fixed width elsewhere."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Turn an instant into what the database keeps."""
        if value is None:
            return None
        if not isinstance(value, datetime) or value.utcoffset() is None:
            raise ValueUnfit(Code.INTERNAL, f"An instant carries its time zone, unlike {value!r}.")
        at = value.astimezone(UTC)
        return at if dialect.name == "postgresql" else at.isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Turn what the database kept into an instant."""
        if value is None:
            return None
        return (value if dialect.name == "postgresql" else datetime.fromisoformat(value)).astimezone(UTC)


class CanonicalJson(TypeDecorator[Any]):
    """Plain values as their canonical text: what is stored is what is hashed. Floats are refused; tuples come back as lists."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> str | None:
        """Turn plain values into their canonical text."""
        if value is None:
            return None
        try:
            return canonical_bytes(value).decode()
        except TypeError as error:
            raise ValueUnfit(Code.INTERNAL, f"A value has no canonical text: {error}.") from error

    def process_result_value(self, value: Any, _dialect: Dialect) -> Any:
        """Turn the text into plain values."""
        return None if value is None else json.loads(value)


class MeasuredJson(TypeDecorator[Any]):
    """Plain values with finite floats among them, as JSON text that reads back bit for bit. Never hashed, never money."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> str | None:
        """Turn plain values into text with sorted keys."""
        if value is None:
            return None
        try:
            return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueUnfit(Code.INTERNAL, f"A value has no JSON text: {error}.") from error

    def process_result_value(self, value: Any, _dialect: Dialect) -> Any:
        """Turn the text into plain values."""
        return None if value is None else json.loads(value)


class Measure(TypeDecorator[float]):
    """A finite float64, without the sign of a zero. NaN and the infinities are refused; an absent number is None."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> float | None:
        """Let finite numbers through as plain floats, also those of numpy."""
        if value is None:
            return None
        number = float(value)
        if not math.isfinite(number):
            raise ValueUnfit(Code.INTERNAL, f"A measured number is finite, unlike {number}.")
        # SQLite keeps -0.0 as the integer 0; so that both databases give the same back, it is 0.0 everywhere.
        return number + 0.0
