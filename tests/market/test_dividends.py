"""Dividends enter once: closes and the dividends inferred beside them give the total return that adjusted closes give.

Independent sources: the adjusted closes of the file themselves, and the declared dividends of three companies.
"""

from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest

from market.calendars import session_calendar
from market.dividends import inferred_dividends
from market.pivot import build_panel
from tests.builders.panels import view_at

ONCE = 1e-5
NAMES = ["AAPL", "XOM", "T", "KO", "GE", "PFE", "JNJ", "PG", "IBM", "CVX"]
DECLARED = {"KO": (2014, 0.305), "PFE": (2015, 0.28), "T": (2016, 0.48)}
"""Year, and the dollars a share that were paid in each of its quarters."""


@pytest.fixture(scope="module")
def table(real_data):
    return pq.read_table(real_data / "us_daily.parquet", filters=[("ticker", "in", NAMES)])


def test_the_total_return_of_the_panel_is_that_of_the_adjusted_closes(table):
    panel = build_panel(table, None, session_calendar("XNYS", date(2010, 1, 1), date(2019, 12, 31)))
    total = view_at(panel).total_returns()
    frame = table.to_pandas()
    compared = 0
    for ticker, rows in frame[frame["volume"] > 0].groupby("ticker", observed=True):
        asset = panel.assets.tickers.tolist().index(ticker)
        at = np.searchsorted(panel.sessions, rows["date"].to_numpy().astype("datetime64[D]"))
        adjusted = rows["adj_close"].to_numpy().astype(float)
        off = np.abs(total[at[1:], asset] - (adjusted[1:] / adjusted[:-1] - 1))
        assert off.max() <= ONCE, ticker
        compared += len(off)
    assert compared > 15_000
    paying = (panel.quotes.dividends > 0).sum(axis=0)
    assert (paying >= 20).all(), "each of these pays four times a year"


def test_declared_dividends_are_found(table):
    panel = build_panel(table, None, session_calendar("XNYS", date(2010, 1, 1), date(2019, 12, 31)))
    for ticker, (year, declared) in DECLARED.items():
        asset = panel.assets.tickers.tolist().index(ticker)
        during = panel.sessions.astype("datetime64[Y]") == np.datetime64(str(year))
        paid = panel.quotes.dividends[during, asset]
        assert paid[paid > 0] == pytest.approx([declared] * 4, rel=0.02), ticker


def test_splits_are_told_from_dividends_and_a_fall_of_the_adjusted_close_is_counted():
    close = np.array([[40.0, 10.0], [20.0, 10.0], [19.0, 10.0]])
    splits = np.array([[1.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    adjusted = np.array([[19.0, 10.0], [19.0, 9.0], [19.0, 9.0]])
    paid, refused = inferred_dividends(close, adjusted, splits)
    np.testing.assert_allclose(paid, [[0, 0], [0, 0], [1.0, 0]], atol=1e-12)
    assert refused == 1
