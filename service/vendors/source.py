"""What every source of market data is: asked for tickers and dates, it yields batches and findings, part by part.

A source judges no price (``market.quality`` does) and keeps nothing (``workflows.ingest`` does). What it could not get is a
finding and never an absence: an empty answer says nothing about a listing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol

import numpy as np

from market.arrays import DateArray
from market.batch import PriceBatch
from market.calendars import SessionCalendar, to_datetime64
from service.vendors.rawanswers import RawAnswers


class FindingKind(StrEnum):
    """What may be wrong with a vendor's answer as such."""

    RATE_LIMITED = "rate_limited"
    NO_ANSWER = "no_answer"
    OUTAGE = "outage"
    HTML_PAGE = "html_page"
    NOT_JSON = "not_json"
    UNAUTHORIZED = "unauthorized"
    VENDOR_ERROR = "vendor_error"
    SCHEMA_CHANGED = "schema_changed"
    WRONG_SYMBOL = "wrong_symbol"
    UNKNOWN_SYMBOL = "unknown_symbol"
    NO_ROWS = "no_rows"
    INCOMPLETE = "incomplete"
    PARTIAL_DAY = "partial_day"
    RESTATEMENT = "restatement"
    ADJUSTMENT_BACK = "adjustment_back"


@dataclass(frozen=True, slots=True)
class VendorFinding:
    """One thing that was noticed about an answer.

    Attributes
    ----------
    kind : FindingKind
    ticker : str
        The vendor's label; empty where the whole answer is meant.
    message : str
        One sentence for the operator.
    http_status : int or None
        Of the answer, where there was one.
    retry : bool
        Whether the same question may be answered later; then it is asked again by the next run.
    """

    kind: FindingKind
    ticker: str
    message: str
    http_status: int | None = None
    retry: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain JSON values."""
        return {**asdict(self), "kind": self.kind.value}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> "VendorFinding":
        """Return the finding that :meth:`as_dict` wrote."""
        return VendorFinding(**{**plain, "kind": FindingKind(plain["kind"])})


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What is asked of a source.

    Attributes
    ----------
    tickers : tuple of str
        The vendor's labels; empty for all that a source of files holds.
    first, last : date or None
        First and last session wanted; None for as far as there is.
    asked_at : datetime
        Aware UTC; when a source that asks nobody counts as having answered.
    calendar_of : callable
        Ticker → its exchange's sessions, from before ``first`` to beyond the present.
    delay_minutes : int
        A session's prices count as finished, and a backfilled row as known, this long after its close.
    overlap_sessions : int
        Newest kept sessions that are asked for again.
    kept : mapping of str to (date, date)
        First and last session that is kept of a ticker already.
    answers : RawAnswers or None
        Where raw answers are kept, and found again after an interruption.
    done : frozenset of int
        Parts that were kept before the interruption; they are not yielded again.
    advance : callable
        Told the name of each ticker or file that was dealt with.
    """

    tickers: tuple[str, ...]
    first: date | None
    last: date | None
    asked_at: datetime
    calendar_of: Callable[[str], SessionCalendar]
    delay_minutes: int
    overlap_sessions: int = 10
    kept: Mapping[str, tuple[date, date]] = field(default_factory=dict)
    answers: RawAnswers | None = None
    done: frozenset[int] = frozenset()
    advance: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class FetchedPart:
    """What a part of a request brought.

    Attributes
    ----------
    number : int
        From 1; the same request has the same parts.
    tickers : tuple of str
        What was asked for in this part.
    batch : PriceBatch or None
        None where nothing was answered that could be read.
    findings : tuple of VendorFinding
    left : tuple of str
        Tickers of the part that are still to be asked: the vendor failed for them, or was not asked any more.
    stopped : str
        Why the source gives up for now, as a sentence; empty when it goes on.
    """

    number: int
    tickers: tuple[str, ...]
    batch: PriceBatch | None
    findings: tuple[VendorFinding, ...] = ()
    left: tuple[str, ...] = ()
    stopped: str = ""


class PriceSource(Protocol):
    """Where prices come from."""

    name: str
    remote: bool
    """Whether asking costs requests: then raw answers are kept, and an interrupted run goes on where it stopped."""

    def steps(self, request: FetchRequest) -> int:
        """Return how often ``request.advance`` will be called."""

    def exchange_of(self, ticker: str) -> str | None:
        """Return the market identifier code of a ticker's exchange, None where the label does not tell it."""

    def fetch(self, request: FetchRequest) -> Iterator[FetchedPart]:
        """Yield the parts of ``request`` one by one; those that are done already are left out."""


def assumed_known_at(dates: DateArray, calendar: SessionCalendar, delay_minutes: int) -> DateArray:
    """Return when backfilled rows count as known: their session's close plus the vendor's delay.

    Parameters
    ----------
    dates : (r,) datetime64[D]
        A date that is no session of the calendar, or none at all, is known at the end of the next session after it (NaT stays).
    calendar : SessionCalendar
    delay_minutes : int

    Returns
    -------
    (r,) datetime64[us]
        UTC.
    """
    at = np.searchsorted(calendar.sessions, dates)
    inside = np.minimum(at, calendar.sessions.shape[0] - 1)
    known = calendar.closes[inside].astype("datetime64[us]")
    # Beyond the calendar no close is known: the end of the day after stands for it.
    beyond = (at == calendar.sessions.shape[0]) & ~np.isnat(dates)
    known[beyond] = (dates[beyond] + np.timedelta64(2, "D")).astype("datetime64[us]")
    known[np.isnat(dates)] = np.datetime64("NaT")
    return np.asarray(known + np.timedelta64(delay_minutes, "m"))


def last_finished(calendar: SessionCalendar, instant: datetime, delay_minutes: int) -> np.datetime64:
    """Return the last session whose close plus delay is not after ``instant``; the decision instant is ``instant``."""
    finished = calendar.closes + np.timedelta64(delay_minutes, "m") <= to_datetime64(instant)
    at = int(finished.sum()) - 1
    last: np.datetime64 = calendar.sessions[at] if at >= 0 else calendar.sessions[0] - np.timedelta64(1, "D")
    return last
