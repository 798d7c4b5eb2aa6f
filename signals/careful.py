"""The careful reading of an upload: line by line, every finding with its row, at most as much work as the limits allow.

1. What is wrong with the file as a whole (size, another format, encoding, header) ends the reading: without a header no field
   has a meaning.
2. The text is cut into physical lines. A quoted field may hold a comma or a doubled quote, never a line end.
3. Each line must have as many fields as the header; its identifier and its number are judged apart, so that one row can
   have several findings.
4. Rows with a finding that refuses are left out of the result; the others are kept, also in a refused file.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from crowdalpha.codes import Code
from signals.dialect import COLUMNS_MAX, FILE_BYTES_MAX, ROWS_MAX, FileFormat, ParsedFile
from signals.fields import id_fault, read_number
from signals.findings import FindingList

LINES_MAX = 2 * ROWS_MAX
"""Blank lines are skipped, but not for ever."""

FOREIGN_FORMATS = (
    (b"\x1f\x8b", "gzip"),
    (b"PK", "a zip archive or a spreadsheet"),
    (b"PAR1", "Parquet"),
    (b"%PDF", "PDF"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"7z\xbc\xaf", "7-zip"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet"),
    (b"ARROW1", "Arrow"),
    (b"\x93NUMPY", "NumPy"),
)
TEXT_FORMATS = ((b"<", "a web page or XML"), (b"{", "JSON"), (b"[", "JSON"))
WIDE_ENCODINGS = ((b"\xff\xfe", "UTF-16 or UTF-32"), (b"\xfe\xff", "UTF-16"), (b"\x00\x00\xfe\xff", "UTF-32"))
BOM = b"\xef\xbb\xbf"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")
"""Tab, newline and carriage return are judged elsewhere; bare carriage returns are gone when this is used."""

QUOTED = re.compile(r'"[^"]*+(?:""[^"]*+)*+"(?=,|$)')
BARE = re.compile(r'[^",]*+(?=,|$)')
"""Possessive, so that a field of megabytes needs no memory to go back."""

NUL_SHARE = 4
"""A file in which every fourth byte or more is zero is text of another width, not text with a stray NUL."""


@dataclass(slots=True)
class _Reading:
    fmt: FileFormat
    findings: FindingList = field(default_factory=FindingList)
    columns: tuple[str, str] = ("", "")
    value_first: bool = False
    ids: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    first_row_of: dict[str, int] = field(default_factory=dict)

    def result(self) -> ParsedFile:
        """Return what was read so far."""
        return ParsedFile(
            tuple(self.ids),
            np.array(self.values, dtype=np.float64),
            np.array(self.rows, dtype=np.int64),
            self.findings.shown(),
            self.findings.total,
            self.findings.refused,
            self.columns[1 if self.value_first else 0],
        )


def parse_carefully(data: bytes, fmt: FileFormat) -> ParsedFile:
    """Read a file of any content; the parameters and the result are those of :func:`signals.parse.parse_csv`."""
    reading = _Reading(fmt)
    text = _text_of(data, reading.findings)
    if text is None:
        return reading.result()
    lines = _lines_of(text, reading.findings)
    if not _read_header(lines[0], reading):
        return reading.result()
    _read_rows(lines, reading)
    return reading.result()


def _text_of(data: bytes, findings: FindingList) -> str | None:
    """Decode the whole file; None when it is not CSV text at all."""
    if len(data) > FILE_BYTES_MAX:
        findings.refuse(Code.FILE_TOO_LARGE, f"The file has {len(data):,} bytes; at most {FILE_BYTES_MAX:,} are read.")
        return None
    if not data.strip(b"\r\n"):
        findings.refuse(Code.FILE_EMPTY, "The file is empty.")
        return None
    if is_foreign(data, findings):
        return None
    if data.startswith(BOM):
        data = data[len(BOM) :]
        findings.notice(Code.FILE_BOM, "The file starts with a byte order mark, which was skipped.", row=1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        findings.refuse(Code.FILE_ENCODING, f"Byte {error.start + 1} is not UTF-8; save the file as UTF-8.", row=row)
        return None
    if not text.strip("\r\n"):
        findings.refuse(Code.FILE_EMPTY, "The file holds a byte order mark and nothing else.")
        return None
    return text


def is_foreign(data: bytes, findings: FindingList) -> bool:
    """Say whether the beginning of a file is that of another format than UTF-8 text, after noting which."""
    for magic, name in WIDE_ENCODINGS:
        if data.startswith(magic):
            findings.refuse(Code.FILE_ENCODING, f"The file is {name} text; save it as UTF-8.")
            return True
    for magic, name in FOREIGN_FORMATS:
        # "PK" may begin a header line as well; an archive goes on with a control byte.
        if data.startswith(magic) and (magic != b"PK" or data[2:3] in {b"\x03", b"\x05", b"\x07"}):
            findings.refuse(Code.FILE_NOT_TEXT, f"The file is {name}, not CSV text.")
            return True
    start = data[:4096].removeprefix(BOM).lstrip()
    for magic, name in TEXT_FORMATS:
        if start.startswith(magic):
            findings.refuse(Code.FILE_NOT_TEXT, f"The file is {name}, not CSV text.")
            return True
    head = data[:4096]
    if head.count(0) * NUL_SHARE >= len(head):
        findings.refuse(Code.FILE_ENCODING, "The file looks like UTF-16 or UTF-32 text; save it as UTF-8.")
        return True
    return False


def _lines_of(text: str, findings: FindingList) -> list[str]:
    """Cut the text into lines without their ends; the list is never empty."""
    returns, pairs = text.count("\r"), text.count("\r\n")
    if returns > pairs:
        findings.refuse(Code.FILE_LINE_END, "Lines end with a bare carriage return; end them with a newline.")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    elif pairs:
        if pairs != text.count("\n"):
            findings.notice(Code.FILE_LINE_END, "Some lines end with carriage return and newline, others with newline alone.")
        text = text.replace("\r\n", "\n")
    lines = text.split("\n", LINES_MAX + 1)
    if lines[-1] == "":
        lines.pop()
    return lines


def split_line(line: str) -> list[str] | None:
    """Cut one line at its commas, minding quotes; None where a quote is not closed or stands inside a bare field.

    A line with more fields than any file may have is cut no further than that.

    Examples
    --------
    >>> split_line('"A, B",0.5'), split_line('"A,1')
    (['A, B', '0.5'], None)
    """
    if '"' not in line:
        return line.split(",", COLUMNS_MAX)
    fields: list[str] = []
    position = 0
    while True:
        if len(fields) == COLUMNS_MAX:
            return [*fields, line[position:]]
        matched = QUOTED.match(line, position) or BARE.match(line, position)
        if matched is None:
            return None
        text = matched.group()
        fields.append(text[1:-1].replace('""', '"') if text.startswith('"') else text)
        position = matched.end()
        if position == len(line):
            return fields
        position += 1


def _read_header(line: str, reading: _Reading) -> bool:
    findings, fmt = reading.findings, reading.fmt
    asked = f"the header is two columns, for example {fmt.example}"
    fields = split_line(line)
    if fields is None:
        findings.refuse(Code.FILE_QUOTE, "A quote in the header is not closed.", row=1, value=line)
        return False
    if len(fields) == 1 and any(mark in line for mark in ";\t|"):
        findings.refuse(Code.FILE_DELIMITER, f"Columns are separated by commas; {asked}.", row=1, value=line)
        return False
    names = tuple(fields)
    if len(names) == 2 and _assign_columns(names, reading):
        return True
    findings.refuse(Code.FILE_HEADER, f"{_header_hint(names, fmt)}; {asked}.", row=1, value=line)
    return False


def _assign_columns(names: tuple[str, ...], reading: _Reading) -> bool:
    first, second = names
    fmt = reading.fmt
    reading.columns = (first, second)
    reading.value_first = first in fmt.value_columns
    id_name, value_name = (second, first) if reading.value_first else (first, second)
    return id_name in fmt.id_columns and value_name in fmt.value_columns


def _header_hint(names: tuple[str, ...], fmt: FileFormat) -> str:
    """Say in one clause what is wrong with a header."""
    known = {*fmt.id_columns, *fmt.value_columns}
    if len(names) > COLUMNS_MAX:
        return f"There are more than {COLUMNS_MAX} columns"
    if len(set(names)) < len(names):
        return "A column's name stands twice"
    folded = [name.strip().strip("\ufeff").lower() for name in names]
    if any(fold in known and name not in known for fold, name in zip(folded, names, strict=True)):
        return "A column's name differs in case, space or an invisible character"
    if len(names) == 2 and re.fullmatch(r"-?[\d.]+(?:[eE][+-]?\d+)?", names[1]):
        return "The first line looks like data, so the header is missing"
    extra = [name for name in names if name not in known]
    if extra and known.intersection(names):
        return f"The column {extra[0][:40]!r} does not belong here"
    if len(names) > 1 and not extra:
        return "There is more than one column of a kind"
    return "The first line is not a header" if extra else "A column is missing"


def _read_rows(lines: list[str], reading: _Reading) -> None:
    findings = reading.findings
    blanks: list[int] = []
    data_rows = 0
    for row, line in enumerate(lines[1:], start=2):
        if line == "":
            blanks.append(row)
            continue
        data_rows += 1
        if data_rows > ROWS_MAX or row > LINES_MAX:
            findings.refuse(Code.ROWS_TOO_MANY, f"The file has more than {ROWS_MAX:,} rows; reading stopped.", row=row)
            break
        _read_row(row, line, reading)
    if blanks:
        findings.notice(Code.FILE_BLANK_LINE, f"{len(blanks)} blank lines were skipped.", row=blanks[0])
    if data_rows == 0:
        findings.refuse(Code.ROWS_TOO_FEW, "There is no row under the header.", row=1)


def row_fields(row: int, line: str, wanted: int, findings: FindingList) -> list[str] | None:
    """Cut a row into as many fields as its header has; None after noting why that cannot be."""
    control = CONTROL.search(line)
    if control is not None:
        findings.refuse(Code.FILE_CONTROL, f"Control character U+{ord(control.group()):04X}.", row=row, value=repr(line[:40]))
        return None
    fields = split_line(line)
    if fields is None:
        findings.refuse(Code.FILE_QUOTE, "A quote is not closed, or stands inside a field that is not quoted.", row, value=line)
        return None
    if len(fields) != wanted:
        findings.refuse(Code.ROW_RAGGED, f"The row has {_count(fields)}, the header has {wanted} fields.", row, value=line)
        return None
    return fields


def _read_row(row: int, line: str, reading: _Reading) -> None:
    findings = reading.findings
    fields = row_fields(row, line, 2, findings)
    if fields is None:
        return
    at = 1 if reading.value_first else 0
    identifier, text = fields[at], fields[1 - at]
    id_good = _take_id(row, identifier, reading.columns[at], reading)
    value = read_number(text, row, reading.columns[1 - at], findings)
    if id_good and value is not None:
        reading.ids.append(identifier)
        reading.values.append(value)
        reading.rows.append(row)


def _count(fields: list[str]) -> str:
    if len(fields) > COLUMNS_MAX:
        return f"more than {COLUMNS_MAX} fields"
    return "1 field" if len(fields) == 1 else f"{len(fields)} fields"


def _take_id(row: int, identifier: str, column: str, reading: _Reading) -> bool:
    fault = id_fault(identifier)
    if fault is not None:
        reading.findings.refuse(fault[0], fault[1], row, column, identifier)
        return False
    earlier = reading.first_row_of.setdefault(identifier, row)
    if earlier != row:
        message = f"The identifier stands on row {earlier} already."
        reading.findings.refuse(Code.ID_DUPLICATE, message, row, column, identifier)
        return False
    return True
