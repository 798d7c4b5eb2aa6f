"""A stand-in for Yahoo: real HTTP on 127.0.0.1, chart answers made from raw series, and faults that a test orders.

It shares no code with the reader. It holds raw prices and works out what Yahoo would show of them, one row at a time, as a
person would: each price divided by every split after it. A requests session whose adapter sends every https address here lets
the real yfinance client talk to it.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import requests
from requests.adapters import HTTPAdapter

from market.calendars import SessionCalendar, session_calendar

CALENDAR = session_calendar("XNYS", date(2017, 1, 3), date(2019, 6, 28))
LONDON = session_calendar("XLON", date(2017, 1, 3), date(2019, 6, 28))

NOT_FOUND = {"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"}}}
INVALID_COOKIE = {"finance": {"result": None, "error": {"code": "Unauthorized", "description": "Invalid cookie"}}}
DOWN_PAGE = b"<!DOCTYPE html><html><body>Will be right back...</body></html>"
CHART = "/v8/finance/chart/"
ROWS = ("open", "high", "low", "close", "volume")


@dataclass
class Series:
    """What really happened to a stock: raw prices a session; splits and dividends by session."""

    ticker: str
    sessions: list[date]
    prices: dict[str, list[float | None]]
    splits: dict[date, tuple[int, int]] = field(default_factory=dict)
    dividends: dict[date, float] = field(default_factory=dict)
    currency: str | None = "USD"
    zone: str = "America/New_York"
    calendar: SessionCalendar = CALENDAR


def make_series(
    ticker: str,
    first: date,
    last: date,
    seed: int = 0,
    splits: dict[date, tuple[int, int]] | None = None,
    dividends: dict[date, float] | None = None,
    calendar: SessionCalendar = CALENDAR,
    **about: Any,
) -> Series:
    """Return a random walk of raw prices in cents that falls at a split and on an ex-date."""
    print(f"series {ticker} seed {seed}")
    rng = np.random.default_rng([seed, sum(ticker.encode())])
    sessions = calendar.sessions_between(first, last)
    splits, dividends = splits or {}, dividends or {}
    prices: dict[str, list[float | None]] = {name: [] for name in ROWS}
    close = float(rng.uniform(50, 400))
    for session in sessions:
        numerator, denominator = splits.get(session, (1, 1))
        base = close * denominator / numerator - dividends.get(session, 0.0)
        open_, close = base * (1 + rng.normal(0, 0.005)), base * (1 + rng.normal(0, 0.01))
        row = (open_, max(open_, close) * 1.004, min(open_, close) * 0.996, close, float(rng.integers(1, 10) * 10_080))
        for name, value in zip(ROWS, row, strict=True):
            prices[name].append(round(value, 2))
        close = round(close, 2)
    return Series(ticker, sessions, prices, splits, dividends, calendar=calendar, **about)


@dataclass
class Asked:
    """One request that arrived, and the test clock's time at which it did."""

    path: str
    query: dict[str, str]
    elapsed: float

    @property
    def ticker(self) -> str | None:
        """The symbol of a chart request."""
        return unquote(self.path.removeprefix(CHART)) if self.path.startswith(CHART) else None


class StandIn:
    """The server; use it in a ``with`` block."""

    def __init__(self, series: Sequence[Series] = (), elapsed: Callable[[], float] = lambda: 0.0) -> None:
        self.series = {item.ticker: item for item in series}
        self.asked: list[Asked] = []
        self.extra_row: dict[str, int] = {}
        self.on_ask: Callable[[Asked], None] = lambda _: None
        self._faults: dict[str, list[str]] = defaultdict(list)
        self._always: dict[str, str] = {}
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def fail(self, ticker: str, fault: str, times: int | None = None) -> None:
        """Answer the next ``times`` chart requests for ``ticker`` with a fault, or all of them."""
        if times is None:
            self._always[ticker] = fault
        else:
            self._faults[ticker] += [fault] * times

    def heal(self) -> None:
        """Forget all faults."""
        self._faults.clear()
        self._always.clear()

    def chart_requests(self) -> list[str]:
        """Return the symbols asked for, in order."""
        return [asked.ticker for asked in self.asked if asked.ticker]

    def session(self) -> requests.Session:
        """Return a session that sends every https request here."""
        session = requests.Session()
        session.mount("https://", _Redirect(self.port))
        return session

    @property
    def port(self) -> int:
        """Port of 127.0.0.1 that the server listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stand_in._answer(self)

            def do_POST(self) -> None:
                stand_in._send(self, 404, b"", "text/plain")

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        asked = Asked(parts.path, query, self._elapsed())
        with self._lock:
            self.asked.append(asked)
        self.on_ask(asked)
        ticker = asked.ticker
        if ticker is None:
            body = b"stand-in" if parts.path == "/v1/test/getcrumb" else b"nothing"
            self._send(handler, 200, body, "text/plain")
            return
        with self._lock:
            queue = self._faults[ticker]
            fault = queue.pop(0) if queue else self._always.get(ticker)
        self._send(handler, *self._chart(ticker, query, fault))

    def _chart(self, ticker: str, query: dict[str, str], fault: str | None) -> tuple[int, bytes, str]:
        if fault in {"429", "503", "html_503", "html_200", "cookie"}:
            return {
                "429": (429, b"Too Many Requests\r\n", "text/plain"),
                "503": (503, b"Service Unavailable", "text/plain"),
                "html_503": (503, DOWN_PAGE, "text/html"),
                "html_200": (200, DOWN_PAGE, "text/html"),
                "cookie": (401, json.dumps(INVALID_COOKIE).encode(), "application/json"),
            }[fault]
        if fault == "slow":
            self._closing.wait(30)
        if ticker not in self.series or fault == "404":
            return 404, json.dumps(NOT_FOUND).encode(), "application/json"
        answer = self.chart(ticker, int(query.get("period1", 0)), int(query.get("period2", 2**40)))
        result = answer["chart"]["result"][0]
        if fault == "empty":
            answer["chart"]["result"][0] = {"meta": result["meta"], "indicators": {"quote": [{}]}}
        elif fault == "null":
            answer["chart"]["result"] = None
        elif fault == "other_symbol":
            result["meta"]["symbol"] = "OTHER"
        elif fault == "schema":
            result["indicators"]["bars"] = result["indicators"].pop("quote")
        elif fault == "short_column":
            result["indicators"]["quote"][0]["close"].pop()
        elif fault == "weekly":
            result["meta"]["dataGranularity"] = "1wk"
        elif fault == "split_of_nothing":
            result["events"] = {"splits": {"1": {"date": result["timestamp"][0], "numerator": 1, "denominator": 0}}}
        body = json.dumps(answer).encode()
        return 200, body[: len(body) // 2] if fault == "truncated" else body, "application/json"

    def chart(self, ticker: str, first: int, last: int) -> dict[str, Any]:
        """Return what Yahoo shows of a series between two seconds, adjusted for the splits up to ``last``."""
        series = self.series[ticker]
        opens = {day: int(series.calendar.open_at(day).timestamp()) for day in series.sessions}
        splits = {day: ratio for day, ratio in series.splits.items() if opens[day] < last}
        shown = [(at, day) for at, day in enumerate(series.sessions) if first <= opens[day] < last]
        quote: dict[str, list[float | None]] = {name: [] for name in ROWS}
        for at, day in shown:
            factor = _factor(day, splits)
            for name in ROWS:
                value = series.prices[name][at]
                quote[name].append(None if value is None else value * factor if name == "volume" else value / factor)
        stamps = [opens[day] for _, day in shown]
        if ticker in self.extra_row and stamps:
            stamps.append(self.extra_row[ticker])
            for name in ROWS:
                quote[name].append(quote[name][-1])
        events: dict[str, Any] = {}
        paid = {opens[d]: a / _factor(d, splits) for d, a in series.dividends.items() if first <= opens[d] < last}
        if paid:
            events["dividends"] = {str(at): {"amount": amount, "date": at} for at, amount in paid.items()}
        cut = {opens[day]: ratio for day, ratio in splits.items() if first <= opens[day]}
        if cut:
            events["splits"] = {
                str(at): {"date": at, "numerator": up, "denominator": down, "splitRatio": f"{up}:{down}"}
                for at, (up, down) in cut.items()
            }
        meta = {
            "currency": series.currency,
            "symbol": ticker,
            "exchangeName": "NMS",
            "instrumentType": "EQUITY",
            "firstTradeDate": opens[series.sessions[0]],
            "gmtoffset": 0,
            "exchangeTimezoneName": series.zone,
            "dataGranularity": "1d",
            "validRanges": ["1d", "5d", "1mo", "max"],
            "priceHint": 2,
        }
        result: dict[str, Any] = {"meta": meta, "indicators": {"quote": [{}]}}
        if stamps:
            result |= {"timestamp": stamps, "indicators": {"quote": [quote], "adjclose": [{"adjclose": list(quote["close"])}]}}
        if events:
            result["events"] = events
        return {"chart": {"result": [result], "error": None}}

    def _send(self, handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str) -> None:
        try:
            handler.send_response(status)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            pass  # the client was killed, or had no more patience


def _factor(day: date, splits: dict[date, tuple[int, int]]) -> float:
    factor = 1.0
    for when, (numerator, denominator) in splits.items():
        if when > day:
            factor *= numerator / denominator
    return factor


class _Redirect(HTTPAdapter):
    """Sends what is meant for any https host to the stand-in; the old host goes along in a header."""

    def __init__(self, port: int) -> None:
        self._port = port
        super().__init__()

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        request.headers["X-Asked-Host"] = parts.netloc
        request.url = f"http://127.0.0.1:{self._port}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
        return super().send(request, *arguments, **options)


class FakeTime:
    """Elapsed seconds that move only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def elapsed(self) -> float:
        """Return the seconds so far."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self.slept.append(seconds)
        self.now += seconds
