"""Prices from Yahoo, through the yfinance library: daily rows, splits and dividends on the raw price basis.

yfinance is the client (cookies, crumb, the imitation of a browser, its second try under another cookie); its data frames are
not used, because they tell neither an outage from an empty period nor a null from a zero. Yahoo's terms allow personal use.

1. Parts of some tickers, one request after the other, each through a token bucket; a failure is repeated after a growing wait.
2. A ticker is asked for from its first wanted session, or from a few sessions before the newest kept one, and always up to now:
   the splits up to now are what brings prices back to the raw basis.
3. The answer is kept as received, then read (:mod:`service.vendors.chart`). An answer of an interrupted run is not asked
   for again, unless a session has ended since.
4. The session that is still running, or has closed less than the vendor's delay ago, is left out and named.
5. Sessions of the exchange's calendar that are missing are named, each ticker in one finding.
6. The third refusal for too many requests in a part, or several tickers in a row without any answer, stops the source. The
   same request goes on from there.

A row of sessions before the ones that are kept counts as known at its close plus the delay (flag ``assumed``); a later one at
``fetched_at``. The session that yfinance holds is one for the whole process, so a process has one source.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from market.calendars import SessionCalendar
from service.vendors.chart import DAILY, Chart, read_chart
from service.vendors.chartbatch import SOURCE, batch_of, finished_sessions, first_wanted
from service.vendors.pace import Backoff, TokenBucket
from service.vendors.rawanswers import RawAnswer
from service.vendors.source import FetchedPart, FetchRequest, FindingKind, VendorFinding, last_finished

CHART = "https://query2.finance.yahoo.com/v8/finance/chart/"

RATE_LIMITS_MAX = 3
"""Refusals for too many requests in one part after which to stop: whoever goes on asking is shut out for longer."""

FAILURES_IN_A_ROW_MAX = 5
"""Tickers in a row without any answer after which the vendor is taken to be down."""

EXCHANGES = {
    "L": "XLON",
    "DE": "XETR",
    "PA": "XPAR",
    "AS": "XAMS",
    "BR": "XBRU",
    "MI": "XMIL",
    "MC": "XMAD",
    "SW": "XSWX",
    "ST": "XSTO",
    "CO": "XCSE",
    "HE": "XHEL",
    "OL": "XOSL",
    "IR": "XDUB",
    "TO": "XTSE",
    "AX": "XASX",
    "HK": "XHKG",
    "T": "XTKS",
}
"""Exchange by the suffix of a Yahoo symbol; one without a suffix is of the settings' calendar."""


def new_session() -> Any:
    """Return a session as yfinance makes it for itself: one that looks like a browser."""
    from curl_cffi.requests import Session

    return Session(impersonate="chrome")


@dataclass(slots=True)
class _Tally:
    """What decides whether to go on."""

    rate_limits: int = 0
    failures_in_a_row: int = 0
    stopped: str = ""


@dataclass(slots=True)
class _Part:
    """What a part has gathered so far."""

    charts: list[tuple[Chart, datetime]] = field(default_factory=list)
    findings: list[VendorFinding] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class YahooSource:
    """The source ``yfinance``; see the module for what it does.

    Parameters
    ----------
    cache : Path
        Folder for the library's own databases (cookies); made where it is missing.
    now : callable
        The present instant, aware UTC: ``fetched_at``.
    bucket, backoff : TokenBucket, Backoff
        Pace of every HTTP request, the library's own included; waits after failures.
    part_tickers, attempts_max : int
        Tickers a part; times that a ticker is asked for before it is left for the next run.
    timeout_seconds : float
        Patience for one answer.
    session : requests or curl_cffi Session, optional
        What carries the requests.
    """

    name: str = SOURCE
    remote: bool = True

    def __init__(
        self,
        cache: Path,
        now: Callable[[], datetime],
        bucket: TokenBucket,
        backoff: Backoff,
        *,
        part_tickers: int = 25,
        attempts_max: int = 4,
        timeout_seconds: float = 30.0,
        session: Any = None,
    ) -> None:
        self._cache, self._now = cache, now
        self._bucket, self._backoff = bucket, backoff
        self._part_tickers, self._attempts_max, self._timeout = part_tickers, attempts_max, timeout_seconds
        self._session = session
        self._client: Any = None

    def steps(self, request: FetchRequest) -> int:
        """Return the number of tickers."""
        return len(request.tickers)

    def exchange_of(self, ticker: str) -> str | None:
        """Return the exchange that the symbol's suffix tells."""
        _, dot, suffix = ticker.rpartition(".")
        return EXCHANGES.get(suffix) if dot else None

    def fetch(self, request: FetchRequest) -> Iterator[FetchedPart]:
        """Yield the parts that are not done yet; the last one may say that the source has stopped."""
        tally = _Tally()
        for number, at in enumerate(range(0, len(request.tickers), self._part_tickers), start=1):
            tickers = request.tickers[at : at + self._part_tickers]
            if number in request.done:
                for ticker in tickers:
                    request.advance(ticker)
                continue
            part, tally.rate_limits = _Part(), 0
            for ticker in tickers:
                if tally.stopped:
                    part.left.append(ticker)
                    continue
                self._ticker(ticker, request, part, tally)
                request.advance(ticker)
            batch = batch_of(part.charts, request)
            yield FetchedPart(number, tickers, batch, tuple(part.findings), tuple(part.left), tally.stopped)
            if tally.stopped:
                return

    def _ticker(self, ticker: str, request: FetchRequest, part: _Part, tally: _Tally) -> None:
        calendar = request.calendar_of(ticker)
        start = first_wanted(ticker, request, calendar)
        found = self._answered_before(ticker, request, calendar) or self._ask(ticker, start, request, part, tally)
        if found is None:
            return
        answer, read = found
        if isinstance(read, VendorFinding):
            part.findings.append(read)
            return
        chart, findings = finished_sessions(read, start, answer.fetched_at, request, calendar)
        part.findings += findings
        part.charts.append((chart, answer.fetched_at))

    def _answered_before(
        self, ticker: str, request: FetchRequest, calendar: SessionCalendar
    ) -> tuple[RawAnswer, Chart | VendorFinding] | None:
        answer = request.answers.find(ticker) if request.answers is not None else None
        if answer is None:
            return None
        delay = request.delay_minutes
        if last_finished(calendar, answer.fetched_at, delay) != last_finished(calendar, self._now(), delay):
            return None
        return answer, read_chart(ticker, answer.status, answer.body)

    def _ask(
        self, ticker: str, start: date, request: FetchRequest, part: _Part, tally: _Tally
    ) -> tuple[RawAnswer, Chart | VendorFinding] | None:
        """Ask until there is an answer worth keeping; otherwise leave a finding, and None."""
        trouble: VendorFinding | None = None
        for attempt in range(1, self._attempts_max + 1):
            if trouble is not None:
                self._backoff.wait(attempt - 1)
            answer = self._get(ticker, start)
            if isinstance(answer, VendorFinding):
                trouble = answer
                tally.rate_limits += answer.kind is FindingKind.RATE_LIMITED
                if tally.rate_limits >= RATE_LIMITS_MAX:
                    tally.stopped = f"The vendor refused {RATE_LIMITS_MAX} requests as too many."
                    break
                continue
            read = read_chart(ticker, answer.status, answer.body)
            if not isinstance(read, VendorFinding) or not read.retry:
                tally.failures_in_a_row = 0
                if request.answers is not None:
                    request.answers.keep(answer)
                return answer, read
            trouble = read
        if trouble is not None:
            part.findings.append(trouble)
        part.left.append(ticker)
        tally.failures_in_a_row += 1
        if tally.failures_in_a_row >= FAILURES_IN_A_ROW_MAX and not tally.stopped:
            tally.stopped = f"The vendor gave no usable answer for {FAILURES_IN_A_ROW_MAX} tickers in a row."
        return None

    def _get(self, ticker: str, start: date) -> RawAnswer | VendorFinding:
        from yfinance.exceptions import YFRateLimitError

        # A day of margin: the seconds are UTC's, the dates the exchange's.
        first = datetime.combine(start - timedelta(days=1), time(), UTC)
        parameters = {
            "period1": int(first.timestamp()),
            "period2": int(self._now().timestamp()) + 1,
            "interval": DAILY,
            "includePrePost": False,
            "events": "div,splits",
        }
        client = self._yfinance()
        try:
            response = client.get(CHART + quote(ticker, safe="^=-."), params=parameters, timeout=self._timeout)
            body = bytes(response.content)
        except YFRateLimitError:
            text = f"The vendor refused {ticker}: too many requests."
            return VendorFinding(FindingKind.RATE_LIMITED, ticker, text, 429, retry=True)
        except Exception as error:  # noqa: BLE001 - on its way to a cookie the library raises whatever it meets
            text = f"No answer came for {ticker} ({type(error).__name__})."
            return VendorFinding(FindingKind.NO_ANSWER, ticker, text, retry=True)
        return RawAnswer(ticker, self._now(), int(response.status_code), body)

    def _yfinance(self) -> Any:
        """Return the library's client on our session, every request of which passes through the bucket."""
        if self._client is None:
            import yfinance
            from yfinance.data import YfData

            self._cache.mkdir(parents=True, exist_ok=True)
            yfinance.set_tz_cache_location(str(self._cache))
            # What goes wrong becomes a finding; the library would print it besides.
            logging.getLogger("yfinance").setLevel(logging.CRITICAL)
            session = self._session if self._session is not None else new_session()
            send = session.request

            def request(*arguments: Any, **options: Any) -> Any:
                self._bucket.take()
                return send(*arguments, **options)

            session.request = request
            self._client = YfData(session=session)
        return self._client
