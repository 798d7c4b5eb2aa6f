"""The real panel holds what its file holds, and its momentum agrees with the world: the plain spread of momentum quintiles
moves with the momentum factor that Kenneth R. French publishes (independent source, ff_us_daily.csv.gz)."""

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from market.calendars import session_calendar, to_instant
from market.exposures import compute_exposures
from market.pivot import build_panel
from market.projection import residualize
from market.targets import coverage, forward_returns, neutral_target
from market.universe import UniverseRule, select_universe

FIRST, LAST = date(2014, 1, 1), date(2016, 12, 31)


def build(folder):
    calendar = session_calendar("XNYS", date(2010, 1, 1), date(2019, 12, 31))
    meta = pd.read_csv(f"{folder}/equity_meta.csv.gz", keep_default_na=False, na_values={"shares_out_approx": [""]})
    return build_panel(pq.read_table(f"{folder}/us_daily.parquet"), meta, calendar)


@pytest.fixture(scope="module")
def panel(real_data):
    return build(real_data)


def weekly(panel):
    """The evenings of the week ends of the three years, as known."""
    for session in panel.calendar.week_ends(FIRST, LAST):
        yield panel.as_of(to_instant(panel.known_at[panel.index_of(session)]))


def test_rows_and_flags_are_accounted_for(panel):
    assert panel.close.shape == (1898, 2413)
    assert panel.notes["rows_read"] == 4_069_837
    assert panel.notes["rows_not_prices"] <= 10
    assert panel.notes["rows_not_sessions"] == 0
    assert panel.flags == {"assumed", "static_lookahead", "survivors_only", "adjusted_prices", "dividends_inferred"}
    assert (panel.assets.sectors != "unknown").all()


def test_values_are_those_of_the_file(panel, real_data):
    table = pq.read_table(real_data / "us_daily.parquet", filters=[("ticker", "in", ["AAPL", "ZIV"])]).to_pandas()
    for ticker, rows in table[table["volume"] > 0].groupby("ticker", observed=True):
        asset = panel.assets.tickers.tolist().index(ticker)
        at = np.searchsorted(panel.sessions, rows["date"].to_numpy().astype("datetime64[D]"))
        for column in ("open", "close", "volume"):
            np.testing.assert_array_equal(getattr(panel.quotes, column)[at, asset], rows[column].to_numpy().astype(float))
        assert np.isfinite(panel.close[:, asset]).sum() == len(rows)


def test_a_quote_that_nobody_traded_at_is_no_price(panel):
    # UBS stands at 215.45 without any volume for a week of 2014, between prices of 17 and 18.
    asset = panel.assets.tickers.tolist().index("UBS")
    assert np.nanmax(panel.close[:, asset]) < 30
    returns = panel.as_of(to_instant(panel.known_at[-1])).total_returns()[:, asset]
    assert np.nanmax(np.abs(returns)) < 0.2


def test_the_momentum_spread_moves_with_the_published_factor(panel, real_data):
    everything = panel.as_of(to_instant(panel.known_at[-1]))
    returns = np.nan_to_num(everything.total_returns())
    spread, days = [], []
    views = list(weekly(panel))
    ends = [len(v.sessions) for v in views[1:]] + [panel.index_of(date(2016, 12, 30)) + 1]
    for view, end in zip(views, ends, strict=True):
        members = select_universe(view, UniverseRule(size=1000)).members
        assert len(members) == 1000
        momentum = compute_exposures(view, members, ("momentum",)).style("momentum")
        order = members[np.argsort(momentum, kind="stable")]
        held = slice(len(view.sessions), end)
        spread.append(returns[held][:, order[-200:]].mean(axis=1) - returns[held][:, order[:200]].mean(axis=1))
        days.append(panel.sessions[held])
    ours = pd.Series(np.concatenate(spread), index=pd.to_datetime(np.concatenate(days)))
    factor = pd.read_csv(real_data / "ff_us_daily.csv.gz", parse_dates=["date"], index_col="date")["mom"]
    joined = pd.concat([ours, factor], axis=1, join="inner")
    assert len(joined) > 740
    correlation = joined.corr().iloc[0, 1]
    print(f"daily correlation {correlation:.4f} over {len(joined)} sessions")
    assert correlation >= 0.9


def test_scores_see_targets_without_the_factors(panel):
    view = panel.as_of(to_instant(panel.known_at[panel.index_of(date(2015, 6, 5))]))
    members = select_universe(view, UniverseRule()).members
    exposures = compute_exposures(view, members)
    later = panel.as_of(to_instant(panel.known_at[-1]))
    returns = forward_returns(later, members, view.last_session, 20, 2)
    assert coverage(returns) > 0.99
    target = neutral_target(returns, exposures)
    sizes = [int((target == level).sum()) for level in (0, 0.25, 0.5, 0.75, 1)]
    known = int((~np.isnan(target)).sum())
    assert np.abs(np.array(sizes) - known * np.array([0.05, 0.2, 0.5, 0.2, 0.05])).max() <= 1
    residual = residualize(exposures.style("momentum") + np.arange(1000.0) % 7, exposures.style("momentum"))
    exposure = exposures.style("momentum") @ residual / np.linalg.norm(residual) / np.linalg.norm(exposures.style("momentum"))
    assert abs(exposure) <= 1e-10


def test_a_view_ends_where_its_instant_says(panel):
    session = date(2015, 11, 27)  # a half day: closes at 18:00 UTC
    close = panel.calendar.close_at(session)
    assert close == datetime(2015, 11, 27, 18, tzinfo=close.tzinfo)
    assert panel.as_of(close + timedelta(minutes=60)).last_session == session
    assert panel.as_of(close + timedelta(minutes=59)).last_session == date(2015, 11, 25)
