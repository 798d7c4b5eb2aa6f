"""The faults that a price batch can have, each with a stable name, and the form in which they are found.

A name never changes its meaning: reports, settings and scripts compare it. ``docs/data-quality.md`` has a line for each, and a
test keeps it so. What finds a fault is not here: the other modules of this package do.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from market.arrays import DateArray, FloatArray, IntArray, StrArray
from market.batch import EventRows, PriceRows

VERDICTS = ACCEPTED, UNUSED, QUARANTINED = 0, 1, 2
"""What becomes of a row: used; no trade or nothing new; set aside."""

VerdictArray = npt.NDArray[np.int8]

VALUE_SHOWN_MAX = 64
"""Characters of a vendor's text that a finding repeats."""


class Severity(StrEnum):
    """What a finding does: to the batch, to a row, to the coverage of a session, or nothing."""

    REFUSE = "refuse"
    QUARANTINE = "quarantine"
    COVERAGE = "coverage"
    NOTICE = "notice"


class Fault(StrEnum):
    """A kind of fault: its name, its usual severity and its meaning in one sentence."""

    severity: Severity
    meaning: str

    def __new__(cls, value: str, severity: Severity, meaning: str) -> Self:
        """Make a member whose value is the name and that carries severity and meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.severity = severity
        member.meaning = meaning
        return member

    # The answer as a whole
    EMPTY_ANSWER = "empty_answer", Severity.REFUSE, "The vendor's answer holds no row."
    RATE_LIMITED = "rate_limited", Severity.REFUSE, "The vendor asked for fewer requests and gave no data (429)."
    HTML_PAGE = "html_page", Severity.REFUSE, "The vendor answered with a web page in place of data."
    SCHEMA_CHANGED = "schema_changed", Severity.REFUSE, "The answer's fields are not those that the vendor is known for."
    TICKERS_MISSING = "tickers_missing", Severity.COVERAGE, "Too few of the expected tickers have a price."
    TOO_MANY_BAD = "too_many_bad", Severity.REFUSE, "More of the batch is bad than the rules allow."
    STALE_ANSWER = "stale_answer", Severity.COVERAGE, "The ticker's last row is sessions behind."
    UNSORTED_DATES = "unsorted_dates", Severity.NOTICE, "The ticker's rows do not come in the order of their dates."
    # A row by itself
    TICKER_TEXT = "ticker_text", Severity.QUARANTINE, "The ticker is empty, too long or holds characters that no ticker has."
    DATE_MISSING = "date_missing", Severity.QUARANTINE, "The row has no date."
    OUTSIDE_CALENDAR = "outside_calendar", Severity.QUARANTINE, "The date lies beyond the exchange's calendar."
    FUTURE_DATE = "future_date", Severity.QUARANTINE, "The session had not begun when the row was known."
    PARTIAL_DAY = "partial_day", Severity.QUARANTINE, "The session had not closed when the row was known."
    WEEKEND_ROW = "weekend_row", Severity.QUARANTINE, "The date is a Saturday or Sunday without a session."
    HOLIDAY_ROW = "holiday_row", Severity.QUARANTINE, "The date is a weekday on which the exchange does not trade."
    SHIFTED_DATES = "shifted_dates", Severity.QUARANTINE, "The dates of the ticker stand a day off, as of another time zone."
    NOT_POSITIVE = "not_positive", Severity.QUARANTINE, "A price is zero or negative."
    PRICE_MISSING = "price_missing", Severity.QUARANTINE, "A price that is needed is empty or not finite."
    VOLUME_MISSING = "volume_missing", Severity.QUARANTINE, "The volume is empty or not finite."
    VOLUME_NEGATIVE = "volume_negative", Severity.QUARANTINE, "The volume is negative."
    RANGE_BROKEN = "range_broken", Severity.QUARANTINE, "Open or close lies outside low to high."
    NO_TRADE = "no_trade", Severity.COVERAGE, "The row holds no price at all."
    ZERO_VOLUME = "zero_volume", Severity.COVERAGE, "A quote without volume is no price."
    ZERO_VOLUME_WEEK = "zero_volume_week", Severity.COVERAGE, "Nothing was traded for a week of sessions."
    GAP = "gap", Severity.COVERAGE, "Sessions are missing before the row."
    # A row beside what was known
    DUPLICATE_ROW = "duplicate_row", Severity.QUARANTINE, "The ticker and date stand on another row of the same instant."
    REPETITION = "repetition", Severity.COVERAGE, "The row says again what was known."
    FLOAT_NOISE = "float_noise", Severity.COVERAGE, "The row differs from what was known by rounding only."
    RESTATEMENT = "restatement", Severity.QUARANTINE, "The row says something else of a date that was known."
    STALE_PRICE = "stale_price", Severity.QUARANTINE, "Prices and volume repeat the row before to the last digit."
    CURRENCY_CHANGE = "currency_change", Severity.QUARANTINE, "The currency is not the one that the ticker had."
    TICKER_REUSE = "ticker_reuse", Severity.QUARANTINE, "A ticker that had ended or fallen silent names something else."
    SCALE_ERROR = "scale_error", Severity.QUARANTINE, "The price is a hundred or a thousand times too large or too small."
    MISSING_SPLIT = "missing_split", Severity.QUARANTINE, "The price moved like a split, and no split is known."
    DOUBLED_SPLIT = "doubled_split", Severity.QUARANTINE, "A split is told, or applied, twice."
    INVENTED_SPLIT = "invented_split", Severity.QUARANTINE, "A split is told, and the price did not move with it."
    SWAPPED_TICKERS = "swapped_tickers", Severity.QUARANTINE, "Two tickers took each other's prices."
    ADJUSTMENT_FLIP = "adjustment_flip", Severity.QUARANTINE, "The price moved by an adjustment, not by trade."
    JUMP = "jump", Severity.QUARANTINE, "The price moved beyond belief, and nothing explains it."
    # Events
    EVENT_INVALID = "event_invalid", Severity.QUARANTINE, "The event has no kind, date, ticker or value that can be."
    ZERO_DIVIDEND = "zero_dividend", Severity.COVERAGE, "A dividend of nothing says nothing."
    DIVIDEND_IMPLAUSIBLE = "dividend_implausible", Severity.QUARANTINE, "The price did not fall by so large a dividend."
    DELISTING = "delisting", Severity.NOTICE, "The listing ended, and its return is known."
    DELISTING_WITHOUT_PRICE = "delisting_without_price", Severity.COVERAGE, "The listing ended without a last price or return."
    MERGER = "merger", Severity.NOTICE, "The listing ended by a merger."


class QualityFinding(NamedTuple):
    """One finding for people and files. ``row`` is the vendor's, from 1; 0 where no row is meant. Empty text where none."""

    fault: Fault
    severity: Severity
    ticker: str
    date: str
    row: int
    column: str
    value: str

    @property
    def message(self) -> str:
        """One plain sentence, with what it is about before it."""
        about = " ".join(word for word in (self.ticker, self.date) if word)
        said = f" ({self.column} {self.value})" if self.column and self.value else ""
        return f"{about}: {self.fault.meaning}{said}" if about else f"{self.fault.meaning}{said}"

    def as_dict(self) -> dict[str, str | int]:
        """Return the finding as plain JSON values."""
        return {
            "fault": self.fault.value,
            "severity": self.severity.value,
            "ticker": self.ticker,
            "date": self.date,
            "row": self.row,
            "column": self.column,
            "value": self.value,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """All findings of one fault that one check made, in columns of length k, so that millions cost no objects.

    Attributes
    ----------
    fault, severity, column
        Of all of them; ``column`` is empty where no single one is meant.
    of : str
        What ``at`` points into: ``prices``, ``events``, or ``batch`` for what is no row.
    at : (k,) int64
        Positions; −1 for ``batch``.
    tickers, dates, rows : (k,)
        Labels; empty, NaT and 0 where there is none.
    values : (k,) float64
        What was seen; NaN where ``text`` says it or nothing was.
    text : str
        A vendor's words, cut.
    """

    fault: Fault
    severity: Severity
    of: str
    at: IntArray
    tickers: StrArray
    dates: DateArray
    rows: IntArray
    values: FloatArray
    column: str = ""
    text: str = ""

    def __len__(self) -> int:
        """Return the number of findings."""
        return int(self.at.shape[0])

    def listed(self, most: int | None = None) -> list[QualityFinding]:
        """Return the findings one by one, the first ``most`` of them."""
        out = []
        for ticker, day, row, value in zip(
            self.tickers[:most].tolist(), self.dates[:most], self.rows[:most].tolist(), self.values[:most].tolist(), strict=True
        ):
            seen = self.text if np.isnan(value) else f"{value:.7g}"
            date = "" if np.isnat(day) else str(day)
            out.append(QualityFinding(self.fault, self.severity, ticker[:VALUE_SHOWN_MAX], date, row, self.column, seen))
        return out


def of_prices(
    prices: PriceRows, fault: Fault, at: IntArray, column: str = "", values: FloatArray | None = None, *,
    severity: Severity | None = None,
) -> Found:  # fmt: skip
    """Return findings about rows; ``values`` (k,) default to the cells of ``column``, or to none where it is no number."""
    at = np.asarray(at, dtype=np.int64)
    seen = values
    if seen is None:
        seen = (
            getattr(prices, column)[at] if column in {"open", "high", "low", "close", "volume"} else np.full(at.shape, np.nan)
        )
    tickers, dates = prices.tickers[at], prices.dates[at]
    return Found(fault, severity or fault.severity, "prices", at, tickers, dates, prices.row[at], np.asarray(seen), column)


def of_events(events: EventRows, fault: Fault, at: IntArray, *, severity: Severity | None = None) -> Found:
    """Return findings about events; the value is the event's own."""
    at = np.asarray(at, dtype=np.int64)
    nowhere = np.zeros(at.shape, dtype=np.int64)
    tickers, dates, values = events.tickers[at], events.dates[at], events.values[at]
    return Found(fault, severity or fault.severity, "events", at, tickers, dates, nowhere, values, "value")


def of_batch(
    fault: Fault, *, ticker: str = "", day: np.datetime64 | None = None, column: str = "", value: float = float("nan"),
    text: str = "", severity: Severity | None = None,
) -> Found:  # fmt: skip
    """Return one finding about the batch, a session or a ticker."""
    return Found(
        fault,
        severity or fault.severity,
        "batch",
        np.array([-1]),
        np.array([ticker], dtype=np.str_),
        np.array([np.datetime64("NaT") if day is None else day], dtype="datetime64[D]"),
        np.array([0]),
        np.array([value], dtype=np.float64),
        column,
        text[:VALUE_SHOWN_MAX],
    )


def rate_limited(ticker: str = "", text: str = "") -> Found:
    """Return what a vendor adapter reports of an answer 429, for one ticker or for all."""
    return _unanswered(Fault.RATE_LIMITED, ticker, text)


def html_page(ticker: str = "", text: str = "") -> Found:
    """Return what a vendor adapter reports of a web page that came in place of data; ``text`` is its body."""
    return _unanswered(Fault.HTML_PAGE, ticker, " ".join(text.split()))


def schema_changed(ticker: str = "", text: str = "") -> Found:
    """Return what a vendor adapter reports of fields that are missing or were never there before; ``text`` names them."""
    return _unanswered(Fault.SCHEMA_CHANGED, ticker, text)


def _unanswered(fault: Fault, ticker: str, text: str) -> Found:
    """One ticker without an answer lowers the coverage; a whole answer that is none refuses the batch."""
    severity = Severity.COVERAGE if ticker else Severity.REFUSE
    return of_batch(fault, ticker=ticker, column="answer", text=text, severity=severity)
