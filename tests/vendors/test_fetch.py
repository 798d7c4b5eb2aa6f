"""Goal: a fetch keeps what is new, once, whatever is killed and repeated.

Method: the real yfinance client against a stand-in; what an undisturbed run keeps is what every other run must come to; SIGKILL
before and after every file that is written, and while an answer is under way.
"""

import json
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdalpha.errors import Conflict, InputRejected, Unavailable
from market.batch import EventRows, PriceRows, join_rows
from market.calendars import to_datetime64
from service import atomic
from service.cli import run as run_command
from service.clock import SimulatedClock
from service.context import Platform, build_platform, init_home
from service.home import Home
from service.idsource import SeededIds
from service.pricerows import events_of, price_rows_of
from service.settings import load_settings
from service.store import audit
from service.vendors import registry
from service.vendors.fetched import FetchedMarkets
from service.vendors.ingested import market_store
from service.vendors.pace import Backoff, TokenBucket
from service.vendors.source import PriceSource
from service.vendors.yahoo import YahooSource
from service.workflows.ingest import FetchReport, fetch_request, ingest_from
from tests.builders.yahoo import FakeTime, Series, StandIn, make_series

FIRST, LAST = date(2018, 1, 2), date(2018, 7, 31)
WANTED_FROM = date(2018, 5, 1)
NOW = datetime(2018, 7, 18, 22, 0, tzinfo=UTC)
NEXT_DAY = datetime(2018, 7, 19, 22, 0, tzinfo=UTC)
TICKERS = tuple(f"TICK{i}" for i in range(6))
PART = 3
POINTS = 48
"""Before and after each of 24 files: the request, six answers, the end, and for each of two parts the draft as it begins, its
prices, its events, what the gate remembers and what it said, the draft's manifest, the manifest and a mark."""
SPLIT_ON, PAID_ON = date(2018, 6, 8), date(2018, 5, 11)


def market() -> list[Series]:
    return [make_series(ticker, FIRST, LAST, 8, {SPLIT_ON: (7, 1)}, {PAID_ON: 0.73}) for ticker in TICKERS]


@dataclass
class Told:
    """A progress that remembers."""

    total: int = 0
    steps: int = 0
    notes: list[str] = field(default_factory=list)

    def start(self, total: int, text: str) -> None:
        self.total = total

    def advance(self, text: str = "") -> None:
        self.steps += 1

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fetch") / "home"
    init_home(path)
    return path


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Home:
    return fresh(template, tmp_path / "home")


def fresh(template: Path, path: Path) -> Home:
    shutil.copytree(template, path)
    return Home.open(path)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn(market()) as made:
        yield made


@contextmanager
def platform_on(home: Home, now: datetime = NOW) -> Iterator[Platform]:
    settings = load_settings().with_overrides({"vendors.part_tickers": PART, "vendors.attempts_max": 2})
    platform = build_platform(home, settings, SimulatedClock(now), SeededIds(1), durable=False)
    try:
        yield platform
    finally:
        platform.store.dispose()


def yahoo(platform: Platform, stand_in: StandIn, time: FakeTime | None = None) -> PriceSource:
    time = time or FakeTime()
    return YahooSource(
        platform.home.data / "yfinance",
        platform.clock.now,
        TokenBucket(1000.0, 1, time.elapsed, time.sleep),
        Backoff(np.random.default_rng(1), sleep=time.sleep),
        part_tickers=platform.settings.vendors.part_tickers,
        attempts_max=platform.settings.vendors.attempts_max,
        session=stand_in.session(),
    )


def fetch(home: Home, stand_in: StandIn, now: datetime = NOW, told: Told | None = None) -> FetchReport:
    with platform_on(home, now) as platform:
        source = yahoo(platform, stand_in)
        request = fetch_request(platform, source, TICKERS, WANTED_FROM)
        kept = FetchedMarkets(market_store(home, sync=False), source, platform.settings, to_datetime64(now))
        return ingest_from(platform, source, request, told or Told(), kept)


def kept_rows(home: Home) -> list[tuple[Any, ...]]:
    """All kept prices and events as sorted tuples."""
    store = market_store(home)
    names = list(store.manifest()["datasets"])
    prices = join_rows([PriceRows.empty(), *(price_rows_of(store, name) for name in names)])
    events = join_rows([EventRows.empty(), *(events_of(store, name) for name in names)])
    rows = zip(prices.tickers, prices.dates, prices.known_at, prices.close.round(6), prices.volume.round(3), strict=True)
    return sorted(rows) + sorted(zip(events.kinds, events.tickers, events.dates, events.known_at, events.values, strict=True))


def kinds(report: FetchReport) -> Counter[str]:
    return Counter(finding.kind.value for finding in report.findings)


# One run


def test_what_was_fetched_is_kept_once_told_and_recorded(home: Home, stand_in: StandIn) -> None:
    told = Told()
    report = fetch(home, stand_in, told=told)
    sessions = len([day for day in stand_in.series["TICK0"].sessions if WANTED_FROM <= day <= NOW.date()])
    assert report.as_dict() == {
        "source": "yfinance",
        "parts": 2,
        "resumed_parts": 0,
        "rows": 6 * sessions,
        "events": 12,
        "restated_rows": 0,
        "left": 0,
        "findings": {},
    }
    assert (told.total, told.steps) == (6, 6)
    assert len(kept_rows(home)) == 6 * sessions + 12
    with platform_on(home) as platform, platform.store.read() as connection:
        entry = audit.list_audit(connection, "yfinance")[-1]
    assert (entry.what, entry.subject, entry.details["rows"]) == ("fetch", "yfinance", 6 * sessions)


def test_the_same_again_keeps_nothing_new(home: Home, stand_in: StandIn) -> None:
    fetch(home, stand_in)
    before = kept_rows(home)
    report = fetch(home, stand_in)
    assert (report.counts.rows, report.counts.events, report.resumed_parts) == (0, 0, 0)
    assert kept_rows(home) == before


def test_the_next_day_brings_one_session_known_when_it_was_fetched(home: Home, stand_in: StandIn) -> None:
    fetch(home, stand_in)
    before = kept_rows(home)
    report = fetch(home, stand_in, NEXT_DAY)
    new = [row for row in kept_rows(home) if row not in before]
    assert (report.counts.rows, report.counts.events, kinds(report)) == (6, 0, Counter())
    assert {(row[1], row[2]) for row in new} == {(np.datetime64("2018-07-19"), np.datetime64("2018-07-19T22:00:00", "us"))}


# Restatements


def test_a_restatement_is_added_with_its_own_instant_and_the_former_row_stays(home: Home, stand_in: StandIn) -> None:
    fetch(home, stand_in)
    before = kept_rows(home)
    changed = stand_in.series["TICK2"]
    at = changed.sessions.index(date(2018, 7, 12))
    for column in ("open", "high", "low", "close"):
        changed.prices[column][at] = round((changed.prices[column][at] or 0) * 1.02, 2)
    small = changed.sessions.index(date(2018, 7, 13))
    changed.prices["close"][small] = (changed.prices["close"][small] or 0) * 1.004
    report = fetch(home, stand_in, NEXT_DAY)
    assert kinds(report) == Counter(restatement=1)
    (finding,) = [f for f in report.findings if f.kind.value == "restatement"]
    assert finding.ticker == "TICK2"
    assert "1 sessions from 2018-07-12 on, by up to 2.0" in finding.message
    assert report.counts.restated_rows == 1
    after = kept_rows(home)
    assert set(before) <= set(after)
    cells = [row for row in after if row[:2] == ("TICK2", np.datetime64("2018-07-12"))]
    assert [row[2] for row in cells] == [np.datetime64("2018-07-12T21:00:00", "us"), np.datetime64("2018-07-19T22:00:00", "us")]
    assert cells[1][3] == pytest.approx(cells[0][3] * 1.02, abs=0.01)
    # Told once: the restated row is what is known from now on.
    assert kinds(fetch(home, stand_in, NEXT_DAY)) == Counter()


def test_a_split_that_the_vendor_forgets_is_a_restatement_and_one_that_it_lists_is_none(home: Home, stand_in: StandIn) -> None:
    fetch(home, stand_in)
    day = date(2018, 7, 19)
    for ticker in ("TICK0", "TICK1"):
        old = stand_in.series[ticker]
        at = old.sessions.index(day)
        for name, column in old.prices.items():
            factor = 2.0 if name == "volume" else 0.5
            old.prices[name] = [*column[:at], *[(value or 0) * factor for value in column[at:]]]
    stand_in.series["TICK0"].splits[day] = (2, 1)
    # Of the other the vendor shows adjusted prices and lists no event.
    forgotten = stand_in.series["TICK1"]
    at = forgotten.sessions.index(day)
    for name, column in forgotten.prices.items():
        factor = 2.0 if name == "volume" else 0.5
        forgotten.prices[name] = [*[(value or 0) * factor for value in column[:at]], *column[at:]]
    report = fetch(home, stand_in, NEXT_DAY)
    assert [f.ticker for f in report.findings if f.kind.value == "restatement"] == ["TICK1"]
    assert report.counts.events == 1


# Interruption


def test_what_the_vendor_refuses_is_left_and_the_same_command_fetches_just_that(home: Home, stand_in: StandIn) -> None:
    stand_in.fail("TICK1", "503")
    with pytest.raises(Unavailable, match=r"1 of 6 tickers are still to be asked \(TICK1\)"):
        fetch(home, stand_in)
    stand_in.heal()
    stand_in.asked.clear()
    report = fetch(home, stand_in)
    assert stand_in.chart_requests() == ["TICK1"]
    assert (report.parts, report.resumed_parts, report.left) == (2, 1, [])
    calm = Home.create(home.path.parent / "calm")
    fetch(calm, stand_in)
    assert kept_rows(home) == kept_rows(calm)


def test_the_third_429_stops_the_run_and_it_goes_on_from_there(home: Home, stand_in: StandIn) -> None:
    for ticker in TICKERS[2:]:
        stand_in.fail(ticker, "429")
    # Two refusals in the first part, and the third in the second part, where the fourth ticker has two.
    with pytest.raises(Unavailable, match=r"too many. 4 of 6 tickers are still to be asked \(TICK2, TICK3, TICK4, TICK5\)"):
        fetch(home, stand_in)
    assert set(stand_in.chart_requests()) == set(TICKERS[:5])
    stand_in.heal()
    stand_in.asked.clear()
    fetch(home, stand_in)
    assert stand_in.chart_requests() == list(TICKERS[2:])
    assert {row[0] for row in kept_rows(home)} >= set(TICKERS)


def test_a_run_that_goes_on_tells_what_was_found_before_the_interruption(home: Home, stand_in: StandIn) -> None:
    stand_in.fail("TICK0", "503")
    stand_in.fail("TICK4", "404")
    with pytest.raises(Unavailable):
        fetch(home, stand_in)
    stand_in.heal()
    report = fetch(home, stand_in)
    assert [(f.kind.value, f.ticker, f.http_status, f.retry) for f in report.findings] == [
        ("unknown_symbol", "TICK4", 404, False)
    ]


def test_a_part_that_was_kept_is_never_counted_as_left(home: Home, stand_in: StandIn) -> None:
    stand_in.fail("TICK0", "503")
    with pytest.raises(Unavailable, match=r"1 of 6"):
        fetch(home, stand_in)
    for ticker in TICKERS:
        stand_in.fail(ticker, "429")
    stand_in.asked.clear()
    with pytest.raises(Unavailable, match=r"1 of 6 tickers are still to be asked \(TICK0\)"):
        fetch(home, stand_in)
    assert set(stand_in.chart_requests()) == {"TICK0"}


def in_child(work: Callable[[], Any]) -> int:
    """Run ``work`` in a forked child; return the signal that ended it, 0 for none."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status := os.waitpid(child, 0)[1]) else 0


def kill_at(point: int) -> None:
    """Kill this process at its ``point``-th chance: one before and one after each file gets its name."""
    publish, chances = atomic._publish, iter(range(10**6))

    def chance() -> None:
        if next(chances) == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly(*arguments: Any, **options: Any) -> bool:
        chance()
        done = publish(*arguments, **options)
        chance()
        return done

    atomic._publish = deadly


def test_killed_before_and_after_every_file_and_run_again_it_comes_to_the_same(
    template: Path, tmp_path: Path, stand_in: StandIn
) -> None:
    calm = fresh(template, tmp_path / "calm")
    assert in_child(lambda: fetch(calm, stand_in)) == 0
    wanted, point = kept_rows(calm), 0
    assert len(wanted) > 300
    while True:
        home = fresh(template, tmp_path / f"home-{point}")
        stand_in.asked.clear()

        def killed(home: Home = home, point: int = point) -> None:
            kill_at(point)
            fetch(home, stand_in)

        if in_child(killed) == 0:
            break
        assert in_child(lambda home=home: fetch(home, stand_in)) == 0
        assert kept_rows(home) == wanted, f"killed at {point}"
        asked = Counter(stand_in.chart_requests())
        assert set(asked) == set(TICKERS)
        # Only the answer that was under way may have been asked for again; after a finished run the next one asks anew.
        finished = point == POINTS - 1
        assert sum(asked.values()) <= len(TICKERS) * (1 + finished) + 1, f"killed at {point}: {asked}"
        shutil.rmtree(home.path)
        point += 1
    assert point == POINTS


@pytest.mark.parametrize("request_number", [1, 3, 5, 6])
def test_killed_while_an_answer_is_under_way_it_comes_to_the_same(
    template: Path, tmp_path: Path, stand_in: StandIn, request_number: int
) -> None:
    calm = fresh(template, tmp_path / "calm")
    assert in_child(lambda: fetch(calm, stand_in)) == 0
    home, child, known = fresh(template, tmp_path / "home"), [0], threading.Event()
    stand_in.asked.clear()

    def kill(_: Any) -> None:
        if len(stand_in.chart_requests()) == request_number:
            known.wait(20)
            os.kill(child[0], signal.SIGKILL)

    stand_in.on_ask = kill
    child[0] = os.fork()
    if child[0] == 0:
        fetch(home, stand_in)
        os._exit(0)
    known.set()
    assert os.WTERMSIG(os.waitpid(child[0], 0)[1]) == signal.SIGKILL
    stand_in.on_ask = lambda _: None
    before = len(stand_in.chart_requests())
    assert in_child(lambda: fetch(home, stand_in)) == 0
    assert kept_rows(home) == kept_rows(calm)
    assert len(stand_in.chart_requests()) - before == len(TICKERS) - request_number + 1


def test_two_fetches_at_once_are_told_apart(home: Home, stand_in: StandIn) -> None:
    with home.lock(), pytest.raises(Conflict):
        fetch(home, stand_in)
    assert stand_in.asked == []


# The door


@pytest.fixture
def door(home: Home, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return the command line, whose yfinance talks to the stand-in."""
    monkeypatch.setattr(registry, "_yahoo", lambda platform: yahoo(platform, stand_in))

    def call(*arguments: object) -> int:
        return run_command(["data", "ingest", "--home", str(home.path), *map(str, arguments)])

    return call


def test_the_command_fetches_a_file_of_tickers(
    door: Callable[..., int], home: Home, stand_in: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tickers = tmp_path / "tickers.txt"
    tickers.write_text("ticker\nTICK0\nTICK1  # the second\n\nNOPE\nTICK0\n")
    line = ("--source", "yfinance", "--tickers", tickers, "--from", "2018-05-01", "--to", "2018-07-18", "--json")
    assert door(*line) == 0
    out = json.loads(capsys.readouterr().out)
    assert (out["findings"], out["events"], out["left"]) == ({"unknown_symbol": 1}, 4, 0)
    assert out["details"][0]["ticker"] == "NOPE"
    (kept,) = market_store(home).manifest()["datasets"].values()
    assert (kept["about"]["exchange"], kept["about"]["price_basis"], len(kept["batches"])) == ("XNYS", "raw", 1)
    stand_in.fail("TICK0", "429")
    assert door(*line) == Unavailable.exit_code
    assert "[vendor_unavailable]" in capsys.readouterr().err


def test_without_json_it_shows_figures(door: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("symbol,name\nTICK0,Some\n")
    assert door("--source", "yfinance", "--tickers", tmp_path / "t.csv", "--from", "2018-05-01", "--to", "2018-06-29") == 0
    shown = capsys.readouterr()
    assert "rows" in shown.out
    assert "fetching from yfinance" in shown.err


def test_a_folder_goes_the_same_way(
    door: Callable[..., int], home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for ticker in ("A", "B"):
        rows = f"ticker,date,close,split\n{ticker},2018-06-07,70,\n{ticker},2018-06-08,10,7\n"
        (tmp_path / "in" / f"{ticker}.csv").write_text(rows)
    assert door("--source", "csv", "--prices", tmp_path / "in", "--json") == 0
    out = json.loads(capsys.readouterr().out)
    assert (out["parts"], out["rows"], out["events"]) == (2, 4, 2)
    assert door("--source", "csv", "--prices", tmp_path / "in", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 0
    assert not (home.data / "raw").exists()


def test_the_synthetic_market_goes_the_same_way(door: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert door("--source", "synthetic", "--seed", 3, "--from", "2017-11-01", "--json") == 0
    out = json.loads(capsys.readouterr().out)
    assert (out["source"], out["parts"]) == ("synthetic", 1)
    assert out["rows"] > 5_000


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["--source", "yfinance", "--from", "2018-05-01"], "request_invalid"),
        (["--source", "yfinance", "--tickers", "GOOD"], "request_invalid"),
        (["--source", "yfinance", "--tickers", "BAD", "--from", "2018-05-01"], "tickers_invalid"),
        (["--source", "yfinance", "--tickers", "EMPTY", "--from", "2018-05-01"], "tickers_invalid"),
        (["--source", "yfinance", "--tickers", "GONE", "--from", "2018-05-01"], "tickers_invalid"),
        (["--source", "yfinance", "--tickers", "GOOD", "--from", "2018-5-1"], "date_invalid"),
        (["--source", "yfinance", "--tickers", "GOOD", "--from", "2018-06-01", "--to", "2018-05-01"], "date_invalid"),
        (["--source", "parquet"], "request_invalid"),
        (["--source", "csv", "--prices", "GONE"], "prices_missing"),
        ([], "request_invalid"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    door: Callable[..., int], tmp_path: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str], line: list[str], code: str
) -> None:
    files = {"GOOD": "TICK0\n", "BAD": "TICK0\nnot a ticker\nTICK\u00c4\n=1+1\n", "EMPTY": "# none\n\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    said = [str(tmp_path / word) if word in {*files, "GONE"} else word for word in line]
    assert door(*said) in {InputRejected.exit_code, Unavailable.exit_code}
    assert f"[{code}]" in capsys.readouterr().err
    assert stand_in.asked == []
