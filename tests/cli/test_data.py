"""``crowdalpha data``: prices of two markets into one home, what is wrong with them, and wrong files.

Method: the command line on real prices of the United States and the United Kingdom, and on files made wrong by hand.
Independent sources: the files themselves, and cross rates of the European Central Bank by hand.
"""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest

from crowdalpha.errors import Conflict
from market.calendars import to_datetime64, to_instant
from market.exposures import compute_exposures
from market.projection import residualize
from market.synthetic import SyntheticSpec, generate_market
from market.universe import UniverseRule, select_universe
from portfolio.book import BookState
from service.book import put_book
from service.cli.app import run
from service.context import init_home, open_platform
from service.home import Home
from service.vendors.fetched import FetchedMarkets
from service.vendors.ingested import keep_synthetic, market_store
from service.vendors.registry import open_source
from service.workflows.ingest import _look, fetch_request

NAMES = 150
FIRST, LAST = np.datetime64("2014-06-02"), np.datetime64("2016-06-30")


@pytest.fixture(scope="module")
def files(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two years of some US stocks and of all UK ones."""
    folder = tmp_path_factory.mktemp("files")
    span = [("date", ">=", FIRST.astype(object)), ("date", "<=", LAST.astype(object))]
    us = pq.read_table(real_data / "us_daily.parquet", filters=span)
    tickers = us.column("ticker").unique().to_pylist()[::15][:NAMES]
    pq.write_table(us.filter(pa.compute.is_in(us.column("ticker").cast(pa.string()), pa.array(tickers))), folder / "us.parquet")
    uk = pq.read_table(real_data / "uk_daily.parquet", filters=span)
    pq.write_table(uk, folder / "uk.parquet")
    (folder / "meta.csv.gz").write_bytes((real_data / "equity_meta.csv.gz").read_bytes())
    (folder / "fx.csv.gz").write_bytes((real_data / "fx_ecb_daily.csv.gz").read_bytes())
    return folder


class Answer(NamedTuple):
    """What a command said and how it left."""

    exit_code: int
    stdout: str
    output: str


def called(home: Path, *arguments: object) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(["data", *map(str, arguments), "--home", str(home)])
    return Answer(code, out.getvalue(), out.getvalue() + err.getvalue())


@pytest.fixture(scope="module")
def both(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with both markets."""
    home = tmp_path_factory.mktemp("both") / "home"
    init_home(home)
    us = called(home, "ingest", "--prices", files / "us.parquet", "--meta", files / "meta.csv.gz", "--json")
    assert us.exit_code == 0, us.output
    assert json.loads(us.stdout)["assets"] == NAMES
    line = ("--dataset", "uk", "--exchange", "XLON", "--country", "GB", "--currency", "GBp", "--fx", files / "fx.csv.gz")
    uk = called(home, "ingest", "--prices", files / "uk.parquet", "--meta", files / "meta.csv.gz", *line, "--json")
    assert uk.exit_code == 0, uk.output
    return home


def test_two_markets_are_one_panel_on_the_joint_calendar(both: Path) -> None:
    with open_platform(both) as platform:
        panel = platform.desk.panel
        assert panel.exchange_names == ("XLON", "XNYS")
        days = panel.sessions.astype(str).tolist()
        assert "2015-11-26" in days, "Thanksgiving trades in London"
        assert "2015-12-28" in days, "the day after Boxing Day trades in New York alone"
        view = panel.as_of(to_instant(panel.known_at[-1]))
        london = view.trading[:, 0]
        assert not london[days.index("2015-12-28")]
        assert {"survivors_only", "adjusted_prices", "static_lookahead"} <= panel.flags
        closed = np.flatnonzero(~london)
        british = np.flatnonzero(view.assets.exchanges == "XLON")
        assert np.isnan(view.close[np.ix_(closed, british)]).all()


def test_returns_of_london_are_in_dollars(both: Path, files: Path) -> None:
    rates = pv.read_csv(files / "fx.csv.gz").to_pandas()
    rates["date"] = rates["date"].astype(str)
    table = rates.pivot(index="date", columns="ccy", values="per_eur")
    uk = pq.read_table(files / "uk.parquet").to_pandas()
    uk = uk[uk["ticker"] == "VOD.L"].assign(date=lambda t: t["date"].astype(str)).set_index("date")["adj_close"].astype(float)
    with open_platform(both) as platform:
        view = platform.desk.view(to_instant(platform.desk.panel.known_at[-1]))
        asset = view.assets.tickers.tolist().index("VOD.L")
        days = view.sessions.astype(str).tolist()
        for before, day in (("2016-06-23", "2016-06-24"), ("2015-03-10", "2015-03-11")):
            sterling = [table.loc[d, "USD"] / table.loc[d, "GBP"] for d in (before, day)]
            expected = uk[day] / uk[before] * sterling[1] / sterling[0] - 1
            assert view.total_returns()[days.index(day), asset] == pytest.approx(expected, abs=1e-9)


def test_a_universe_of_two_countries_has_their_dummies_and_targets_neutral_to_them(both: Path) -> None:
    with open_platform(both) as platform:
        view = platform.desk.view(to_instant(platform.desk.panel.known_at[-1]))
        members = select_universe(view, UniverseRule(size=400)).members
        exposures = compute_exposures(view, members)
        countries = [name for name, kind in zip(exposures.names, exposures.kinds, strict=True) if kind == "country"]
        assert countries == ["country:GB", "country:US"]
        assert exposures.columns("country").sum(axis=0).min() >= 50
        returns = np.nan_to_num(view.total_returns()[-1, members])
        rest = residualize(returns, exposures.values)
        assert np.abs(exposures.columns("country").T @ rest).max() <= 1e-10


def test_the_check_says_what_is_kept_and_what_was_set_aside(both: Path) -> None:
    answer = called(both, "check", "--json")
    assert answer.exit_code == 0, answer.output
    report = json.loads(answer.stdout)
    assert sorted(report["datasets"]) == ["prices", "uk"]
    uk = report["datasets"]["uk"]
    assert (uk["about"]["exchange"], uk["about"]["currency"], uk["about"]["price_basis"]) == ("XLON", "GBp", "total_return")
    assert uk["rows"]["all"] == uk["rows"]["accepted"] + uk["rows"]["unused"] + uk["rows"]["quarantined"]
    page = (both / "reports" / "data-quality.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "Survivors only" in page
    shown = called(both, "check")
    assert "dataset uk" in shown.stdout


def write(folder: Path, text: str) -> Path:
    path = folder / "wrong.csv"
    path.write_text(text)
    return path


HEAD = "ticker,date,open,close,adj_close,volume\n"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda f: write(f, "ticker,date\nA,2015-01-05\n"), "prices_columns"),
        (lambda f: write(f, HEAD), "prices_invalid"),
        (lambda f: write(f, HEAD + "A,yesterday,1,1,1,1\n"), "prices_unreadable"),
        (lambda f: write(f, HEAD + "A,2015-01-05,one,1,1,1\n"), "prices_unreadable"),
        (lambda f: f / "absent.parquet", "prices_missing"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_changes_nothing(
    make: Callable[[Path], Path], code: str, both: Path, tmp_path: Path
) -> None:
    before = (both / "data/market/market.json").read_bytes()
    answer = called(both, "ingest", "--prices", make(tmp_path))
    assert answer.exit_code in {2, 4}
    assert f"[{code}]" in answer.output, answer.output
    assert (both / "data/market/market.json").read_bytes() == before


def test_a_half_written_parquet_is_refused(both: Path, files: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.parquet"
    torn.write_bytes((files / "us.parquet").read_bytes()[:-500])
    answer = called(both, "ingest", "--prices", torn)
    assert answer.exit_code == 2
    assert "[prices_unreadable]" in answer.output


def test_foreign_prices_without_rates_are_refused_before_anything_is_kept(files: Path, tmp_path: Path) -> None:
    init_home(tmp_path / "home")
    line = ("--exchange", "XLON", "--currency", "GBp")
    answer = called(tmp_path / "home", "ingest", "--prices", files / "uk.parquet", *line)
    assert answer.exit_code == 2
    assert "[fx_missing]" in answer.output
    assert not (tmp_path / "home/data/market/market.json").exists()


def market_file(path: Path, tickers: list[str], seed: int, count: int = 40) -> Path:
    """Write a walk a ticker from 2015-01-02 on."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    walks = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.01, (count, len(tickers))), axis=0)), 3)
    rows = [
        f"{x},{day},{v},{v},{v},12000\n" for t, day in enumerate(days(count)) for x, v in zip(tickers, walks[t], strict=True)
    ]
    path.write_text(HEAD + "".join(rows))
    return path


def rates_file(path: Path, units: list[str], count: int = 40) -> Path:
    path.write_text("date,ccy,per_eur\n" + "".join(f"{day},{unit},1.25\n" for day in days(count) for unit in units))
    return path


def test_a_dataset_that_no_panel_can_be_made_of_is_refused_with_the_file(tmp_path: Path) -> None:
    home = tmp_path / "home"
    init_home(home)
    own = market_file(tmp_path / "own.csv", [f"A{k:02d}" for k in range(30)], 4)
    other = market_file(tmp_path / "other.csv", [f"B{k:02d}" for k in range(30)], 5)
    short = rates_file(tmp_path / "short.csv", ["USD", "GBP"], count=20)
    assert called(home, "ingest", "--prices", own, "--fx", rates_file(tmp_path / "dollars.csv", ["USD"])).exit_code == 0
    before = (home / "data/market/market.json").read_bytes()
    line = ("ingest", "--prices", other, "--dataset", "other", "--country", "GB", "--currency")
    for currency in ("GBP", "XQX"):
        answer = called(home, *line, currency)
        assert (answer.exit_code, "[fx_missing]" in answer.output) == (2, True), answer.output
        assert (home / "data/market/market.json").read_bytes() == before
    assert called(home, "ingest", "--fx", short).exit_code == 0
    before = (home / "data/market/market.json").read_bytes()
    assert "[fx_missing]" in called(home, *line, "GBP").output, "twenty sessions lie behind the last rate"
    assert (home / "data/market/market.json").read_bytes() == before
    assert called(home, "ingest", "--prices", own).exit_code == 0, "the home is as it was"
    long = rates_file(tmp_path / "long.csv", ["USD", "GBP"])
    answer = called(home, *line, "GBP", "--fx", long, "--json")
    assert (answer.exit_code, json.loads(answer.stdout)["assets"]) == (0, 60)
    kept = (home / "data/market/market.json").read_bytes()
    assert "[fx_missing]" in called(home, "ingest", "--fx", short).output, "these would leave prices without rates"
    assert (home / "data/market/market.json").read_bytes() == kept
    assert not (home / "data/market/market.draft.json").exists()


def test_a_market_made_from_a_seed_takes_no_other_prices(tmp_path: Path) -> None:
    """They would be kept, and never read."""
    home = init_home(tmp_path / "home")
    made = SyntheticSpec(seed=4, n_assets=12, start=date(2015, 6, 1), end=date(2016, 1, 5))
    keep_synthetic(home, made, generate_market(made))
    own = market_file(tmp_path / "own.csv", ["A01", "A02"], 9)
    for line in (["--prices", own], ["--fx", rates_file(tmp_path / "fx.csv", ["USD"])], ["--source", "csv", "--prices", own]):
        answer = called(home.path, "ingest", *line)
        assert (answer.exit_code, "[dataset_differs]" in answer.output) == (3, True), answer.output
    assert not (home.data / "market/market.json").exists()


def test_a_dataset_that_would_rename_what_is_held_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    init_home(home)
    assert (
        called(home, "ingest", "--prices", market_file(tmp_path / "own.csv", [f"A{k:02d}" for k in range(30)], 6)).exit_code
        == 0
    )
    with open_platform(home) as platform, platform.store.write() as connection:
        put_book(connection, platform, BookState(np.array(["A03"]), np.array([100.0]), 900.0), date(2015, 2, 27))
    before = (home / "data/market/market.json").read_bytes()
    clash = market_file(tmp_path / "clash.csv", [f"A{k:02d}" for k in range(3, 10)], 7)
    line = ("--dataset", "other", "--country", "GB")
    answer = called(home, "ingest", "--prices", clash, *line)
    assert (answer.exit_code, "[asset_ids_in_use]" in answer.output, "(A03)" in answer.output) == (3, True, True), answer.output
    assert (home / "data/market/market.json").read_bytes() == before
    free = market_file(tmp_path / "free.csv", [f"A{k:02d}" for k in range(4, 10)], 8)
    assert called(home, "ingest", "--prices", free, *line).exit_code == 0, "nobody holds these"
    before = (home / "data/market/market.json").read_bytes()
    later = market_file(tmp_path / "later.csv", ["A03", "C01", "C02"], 14)
    for again in (["--prices", later, *line], ["--source", "csv", "--prices", later]):
        answer = called(home, "ingest", *again)
        assert (answer.exit_code, "[asset_ids_in_use]" in answer.output) == (3, True), answer.output
        assert (home / "data/market/market.json").read_bytes() == before


def test_a_source_that_no_panel_can_be_made_of_is_refused_whole(tmp_path: Path) -> None:
    home = tmp_path / "home"
    init_home(home)
    own = market_file(tmp_path / "own.csv", [f"A{k:02d}" for k in range(30)], 10)
    short = rates_file(tmp_path / "short.csv", ["USD", "GBP"], count=20)
    assert called(home, "ingest", "--prices", own, "--fx", short).exit_code == 0
    other = market_file(tmp_path / "other.csv", [f"B{k:02d}" for k in range(30)], 11)
    rows = other.read_text().splitlines()
    other.write_text("\n".join([rows[0] + ",currency", *(f"{row},GBP" for row in rows[1:])]) + "\n")
    before = (home / "data/market/market.json").read_bytes()
    answer = called(home, "ingest", "--source", "csv", "--prices", other)
    assert (answer.exit_code, "[fx_missing]" in answer.output) == (2, True), answer.output
    assert (home / "data/market/market.json").read_bytes() == before
    long = rates_file(tmp_path / "long.csv", ["USD", "GBP"])
    assert called(home, "ingest", "--fx", long).exit_code == 0
    assert called(home, "ingest", "--source", "csv", "--prices", other).exit_code == 0
    with open_platform(home) as platform:
        assert len(platform.desk.panel.assets) == 60


def test_a_vendor_s_new_ticker_renames_nothing_that_is_held(tmp_path: Path) -> None:
    """Part by part, before the part counts; tickers that are known are not looked at."""
    home = tmp_path / "home"
    init_home(home)
    own = market_file(tmp_path / "own.csv", [f"A{k:02d}" for k in range(30)], 12)
    assert called(home, "ingest", "--prices", own).exit_code == 0
    with open_platform(home) as platform:
        source = open_source(platform, "csv", market_file(tmp_path / "clash.csv", ["A03", "A04"], 13), 0)
        kept = FetchedMarkets(market_store(platform.home), source, platform.settings, to_datetime64(platform.clock.now()))
        part = next(iter(source.fetch(fetch_request(platform, source, (), None))))
        with kept.drafted() as draft:
            draft.keep(part.batch)
            _look(platform, {})(draft, part.batch)  # nobody holds anything yet
            with platform.store.write() as connection:
                put_book(connection, platform, BookState(np.array(["A03"]), np.array([100.0]), 900.0), date(2015, 2, 27))
            _look(platform, {"A03": None, "A04": None})(draft, part.batch)
            with pytest.raises(Conflict, match="A03"):
                _look(platform, {"A04": None})(draft, part.batch)


def test_a_row_that_a_person_clears_is_used_from_then_on_and_on_record(tmp_path: Path) -> None:
    print("seed 3")
    rng = np.random.default_rng(3)
    walks = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.01, (40, 30)), axis=0)), 3)
    volumes = rng.integers(10_000, 20_000, walks.shape)
    walks[days(40).index("2015-02-09"), 2] *= 100
    rows = [
        f"A{k:02d},{day},{walks[t, k]},{walks[t, k]},{walks[t, k]},{volumes[t, k]}\n"
        for k in range(30)
        for t, day in enumerate(days(40))
    ]
    home = Home(tmp_path / "home")
    init_home(home.path)
    assert called(home.path, "ingest", "--prices", write(tmp_path, HEAD + "".join(rows))).exit_code == 0
    with open_platform(home.path) as platform:
        at = platform.desk.panel.assets.tickers.tolist().index("A02")
        assert np.isnan(platform.desk.panel.close[:, at]).sum() == 1
    refused = called(home.path, "clear", "A03", "--from", "2015-02-09", "--why", "looked it up")
    assert refused.exit_code == 2
    cleared = called(home.path, "clear", "A02", "--from", "2015-02-09", "--why", "looked it up")
    assert cleared.exit_code == 0, cleared.output
    with open_platform(home.path) as platform, platform.store.read() as connection:
        from service.store import audit

        panel = platform.desk.panel
        row = panel.index_of(np.datetime64("2015-02-09").astype(object))
        assert np.isnan(panel.close[row, at]), "not in what was known then"
        assert len(panel.revisions) > 0
        assert audit.list_audit(connection, "A02")[-1].details["why"] == "looked it up"


def days(count: int) -> list[str]:
    from market.calendars import session_calendar

    calendar = session_calendar("XNYS", np.datetime64("2015-01-02").astype(object), np.datetime64("2015-12-31").astype(object))
    return calendar.sessions[:count].astype(str).tolist()
