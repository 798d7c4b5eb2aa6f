"""Bytes of an upload become identifiers and numbers, or findings. Nothing in a file's content ever raises.

It does not know the round: which identifiers exist is decided in :mod:`signals.submission`.

1. A file in the plain form (printable ASCII without quotes, one kind of line end, two fields in each line, plain decimal
   numbers within 0 to 1, no identifier twice) is split at its separators in one pass.
2. Any other file goes to the careful reading (:mod:`signals.careful`), line by line, which gathers every finding.

The first way gives up at the least oddity and never makes a finding, so both ways give the same answer wherever the first
one answers; a test compares them on mutated files.
"""

import re

import numpy as np

from market.arrays import FloatArray
from signals.careful import parse_carefully
from signals.dialect import (
    CLASSIC_FORMAT,
    FIELD_LENGTH_MAX,
    FILE_BYTES_MAX,
    NUMBER_LENGTH_MAX,
    ROWS_MAX,
    SIGNALS_FORMAT,
    WHOLE_DIGITS_MAX,
    FileFormat,
    ParsedFile,
)

__all__ = ["CLASSIC_FORMAT", "SIGNALS_FORMAT", "FileFormat", "ParsedFile", "parse_csv", "parse_plain"]

COMMA, NEWLINE = 44, 10
PLAIN_BYTES = bytes(c for c in range(0x20, 0x7F) if c != ord('"')) + b"\n"
PLAIN_NUMBERS = re.compile(rf"(?:\d{{1,{WHOLE_DIGITS_MAX}}}(?:\.\d+)?(?:[eE][+-]?\d+)?\n)*+", re.ASCII)
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
    if len(data) > FILE_BYTES_MAX:
        return None
    if b"\r" in data:
        if not data.count(b"\r") == data.count(b"\r\n") == data.count(b"\n"):
            return None
        data = data.replace(b"\r\n", b"\n")
    if data.translate(None, PLAIN_BYTES) or b" ," in data or b", " in data or b" \n" in data or b"\n " in data:
        return None
    header, _, body = data.partition(b"\n")
    value_first = _value_first(header.decode(), fmt)
    if value_first is None or not body:
        return None
    return _split(body if body.endswith(b"\n") else body + b"\n", value_first=value_first)


def _value_first(header: str, fmt: FileFormat) -> bool | None:
    """Say whether values stand in the first column; None for a header that is not exactly right."""
    fields = header.split(",")
    if len(fields) != 2:
        return None
    if fields[0] in fmt.id_columns and fields[1] in fmt.value_columns:
        return False
    if fields[1] in fmt.id_columns and fields[0] in fmt.value_columns:
        return True
    return None


def _split(body: bytes, *, value_first: bool) -> ParsedFile | None:
    separators = np.frombuffer(body, dtype=np.uint8)
    separators = separators[(separators == COMMA) | (separators == NEWLINE)]
    count = len(separators) // 2
    alternating = len(separators) == 2 * count and (separators[0::2] == COMMA).all() and (separators[1::2] == NEWLINE).all()
    if not alternating or count > ROWS_MAX:
        return None
    fields = body.decode().replace("\n", ",").split(",")
    fields.pop()
    ids, texts = (fields[1::2], fields[0::2]) if value_first else (fields[0::2], fields[1::2])
    distinct = set(ids)
    # A space at the very start or end of the body has no separator beside it that the caller could have looked for.
    odd_edge = body[0] == ord(" ") or body[-2] == ord(" ")
    if odd_edge or len(distinct) != count or "" in distinct or max(map(len, ids)) > FIELD_LENGTH_MAX:
        return None
    values = _plain_values(texts)
    if values is None:
        return None
    return ParsedFile(tuple(ids), values, np.arange(2, count + 2, dtype=np.int64))


def _plain_values(texts: list[str]) -> FloatArray | None:
    joined = "\n".join(texts) + "\n"
    if max(map(len, texts)) > NUMBER_LENGTH_MAX or PLAIN_NUMBERS.fullmatch(joined) is None:
        return None
    values = np.array(list(map(float, texts)), dtype=np.float64)
    # The pattern admits no sign and no word, so a value is never negative or NaN; infinity fails here.
    if values.max() > 1.0:
        return None
    if any(texts[i] not in PLAIN_ZEROS for i in np.flatnonzero(values == 0.0).tolist()):
        return None
    return values
