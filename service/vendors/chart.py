"""Reads a Yahoo chart answer: bytes to sessions and events, on the raw basis, or to the finding that it cannot be read.

It asks nobody and trusts nothing: whatever is not the documented JSON is refused whole, and a refusal is never read as a
delisting. The sessions' close, the partial day and gaps need a calendar and are judged in :mod:`service.vendors.chartbatch`.

1. A page, a cut-off text, an error object or another shape each have their finding.
2. Timestamps are the session's open in UTC seconds; the exchange's zone makes dates of them.
3. A day without a trade comes as nulls and is left out. An extra last row of the same date replaces the one before it.
4. Prices, volumes and dividends come adjusted for every later split up to the answer; they are brought back:
   raw price = price · F, raw dividend = amount · F, raw volume = volume / F, with F the product of the splits after the date.

What funds distribute as capital gains is not taken.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from market.arrays import BoolArray, DateArray, FloatArray, IntArray
from service.vendors.source import FindingKind, VendorFinding

HTTP_BAD_REQUEST = 400
HTTP_NOT_FOUND = 404
HTTP_SERVER_ERROR = 500
HTTP_UNAUTHORIZED = (401, 403)

OPENS_BEFORE_MIDNIGHT = timedelta(hours=2)
"""Daily rows stand at the open or at local midnight. Where a zone gave up daylight saving, midnight comes as 22:00 or 23:00 of
the day before; no exchange opens so late that two hours carry it into the next day."""

DAILY = "1d"
FIELDS = ("open", "high", "low", "close", "volume")
DOWN = b"Will be right back"


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """One ticker's answer on the raw price basis.

    Attributes
    ----------
    ticker, currency, zone : str
        Currency as given, minor units such as ``GBp`` too; empty where the answer has none.
    listed_on : date or None
        First trade, where the answer tells it.
    row : (r,) int64
        Place in the answer, from 1.
    dates : (r,) datetime64[D]
        Local dates, in the order of the answer.
    open, high, low, close, volume : (r,) float64
        NaN for null.
    split_dates, splits : (s,) datetime64[D], float64
        New shares for an old one.
    dividend_dates, dividends : (d,) datetime64[D], float64
        Ex-dates; units of ``currency`` for a share of that date.
    """

    ticker: str
    currency: str
    zone: str
    listed_on: date | None
    row: IntArray
    dates: DateArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    split_dates: DateArray
    splits: FloatArray
    dividend_dates: DateArray
    dividends: FloatArray


def read_chart(ticker: str, status: int, body: bytes) -> Chart | VendorFinding:
    """Read one answer.

    Parameters
    ----------
    ticker : str
        What was asked for; an answer about another symbol is refused.
    status : int
        HTTP status.
    body : bytes
        As received.

    Returns
    -------
    Chart or VendorFinding
        The finding says whether the question is worth repeating.
    """
    if status >= HTTP_SERVER_ERROR:
        return _refused(FindingKind.OUTAGE, ticker, f"The vendor failed for {ticker} with HTTP {status}.", status, retry=True)
    if status in HTTP_UNAUTHORIZED:
        return _unauthorized(ticker, status)
    if body.lstrip()[:1] == b"<" or DOWN in body:
        return _refused(FindingKind.HTML_PAGE, ticker, f"A web page came in place of {ticker}'s prices.", status, retry=True)
    try:
        answer = json.loads(body)
    except ValueError:
        text = f"The answer for {ticker} is cut off, or no JSON."
        return _refused(FindingKind.NOT_JSON, ticker, text, status, retry=True)
    try:
        return _error(ticker, status, answer) or _chart(ticker, status, answer["chart"]["result"][0])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, OSError) as error:
        text = f"The answer for {ticker} has another form than is known ({type(error).__name__}: {str(error)[:80]})."
        return _refused(FindingKind.SCHEMA_CHANGED, ticker, text, status)


def _error(ticker: str, status: int, answer: Any) -> VendorFinding | None:
    """Return the finding of an answer that says why it has no prices; None for one that has a result."""
    if "chart" not in answer and "finance" in answer:
        return _unauthorized(ticker, status)
    error = answer["chart"]["error"]
    if error is None and status < HTTP_BAD_REQUEST:
        return None
    said = str((error or {}).get("description", ""))[:120]
    if status == HTTP_NOT_FOUND or (error or {}).get("code") == "Not Found":
        # The vendor adds "symbol may be delisted" to each of these, misspelt tickers included.
        text = f"The vendor knows no {ticker}; that says nothing about a listing."
        return _refused(FindingKind.UNKNOWN_SYMBOL, ticker, text, status)
    return _refused(FindingKind.VENDOR_ERROR, ticker, f"The vendor refused {ticker}: {said!r}.", status)


def _unauthorized(ticker: str, status: int) -> VendorFinding:
    text = f"The vendor refused the session's cookie or crumb for {ticker}."
    return _refused(FindingKind.UNAUTHORIZED, ticker, text, status, retry=True)


def _refused(kind: FindingKind, ticker: str, text: str, status: int, *, retry: bool = False) -> VendorFinding:
    return VendorFinding(kind, ticker, text, status, retry)


def _chart(ticker: str, status: int, result: dict[str, Any]) -> Chart | VendorFinding:
    meta = result["meta"]
    if str(meta["symbol"]).upper() != ticker.upper():
        text = f"The answer for {ticker} is about {str(meta['symbol'])[:20]!r}."
        return _refused(FindingKind.WRONG_SYMBOL, ticker, text, status)
    if meta.get("dataGranularity", DAILY) != DAILY:
        raise ValueError(f"granularity {meta['dataGranularity']!r}")
    zone = ZoneInfo(meta["exchangeTimezoneName"])
    quote = result["indicators"]["quote"][0]
    stamps = result.get("timestamp") or []
    if not stamps or not quote:
        text = f"The answer for {ticker} holds no session; that says nothing about a listing."
        return _refused(FindingKind.NO_ROWS, ticker, text, status)
    columns = {name: np.array(quote[name], dtype=np.float64) for name in FIELDS}
    if {column.shape for column in columns.values()} != {(len(stamps),)}:
        raise ValueError("columns of different lengths")
    dates = _dates(stamps, zone)
    kept = _kept(dates, columns)
    split_dates, splits = _splits(result, zone)
    dividend_dates, dividends = _dividends(result, zone)
    factor = later_splits(dates, split_dates, splits)
    raw = {name: column / factor if name == "volume" else column * factor for name, column in columns.items()}
    first = meta.get("firstTradeDate")
    return Chart(
        ticker=ticker,
        currency=str(meta.get("currency") or ""),
        zone=zone.key,
        listed_on=_dates([first], zone)[0].item() if isinstance(first, int) else None,
        row=np.flatnonzero(kept).astype(np.int64) + 1,
        dates=dates[kept],
        **{name: column[kept] for name, column in raw.items()},
        split_dates=split_dates,
        splits=splits,
        dividend_dates=dividend_dates,
        dividends=dividends * later_splits(dividend_dates, split_dates, splits),
    )


def later_splits(dates: DateArray, split_dates: DateArray, splits: FloatArray) -> FloatArray:
    """Return, for each date, the product of the splits after it: a split's own date is on the new basis already.

    Examples
    --------
    >>> days = np.array(["2014-06-06", "2014-06-09"], dtype="datetime64[D]")
    >>> later_splits(days, days[1:], np.array([7.0])).tolist()
    [7.0, 1.0]
    """
    order = np.argsort(split_dates, kind="stable")
    after = np.append(np.cumprod(splits[order][::-1])[::-1], 1.0)
    return np.asarray(after[np.searchsorted(split_dates[order], dates, side="right")], dtype=np.float64)


def _dates(stamps: list[Any], zone: ZoneInfo) -> DateArray:
    days = [(datetime.fromtimestamp(stamp, UTC).astimezone(zone) + OPENS_BEFORE_MIDNIGHT).date() for stamp in stamps]
    return np.array(days, dtype="datetime64[D]")


def _kept(dates: DateArray, columns: dict[str, FloatArray]) -> BoolArray:
    prices = np.stack([columns[name] for name in FIELDS[:4]])
    kept: BoolArray = np.asarray(~np.isnan(prices).all(axis=0), dtype=np.bool_)
    if dates.shape[0] > 1 and dates[-1] == dates[-2]:
        kept[-2] &= not kept[-1]
    return kept


def _splits(result: dict[str, Any], zone: ZoneInfo) -> tuple[DateArray, FloatArray]:
    events = list(((result.get("events") or {}).get("splits") or {}).values())
    ratios = np.array([event["numerator"] / event["denominator"] for event in events], dtype=np.float64)
    if not (np.isfinite(ratios) & (ratios > 0)).all():
        raise ValueError("a split without a ratio")
    return _dates([event["date"] for event in events], zone), ratios


def _dividends(result: dict[str, Any], zone: ZoneInfo) -> tuple[DateArray, FloatArray]:
    events = list(((result.get("events") or {}).get("dividends") or {}).values())
    amounts = np.array([event["amount"] for event in events], dtype=np.float64)
    return _dates([event["date"] for event in events], zone), amounts
