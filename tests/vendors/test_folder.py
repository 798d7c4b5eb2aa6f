"""Goal: folders of files and the synthetic market are sources like any other, and what is left in a folder comes back.

Method: files written by hand with each optional column, real prices whose adjusted closes are the independent word on their
total returns, and the same rows read back.
"""

import gzip
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crowdalpha.errors import InputRejected, Unavailable
from market.batch import DELISTING, RAW, SPLIT_ADJUSTED, TOTAL_RETURN, PriceBatch
from market.calendars import session_calendar, to_date
from market.synthetic import SyntheticSpec, generate_market
from service.vendors.folder import FolderSource
from service.vendors.source import FetchRequest, assumed_known_at, last_finished
from service.vendors.synthetic import SyntheticSource
from tests.builders.yahoo import CALENDAR

NOW = datetime(2018, 7, 18, 22, 0, tzinfo=UTC)
ALL = FetchRequest((), None, None, NOW, lambda _: CALENDAR, 60)

CSV = """\
ticker,date,open,high,low,close,volume,currency,split,dividend,known_at
NA,2018-06-07,699,705,690,700,1000,USD,,,2018-06-07T23:00:00
NA,2018-06-08,100,102,99,101,7000,USD,7,,2018-06-08T23:00:00
NA,2018-06-11,101,,99,100,7100,USD,1,0.5,2018-06-12T01:00:00
B,2018-06-08,10,11,9,10,,GBp,,0,2018-06-08T23:00:00
"""


def only(source: FolderSource | SyntheticSource, request: FetchRequest = ALL) -> PriceBatch:
    (part,) = source.fetch(request)
    assert part.batch is not None
    return part.batch


def write(folder: Path, name: str, **columns: Any) -> Path:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / name)
    return folder / name


def test_every_optional_column_is_taken_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(CSV)
    batch = only(FolderSource(tmp_path, "csv"))
    rows, events = batch.prices, batch.events
    assert (batch.source, batch.price_basis, batch.flags) == ("csv", RAW, frozenset())
    assert rows.tickers.tolist() == ["NA", "NA", "NA", "B"]
    assert rows.row.tolist() == [1, 2, 3, 4]
    assert rows.currencies.tolist() == ["USD", "USD", "USD", "GBp"]
    assert rows.known_at[2] == np.datetime64("2018-06-12T01:00:00", "us")
    assert np.isnan(rows.high[2])
    assert np.isnan(rows.volume[3])
    found = list(zip(events.kinds, events.tickers, events.dates.astype(str), events.values, strict=True))
    assert found == [("split", "NA", "2018-06-08", 7.0), ("dividend", "NA", "2018-06-11", 0.5)]
    assert events.known_at[1] == rows.known_at[2]


def test_without_known_at_a_row_counts_as_known_at_its_close_and_says_so(tmp_path: Path) -> None:
    days = [date(2018, 7, 3), date(2018, 7, 4), date(2018, 7, 5)]
    write(tmp_path, "p.parquet", ticker=["A"] * 3, date=days, close=[1.0, 2.0, 3.0])
    batch = only(FolderSource(tmp_path, "parquet"))
    assert batch.flags == {"assumed"}
    assert batch.price_basis == SPLIT_ADJUSTED
    # A half day; a holiday, known with the next session; a whole day.
    assert batch.prices.known_at.astype("datetime64[m]").astype(str).tolist() == [
        "2018-07-03T18:00",
        "2018-07-05T21:00",
        "2018-07-05T21:00",
    ]
    assert np.isnan(batch.prices.open).all()


def test_dividends_are_inferred_from_adjusted_closes_in_any_order_of_rows(tmp_path: Path) -> None:
    print("seed 9")
    days = [date(2018, 6, 7), date(2018, 6, 8), date(2018, 6, 11)]
    ticker, day = ["A"] * 3 + ["B"] * 3, days * 2
    close, adj = [100.0, 99.0, 98.0, 50.0, 51.0, 52.0], [99.0, 99.0, 98.0, 50.0, 51.0, 51.0]
    order = np.random.default_rng(9).permutation(6)

    def mixed(values: list[Any]) -> list[Any]:
        return [values[at] for at in order]

    columns = {"ticker": ticker, "date": day, "close": close, "adj_close": adj}
    write(tmp_path, "p.parquet", **{name: mixed(values) for name, values in columns.items()})
    (part,) = FolderSource(tmp_path, "parquet").fetch(ALL)
    assert part.batch is not None
    events = part.batch.events
    assert part.batch.flags == {"assumed", "dividends_inferred"}
    assert (events.tickers.tolist(), events.dates.tolist()) == (["A"], [date(2018, 6, 8)])
    np.testing.assert_allclose(events.values, [1.0])
    assert [(finding.kind.value, finding.ticker) for finding in part.findings] == [("adjustment_back", "B")]


def test_adjusted_closes_alone_are_total_return_prices(tmp_path: Path) -> None:
    write(tmp_path, "uk.parquet", ticker=["A.L", "A.L"], date=[date(2018, 6, 7), date(2018, 6, 8)], adj_close=[99.0, 98.0])
    batch = only(FolderSource(tmp_path, "parquet"))
    assert (batch.price_basis, batch.flags, len(batch.events)) == (TOTAL_RETURN, {"assumed"}, 0)
    assert batch.prices.close.tolist() == [99.0, 98.0]


def test_each_file_is_a_part_and_only_what_is_asked_for_comes(tmp_path: Path) -> None:
    for name, ticker in (("b.parquet", "B"), ("a.parquet", "A")):
        days = [date(2018, 6, 7), date(2018, 6, 8)]
        write(tmp_path, name, ticker=[ticker, "C"], date=days, close=[1.0, 2.0])
    (tmp_path / "notes.txt").write_text("mine")
    source, told = FolderSource(tmp_path, "parquet"), []
    assert source.steps(ALL) == 2
    parts = list(source.fetch(replace(ALL, tickers=("A", "C"), first=date(2018, 6, 8), advance=told.append)))
    assert [part.batch.prices.tickers.tolist() for part in parts if part.batch] == [["C"], ["C"]]
    assert [part.batch.prices.row.tolist() for part in parts if part.batch] == [[2], [2]]
    assert told == ["a.parquet", "b.parquet"]
    assert [part.number for part in source.fetch(replace(ALL, done=frozenset({1})))] == [2]
    early = list(source.fetch(replace(ALL, last=date(2018, 6, 7))))
    assert [part.tickers for part in early] == [("A",), ("B",)]


def test_a_declared_basis_wins_and_a_gzip_csv_is_read(tmp_path: Path) -> None:
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress(b"ticker,date,close\nA,2018-06-07,5\n"))
    assert only(FolderSource(tmp_path, "csv", RAW)).price_basis == RAW


BROKEN = {
    "cut.parquet": (b"PAR1\x00\x01", "prices_unreadable"),
    "page.csv": (b"<html>Will be right back</html>\n<p>", "prices_columns"),
    "empty.csv": (b"", "prices_unreadable"),
    "no_date.csv": (b"ticker,close\nA,1\n", "prices_columns"),
    "no_price.csv": (b"ticker,date\nA,2018-06-07\n", "prices_columns"),
    "text.csv": (b"ticker,date,close\nA,2018-06-07,many\n", "prices_unreadable"),
    "bad_date.csv": (b"ticker,date,close\nA,7th of June,1\n", "prices_unreadable"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    body, code = BROKEN[name]
    (tmp_path / name).write_bytes(body)
    with pytest.raises(InputRejected, match=code):
        list(FolderSource(tmp_path, name.rpartition(".")[2]).fetch(ALL))


def test_a_folder_without_such_files_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(CSV)
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(Unavailable):
            FolderSource(folder, "parquet")


def test_the_total_return_of_four_million_real_rows_is_that_of_their_adjusted_closes(real_data: Path) -> None:
    calendar = session_calendar("XNYS", date(2010, 1, 4), date(2019, 6, 28))
    batch = only(FolderSource(real_data / "us_daily.parquet", "parquet"), replace(ALL, calendar_of=lambda _: calendar))
    table = pq.read_table(real_data / "us_daily.parquet", columns=["ticker", "adj_close"])
    adjusted = table.column("adj_close").to_numpy().astype(np.float64)
    rows, events = batch.prices, batch.events
    labels, asset = np.unique(rows.tickers, return_inverse=True)
    key = asset * 100_000 + rows.dates.astype(np.int64)
    paid = np.zeros(len(rows))
    paid[np.searchsorted(key, np.searchsorted(labels, events.tickers) * 100_000 + events.dates.astype(np.int64))] = (
        events.values
    )
    same = asset[1:] == asset[:-1]
    total = ((rows.close[1:] + paid[1:]) / rows.close[:-1])[same]
    assert len(total) == 4_069_837 - 2_413
    np.testing.assert_allclose(total, (adjusted[1:] / adjusted[:-1])[same], rtol=1e-5)
    # Of 2,413 tickers about half pay, four times a year for seven and a half years.
    assert 30_000 < len(events) < 45_000


def test_real_prices_come_with_their_dividends(real_data: Path) -> None:
    calendar = session_calendar("XNYS", date(2010, 1, 4), date(2019, 6, 28))
    request = replace(ALL, tickers=("AAPL", "KO"), calendar_of=lambda _: calendar)
    batch = only(FolderSource(real_data / "us_daily.parquet", "parquet"), request)
    assert set(batch.prices.tickers.tolist()) == {"AAPL", "KO"}
    years = batch.events.dates.astype("datetime64[Y]")
    counts = {t: int(((years == np.datetime64("2017")) & (batch.events.tickers == t)).sum()) for t in ("AAPL", "KO")}
    assert counts == {"AAPL": 4, "KO": 4}


# The synthetic market


def test_the_synthetic_market_comes_with_its_splits_dividends_and_delistings() -> None:
    spec = SyntheticSpec(seed=4, n_assets=40, start=date(2017, 3, 1), end=date(2018, 2, 28), splits_per_year=0.5)
    panel, batch = generate_market(spec), only(SyntheticSource(spec))
    rows, events = batch.prices, batch.events
    assert (batch.source, batch.price_basis, batch.flags) == ("synthetic", RAW, {"synthetic"})
    assert len(rows) == int(np.isfinite(panel.close).sum())
    place = {ticker: at for at, ticker in enumerate(panel.assets.tickers.tolist())}
    for at in range(0, len(rows), 997):
        cell = panel.index_of(to_date(rows.dates[at])), place[rows.tickers[at]]
        assert (rows.close[at], rows.volume[at]) == (panel.close[cell], panel.quotes.volume[cell])
    counts = {kind: int((events.kinds == kind).sum()) for kind in ("split", "delisting")}
    assert counts == {"split": panel.notes["splits"], "delisting": panel.notes["delistings"]}
    paid = events.take(events.kinds == "dividend")
    assert len(paid) == int((panel.quotes.dividends > 0).sum()) > 40
    assert paid.values.sum() == pytest.approx(panel.quotes.dividends.sum())
    gone = events.take(events.kinds == DELISTING)
    assert np.isfinite(gone.values).all()


def test_the_synthetic_market_is_cut_to_what_is_asked_for() -> None:
    source = SyntheticSource(SyntheticSpec(seed=4, n_assets=12, start=date(2017, 3, 1), end=date(2017, 6, 30)))
    asked = replace(ALL, tickers=("SYN0001", "SYN0002"), first=date(2017, 4, 3), last=date(2017, 4, 28))
    batch = only(source, asked)
    assert set(batch.prices.tickers.tolist()) == {"SYN0001", "SYN0002"}
    assert (batch.prices.dates.min(), batch.prices.dates.max()) == (np.datetime64("2017-04-03"), np.datetime64("2017-04-28"))
    assert (source.exchange_of("SYN0001"), source.steps(asked)) == ("XNYS", 1)
    assert list(source.fetch(replace(asked, done=frozenset({1})))) == []


# Where batches are left


def test_a_date_beyond_the_calendar_is_known_two_days_later_and_none_stays_none() -> None:
    dates = np.array(["2019-06-28", "2019-07-01", "NaT"], dtype="datetime64[D]")
    known = assumed_known_at(dates, CALENDAR, 60)
    assert known.astype("datetime64[m]").astype(str).tolist() == ["2019-06-28T21:00", "2019-07-03T01:00", "NaT"]


@pytest.mark.parametrize(
    ("instant", "last"),
    [
        (datetime(2018, 7, 18, 20, 59, 59, tzinfo=UTC), "2018-07-17"),
        (datetime(2018, 7, 18, 21, 0, tzinfo=UTC), "2018-07-18"),
        (datetime(2018, 7, 22, 12, 0, tzinfo=UTC), "2018-07-20"),
        (datetime(2016, 1, 1, tzinfo=UTC), "2017-01-02"),
    ],
)
def test_the_last_finished_session(instant: datetime, last: str) -> None:
    assert last_finished(CALENDAR, instant, 60) == np.datetime64(last)
