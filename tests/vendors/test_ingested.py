"""Files of prices into a home: delistings that metadata date, and the flags that pages show without a panel.

Method: four made-up assets on real New York sessions, read back through the store. Expected returns by hand.
"""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.calendars import session_calendar
from service.context import init_home
from service.home import Home
from service.settings import load_settings
from service.vendors.ingested import FileBatch, ingest_file, ingested_flags, load_panel, market_store

ASKED = datetime(2016, 1, 1, tzinfo=UTC)
TICKERS = ("AAA", "BBB", "CCC", "DDD")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    folder = tmp_path / "home"
    init_home(folder)
    return Home(folder)


def write_prices(folder: Path) -> Path:
    sessions = session_calendar("XNYS", date(2015, 1, 1), date(2015, 6, 30)).sessions
    rng = np.random.default_rng(5)
    walk = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (len(sessions), len(TICKERS))), axis=0))
    rows = [
        {"date": day, "ticker": ticker, "open": price, "high": price, "low": price, "close": price, "volume": 1e6}
        for day, prices in zip(sessions.astype(object), walk, strict=True)
        for ticker, price in zip(TICKERS, prices, strict=True)
        if ticker != "DDD" or day <= date(2015, 6, 1)
    ]
    path = folder / "prices.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


def write_meta(folder: Path, told: str) -> Path:
    path = folder / "meta.csv"
    lines = [f"{ticker},Technology,US,1e8,," for ticker in TICKERS[:3]]
    path.write_text(
        "\n".join(
            [
                "ticker,sector,listing_country,shares_out_approx,delisted_on,delisting_return",
                *lines,
                f"DDD,Technology,US,1e8,{told}",
                "",
            ]
        )
    )
    return path


@pytest.mark.parametrize(("told", "expected", "assumed"), [("2015-06-02,-0.4", -0.4, False), ("2015-06-02,", 0.0, True)])
def test_a_delisting_without_a_return_is_assumed_and_flagged(
    home: Home, tmp_path: Path, told: str, expected: float, assumed: bool
) -> None:
    settings = load_settings(env={})
    ingest_file(market_store(home), settings, FileBatch(write_prices(tmp_path), write_meta(tmp_path, told)), ASKED)
    panel = load_panel(home, settings)
    gone = np.flatnonzero(panel.delisting_index >= 0)
    assert panel.assets.tickers[gone].tolist() == ["DDD"]
    assert panel.delisting_return[gone].tolist() == [expected]
    assert ("delisting_return_assumed" in panel.flags) is assumed
    assert set(ingested_flags(home)) == panel.flags, "pages say what the panel says"
    assert "survivors_only" not in panel.flags


def test_pages_say_what_shows_only_when_the_panel_is_put_together(home: Home, tmp_path: Path) -> None:
    assert ingested_flags(home) == []
    settings = load_settings(env={})
    ingest_file(market_store(home), settings, FileBatch(write_prices(tmp_path), None), ASKED)
    assert "survivors_only" not in ingested_flags(home)
    panel = load_panel(home, settings)
    assert "survivors_only" in ingested_flags(home)
    assert set(ingested_flags(home)) == panel.flags


@pytest.mark.parametrize(("told", "why"), [("2015-06-02,-1.5", "less than -1"), ("soon,-0.3", "no date")])
def test_a_delisting_that_makes_no_sense_is_refused(home: Home, tmp_path: Path, told: str, why: str) -> None:
    with pytest.raises(InputRejected, match=why) as refused:
        ingest_file(
            market_store(home), load_settings(env={}), FileBatch(write_prices(tmp_path), write_meta(tmp_path, told)), ASKED
        )
    assert refused.value.code is Code.META_UNREADABLE
    assert market_store(home).manifest()["datasets"] == {}
