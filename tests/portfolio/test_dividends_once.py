"""Dividends enter once: what the twin earns by holding a stock is what its adjusted closes say that it earned.

Independent source: the adjusted closes of the file themselves. A book buys each stock at the second session's open and holds
it; with dividends left out, or entered twice, it would miss by percents.
"""

from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest

from market.calendars import session_calendar
from market.pivot import build_panel
from portfolio.book import TradingCosts
from portfolio.simulate import backtest
from tests.builders.panels import view_at

NAMES = ["IBM", "JNJ", "PFE", "PG", "T", "XOM"]
FIRST, LAST = date(2013, 1, 2), date(2016, 12, 30)
TOLERANCE = 1e-5


@pytest.mark.parametrize("ticker", NAMES)
def test_the_twins_total_return_is_that_of_the_adjusted_closes(ticker, real_data):
    span = [("ticker", "==", ticker), ("date", ">=", FIRST), ("date", "<=", LAST)]
    table = pq.read_table(real_data / "us_daily.parquet", filters=span)
    panel = build_panel(table, None, session_calendar("XNYS", date(2012, 1, 1), date(2018, 12, 31)))
    view = view_at(panel)
    assert np.isfinite(view.close).all()
    overnight, intraday = view.overnight_returns()[1:], view.intraday_returns()[1:]
    bought = backtest(overnight, intraday, {0: np.array([1.0])}, TradingCosts(), initial=1.0)
    frame = table.to_pandas().sort_values("date")
    adjusted = frame["adj_close"].to_numpy().astype(float)
    opened = float(frame["open"].iloc[1]) * adjusted[1] / float(frame["close"].iloc[1])
    expected = adjusted[1:] / opened
    equity = np.asarray(bought.equity)
    np.testing.assert_allclose(equity[-len(expected) :], expected, rtol=TOLERANCE)
    paid = float((panel.quotes.dividends / panel.quotes.close).sum())
    assert paid > 0.05, "four years of dividends: a book without them would be off by much more than the tolerance"
