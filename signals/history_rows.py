"""The rows of a history while they are read: dates and identifiers become numbers, and at the end rows are put in order.

It reads no file: :mod:`signals.history` does. An identifier or a date is judged when it is met for the first time.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import FINDINGS_SHOWN_MAX, Finding
from market.arrays import BoolArray, DateArray, FloatArray, IntArray, readonly
from signals.fields import id_fault
from signals.findings import FindingList

ROWS_MAX = 20_000_000
"""Ten years of daily signals on 7,500 stocks are 19 million rows."""

LABELS_MAX = 100_000
"""More labels than any market ever had; each is kept in memory."""

FIRST_YEAR = 1970
"""An earlier date is a slip of the pen; days are counted from here."""

DATE = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)", re.ASCII)
DATE_MESSAGE = f"A date is written as YYYY-MM-DD or YYYYMMDD, from {FIRST_YEAR} on."

BAD = -1
"""Number of a date or an identifier that is none."""

Small = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What the reading of a history gave.

    Attributes
    ----------
    labels : tuple of str
        The different identifiers, in the order in which they were met.
    dates : (e,) datetime64[D]
        The different dates, ascending.
    starts : (e + 1,) int64
        The rows of date i are ``starts[i]`` to ``starts[i + 1]`` of ``codes`` and ``values``.
    codes : (r,) int32
        Place of each row's identifier in ``labels``; ascending inside a date, without repetition in a file that is accepted.
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
    """

    labels: tuple[str, ...]
    dates: DateArray
    starts: IntArray
    codes: Small
    values: FloatArray
    first_lines: IntArray
    findings: tuple[Finding, ...]
    findings_total: int
    refused: bool

    def __len__(self) -> int:
        """Return the number of dates."""
        return int(self.dates.shape[0])

    @property
    def rows(self) -> int:
        """Number of valid rows."""
        return int(self.values.shape[0])

    def era(self, i: int) -> tuple[Small, FloatArray]:
        """Return identifiers' places and values of the i-th date."""
        inside = slice(int(self.starts[i]), int(self.starts[i + 1]))
        return self.codes[inside], self.values[inside]


class HistoryRows:
    """Rows as they come. ``columns`` are the names of date, identifier and value, for findings."""

    def __init__(self, findings: FindingList, columns: tuple[str, str, str]) -> None:
        self.findings, self.columns = findings, columns
        self.seen = 0
        self.count = 0
        self._day_of: dict[str, int] = {}
        self._code_of: dict[str, int] = {}
        self._labels: list[str] = []
        self._parts: list[tuple[Small, Small, FloatArray, Small]] = []  # days, codes, values, lines

    def add(
        self, days: list[str], day_at: IntArray, labels: list[str], label_at: IntArray, values: FloatArray, lines: Small
    ) -> None:
        """Add rows in columns.

        Parameters
        ----------
        days, labels : list of str
            Different texts of dates and identifiers.
        day_at, label_at : (n,) int
            Each row's place among them.
        values : (n,) float64
            What stands there. A NaN or a value outside 0 to 1 is a finding.
        lines : (n,) int32
            The rows' line numbers.
        """
        day = np.array([self._day(text) for text in days], dtype=np.int32)[day_at]
        code = np.array([self._code(label) for label in labels], dtype=np.int32)[label_at]
        good_day, good_code, good = day != BAD, code != BAD, (values >= 0.0) & (values <= 1.0)
        if not good_day.all():
            self._refuse(~good_day, lines, Code.DATE_INVALID, DATE_MESSAGE, 0, lambda row: days[day_at[row]])
        for row in self._some(~good_code, lines):
            fault = id_fault(labels[label_at[row]])
            if fault is not None:
                self.findings.refuse(*fault, int(lines[row]), self.columns[1], labels[label_at[row]])
        if not good.all():
            finite = np.isfinite(values)
            told = "The value is not a finite number."
            self._refuse(~finite, lines, Code.VALUE_NOT_FINITE, told, 2, lambda row: repr(float(values[row])))
            told = "The value lies outside 0 to 1."
            self._refuse(finite & ~good, lines, Code.VALUE_RANGE, told, 2, lambda row: repr(float(values[row])))
        good &= good_day & good_code
        kept = (day, code, values, lines) if good.all() else (day[good], code[good], values[good], lines[good])
        self._parts.append(kept)
        self.seen += len(lines)
        self.count += len(kept[0])

    def too_many(self) -> bool:
        """Say, after noting it, whether there are more rows or identifiers than are read."""
        if self.count > ROWS_MAX:
            self.findings.refuse(Code.ROWS_TOO_MANY, f"The file has more than {ROWS_MAX:,} rows; reading stopped there.")
        elif len(self._labels) > LABELS_MAX:
            told = f"The file names more than {LABELS_MAX:,} different identifiers; reading stopped there."
            self.findings.refuse(Code.ROWS_TOO_MANY, told, column=self.columns[1])
        else:
            return False
        return True

    def result(self) -> History:
        """Put the rows in the order of date and identifier; a pair that stands twice refuses the file."""
        blank = (np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0), np.zeros(0, np.int32))
        day, code, value, line = (np.concatenate(column) for column in zip(blank, *self._parts, strict=True))
        self._parts.clear()
        key = day.astype(np.int64) * (len(self._labels) + 1) + code
        if (key[1:] <= key[:-1]).any():
            order = np.argsort(key, kind="stable")
            day, code, value, line, key = day[order], code[order], value[order], line[order], key[order]
            self._refuse_repetitions(key, day, code, line)
        if not self.count and not self.findings.refused:
            self.findings.refuse(Code.ROWS_TOO_FEW, "The file has no valid row.")
        fresh = np.flatnonzero(np.diff(day, prepend=BAD)) if day.size else np.zeros(0, dtype=np.int64)
        lines = np.minimum.reduceat(line, fresh) if day.size else line
        return History(
            labels=tuple(self._labels),
            dates=readonly(day[fresh].astype("datetime64[D]")),
            starts=readonly(np.append(fresh, day.shape[0]).astype(np.int64)),
            codes=readonly(code),
            values=readonly(value),
            first_lines=readonly(lines.astype(np.int64)),
            findings=self.findings.shown(),
            findings_total=self.findings.total,
            refused=self.findings.refused,
        )

    def _day(self, text: str) -> int:
        day = self._day_of.get(text)
        if day is None:
            day = parse_day(text)
            if len(self._day_of) < LABELS_MAX:
                self._day_of[text] = day
        return day

    def _code(self, label: str) -> int:
        """Return the number of an identifier, or BAD for a text that is none."""
        code = self._code_of.get(label)
        if code is None:
            if id_fault(label) is not None:
                return BAD
            code = self._code_of[label] = len(self._labels)
            self._labels.append(label)
        return code

    def _some(self, mask: BoolArray, lines: Small) -> list[int]:
        """Return the places of the first rows of a mask, as many as are shown; the others are counted as refusals."""
        rows = np.flatnonzero(mask)
        rows = rows[np.argsort(lines[rows], kind="stable")]
        self.findings.include((), max(rows.size - FINDINGS_SHOWN_MAX, 0), refused=bool(rows.size))
        return [int(row) for row in rows[:FINDINGS_SHOWN_MAX]]

    def _refuse(self, mask: BoolArray, lines: Small, code: Code, told: str, column: int, text: Callable[[int], str]) -> None:
        for row in self._some(mask, lines):
            self.findings.refuse(code, told, int(lines[row]), self.columns[column], text(row))

    def _refuse_repetitions(self, key: IntArray, day: Small, code: Small, line: Small) -> None:
        begins = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
        if begins.size == key.size:
            return
        first = np.repeat(np.minimum.reduceat(line, begins), np.diff(begins, append=key.size))
        for row in self._some(line != first, line):
            when = np.datetime64(int(day[row]), "D")
            told = f"The identifier stands on row {first[row]} for {when} already."
            self.findings.refuse(Code.ID_DUPLICATE, told, int(line[row]), self.columns[1], self._labels[code[row]])


def parse_day(text: str) -> int:
    """Return the days since 1970 of a date's text, or BAD."""
    matched = DATE.fullmatch(text)
    if matched is None or len(text) == 9:  # one hyphen alone is neither form
        return BAD
    try:
        day = date(*map(int, matched.groups()))
    except ValueError:
        return BAD
    return (day - date(1970, 1, 1)).days if day.year >= FIRST_YEAR else BAD
