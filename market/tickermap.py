"""A ticker map as bytes becomes spells, with all findings at once.

Not here: reading the file (the shell does) and what the spells answer (:mod:`market.assets`). The format is CSV in UTF-8:

==============  ======================================================================================================
``asset_id``    the stable id, 1 to 64 of the characters A-Z, a-z, 0-9 and ``. _ : -``
``kind``        a scheme (``ticker``, ``numerai_ticker``, ``bloomberg_ticker``, ``composite_figi``, ``sedol``, ``yahoo``) or an
                attribute (``country``, ``currency``, ``exchange``, ``sector``)
``value``       the label, or the attribute's value
``country``     optional: the ISO country in which the label is used, where a ticker is used in several
``valid_from``  optional: first date on which it held
``valid_to``    optional: first date on which it no longer held; empty while it holds
``known_at``    optional: when it was learnt, as an instant with a zone such as ``2022-06-01T12:00:00Z``
==============  ======================================================================================================

A row without ``known_at`` counts as learnt at the start of ``valid_from`` (assumed), one without both as known always.
"""

import csv
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from io import StringIO

from crowdalpha.codes import Code
from crowdalpha.errors import FINDINGS_SHOWN_MAX, Finding, InputRejected
from crowdalpha.ids import AssetId
from market.assets import ALWAYS, ATTRIBUTES, FOREVER, KNOWN_ALWAYS, SCHEMES, Spell

KINDS = SCHEMES + ATTRIBUTES
COLUMNS = ("asset_id", "kind", "value")
OPTIONAL_COLUMNS = ("country", "valid_from", "valid_to", "known_at")

_ASSET_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_VALUES = {
    "numerai_ticker": re.compile(r"\S(.{0,59}\S)? [A-Z]{2}"),
    "composite_figi": re.compile(r"BBG[0-9A-Z]{9}"),
    "sedol": re.compile(r"[0-9BCDFGHJKLMNPQRSTVWXYZ]{6}[0-9]"),
    "country": _COUNTRY,
    "currency": re.compile(r"[A-Z]{3}|GBp|ZAc|ILa"),
    "exchange": re.compile(r"[A-Z0-9]{4}"),
}
_ANY_VALUE = re.compile(r"\S(.{0,62}\S)?")


def parse_ticker_map(data: bytes) -> tuple[Spell, ...]:
    r"""Return the spells of a ticker map.

    Parameters
    ----------
    data : bytes
        The whole file.

    Returns
    -------
    tuple of Spell
        In the order of the rows; ``row`` is the line, the header being line 1.

    Raises
    ------
    InputRejected
        ``file_empty``, ``file_encoding``, ``file_quote`` or ``file_header`` for the file as a whole; otherwise
        ``spell_invalid`` with a finding for every fault of every row (``row_ragged``, ``date_invalid``, ``spell_invalid``).

    Examples
    --------
    >>> rows = b"asset_id,kind,value,valid_from\nA1,ticker,META,2022-06-09\n"
    >>> [(s.asset_id, s.value, s.valid_from.isoformat(), s.assumed) for s in parse_ticker_map(rows)]
    [('A1', 'META', '2022-06-09', True)]
    """
    lines = _lines(data)
    header = _header(lines[0][1])
    spells: list[Spell] = []
    findings: list[Finding] = []
    for row, cells in lines[1:]:
        if len(cells) != len(header):
            text = f"The row has {len(cells)} fields, the header {len(header)}."
            findings.append(Finding(Code.ROW_RAGGED, text, row=row))
            continue
        read = _Row(row, dict(zip(header, cells, strict=True)))
        spells.append(read.spell())
        findings += read.faults
    if findings:
        text = f"{len(findings)} faults in the ticker map; the first, in row {findings[0].row}: {findings[0].message}"
        raise InputRejected(Code.SPELL_INVALID, text, findings[:FINDINGS_SHOWN_MAX])
    return tuple(spells)


def _lines(data: bytes) -> list[tuple[int, list[str]]]:
    """Rows that are not blank, each with the line that it ends on."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputRejected(Code.FILE_ENCODING, f"The ticker map is not valid UTF-8 at byte {error.start}.") from error
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        found = [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise InputRejected(Code.FILE_QUOTE, f"Line {reader.line_num} of the ticker map is no CSV: {error}.") from error
    if not found:
        raise InputRejected(Code.FILE_EMPTY, "The ticker map holds no line.")
    return found


def _header(cells: list[str]) -> list[str]:
    findings = [
        Finding(Code.FILE_HEADER, f"The column {name} is missing.", row=1, column=name) for name in COLUMNS if name not in cells
    ]
    findings += [
        Finding(Code.FILE_HEADER, f"There is no column {name[:64]!r}, or it comes twice.", row=1, value=name[:64])
        for i, name in enumerate(cells)
        if name not in COLUMNS + OPTIONAL_COLUMNS or name in cells[:i]
    ]
    if findings:
        wanted = f"{','.join(COLUMNS)} and optionally {','.join(OPTIONAL_COLUMNS)}"
        raise InputRejected(Code.FILE_HEADER, f"The columns of a ticker map are {wanted}.", findings)
    return cells


@dataclass(slots=True)
class _Row:
    """One row while it is read, and the faults found in it; with faults its spell is not to be used."""

    row: int
    cells: dict[str, str]
    faults: list[Finding] = field(default_factory=list)

    def fault(self, code: Code, column: str, text: str) -> None:
        self.faults.append(Finding(code, text, row=self.row, column=column, value=self.cells.get(column, "")[:64]))

    def day(self, column: str, default: date) -> date:
        text = self.cells.get(column, "")
        try:
            return _day(text) if text else default
        except ValueError:
            self.fault(Code.DATE_INVALID, column, f"{column} is a date, written as YYYY-MM-DD.")
            return default

    def instant(self, column: str, default: datetime) -> datetime:
        text = self.cells.get(column, "")
        try:
            return _instant(text) if text else default
        except (ValueError, OverflowError):
            self.fault(Code.DATE_INVALID, column, f"{column} is an instant with a zone, such as 2022-06-01T12:00:00Z.")
            return default

    def check_words(self) -> None:
        kind, value, country = self.cells["kind"], self.cells["value"], self.cells.get("country", "")
        if not _ASSET_ID.fullmatch(self.cells["asset_id"]):
            self.fault(
                Code.SPELL_INVALID, "asset_id", "An asset id is 1 to 64 of A-Z, a-z, 0-9 and . _ : -, a letter or digit first."
            )
        if kind not in KINDS:
            self.fault(Code.SPELL_INVALID, "kind", f"There is no such kind; there are: {', '.join(KINDS)}.")
        if not value.isprintable() or not _VALUES.get(kind, _ANY_VALUE).fullmatch(value):
            self.fault(Code.SPELL_INVALID, "value", f"The value does not have the form of a {kind[:40]}.")
        if country and not (_COUNTRY.fullmatch(country) and kind in SCHEMES):
            self.fault(Code.SPELL_INVALID, "country", "The country of a label is two capital letters; an attribute has none.")

    def spell(self) -> Spell:
        self.check_words()
        first, end = self.day("valid_from", ALWAYS), self.day("valid_to", FOREVER)
        if end < first:
            self.fault(Code.DATE_INVALID, "valid_to", "A spell does not end before it begins.")
        assumed = not self.cells.get("known_at") and first != ALWAYS
        start = datetime(first.year, first.month, first.day, tzinfo=UTC) if assumed else KNOWN_ALWAYS
        return Spell(
            asset_id=AssetId(self.cells["asset_id"]),
            kind=self.cells["kind"],
            value=self.cells["value"],
            valid_from=first,
            valid_to=end,
            known_at=self.instant("known_at", start),
            country=self.cells.get("country", ""),
            row=self.row,
            assumed=assumed,
        )


def _day(text: str) -> date:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError(text)
    return date.fromisoformat(text)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(text)
    return instant.astimezone(UTC)
