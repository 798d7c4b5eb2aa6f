"""Bytes of an upload become identifiers and numbers, or findings. Nothing in a file's content ever raises.

It does not know the round: which identifiers exist is decided in :mod:`signals.submission`.

1. A file in the plain form (printable ASCII without quotes, one kind of line end, two fields in each line, plain decimal
   numbers within 0 to 1, no identifier twice) is cut at its separators in one pass over the bytes; the fields become Arrow
   strings over one buffer. What a number looks like is checked byte by byte on that buffer, and then all are converted at once:
   Arrow rounds correctly, as ``float`` does, in a twentieth of the time.
2. Any other file goes to the careful reading (:mod:`signals.careful`), line by line, which gathers every finding.

The first way gives up at the least oddity and never makes a finding, so both ways give the same answer wherever the first
one answers; a test compares them on mutated files.
"""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from market.arrays import FloatArray, IntArray
from signals.careful import parse_carefully
from signals.dialect import (
    CLASSIC_FORMAT,
    FIELD_LENGTH_MAX,
    NUMBER_LENGTH_MAX,
    ROWS_MAX,
    SIGNALS_FORMAT,
    WHOLE_DIGITS_MAX,
    FileFormat,
    ParsedFile,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CLASSIC_FORMAT", "SIGNALS_FORMAT", "FileFormat", "ParsedFile", "parse_csv", "parse_plain"]

COMMA, NEWLINE, SPACE, POINT, ZERO = b",\n .0"
PLAIN_BYTES = bytes(c for c in range(0x20, 0x7F) if c != ord('"')) + b"\n"
PLAIN_SIZE_MAX = ROWS_MAX * (FIELD_LENGTH_MAX + NUMBER_LENGTH_MAX + len(",\r\n")) + 2 * FIELD_LENGTH_MAX
"""No plain file is longer than its longest rows: the quick reading asks for memory in proportion to this and no more."""

EXPONENT_NUMBERS = re.compile(rf"(?:\d{{1,{WHOLE_DIGITS_MAX}}}(?:\.\d+)?[eE][+-]?\d+\n)*+", re.ASCII)
PLAIN_ZEROS = frozenset({"0", "0.0"})
"""Zeros that need no second look; any other text that reads as zero may be an underflow."""


def parse_csv(data: bytes, fmt: FileFormat) -> ParsedFile:
    r"""Read an uploaded file.

    Parameters
    ----------
    data : bytes
        The file as it was sent.
    fmt : FileFormat
        The columns that the tournament takes.

    Returns
    -------
    ParsedFile
        The valid rows and every finding; ``refused`` tells whether one of them refuses the file.

    Examples
    --------
    >>> parsed = parse_csv(b"ticker,signal\nAAPL,0.25\nMSFT,0.75\n", SIGNALS_FORMAT)
    >>> parsed.ids, parsed.values.tolist(), parsed.refused
    (('AAPL', 'MSFT'), [0.25, 0.75], False)
    >>> [(f.row, f.code.value) for f in parse_csv(b"ticker,signal\nAAPL,2\n", SIGNALS_FORMAT).findings]
    [(2, 'value_range')]
    """
    plain = parse_plain(data, fmt)
    return parse_carefully(data, fmt) if plain is None else plain


def parse_plain(data: bytes, fmt: FileFormat) -> ParsedFile | None:
    """Read a file in the plain form; None when anything at all calls for the careful reading."""
    if len(data) > PLAIN_SIZE_MAX:
        return None
    if b"\r" in data:
        if not data.count(b"\r") == data.count(b"\r\n") == data.count(b"\n"):
            return None
        data = data.replace(b"\r\n", b"\n")
    if data.translate(None, PLAIN_BYTES):
        return None
    header, _, body = data.partition(b"\n")
    fields = header.decode().split(",")
    value_first = _value_first(fields, fmt)
    if value_first is None or not body:
        return None
    parsed = _read_body(body if body.endswith(b"\n") else body + b"\n", value_first=value_first)
    return None if parsed is None else replace(parsed, id_column=fields[1 if value_first else 0])


def _value_first(fields: list[str], fmt: FileFormat) -> bool | None:
    """Say whether values stand in the first column; None for a header that is not exactly right."""
    if len(fields) != 2:
        return None
    if fields[0] in fmt.id_columns and fields[1] in fmt.value_columns:
        return False
    if fields[1] in fmt.id_columns and fields[0] in fmt.value_columns:
        return True
    return None


def _read_body(body: bytes, *, value_first: bool) -> ParsedFile | None:
    places = _separators(body)
    if places is None:
        return None
    count = len(places) // 2
    # Without its separators the body is what an Arrow array of strings holds: all fields, one after the other.
    packed = body.translate(None, b",\n")
    bounds = np.concatenate(([0], places - np.arange(2 * count)))
    if (np.diff(bounds) < 1).any() or _has_outer_space(packed, bounds):
        return None
    id_fields, number_fields = _arrow_fields(packed, bounds, value_first=value_first)
    values = _plain_values(number_fields)
    if values is None:
        return None
    ids = tuple(id_fields.to_pylist())
    if len(set(ids)) != count or np.diff(_bounds_of(id_fields)).max() > FIELD_LENGTH_MAX:
        return None
    return ParsedFile(ids, values, np.arange(2, count + 2, dtype=np.int64))


def _separators(body: bytes) -> IntArray | None:
    """Return where commas and newlines stand; None unless they take turns and the rows are not too many."""
    signs = np.frombuffer(body, dtype=np.uint8)
    places = np.flatnonzero((signs == COMMA) | (signs == NEWLINE))
    if len(places) % 2 or len(places) > 2 * ROWS_MAX:
        return None
    taking_turns = (signs[places[0::2]] == COMMA).all() and (signs[places[1::2]] == NEWLINE).all()
    return places if taking_turns else None


def _has_outer_space(packed: bytes, bounds: IntArray) -> bool:
    """Say whether one of the fields, none of them empty, starts or ends with a space."""
    signs = np.frombuffer(packed, dtype=np.uint8)
    return bool((signs[bounds[:-1]] == SPACE).any() or (signs[bounds[1:] - 1] == SPACE).any())


def _arrow_fields(packed: bytes, bounds: IntArray, *, value_first: bool) -> tuple["pa.StringArray", "pa.StringArray"]:
    """Return the column of identifiers and that of numbers, each in a buffer of its own."""
    import pyarrow as pa

    total = len(bounds) - 1
    offsets = pa.py_buffer(bounds.astype(np.int32))
    fields = pa.StringArray.from_buffers(total, offsets, pa.py_buffer(packed))
    first, second = (fields.take(pa.array(np.arange(start, total, 2))) for start in (0, 1))
    return (second, first) if value_first else (first, second)


def _bounds_of(column: "pa.StringArray") -> IntArray:
    """Return the (n + 1,) offsets of a column that starts its own buffer."""
    return np.frombuffer(column.buffers()[1], dtype=np.int32, count=len(column) + 1).astype(np.int64)


def _plain_values(texts: "pa.StringArray") -> FloatArray | None:
    """Convert numbers, none of them empty; None unless each is plain and within 0 to 1."""
    import pyarrow as pa

    if not _are_plain_numbers(texts):
        return None
    try:
        values = np.array(texts.cast(pa.float64()), dtype=np.float64)
    except pa.ArrowInvalid:
        return None
    # No sign and no word came so far, so a value is never negative or NaN; infinity fails here.
    if values.max() > 1.0:
        return None
    zeros = np.flatnonzero(values == 0.0)
    if len(zeros) and not PLAIN_ZEROS.issuperset(texts.take(pa.array(zeros)).to_pylist()):
        return None
    return values


def _are_plain_numbers(texts: "pa.StringArray") -> bool:
    """Say whether each text is digits, perhaps a point and digits, perhaps an exponent, and not too long.

    Two points in one text are left to the conversion, which refuses them. A leading zero before another digit is not plain,
    so that a value of at most 1 cannot have too many digits before its point.
    """
    bounds = _bounds_of(texts)
    starts, ends = bounds[:-1], bounds[1:] - 1
    if (ends - starts).max() >= NUMBER_LENGTH_MAX:
        return False
    signs = np.frombuffer(texts.buffers()[2], dtype=np.uint8, count=int(bounds[-1]))
    heads, seconds = signs[starts], signs[np.minimum(starts + 1, ends)]
    padded = (heads == ZERO) & (seconds - np.uint8(ZERO) < 10) & (ends > starts)
    if padded.any() or (heads == POINT).any() or (signs[ends] == POINT).any():
        return False
    others = np.flatnonzero((signs - np.uint8(ZERO) >= 10) & (signs != POINT))
    if not len(others):
        return True
    return _are_exponent_numbers(texts, np.unique(np.searchsorted(bounds, others, side="right") - 1))


def _are_exponent_numbers(texts: "pa.StringArray", at: IntArray) -> bool:
    import pyarrow as pa

    joined = "\n".join(texts.take(pa.array(at)).to_pylist()) + "\n"
    return EXPONENT_NUMBERS.fullmatch(joined) is not None
