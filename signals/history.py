r"""A history of signals, ``date,ticker,signal``, read from a stream of bytes: valid rows by date, and every finding.

It knows neither market nor universe: which dates are sessions and which tickers exist is decided where prices are. A field has
to be what it would have to be in an upload, so that what is diagnosed could have been sent. The limits are other ones: a
gibibyte instead of 10 MiB, twenty million rows instead of 20,000, rows in any order, and a ticker once a date.

1. The stream is cut into blocks of whole lines; no more than one block of text is held at a time.
2. Stretches of lines in the plain form (a date of ten characters, a label of printable ASCII without quotes, a plain decimal
   number, nothing else) are recognized by one regular expression and converted in columns.
3. Every other line is read by itself with the rules of :mod:`signals.fields`, which gather its findings. Both ways give the
   same answer for a line that both can read; a test compares them on mutated files.
4. Dates and labels become numbers as they come. At the end rows are put in the order of date and label; a pair that stands
   twice is a finding.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import FINDINGS_SHOWN_MAX, Finding
from market.arrays import DateArray, FloatArray, IntArray, readonly
from signals.careful import BOM, CONTROL, FOREIGN_FORMATS, NUL_SHARE, TEXT_FORMATS, WIDE_ENCODINGS, split_line
from signals.columns import joined, plain_columns
from signals.dialect import FIELD_LENGTH_MAX, SIGNALS_FORMAT
from signals.fields import id_fault, read_number
from signals.findings import FindingList

HISTORY_BYTES_MAX = 1024 * 1024 * 1024
"""Ten years of daily signals on 7,500 stocks, 19 million rows, are about 600 MB."""

HISTORY_ROWS_MAX = 20_000_000
LABELS_MAX = 100_000
"""More labels than any market ever had; each is kept in memory."""

BLOCK_BYTES = 4 * 1024 * 1024
LINE_BYTES_MAX = 64 * 1024
DATE_COLUMNS = ("date", "friday_date")
ID_COLUMNS = SIGNALS_FORMAT.id_columns
VALUE_COLUMNS = SIGNALS_FORMAT.value_columns
EXAMPLE_HEADER = "date,ticker,signal"
FIRST_YEAR = 1900
"""An earlier date is a slip of the pen: no exchange whose calendar we have is that old."""

DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
NO_DAY = np.iinfo(np.int32).min
PLAIN_DATE = rb"\d{4}-\d\d-\d\d"
PLAIN_LABEL = rb"[!#-+\--~]++(?: [!#-+\--~]++)*+"
PLAIN_NUMBER = rb"\d{1,2}+(?:\.\d{1,30}+)?+(?:[eE][+-]?\d{1,2}+)?+"
"""At most 38 characters, and an exponent of two digits, with which no number can vanish: it needs no second look."""

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What the reading of a history gave.

    Attributes
    ----------
    labels : tuple of str
        The different tickers, in the order in which they were met.
    dates : (e,) datetime64[D]
        The different dates, ascending.
    starts : (e + 1,) int64
        The rows of date i are ``starts[i]`` to ``starts[i + 1]`` of ``codes`` and ``values``.
    codes : (r,) int32
        Place of each row's ticker in ``labels``; ascending inside a date.
    values : (r,) float64
        Finite, within 0 to 1.
    first_lines : (e,) int64
        Number of the first line on which each date stands; the header is line 1.
    findings : tuple of Finding
        Refusals first, at most 100.
    findings_total : int
        How many there were in all.
    refused : bool
        True when at least one of all findings refuses the file.
    lines : int
        Lines that were read, the header and blank ones included.
    """

    labels: tuple[str, ...]
    dates: DateArray
    starts: IntArray
    codes: Codes
    values: FloatArray
    first_lines: IntArray
    findings: tuple[Finding, ...]
    findings_total: int
    refused: bool
    lines: int

    def __len__(self) -> int:
        """Return the number of dates."""
        return int(self.dates.shape[0])

    @property
    def rows(self) -> int:
        """Number of valid rows."""
        return int(self.values.shape[0])

    def era(self, i: int) -> tuple[Codes, FloatArray]:
        """Return labels' places and values of the i-th date."""
        inside = slice(int(self.starts[i]), int(self.starts[i + 1]))
        return self.codes[inside], self.values[inside]


def read_history(chunks: Iterable[bytes]) -> History:
    r"""Read a history from the parts of a file.

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
    reading = _Reading()
    for block in _blocks(chunks, reading.findings):
        if not reading.take(block):
            break
    return reading.result()


def _blocks(chunks: Iterable[bytes], findings: FindingList) -> Iterator[bytes]:
    """Yield the stream in blocks of whole lines, each with its newline at the end; stop where it must not be read on."""
    held, size = bytearray(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > HISTORY_BYTES_MAX:
            message = f"The file has more than {HISTORY_BYTES_MAX:,} bytes; reading stopped there."
            findings.refuse(Code.FILE_TOO_LARGE, message)
            return
        held += chunk
        if len(held) < BLOCK_BYTES:
            continue
        cut = held.rfind(b"\n") + 1
        if len(held) - cut > LINE_BYTES_MAX:
            if not cut and b"\r" not in held:
                findings.refuse(Code.FILE_NOT_TEXT, f"A line has more than {LINE_BYTES_MAX:,} bytes; this is not a CSV file.")
                return
            if not cut:
                findings.refuse(Code.FILE_LINE_END, "Lines end with a bare carriage return; end them with a newline.")
                return
        if cut:
            yield bytes(held[:cut])
            del held[:cut]
    if held:
        yield bytes(held) if held.endswith(b"\n") else bytes(held) + b"\n"


@dataclass(slots=True)
class _Reading:
    """The state of a reading: columns, the numbers of labels and dates, and the rows as blocks of equal length."""

    findings: FindingList = field(default_factory=FindingList)
    columns: tuple[str, str, str] = ("", "", "")  # names of date, ticker and signal
    order: tuple[int, int, int] = (0, 1, 2)  # where each of the three stands
    plain: re.Pattern[bytes] | None = None
    lines: int = 0
    blanks: int = 0
    first_blank: int = 0
    bare_returns: int = 0
    returns: int = 0
    code_of: dict[str, int] = field(default_factory=dict)
    day_of: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    days: list[npt.NDArray[np.int32]] = field(default_factory=list)
    codes: list[Codes] = field(default_factory=list)
    values: list[FloatArray] = field(default_factory=list)
    places: list[npt.NDArray[np.int32]] = field(default_factory=list)  # line numbers
    odd: list[tuple[int, int, float, int]] = field(default_factory=list)

    def take(self, block: bytes) -> bool:
        """Read a block of whole lines; False when reading has to stop."""
        if self.lines == 0 and not self._begins_well(block):
            return False
        if b"\r" in block:
            block = self._with_newlines(block)
        if self.lines == 0:
            header, _, block = block.removeprefix(BOM).partition(b"\n")
            self.lines = 1
            if not self._take_header(header):
                return False
        self._take_lines(block)
        if self.rows > HISTORY_ROWS_MAX:
            self.findings.refuse(
                Code.ROWS_TOO_MANY, f"The file has more than {HISTORY_ROWS_MAX:,} rows; reading stopped there."
            )
            return False
        if len(self.code_of) > LABELS_MAX:
            message = f"The file names more than {LABELS_MAX:,} different identifiers; reading stopped there."
            self.findings.refuse(Code.ROWS_TOO_MANY, message, column=self.columns[1])
            return False
        return True

    def _begins_well(self, block: bytes) -> bool:
        """Say whether the beginning of a file can be CSV text at all."""
        findings, head = self.findings, block[:4096]
        if not block.removeprefix(BOM).strip(b"\r\n"):
            findings.refuse(Code.FILE_EMPTY, "The file holds nothing but line ends.")
            return False
        start = head.removeprefix(BOM).lstrip()
        for magic, name in WIDE_ENCODINGS:
            if head.startswith(magic):
                findings.refuse(Code.FILE_ENCODING, f"The file is {name} text; save it as UTF-8.")
                return False
        for magic, name in FOREIGN_FORMATS:
            # "PK" may begin a header line as well; an archive goes on with a control byte.
            if head.startswith(magic) and (magic != b"PK" or head[2:3] in {b"\x03", b"\x05", b"\x07"}):
                findings.refuse(Code.FILE_NOT_TEXT, f"The file is {name}, not CSV text.")
                return False
        for magic, name in TEXT_FORMATS:
            if start.startswith(magic):
                findings.refuse(Code.FILE_NOT_TEXT, f"The file is {name}, not CSV text.")
                return False
        if head.count(0) * NUL_SHARE >= len(head):
            findings.refuse(Code.FILE_ENCODING, "The file looks like UTF-16 or UTF-32 text; save it as UTF-8.")
            return False
        if head.startswith(BOM):
            findings.notice(Code.FILE_BOM, "The file starts with a byte order mark, which was skipped.", row=1)
        return True

    def _with_newlines(self, block: bytes) -> bytes:
        pairs = block.count(b"\r\n")
        bare = block.count(b"\r") - pairs
        if bare and not self.bare_returns:
            message = "Lines end with a bare carriage return; end them with a newline."
            self.findings.refuse(Code.FILE_LINE_END, message)
        self.bare_returns += bare
        self.returns += pairs
        return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take_header(self, line: bytes) -> bool:
        findings = self.findings
        asked = f"the header is three columns, for example {EXAMPLE_HEADER}"
        text = line.decode("utf-8", errors="replace")
        fields = split_line(text)
        if text == "" or fields is None:
            findings.refuse(Code.FILE_HEADER, f"The first line is not a header; {asked}.", row=1, value=text)
            return False
        if len(fields) == 1 and any(mark in text for mark in ";\t|"):
            findings.refuse(Code.FILE_DELIMITER, f"Columns are separated by commas; {asked}.", row=1, value=text)
            return False
        found = [[i for i, name in enumerate(fields) if name in known] for known in (DATE_COLUMNS, ID_COLUMNS, VALUE_COLUMNS)]
        if len(fields) != 3 or any(len(places) != 1 for places in found):
            findings.refuse(Code.FILE_HEADER, f"{_header_hint(fields)}; {asked}.", row=1, value=text)
            return False
        self.order = (found[0][0], found[1][0], found[2][0])
        self.columns = (fields[self.order[0]], fields[self.order[1]], fields[self.order[2]])
        parts = dict(zip(self.order, (PLAIN_DATE, PLAIN_LABEL, PLAIN_NUMBER), strict=True))
        self.plain = re.compile(rb"(?:" + b",".join(parts[i] for i in range(3)) + rb"\n)*+")
        return True

    def _take_lines(self, block: bytes) -> None:
        """Go over a block: plain stretches are put together and converted at once, other lines are read one by one."""
        if self.plain is None:
            return
        stretches: list[bytes] = []
        places: list[npt.NDArray[np.int32]] = []
        at = 0
        while at < len(block):
            matched = self.plain.match(block, at)
            end = at if matched is None else matched.end()
            if end > at:
                stretch = block[at:end]
                count = stretch.count(b"\n")
                stretches.append(stretch)
                places.append(np.arange(self.lines + 1, self.lines + 1 + count, dtype=np.int32))
                self.lines += count
            if end == len(block):
                break
            stop = block.index(b"\n", end)
            self.lines += 1
            self._take_odd(block[end:stop], self.lines)
            at = stop + 1
        if stretches:
            self._take_plain(b"".join(stretches), np.concatenate(places))

    def _take_plain(self, data: bytes, places: npt.NDArray[np.int32]) -> None:
        """Convert lines in the plain form, in columns; ``places`` are their line numbers."""
        day_texts, days, labels, codes, values = plain_columns(data, self.order)
        day_of = np.array([self._day(text) for text in day_texts], dtype=np.int32)[days]
        good = day_of != NO_DAY
        if not good.all():
            self._refuse_rows(
                Code.DATE_INVALID, DATE_MESSAGE, 0, places[~good], [day_texts[i] for i in days[~good][:FINDINGS_SHOWN_MAX]]
            )
        long = np.array([len(label) > FIELD_LENGTH_MAX for label in labels], dtype=np.bool_)[codes]
        if long.any():
            message = f"The identifier has more than {FIELD_LENGTH_MAX} characters."
            self._refuse_rows(Code.ID_LENGTH, message, 1, places[long], [labels[i] for i in codes[long][:FINDINGS_SHOWN_MAX]])
            good &= ~long
        high = values > 1.0
        if high.any():
            message = "The value lies outside 0 to 1."
            self._refuse_rows(
                Code.VALUE_RANGE, message, 2, places[high], [repr(v) for v in values[high][:FINDINGS_SHOWN_MAX].tolist()]
            )
            good &= ~high
        own = np.array([-1 if len(label) > FIELD_LENGTH_MAX else self._code(label) for label in labels], dtype=np.int32)[codes]
        whole = bool(good.all())
        self.days.append(day_of if whole else day_of[good])
        self.codes.append(own if whole else own[good])
        self.values.append(values if whole else values[good])
        self.places.append(places if whole else places[good])
        self.rows += int(good.sum())

    def _take_odd(self, line: bytes, row: int) -> None:
        """Read one line with care and note everything that is wrong with it."""
        findings = self.findings
        if line == b"":
            self.blanks += 1
            self.first_blank = self.first_blank or row
            return
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            findings.refuse(Code.FILE_ENCODING, "The line is not UTF-8; save the file as UTF-8.", row, value=repr(line[:40]))
            return
        control = CONTROL.search(text)
        if control is not None:
            findings.refuse(Code.FILE_CONTROL, f"Control character U+{ord(control.group()):04X}.", row, value=repr(text[:40]))
            return
        fields = split_line(text)
        if fields is None:
            findings.refuse(
                Code.FILE_QUOTE, "A quote is not closed, or stands inside a field that is not quoted.", row, value=text
            )
            return
        if len(fields) != 3:
            count = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
            findings.refuse(Code.ROW_RAGGED, f"The row has {count}, the header has 3 fields.", row, value=text)
            return
        day_text, label, number = (fields[i] for i in self.order)
        day = self._day(day_text)
        if day == NO_DAY:
            findings.refuse(Code.DATE_INVALID, DATE_MESSAGE, row, self.columns[0], day_text)
        fault = id_fault(label)
        if fault is not None:
            findings.refuse(fault[0], fault[1], row, self.columns[1], label)
        value = read_number(number, row, self.columns[2], findings)
        if day != NO_DAY and fault is None and value is not None:
            self.odd.append((day, self._code(label), value, row))
            self.rows += 1

    def _refuse_rows(self, code: Code, message: str, column: int, places: npt.NDArray[np.int32], texts: list[str]) -> None:
        """Note one finding a line; of many, those that would be shown are made and the others counted."""
        for place, text in zip(places.tolist(), texts, strict=False):
            self.findings.refuse(code, message, place, self.columns[column], text)
        self.findings.include((), max(len(places) - len(texts), 0), refused=True)

    def _day(self, text: str) -> int:
        """Return the days since 1970 of a date's text; NO_DAY when it is none."""
        day = self.day_of.get(text)
        if day is None:
            day = _parse_day(text)
            if len(self.day_of) < LABELS_MAX:
                self.day_of[text] = day
        return day

    def _code(self, label: str) -> int:
        return self.code_of.setdefault(label, len(self.code_of))

    def result(self) -> History:
        """Put what was read in order."""
        self._notice_lines()
        if self.odd:
            days, codes, values, places = zip(*self.odd, strict=True)
            self.days.append(np.array(days, dtype=np.int32))
            self.codes.append(np.array(codes, dtype=np.int32))
            self.values.append(np.array(values, dtype=np.float64))
            self.places.append(np.array(places, dtype=np.int32))
        day, code, place = (joined(parts, np.zeros(0, np.int32)) for parts in (self.days, self.codes, self.places))
        value = joined(self.values, np.zeros(0))
        key = day.astype(np.int64) * (len(self.code_of) + 1) + code
        if (key[1:] <= key[:-1]).any():
            order = np.argsort(key, kind="stable")
            day, code, place, value, key = day[order], code[order], place[order], value[order], key[order]
            self._refuse_repetitions(key, day, code, place)
        if not self.rows and not self.findings.refused:
            self.findings.refuse(Code.ROWS_TOO_FEW, "The file has no valid row.")
        firsts = np.flatnonzero(np.append(True, day[1:] != day[:-1])[: day.shape[0]])
        findings = self.findings
        return History(
            labels=tuple(self.code_of),
            dates=readonly(day[firsts].astype("datetime64[D]")),
            starts=readonly(np.append(firsts, day.shape[0]).astype(np.int64)),
            codes=readonly(code),
            values=readonly(value),
            first_lines=readonly(np.minimum.reduceat(place, firsts).astype(np.int64) if firsts.size else np.zeros(0, np.int64)),
            findings=findings.shown(),
            findings_total=findings.total,
            refused=findings.refused,
            lines=self.lines,
        )

    def _notice_lines(self) -> None:
        if self.blanks:
            count = "One blank line was" if self.blanks == 1 else f"{self.blanks:,} blank lines were"
            self.findings.notice(Code.FILE_BLANK_LINE, f"{count} skipped.", row=self.first_blank)
        if self.lines == 0 and not self.findings.refused:
            self.findings.refuse(Code.FILE_EMPTY, "The file is empty.")
        if 0 < self.returns < self.lines - 1 and not self.bare_returns:
            message = "Some lines end with carriage return and newline, others with newline alone."
            self.findings.notice(Code.FILE_LINE_END, message)

    def _refuse_repetitions(self, key: IntArray, day: npt.NDArray[np.int32], code: Codes, place: npt.NDArray[np.int32]) -> None:
        same = key[1:] == key[:-1]
        if not same.any():
            return
        begins = np.flatnonzero(np.append(True, ~same))
        earliest = np.repeat(np.minimum.reduceat(place, begins), np.diff(np.append(begins, key.shape[0])))
        later = np.flatnonzero(place != earliest)
        later = later[np.argsort(place[later], kind="stable")]
        labels = tuple(self.code_of)
        for at in later[:FINDINGS_SHOWN_MAX].tolist():
            label, when = labels[code[at]], np.datetime64(int(day[at]), "D")
            message = f"{when} has the identifier on row {earliest[at]} already."
            self.findings.refuse(Code.ID_DUPLICATE, message, int(place[at]), self.columns[1], label)
        self.findings.include((), max(later.size - FINDINGS_SHOWN_MAX, 0), refused=True)


DATE_MESSAGE = f"A date is written as YYYY-MM-DD, from {FIRST_YEAR} on."


def _parse_day(text: str) -> int:
    if DATE.fullmatch(text) is None:
        return int(NO_DAY)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return int(NO_DAY)
    return (day - date(1970, 1, 1)).days if day.year >= FIRST_YEAR else int(NO_DAY)


def _header_hint(names: list[str]) -> str:
    """Say in one clause what is wrong with a header."""
    known = {*DATE_COLUMNS, *ID_COLUMNS, *VALUE_COLUMNS}
    folded = [name.strip().strip("\ufeff").lower() for name in names]
    if len(set(names)) < len(names):
        return "A column's name stands twice"
    if any(fold in known and name not in known for fold, name in zip(folded, names, strict=True)):
        return "A column's name differs in case, space or an invisible character"
    if DATE.fullmatch(names[0]) or any(re.fullmatch(r"-?[\d.]+(?:[eE][+-]?\d+)?", name) for name in names):
        return "The first line looks like data, so the header is missing"
    extra = [name for name in names if name not in known]
    if extra and known.intersection(names):
        return f"The column {extra[0][:40]!r} does not belong here"
    if extra:
        return "The first line is not a header"
    if not set(DATE_COLUMNS).intersection(names):
        return "The column of dates is missing: a history has one"
    return "There is more than one column of a kind" if len(names) > 2 else "A column is missing"
