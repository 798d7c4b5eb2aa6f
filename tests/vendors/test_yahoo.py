"""Goal: what happened arrives, and each fault of a vendor is a finding, never a delisting.

Method: the real yfinance client over real HTTP against a stand-in, with raw series that it adjusts and faults that it is told;
the library's own frames as an independent reader; a clock that moves only when somebody sleeps.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from market.batch import DIVIDEND, RAW, SPLIT
from service.vendors.pace import Backoff, TokenBucket
from service.vendors.rawanswers import RawAnswers
from service.vendors.source import FetchedPart, FetchRequest, FindingKind
from service.vendors.yahoo import EXCHANGES, YahooSource
from tests.builders.yahoo import CALENDAR, LONDON, FakeTime, Series, StandIn, make_series

FIRST, LAST = date(2018, 1, 2), date(2018, 7, 20)
NOW = datetime(2018, 7, 18, 22, 0, tzinfo=UTC)
ENDED = date(2018, 7, 18)
SPLIT_ON, PAID_ON = date(2018, 6, 8), date(2018, 5, 11)
TICKERS = tuple(f"TICK{i:02d}" for i in range(25))


def series(ticker: str, **about: Any) -> Series:
    return make_series(ticker, FIRST, LAST, 3, {SPLIT_ON: (7, 1)}, {PAID_ON: 0.73}, **about)


def request(*tickers: str, **options: Any) -> FetchRequest:
    plain = FetchRequest(tickers, date(2018, 2, 1), None, NOW, lambda _: CALENDAR, 60)
    return replace(plain, **options)


class Bench:
    """A stand-in, a source that talks to it, and the time that both see."""

    def __init__(self, folder: Path, stand_in: StandIn, time: FakeTime) -> None:
        self.folder, self.stand_in, self.time = folder, stand_in, time
        self.now = NOW

    def source(self, **options: Any) -> YahooSource:
        return YahooSource(
            self.folder / "cache",
            lambda: self.now,
            TokenBucket(2.0, 1, self.time.elapsed, self.time.sleep),
            Backoff(np.random.default_rng(1), sleep=self.time.sleep),
            **{"session": self.stand_in.session(), "timeout_seconds": 20.0} | options,
        )

    def fetch(self, asked: FetchRequest, **options: Any) -> list[FetchedPart]:
        return list(self.source(**options).fetch(asked))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_of([series("AAPL"), series("MSFT")], tmp_path) as made:
        yield made


@contextmanager
def bench_of(many: list[Series], folder: Path) -> Iterator[Bench]:
    time = FakeTime()
    with StandIn(many, time.elapsed) as stand_in:
        yield Bench(folder, stand_in, time)


def kinds(part: FetchedPart, ticker: str = "AAPL") -> list[str]:
    return [finding.kind.value for finding in part.findings if finding.ticker == ticker]


# What arrives


def test_what_happened_arrives_on_the_raw_basis(bench: Bench) -> None:
    (part,) = bench.fetch(request("AAPL", "MSFT", last=ENDED))
    assert part.batch is not None
    assert (part.findings, part.left, part.stopped) == ((), (), "")
    assert (part.batch.source, part.batch.price_basis, part.batch.flags) == ("yfinance", RAW, {"assumed"})
    assert part.batch.fetched_at == np.datetime64("2018-07-18T22:00:00", "us")
    rows = part.batch.prices
    for ticker in ("AAPL", "MSFT"):
        happened = bench.stand_in.series[ticker]
        wanted = [at for at, day in enumerate(happened.sessions) if date(2018, 2, 1) <= day <= ENDED]
        mine = rows.take(rows.tickers == ticker)
        assert mine.dates.tolist() == [happened.sessions[at] for at in wanted]
        for name in ("open", "high", "low", "close", "volume"):
            np.testing.assert_allclose(getattr(mine, name), [happened.prices[name][at] for at in wanted], rtol=1e-12)
        assert set(mine.currencies.tolist()) == {"USD"}
    closes = [CALENDAR.close_at(day) + timedelta(minutes=60) for day in rows.dates.tolist()]
    assert rows.known_at.tolist() == [instant.replace(tzinfo=None) for instant in closes]
    events = part.batch.events
    found = set(zip(events.kinds.tolist(), events.tickers.tolist(), events.dates.tolist(), events.values.round(9), strict=True))
    assert found == {(k, t, d, v) for t in ("AAPL", "MSFT") for k, d, v in ((SPLIT, SPLIT_ON, 7.0), (DIVIDEND, PAID_ON, 0.73))}


def test_a_split_after_the_last_session_asked_for_is_undone_too(bench: Bench) -> None:
    """Prices up to April, asked for in July: they come divided by the split of June."""
    (part,) = bench.fetch(request("AAPL", last=date(2018, 4, 30)))
    assert part.batch is not None
    happened = bench.stand_in.series["AAPL"]
    at = happened.sessions.index(date(2018, 4, 30))
    assert part.batch.prices.dates[-1].item() == date(2018, 4, 30)
    assert part.batch.prices.close[-1] == pytest.approx(happened.prices["close"][at], rel=1e-12)
    assert len(part.batch.events) == 0


def test_the_library_s_own_frame_shows_the_same_rows(bench: Bench) -> None:
    """Our reader beside yfinance's: the frame is adjusted for the split, so it is multiplied out by hand."""
    import yfinance

    (part,) = bench.fetch(request("AAPL", last=ENDED))
    assert part.batch is not None
    frame = yfinance.Ticker("AAPL", session=bench.stand_in.session()).history(
        start="2018-02-01", end="2018-07-19", auto_adjust=False, actions=True
    )
    rows = part.batch.prices
    assert [day.date() for day in frame.index] == rows.dates.tolist()
    factor = np.where(rows.dates < np.datetime64(SPLIT_ON), 7.0, 1.0)
    for column, name in (("Open", "open"), ("High", "high"), ("Low", "low"), ("Close", "close")):
        np.testing.assert_allclose(frame[column].to_numpy() * factor, getattr(rows, name), rtol=1e-9)
    np.testing.assert_allclose(frame["Volume"].to_numpy() / factor, rows.volume, atol=1.0)
    assert frame["Stock Splits"].to_numpy()[rows.dates == np.datetime64(SPLIT_ON)].tolist() == [7.0]


def test_pence_stay_pence_and_london_keeps_its_own_sessions(tmp_path: Path) -> None:
    london = make_series("VOD.L", FIRST, LAST, 3, calendar=LONDON, zone="Europe/London", currency="GBp")
    with bench_of([london], tmp_path) as bench:
        source = bench.source()
        assert (source.exchange_of("VOD.L"), source.exchange_of("AAPL"), source.exchange_of("X.UNKNOWN")) == (
            "XLON",
            None,
            None,
        )
        asked = request("VOD.L", last=ENDED, calendar_of=lambda _: LONDON)
        (part,) = source.fetch(asked)
    assert part.findings == ()
    assert part.batch is not None
    assert set(part.batch.prices.currencies.tolist()) == {"GBp"}
    assert np.datetime64("2018-07-04") in part.batch.prices.dates


def test_real_prices_of_twenty_five_companies_arrive_as_they_are_on_file(real_data: Path, tmp_path: Path) -> None:
    tickers = (
        "AAPL",
        "ADBE",
        "AMGN",
        "AXP",
        "BA",
        "CAT",
        "CSCO",
        "CVX",
        "DIS",
        "GE",
        "GS",
        "HD",
        "IBM",
        "INTC",
        "JNJ",
        "JPM",
        "KO",
    )
    tickers += ("MCD", "MMM", "MRK", "MSFT", "NKE", "PFE", "PG", "XOM")
    window = [("ticker", "in", tickers), ("date", ">=", date(2017, 7, 3)), ("date", "<=", ENDED)]
    table = pq.read_table(real_data / "us_daily.parquet", filters=window).to_pandas()
    many, on_file = [], {}
    for ticker, rows in table.groupby("ticker", observed=True):
        prices = {name: rows[name].astype(float).tolist() for name in ("open", "close", "volume")}
        on_file[ticker] = prices
        many.append(Series(str(ticker), rows["date"].tolist(), {"high": prices["close"], "low": prices["open"], **prices}))
    with bench_of(many, tmp_path) as bench:
        parts = bench.fetch(request(*tickers, first=date(2017, 7, 3)), part_tickers=20)
    assert [part.findings for part in parts] == [(), ()]
    for part in parts:
        assert part.batch is not None
        for ticker in part.tickers:
            mine = part.batch.prices.take(part.batch.prices.tickers == ticker)
            for name, column in on_file[ticker].items():
                assert getattr(mine, name).tolist() == column


def test_every_exchange_of_a_suffix_has_a_calendar() -> None:
    from exchange_calendars import get_calendar_names

    assert set(EXCHANGES.values()) <= set(get_calendar_names())


# The last day, and what is missing


@pytest.mark.parametrize(
    ("instant", "last"),
    [
        (datetime(2018, 7, 18, 20, 59, tzinfo=UTC), date(2018, 7, 17)),
        (datetime(2018, 7, 18, 21, 0, tzinfo=UTC), date(2018, 7, 18)),
        (datetime(2018, 7, 18, 15, 0, tzinfo=UTC), date(2018, 7, 17)),
        (datetime(2018, 7, 3, 18, 0, tzinfo=UTC), date(2018, 7, 3)),  # closed at 13:00 New York time
    ],
)
def test_the_running_session_is_left_out_until_close_and_delay(tmp_path: Path, instant: datetime, last: date) -> None:
    with bench_of([make_series("AAPL", FIRST, instant.date(), 3)], tmp_path) as bench:
        bench.now = instant
        bench.stand_in.extra_row["AAPL"] = int(instant.timestamp())
        (part,) = bench.fetch(request("AAPL"))
    assert part.batch is not None
    assert part.batch.prices.dates[-1].item() == last
    assert kinds(part) == ([] if last == instant.date() else ["partial_day"])


def test_missing_sessions_are_named_once_a_ticker_from_the_listing_on(bench: Bench) -> None:
    gaps = bench.stand_in.series["AAPL"]
    for at in (40, 41, 60):
        for column in gaps.prices.values():
            column[at] = None
    bench.stand_in.series["LATE"] = make_series("LATE", date(2018, 5, 1), LAST, 3)
    bench.stand_in.series["GONE"] = make_series("GONE", FIRST, date(2018, 7, 10), 3)
    (part,) = bench.fetch(request("AAPL", "MSFT", "LATE", "GONE", last=ENDED))
    assert kinds(part) == ["incomplete"]
    assert kinds(part, "MSFT") == kinds(part, "LATE") == []
    assert kinds(part, "GONE") == ["incomplete"]
    sentences = {finding.ticker: finding.message for finding in part.findings}
    total = len(CALENDAR.sessions_between(date(2018, 2, 1), ENDED))
    days = ", ".join(str(gaps.sessions[at]) for at in (40, 41, 60))
    assert sentences["AAPL"] == f"AAPL lacks 3 of {total} sessions: {days}."
    assert "lacks 6 of" in sentences["GONE"]
    assert "says nothing about a listing" in sentences["GONE"]
    assert part.left == ()


# Faults

FAULTS = {
    "429": ("rate_limited", 429, True),
    "503": ("outage", 503, True),
    "html_503": ("outage", 503, True),
    "html_200": ("html_page", 200, True),
    "cookie": ("unauthorized", 401, True),
    "truncated": ("not_json", 200, True),
    "404": ("unknown_symbol", 404, False),
    "empty": ("no_rows", 200, False),
    "null": ("schema_changed", 200, False),
    "schema": ("schema_changed", 200, False),
    "short_column": ("schema_changed", 200, False),
    "weekly": ("schema_changed", 200, False),
    "split_of_nothing": ("schema_changed", 200, False),
    "other_symbol": ("wrong_symbol", 200, False),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lasting_fault_is_a_finding_and_the_other_tickers_arrive(bench: Bench, fault: str) -> None:
    kind, status, retry = FAULTS[fault]
    bench.stand_in.fail("AAPL", fault)
    (part,) = bench.fetch(request("AAPL", "MSFT", last=ENDED), attempts_max=2)
    assert [(f.kind.value, f.http_status, f.retry) for f in part.findings if f.ticker == "AAPL"] == [(kind, status, retry)]
    assert part.left == (("AAPL",) if retry else ())
    assert part.batch is not None
    assert set(part.batch.prices.tickers.tolist()) == {"MSFT"}
    assert part.stopped == ""
    assert not (part.batch.events.kinds == "delisting").any()


@pytest.mark.parametrize("fault", ["429", "503", "html_200", "cookie", "truncated"])
def test_a_passing_fault_leaves_no_trace_but_a_wait(bench: Bench, fault: str) -> None:
    # yfinance repeats a refused request itself, once, under another cookie.
    bench.stand_in.fail("AAPL", fault, times=2 if fault in {"429", "503", "cookie"} else 1)
    (part,) = bench.fetch(request("AAPL", last=ENDED))
    assert (part.findings, part.left) == ((), ())
    assert part.batch is not None
    backoffs = [seconds for seconds in bench.time.slept if seconds > 0.5 + 1e-9]
    assert len(backoffs) == 1
    assert 1.0 <= backoffs[0] <= 2.0


def test_a_slow_answer_is_no_answer(bench: Bench) -> None:
    bench.stand_in.fail("AAPL", "slow")
    (part,) = bench.fetch(request("AAPL", "MSFT", last=ENDED), timeout_seconds=0.3, attempts_max=1)
    assert kinds(part) == ["no_answer"]
    assert part.left == ("AAPL",)


def test_a_vendor_that_is_not_there_stops_the_source(tmp_path: Path) -> None:
    with bench_of([], tmp_path) as bench:
        session = bench.stand_in.session()
    (part,) = bench.fetch(request(*TICKERS), session=session, attempts_max=1)
    assert part.stopped
    assert {finding.kind for finding in part.findings} == {FindingKind.NO_ANSWER}
    assert part.left == TICKERS
    assert part.batch is None


def test_the_third_refusal_for_too_many_requests_stops_the_source(tmp_path: Path) -> None:
    with bench_of([series(ticker) for ticker in TICKERS], tmp_path) as bench:
        for ticker in TICKERS[3:]:
            bench.stand_in.fail(ticker, "429")
        parts = bench.fetch(request(*TICKERS), part_tickers=20)
        asked = bench.stand_in.chart_requests()
    (part,) = parts
    assert "too many" in part.stopped
    assert part.left == TICKERS[3:20]
    assert part.batch is not None
    assert sorted(set(part.batch.prices.tickers.tolist())) == list(TICKERS[:3])
    # Three refusals, each asked twice by yfinance itself, and nobody after the fourth ticker.
    assert asked == [*TICKERS[:3], *[TICKERS[3]] * 6]


# Pace, parts, resumption


def test_twenty_five_tickers_in_two_parts_at_two_requests_a_second(tmp_path: Path) -> None:
    with bench_of([series(ticker) for ticker in TICKERS], tmp_path) as bench:
        told: list[str] = []
        source = bench.source(part_tickers=20)
        asked = request(*TICKERS, advance=told.append)
        parts = list(source.fetch(asked))
        requests = bench.stand_in.asked
    assert [(part.number, part.tickers) for part in parts] == [(1, TICKERS[:20]), (2, TICKERS[20:])]
    assert source.steps(asked) == len(told) == 25
    assert [r.ticker for r in requests if r.ticker] == list(TICKERS)
    gaps = np.diff([r.elapsed for r in requests])
    assert gaps.min() >= 0.5 - 1e-9
    assert sum(gaps) == pytest.approx(0.5 * (len(requests) - 1))


def test_the_session_that_looks_like_a_browser_is_paced_too(tmp_path: Path) -> None:
    """No request leaves: the bucket is asked before any does, and refuses."""

    class Shut(TokenBucket):
        taken = 0

        def take(self) -> float:
            Shut.taken += 1
            raise ConnectionError

    time = FakeTime()
    source = YahooSource(tmp_path, lambda: NOW, Shut(1.0), Backoff(np.random.default_rng(1), sleep=time.sleep), attempts_max=1)
    (part,) = source.fetch(request("AAPL"))
    assert [finding.kind.value for finding in part.findings] == ["no_answer"]
    assert Shut.taken > 0


def test_kept_answers_are_not_asked_for_again_until_a_session_has_ended(bench: Bench) -> None:
    bench.stand_in.fail("NONE", "404")
    asked = request("AAPL", "NONE", last=None, answers=RawAnswers(bench.folder / "raw"))
    first = bench.fetch(asked)
    again = bench.fetch(replace(asked, answers=RawAnswers(bench.folder / "raw")))
    assert bench.stand_in.chart_requests() == ["AAPL", "NONE", "NONE"]
    assert again[0].findings == first[0].findings
    assert again[0].batch is not None
    assert first[0].batch is not None
    np.testing.assert_array_equal(again[0].batch.prices.close, first[0].batch.prices.close)
    bench.now = datetime(2018, 7, 19, 22, tzinfo=UTC)
    (later,) = bench.fetch(replace(asked, answers=RawAnswers(bench.folder / "raw")))
    assert bench.stand_in.chart_requests() == ["AAPL", "NONE", "NONE"] * 2
    assert later.batch is not None
    assert later.batch.prices.dates[-1].item() == date(2018, 7, 19)


def test_raw_answers_are_kept_as_received_and_failures_are_not(bench: Bench) -> None:
    bench.stand_in.fail("AAPL", "truncated", times=1)
    bench.stand_in.fail("MSFT", "503")
    answers = RawAnswers(bench.folder / "raw")
    bench.fetch(request("AAPL", "MSFT", answers=answers), attempts_max=2)
    kept = answers.find("AAPL")
    assert kept is not None
    asked = next(a for a in bench.stand_in.asked if a.ticker == "AAPL")
    sent = bench.stand_in.chart("AAPL", int(asked.query["period1"]), int(asked.query["period2"]))
    assert (kept.body, kept.status, kept.fetched_at) == (json.dumps(sent).encode(), 200, NOW)
    assert answers.find("MSFT") is None
    assert len(list((bench.folder / "raw").iterdir())) == 1


def test_parts_that_are_done_cost_no_request_and_are_told(bench: Bench) -> None:
    told: list[str] = []
    parts = bench.fetch(request("AAPL", "MSFT", done=frozenset({1}), advance=told.append), part_tickers=1)
    assert [part.number for part in parts] == [2]
    assert bench.stand_in.chart_requests() == ["MSFT"]
    assert told == ["AAPL", "MSFT"]


# Incremental


def test_what_is_kept_is_asked_for_again_only_in_the_overlap(bench: Bench) -> None:
    kept = {"AAPL": (date(2018, 2, 1), date(2018, 7, 16))}
    (part,) = bench.fetch(request("AAPL", "MSFT", last=ENDED, kept=kept))
    assert part.batch is not None
    rows = part.batch.prices
    mine = rows.take(rows.tickers == "AAPL")
    overlap = CALENDAR.sessions_between(date(2018, 1, 2), date(2018, 7, 16))[-10:]
    assert mine.dates.tolist() == [*overlap, date(2018, 7, 17), date(2018, 7, 18)]
    assert set(mine.known_at.tolist()) == {NOW.replace(tzinfo=None)}
    assert len(rows) - len(mine) == len(CALENDAR.sessions_between(date(2018, 2, 1), ENDED))
    assert kinds(part) == []


def test_a_longer_history_than_is_kept_is_fetched_whole(bench: Bench) -> None:
    kept = {"AAPL": (date(2018, 3, 1), date(2018, 7, 17))}
    (part,) = bench.fetch(request("AAPL", last=ENDED, kept=kept))
    assert part.batch is not None
    rows = part.batch.prices
    older = rows.dates < np.datetime64("2018-03-01")
    assert rows.dates[0].item() == date(2018, 2, 1)
    assert rows.known_at[0] == np.datetime64("2018-02-01T22:00:00", "us")
    assert (rows.known_at[~older] == np.datetime64(NOW.replace(tzinfo=None), "us")).all()
    assert part.batch.flags == {"assumed"}
