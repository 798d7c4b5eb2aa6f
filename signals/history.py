r"""A history of signals, ``date,ticker,signal``: a stream of bytes, or a table, becomes valid rows by date, or findings.

It knows neither market nor universe: which dates are sessions and which tickers exist is decided where prices are. A field has
to be what it would have to be in an upload, so that what is diagnosed could have been sent. The limits are other ones (a
gibibyte, twenty million rows in any order), and a ticker may stand once a date. A date is ``2016-01-08`` or ``20160108``.

1. The stream is cut into blocks of whole lines; no more than one block of text is held at a time.
2. Stretches of lines in the plain form (a date, a label of printable ASCII without quotes, a plain decimal number) are
   recognized by one regular expression and converted by Arrow, in columns.
3. Every other line is read by itself with the rules of an upload (:mod:`signals.careful`, :mod:`signals.fields`), which gather
   its findings. Both ways give the same answer for a line that both can read.
4. Rows are gathered and put in order by :mod:`signals.history_rows`.
"""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from crowdalpha.codes import Code
from market.arrays import FloatArray, IntArray
from signals.careful import BOM, is_foreign, row_fields, split_line
from signals.dialect import SIGNALS_FORMAT
from signals.fields import id_fault, read_number
from signals.findings import FindingList
from signals.history_rows import BAD, DATE, DATE_MESSAGE, History, HistoryRows, Small, parse_day

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["History", "read_history", "read_history_table"]

HISTORY_BYTES_MAX = 1024 * 1024 * 1024
"""Ten years of daily signals on 7,500 stocks, 19 million rows, are about 600 MB."""

BLOCK_BYTES = 4 * 1024 * 1024
LINE_BYTES_MAX = 64 * 1024
DATE_COLUMNS = ("date", "friday_date")
ROLES = (DATE_COLUMNS, SIGNALS_FORMAT.id_columns, SIGNALS_FORMAT.value_columns)
ASKED = "a history has three columns, for example date,ticker,signal"

PLAIN = (
    rb"(?:\d{4}-\d\d-\d\d|\d{8})",
    rb"[!#-+\--~]++(?: [!#-+\--~]++)*+",
    rb"\d{1,2}+(?:\.\d{1,30}+)?+(?:[eE][+-]?\d{1,2}+)?+",
)
"""Date, identifier and number of a plain line. The number has at most 38 characters and an exponent with which it cannot
vanish: it needs no second look. Possessive, so that a long stretch needs no memory to go back."""


def read_history(chunks: Iterable[bytes]) -> History:
    r"""Read a history from the parts of a CSV file.

    Parameters
    ----------
    chunks : iterable of bytes
        The file in order, cut anywhere. It is not asked for more once the reading has to stop.

    Returns
    -------
    History
        The valid rows and every finding; never an exception for anything that the bytes hold.

    Examples
    --------
    >>> read = read_history([b"date,ticker,signal\n2016-01-08,B,0.75\n2016-01-08,A,0.2", b"5\n"])
    >>> read.dates.astype(str).tolist(), read.labels, read.era(0)[1].tolist()
    (['2016-01-08'], ('B', 'A'), [0.75, 0.25])
    >>> [(f.row, f.code.value) for f in read_history([b"date,ticker,signal\n2016-01-32,A,2\n"]).findings]
    [(2, 'date_invalid'), (2, 'value_range')]
    """
    findings = FindingList()
    reading = _Lines(findings)
    for block in _blocks(chunks, findings):
        if not reading.take(block):
            break
    return reading.result()


def read_history_table(table: "pa.Table") -> History:
    """Read a history from an Arrow table, such as a Parquet file holds.

    Parameters
    ----------
    table : pyarrow.Table
        The columns of a CSV file, in any order: dates as dates, midnights, text or whole numbers, identifiers as text, values
        as numbers. A row's number in a finding is what its line would be in a CSV file: the first is 2.

    Returns
    -------
    History
        As :func:`read_history`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    findings = FindingList()
    places = _places(table.column_names, findings)
    if places is None:
        return HistoryRows(findings, ("date", "ticker", "signal")).result()
    names = tuple(table.column_names[place] for place in places)
    rows = HistoryRows(findings, (names[0], names[1], names[2]))
    try:
        for batch in table.select(names).to_batches(max_chunksize=BLOCK_BYTES // 16):
            day, label = (_words(batch.column(i)) for i in range(2))
            value = pc.cast(batch.column(2), pa.float64()).to_numpy(zero_copy_only=False)
            lines = np.arange(rows.seen + 2, rows.seen + 2 + len(batch), dtype=np.int32)
            rows.add(*day, *label, np.asarray(value, dtype=np.float64), lines)
            if rows.too_many():
                break
    except pa.ArrowException:
        findings.refuse(Code.FILE_HEADER, f"A column holds something else than dates, text and numbers; {ASKED}.")
    return rows.result()


def _words(column: "pa.Array") -> tuple[list[str], IntArray]:
    """Return a column's different texts and each row's place among them; a missing one is an empty text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        column = pc.cast(column, pa.date32())
    encoded = pc.fill_null(pc.cast(column, pa.string()), "").dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def _blocks(chunks: Iterable[bytes], findings: FindingList) -> Iterator[bytes]:
    """Yield the stream in blocks of whole lines, each with its newline at the end; stop where it must not be read on."""
    held, size = bytearray(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > HISTORY_BYTES_MAX:
            findings.refuse(Code.FILE_TOO_LARGE, f"The file has more than {HISTORY_BYTES_MAX:,} bytes; reading stopped there.")
            return
        held += chunk
        if len(held) < BLOCK_BYTES:
            continue
        cut = held.rfind(b"\n") + 1
        if not cut:
            findings.refuse(Code.FILE_NOT_TEXT, f"A line has more than {LINE_BYTES_MAX:,} bytes; this is not a CSV file.")
            return
        yield bytes(held[:cut])
        del held[:cut]
    if held:
        yield bytes(held) if held.endswith(b"\n") else bytes(held) + b"\n"


def _places(names: list[str], findings: FindingList) -> tuple[int, int, int] | None:
    """Return where date, identifier and value stand; None after noting why that cannot be told."""
    found = [[i for i, name in enumerate(names) if name in role] for role in ROLES]
    if len(names) == 3 and all(len(places) == 1 for places in found):
        return found[0][0], found[1][0], found[2][0]
    findings.refuse(Code.FILE_HEADER, f"{_header_hint(names)}; {ASKED}.", row=1, value=",".join(names))
    return None


class _Lines:
    """The reading of a CSV file, block by block."""

    def __init__(self, findings: FindingList) -> None:
        self.findings = findings
        self.rows: HistoryRows | None = None
        self.order = (0, 1, 2)  # where date, identifier and value stand
        self.plain = re.compile(b"")
        self.lines = 0
        self.blanks: list[int] = []
        self.ends = {b"\r\n": 0, b"\r": 0}

    def take(self, block: bytes) -> bool:
        """Read a block of whole lines; False when reading has to stop."""
        if self.rows is None and (not block.removeprefix(BOM).strip(b"\r\n") or is_foreign(block, self.findings)):
            return False
        block = self._with_newlines(block)
        if self.rows is None:
            if block.startswith(BOM):
                told = "The file starts with a byte order mark, which was skipped."
                self.findings.notice(Code.FILE_BOM, told, row=1)
            header, _, block = block.removeprefix(BOM).partition(b"\n")
            self.lines = 1
            self._take_header(header)
        if self.rows is None:
            return False
        self._take_lines(block, self.rows)
        return not self.rows.too_many()

    def result(self) -> History:
        """Return what was read."""
        findings = self.findings
        if self.blanks:
            findings.notice(Code.FILE_BLANK_LINE, f"{len(self.blanks):,} blank lines were skipped.", row=self.blanks[0])
        if self.ends[b"\r"]:
            findings.refuse(Code.FILE_LINE_END, "Lines end with a bare carriage return; end them with a newline.")
        elif 0 < self.ends[b"\r\n"] < self.lines - 1:
            told = "Some lines end with carriage return and newline, others with newline alone."
            findings.notice(Code.FILE_LINE_END, told)
        if self.lines == 0 and not findings.refused:
            findings.refuse(Code.FILE_EMPTY, "The file is empty, or holds nothing but line ends.")
        return (self.rows or HistoryRows(findings, ("date", "ticker", "signal"))).result()

    def _with_newlines(self, block: bytes) -> bytes:
        if b"\r" not in block:
            return block
        pairs = block.count(b"\r\n")
        self.ends[b"\r\n"] += pairs
        self.ends[b"\r"] += block.count(b"\r") - pairs
        return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take_header(self, line: bytes) -> None:
        text = line.decode("utf-8", errors="replace")
        names = split_line(text)
        if text == "" or names is None:
            self.findings.refuse(Code.FILE_HEADER, f"The first line is not a header; {ASKED}.", row=1, value=text)
        elif len(names) == 1 and any(mark in text for mark in ";\t|"):
            self.findings.refuse(Code.FILE_DELIMITER, f"Columns are separated by commas; {ASKED}.", row=1, value=text)
        else:
            places = _places(names, self.findings)
            if places is not None:
                self.order = places
                self.rows = HistoryRows(self.findings, (names[places[0]], names[places[1]], names[places[2]]))
                parts = [part for _, part in sorted(zip(places, PLAIN, strict=True))]
                self.plain = re.compile(rb"(?:" + b",".join(parts) + rb"\n)*+")

    def _take_lines(self, block: bytes, rows: HistoryRows) -> None:
        """Go over a block: plain stretches are put together and converted at once, other lines are read one by one."""
        stretches: list[bytes] = []
        places: list[Small] = []
        odd = _OddRows()
        at = 0
        while at < len(block):
            matched = self.plain.match(block, at)
            end = at if matched is None else matched.end()
            if end > at:
                stretches.append(block[at:end])
                count = stretches[-1].count(b"\n")
                places.append(np.arange(self.lines + 1, self.lines + 1 + count, dtype=np.int32))
                self.lines += count
            if end == len(block):
                break
            stop = block.index(b"\n", end)
            self.lines += 1
            self._take_odd(block[end:stop], rows.columns, odd)
            at = stop + 1
        if stretches:
            rows.add(*plain_columns(b"".join(stretches), self.order), np.concatenate(places))
        if odd.lines:
            each = np.arange(len(odd.lines))
            rows.add(odd.days, each, odd.labels, each, np.array(odd.values), np.array(odd.lines, dtype=np.int32))

    def _take_odd(self, line: bytes, columns: tuple[str, str, str], odd: "_OddRows") -> None:
        """Read one line with care and note everything that is wrong with it."""
        findings, row = self.findings, self.lines
        if line == b"":
            self.blanks.append(row)
            return
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            findings.refuse(Code.FILE_ENCODING, "The line is not UTF-8; save the file as UTF-8.", row, value=repr(line[:40]))
            return
        fields = row_fields(row, text, 3, findings)
        if fields is None:
            return
        day, label, number = (fields[place] for place in self.order)
        value = read_number(number, row, columns[2], findings)
        if value is not None:
            odd.days.append(day)
            odd.labels.append(label)
            odd.values.append(value)
            odd.lines.append(row)
            return
        # The row is not kept, so what else is wrong with it is said here.
        if parse_day(day) == BAD:
            findings.refuse(Code.DATE_INVALID, DATE_MESSAGE, row, columns[0], day)
        fault = id_fault(label)
        if fault is not None:
            findings.refuse(*fault, row, columns[1], label)


class _OddRows:
    """Rows of a block that were read with care."""

    def __init__(self) -> None:
        self.days: list[str] = []
        self.labels: list[str] = []
        self.values: list[float] = []
        self.lines: list[int] = []


def plain_columns(data: bytes, order: tuple[int, int, int]) -> tuple[list[str], IntArray, list[str], IntArray, FloatArray]:
    """Convert plain lines: texts of dates and each row's place among them, the same of identifiers, and the values."""
    import pyarrow as pa
    from pyarrow import csv

    names = ["", "", ""]
    for name, place in zip(("day", "label", "value"), order, strict=True):
        names[place] = name
    words = pa.dictionary(pa.int32(), pa.string())
    table = csv.read_csv(
        pa.BufferReader(data),
        # One block, in this thread: a text of a few megabytes is not worth dividing.
        read_options=csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False),
        parse_options=csv.ParseOptions(quote_char=False),
        convert_options=csv.ConvertOptions(
            column_types={"day": words, "label": words, "value": pa.float64()}, null_values=[], strings_can_be_null=False
        ),
    )
    day, label = table["day"].chunk(0), table["label"].chunk(0)
    return (
        day.dictionary.to_pylist(),
        day.indices.to_numpy().astype(np.int64),
        label.dictionary.to_pylist(),
        label.indices.to_numpy().astype(np.int64),
        np.array(table["value"].chunk(0).to_numpy(zero_copy_only=False), dtype=np.float64),
    )


def _header_hint(names: list[str]) -> str:
    """Say in one clause what is wrong with a header."""
    known = {name for role in ROLES for name in role}
    folded = [name.strip().strip("\ufeff").lower() for name in names]
    if len(set(names)) < len(names):
        return "A column's name stands twice"
    if any(fold in known and name not in known for fold, name in zip(folded, names, strict=True)):
        return "A column's name differs in case, space or an invisible character"
    if any(DATE.fullmatch(name) or re.fullmatch(r"-?[\d.]+(?:[eE][+-]?\d+)?", name) for name in names):
        return "The first line looks like data, so the header is missing"
    extra = [name for name in names if name not in known]
    if extra and known.intersection(names):
        return f"The column {extra[0][:40]!r} does not belong here"
    if extra:
        return "The first line is not a header"
    if not set(DATE_COLUMNS).intersection(names):
        return "The column of dates is missing"
    return "There is more than one column of a kind" if len(names) > 2 else "A column is missing"
