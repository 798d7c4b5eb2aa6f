"""Goal: a chart answer is read whole or refused whole.

Method: a stand-in that adjusts raw series one row at a time, the documented example beside real prices, and every damage that
is on record.
"""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from service.vendors.chart import Chart, read_chart
from service.vendors.source import FindingKind, VendorFinding
from tests.builders.yahoo import DOWN_PAGE, INVALID_COOKIE, LONDON, NOT_FOUND, StandIn, make_series

FIRST, LAST = date(2018, 1, 2), date(2018, 7, 18)
SPLITS = {date(2018, 2, 5): (7, 1), date(2018, 5, 14): (1, 10), date(2018, 6, 1): (3, 2)}
DIVIDENDS = {date(2018, 1, 16): 2.31, date(2018, 5, 14): 0.4, date(2018, 7, 2): 0.25}
SERIES = make_series("AAPL", FIRST, LAST, 1, SPLITS, DIVIDENDS)


def answer(**about: Any) -> dict[str, Any]:
    series = make_series("AAPL", FIRST, LAST, 1, SPLITS, DIVIDENDS, **about)
    return StandIn([series]).chart("AAPL", 0, 2**40)


def read(found: Any, status: int = 200) -> Chart:
    chart = read_chart("AAPL", status, json.dumps(found).encode())
    assert isinstance(chart, Chart), chart
    return chart


def test_prices_volumes_and_dividends_come_back_raw() -> None:
    chart = read(answer())
    assert chart.dates.tolist() == SERIES.sessions
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_allclose(getattr(chart, name), SERIES.prices[name], rtol=1e-12)
    assert dict(zip(chart.split_dates.tolist(), chart.splits, strict=True)) == {d: a / b for d, (a, b) in SPLITS.items()}
    assert chart.dividend_dates.tolist() == list(DIVIDENDS)
    np.testing.assert_allclose(chart.dividends, list(DIVIDENDS.values()), rtol=1e-12)
    assert (chart.currency, chart.zone, chart.listed_on) == ("USD", "America/New_York", FIRST)
    assert chart.row.tolist() == list(range(1, len(SERIES.sessions) + 1))


def test_the_raw_prices_do_not_depend_on_which_splits_came_since() -> None:
    """Fetched before and after a split, the same session has the same raw price."""
    stand_in = StandIn([SERIES])
    before = int(datetime(2018, 5, 12, tzinfo=UTC).timestamp())
    early = read(stand_in.chart("AAPL", 0, before))
    late = read(stand_in.chart("AAPL", 0, 2**40))
    count = early.dates.shape[0]
    assert early.splits.tolist() == [7.0]
    np.testing.assert_allclose(early.close, late.close[:count], rtol=1e-12)
    np.testing.assert_allclose(early.dividends, late.dividends[:1], rtol=1e-12)


def test_dates_are_the_exchange_s_own_through_daylight_saving_and_pence_stay_pence() -> None:
    days = {"calendar": LONDON, "zone": "Europe/London", "currency": "GBp"}
    series = make_series("VOD.L", FIRST, LAST, 2, **days)
    chart = read_chart("VOD.L", 200, json.dumps(StandIn([series]).chart("VOD.L", 0, 2**40)).encode())
    assert isinstance(chart, Chart)
    assert chart.dates.tolist() == series.sessions
    assert chart.currency == "GBp"


@pytest.mark.parametrize(
    ("zone", "stamp", "day"),
    [
        ("America/Sao_Paulo", datetime(2022, 1, 4, 2, 0, tzinfo=UTC), date(2022, 1, 4)),
        ("Asia/Tokyo", datetime(2018, 5, 7, 0, 0, tzinfo=UTC), date(2018, 5, 7)),
        ("Australia/Sydney", datetime(2018, 5, 6, 23, 0, tzinfo=UTC), date(2018, 5, 7)),
    ],
)
def test_a_midnight_that_lost_its_daylight_saving_stays_on_its_day(zone: str, stamp: datetime, day: date) -> None:
    found = answer(zone=zone)
    result = found["chart"]["result"][0]
    result["timestamp"] = [int(stamp.timestamp())]
    result["indicators"]["quote"][0] = {name: [1.0] for name in ("open", "high", "low", "close", "volume")}
    assert read(found).dates.tolist() == [day]


def test_nulls_are_days_without_a_trade_and_a_single_null_is_an_empty_cell() -> None:
    found = answer()
    quote = found["chart"]["result"][0]["indicators"]["quote"][0]
    for name in quote:
        quote[name][3] = None
    quote["open"][5] = None
    quote["volume"][6] = None
    chart = read(found)
    assert SERIES.sessions[3] not in chart.dates.tolist()
    assert chart.row.tolist()[:5] == [1, 2, 3, 5, 6]
    assert np.isnan(chart.open[4])
    assert np.isnan(chart.volume[5])
    assert np.isfinite(chart.close).all()


def test_an_extra_last_row_replaces_the_one_of_the_same_date() -> None:
    found = answer()
    result = found["chart"]["result"][0]
    result["timestamp"].append(int(datetime(2018, 7, 18, 19, 59, tzinfo=UTC).timestamp()))
    for column in result["indicators"]["quote"][0].values():
        column.append(77.0)
    chart = read(found)
    assert chart.dates.tolist() == SERIES.sessions
    assert chart.close[-1] == 77.0


def test_an_unknown_currency_and_no_events_are_no_fault() -> None:
    found = answer(currency=None)
    del found["chart"]["result"][0]["events"]
    del found["chart"]["result"][0]["meta"]["firstTradeDate"]
    chart = read(found)
    assert (chart.currency, chart.listed_on) == ("", None)
    assert chart.splits.shape == chart.dividends.shape == (0,)


def _without(*path: Any) -> Callable[[dict[str, Any]], None]:
    def damage(found: dict[str, Any]) -> None:
        at: Any = found["chart"]["result"][0]
        for step in path[:-1]:
            at = at[step]
        del at[path[-1]]

    return damage


def _set(value: Any, *path: Any) -> Callable[[dict[str, Any]], None]:
    def damage(found: dict[str, Any]) -> None:
        at: Any = found["chart"]["result"][0]
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return damage


QUOTE = ("indicators", "quote", 0)
DAMAGES = {
    "no meta": _without("meta"),
    "no symbol": _without("meta", "symbol"),
    "no zone": _without("meta", "exchangeTimezoneName"),
    "a zone that is none": _set("Mars/Olympus", "meta", "exchangeTimezoneName"),
    "another granularity": _set("1wk", "meta", "dataGranularity"),
    "no indicators": _without("indicators"),
    "no quote": _without("indicators", "quote"),
    "no close": _without(*QUOTE, "close"),
    "a short column": _set([1.0], *QUOTE, "close"),
    "text for a price": _set(["x"] * len(SERIES.sessions), *QUOTE, "close"),
    "objects for prices": _set([{}] * len(SERIES.sessions), *QUOTE, "close"),
    "text for instants": _set(["now"] * len(SERIES.sessions), "timestamp"),
    "an instant beyond all calendars": _set([10**18] * len(SERIES.sessions), "timestamp"),
    "a split of nothing": _set({"1": {"date": 1525000000, "numerator": 1, "denominator": 0}}, "events", "splits"),
    "a split of less than nothing": _set({"1": {"date": 1525000000, "numerator": -2, "denominator": 1}}, "events", "splits"),
    "a split without a date": _set({"1": {"numerator": 2, "denominator": 1}}, "events", "splits"),
    "a dividend without an amount": _set({"1": {"date": 1525000000}}, "events", "dividends"),
    "events as a list": _set([1], "events", "splits"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_another_form_is_refused_whole(damage: Callable[[dict[str, Any]], None]) -> None:
    found = answer()
    damage(found)
    refused = read_chart("AAPL", 200, json.dumps(found).encode())
    assert isinstance(refused, VendorFinding)
    assert (refused.kind, refused.retry, refused.http_status) == (FindingKind.SCHEMA_CHANGED, False, 200)


WHOLE = json.dumps(answer()).encode()
BODIES = {
    "unknown": (404, json.dumps(NOT_FOUND).encode(), FindingKind.UNKNOWN_SYMBOL, False),
    "unknown with 200": (200, json.dumps(NOT_FOUND).encode(), FindingKind.UNKNOWN_SYMBOL, False),
    "cookie": (401, json.dumps(INVALID_COOKIE).encode(), FindingKind.UNAUTHORIZED, True),
    "cookie with 200": (200, json.dumps(INVALID_COOKIE).encode(), FindingKind.UNAUTHORIZED, True),
    "forbidden": (403, b"", FindingKind.UNAUTHORIZED, True),
    "outage": (503, b"Service Unavailable", FindingKind.OUTAGE, True),
    "outage with prices": (500, WHOLE, FindingKind.OUTAGE, True),
    "page": (200, DOWN_PAGE, FindingKind.HTML_PAGE, True),
    "page for 404": (404, b"\n <html>gone</html>", FindingKind.HTML_PAGE, True),
    "the words of an outage": (200, b"Will be right back", FindingKind.HTML_PAGE, True),
    "nothing": (200, b"", FindingKind.NOT_JSON, True),
    "half": (200, WHOLE[: len(WHOLE) // 2], FindingKind.NOT_JSON, True),
    "text": (200, b"Too Many Requests", FindingKind.NOT_JSON, True),
    "bytes": (200, b"\xff\xfe\x00", FindingKind.NOT_JSON, True),
    "a number": (200, b"7", FindingKind.SCHEMA_CHANGED, False),
    "a list": (200, b"[]", FindingKind.SCHEMA_CHANGED, False),
    "no chart": (200, b"{}", FindingKind.SCHEMA_CHANGED, False),
    "no result": (200, b'{"chart":{"result":null,"error":null}}', FindingKind.SCHEMA_CHANGED, False),
    "no results": (200, b'{"chart":{"result":[],"error":null}}', FindingKind.SCHEMA_CHANGED, False),
    "bad period": (
        422,
        b'{"chart":{"result":null,"error":{"code":"Unprocessable Entity","description":"bad start"}}}',
        FindingKind.VENDOR_ERROR,
        False,
    ),
}


@pytest.mark.parametrize(("status", "body", "kind", "retry"), BODIES.values(), ids=BODIES.keys())
def test_what_is_no_chart_has_its_finding(status: int, body: bytes, kind: FindingKind, retry: bool) -> None:
    refused = read_chart("AAPL", status, body)
    assert isinstance(refused, VendorFinding)
    assert (refused.kind, refused.retry, refused.http_status, refused.ticker) == (kind, retry, status, "AAPL")
    assert refused.message.endswith(".")


def test_an_empty_period_is_named_and_says_nothing_of_a_listing() -> None:
    found = answer()
    result = found["chart"]["result"][0]
    result["indicators"] = {"quote": [{}]}
    del result["timestamp"]
    refused = read_chart("AAPL", 200, json.dumps(found).encode())
    assert isinstance(refused, VendorFinding)
    assert refused.kind is FindingKind.NO_ROWS
    assert "nothing about a listing" in refused.message


def test_an_answer_about_another_symbol_is_refused() -> None:
    found = answer()
    found["chart"]["result"][0]["meta"]["symbol"] = "MSFT"
    refused = read_chart("AAPL", 200, json.dumps(found).encode())
    assert isinstance(refused, VendorFinding)
    assert refused.kind is FindingKind.WRONG_SYMBOL


def test_any_cut_of_an_answer_is_refused() -> None:
    print("seed 4")
    for at in np.random.default_rng(4).integers(0, len(WHOLE), 200).tolist():
        assert isinstance(read_chart("AAPL", 200, WHOLE[:at]), VendorFinding)


def test_the_documented_example_agrees_with_real_prices(real_data: Path) -> None:
    chart = read_chart("AAPL", 200, (real_data / "yahoo_chart_example.json").read_bytes())
    assert isinstance(chart, Chart)
    window = [("ticker", "==", "AAPL"), ("date", ">=", date(2018, 5, 7)), ("date", "<=", date(2018, 5, 18))]
    rows = pq.read_table(real_data / "us_daily.parquet", filters=window)
    assert chart.dates.tolist() == rows.column("date").to_pylist()
    np.testing.assert_allclose(chart.close, rows.column("close").to_numpy(), rtol=1e-6)
    np.testing.assert_allclose(chart.open, rows.column("open").to_numpy(), rtol=1e-6)
    np.testing.assert_array_equal(chart.volume, rows.column("volume").to_numpy())
    assert dict(zip(chart.dividend_dates.tolist(), chart.dividends.tolist(), strict=True)) == {date(2018, 5, 11): 0.73}
