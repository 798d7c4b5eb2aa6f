"""A batch: rows of prices and events as a vendor gave them, in columns, before anything was judged.

What becomes of a batch: :mod:`market.quality` judges it, the shell keeps what was accepted and what was set aside, and a panel
is built from what was kept. Nothing is dropped or repaired here; an empty cell is NaN, a ticker is the vendor's own text.

Two instants belong to each row: ``dates``, the session that it is about, and ``known_at``, when we learnt it. A row that says
something else of a date that was known before is a revision: it is added, and the former row stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray

RAW, SPLIT_ADJUSTED, TOTAL_RETURN = "raw", "split_adjusted", "total_return"
PRICE_BASES = (RAW, SPLIT_ADJUSTED, TOTAL_RETURN)
"""What a vendor's prices are adjusted for: nothing, later splits, or later splits and dividends."""

SPLIT, DIVIDEND, DELISTING = "split", "dividend", "delisting"
EVENT_KINDS = (SPLIT, DIVIDEND, DELISTING)


@dataclass(frozen=True, slots=True, eq=False)
class PriceRows:
    """Daily prices, one row for each ticker and date that the vendor spoke of; all columns have the same length r.

    Attributes
    ----------
    row : (r,) int64
        Where the row stood in the vendor's answer, from 1, for findings.
    tickers : (r,) str
        The vendor's labels.
    dates : (r,) datetime64[D]
        The session that the row is about; NaT where the vendor gave none.
    open, high, low, close : (r,) float64
        Units of ``currencies``, on the batch's price basis; NaN where the vendor gave none.
    volume : (r,) float64
        Shares, on the same basis.
    currencies : (r,) str
        ISO 4217, or a vendor's minor unit such as ``GBp``; empty where unknown.
    known_at : (r,) datetime64[us]
        UTC; when the row was learnt. Backfilled rows: the session's close plus the declared delay.
    """

    row: IntArray
    tickers: StrArray
    dates: DateArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    currencies: StrArray
    known_at: DateArray

    def __post_init__(self) -> None:
        _check_lengths(self)

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.row.shape[0])

    def take(self, chosen: BoolArray | IntArray) -> "PriceRows":
        """Return the rows that a mask or positions choose."""
        return replace(self, **{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    @staticmethod
    def empty() -> "PriceRows":
        """Return no rows."""
        number, text = np.empty(0), np.empty(0, dtype=np.str_)
        day, instant = np.empty(0, dtype="datetime64[D]"), np.empty(0, dtype="datetime64[us]")
        whole = np.empty(0, dtype=np.int64)
        return PriceRows(whole, text, day, number, number, number, number, number, text, instant)


@dataclass(frozen=True, slots=True, eq=False)
class EventRows:
    """Corporate actions and delistings; all columns have the same length r.

    Attributes
    ----------
    kinds : (r,) str
        ``split``, ``dividend`` or ``delisting``.
    tickers : (r,) str
    dates : (r,) datetime64[D]
        First session on the new basis; the ex-date; the first session without a listing.
    values : (r,) float64
        New shares for an old one; currency units a share, on the batch's price basis; the return from the last price to what
        holders got, NaN where it is unknown.
    reasons : (r,) str
        Of a delisting: ``merger``, ``performance`` or ``unknown``; otherwise empty.
    known_at : (r,) datetime64[us]
        UTC.
    """

    kinds: StrArray
    tickers: StrArray
    dates: DateArray
    values: FloatArray
    reasons: StrArray
    known_at: DateArray

    def __post_init__(self) -> None:
        _check_lengths(self)

    def __len__(self) -> int:
        """Return the number of events."""
        return int(self.kinds.shape[0])

    def take(self, chosen: BoolArray | IntArray) -> "EventRows":
        """Return the events that a mask or positions choose."""
        return replace(self, **{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    @staticmethod
    def empty() -> "EventRows":
        """Return no events."""
        text, day = np.empty(0, dtype=np.str_), np.empty(0, dtype="datetime64[D]")
        return EventRows(text, text, day, np.empty(0), text, np.empty(0, dtype="datetime64[us]"))


@dataclass(frozen=True, slots=True, eq=False)
class PriceBatch:
    """What one fetch or one file brought.

    Attributes
    ----------
    source : str
        Name of the vendor: ``parquet``, ``csv``, ``yfinance``, ``synthetic``.
    price_basis : str
        One of :data:`PRICE_BASES`, of prices, volumes and dividends alike.
    fetched_at : datetime64[us]
        UTC; when the vendor answered.
    prices : PriceRows
    events : EventRows
    flags : frozenset of str
        What every report on these rows must say, such as ``assumed`` or ``dividends_inferred``.
    """

    source: str
    price_basis: str
    fetched_at: np.datetime64
    prices: PriceRows
    events: EventRows
    flags: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.price_basis not in PRICE_BASES:
            raise InvariantBroken(Code.INTERNAL, f"There is no price basis {self.price_basis[:40]!r}.")


Rows = TypeVar("Rows", PriceRows, EventRows)


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Return rows of one kind, of which there is at least one part, one after the other."""
    kind = type(parts[0])
    return kind(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(kind)})


def _check_lengths(columns: PriceRows | EventRows) -> None:
    if len({getattr(columns, f.name).shape for f in fields(columns)}) != 1:
        raise InvariantBroken(Code.INTERNAL, "The columns of a batch differ in length.")
