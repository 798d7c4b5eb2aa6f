"""The gate on real prices: all 2,416 rows without a positive price are caught, hardly a row of the good file is set aside, and
known wrong prices are. Independent sources: the data folder's own list of defects, and prices looked at by hand."""

from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest

from market.batch import EventRows, PriceBatch
from market.calendars import session_calendar
from market.quality import Fault, KnownMarket, Severity, judge_batch
from tests.builders.vendor import rows_of

CALENDAR = ("XNYS", date(2010, 1, 1), date(2019, 12, 31))


def judged(path):
    """The judgement of a file and its rows, with ``adj_close`` beside them."""
    table = pq.read_table(path)
    calendar = session_calendar(*CALENDAR)
    days = table.column("date").to_numpy().astype("datetime64[D]")
    at = np.minimum(np.searchsorted(calendar.sessions, days), len(calendar.sessions) - 1)
    values = {name: table.column(name).to_numpy().astype(float) for name in ("open", "close", "volume", "adj_close")}
    adjusted = values.pop("adj_close")
    known_at = calendar.closes[at].astype("datetime64[us]") + np.timedelta64(1, "h")
    prices = rows_of(tickers=table.column("ticker").cast("string").to_pylist(), dates=days, known_at=known_at, **values)
    batch = PriceBatch("parquet", "split_adjusted", np.datetime64("2018-07-19", "us"), prices, EventRows.empty())
    return judge_batch(batch, KnownMarket({"XNYS": calendar}, "XNYS"), adjusted=adjusted), prices, adjusted


@pytest.fixture(scope="module")
def daily(real_data):
    return judged(real_data / "us_daily.parquet")


def verdict_of(daily, ticker, day):
    judgement, prices, _ = daily
    at = np.flatnonzero((prices.tickers == ticker) & (prices.dates == np.datetime64(day)))
    assert at.size == 1
    found = {f.fault for f in judgement.findings if f.of == "prices" and np.isin(at, f.at).any()}
    return int(judgement.verdicts[at[0]]), found


def test_every_row_without_a_positive_price_is_caught(real_data):
    judgement, _, adjusted = judged(real_data / "us_daily_dirty.parquet")
    dirty = adjusted <= 0
    assert dirty.sum() == 2416
    caught = np.concatenate([f.at for f in judgement.of(Fault.NOT_POSITIVE)])
    assert set(np.flatnonzero(dirty).tolist()) <= set(caught.tolist())
    assert judgement.refused
    assert not judgement.accepted.any()


def test_hardly_a_row_of_the_good_file_is_set_aside_and_all_are_listed(daily):
    judgement, prices, _ = daily
    print({f.value: n for f, n in judgement.counts().items()}, f"{judgement.quarantined.mean():.5%} set aside")
    assert len(prices) == 4_069_837
    assert not judgement.refused
    assert judgement.quarantined.mean() <= 0.001
    listed = judgement.listed(10**6, Severity.QUARANTINE)
    assert {(f.ticker, f.date) for f in listed} >= {
        (t, str(d))
        for t, d in zip(prices.tickers[judgement.quarantined].tolist(), prices.dates[judgement.quarantined], strict=True)
    }
    assert judgement.counts()[Fault.ZERO_VOLUME] == int((prices.volume == 0).sum())
    assert (judgement.verdicts[prices.volume == 0] != 0).all()


@pytest.mark.parametrize(
    ("ticker", "day", "fault"),
    [
        ("COWN", "2015-10-28", Fault.ADJUSTMENT_FLIP),  # close 16.64 to 17.20, adj_close 2.42 to 17.20
        ("PAGP", "2016-11-16", Fault.MISSING_SPLIT),  # 17.03 to 33.89: a reverse split that the prices before lack
        ("DLPH", "2017-11-21", Fault.MISSING_SPLIT),  # 102.14 to 50.50 overnight: when-issued prices before a spin-off
        ("HTHT", "2018-05-24", Fault.MISSING_SPLIT),  # 43.53 to 172.87 for one day: four for one, not applied
        ("EQIX", "2018-07-18", Fault.NOT_POSITIVE),  # open 0
        ("RUN", "2015-08-05", Fault.JUMP),  # 0.015 before the first listing, 10.77 on its day
    ],
)
def test_known_wrong_prices_are_set_aside(daily, ticker, day, fault):
    verdict, found = verdict_of(daily, ticker, day)
    assert verdict == 2
    assert fault in found


@pytest.mark.parametrize(
    ("ticker", "day"),
    [
        ("NFLX", "2011-10-25"),  # −35 % on news
        ("AAPL", "2014-06-09"),  # seven for one, rightly adjusted
        ("SRPT", "2016-09-19"),  # +74 % on news
        ("MDLZ", "2012-10-02"),  # −34 % by a spin-off that adj_close explains
    ],
)
def test_true_moves_are_accepted_at_once(daily, ticker, day):
    assert verdict_of(daily, ticker, day) == (0, set())


def test_a_move_that_was_real_is_released_two_sessions_later(daily):
    # PBYI rose from 59 to 233 on 2014-07-23, on news
    judgement, prices, _ = daily
    at = np.flatnonzero((prices.tickers == "PBYI") & (prices.dates == np.datetime64("2014-07-23")))[0]
    assert judgement.quarantined[at]
    assert not np.isnat(judgement.released_at[at])
    assert (judgement.released_at[at] - prices.known_at[at]) == np.timedelta64(2, "D")
