"""Share counts of metadata are used from their date on: before it an asset's size is told by its volume.

Method: real prices of 2014 to 2016 beside the real snapshot of July 2018, as it is and with dates beside its counts.
"""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.calendars import to_instant
from market.exposures import YEAR_SESSIONS, compute_exposures, standardize
from market.panel import PanelView, PointInTimePanel
from service.settings import load_settings
from service.vendors.ingested import panel_of_files

NAMES = 120
FIRST, LAST = date(2014, 6, 2), date(2016, 6, 30)
SNAPSHOT = "2018-07-18"


@pytest.fixture(scope="module")
def prices(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = pq.read_table(real_data / "us_daily.parquet", filters=[("date", ">=", FIRST), ("date", "<=", LAST)])
    tickers = table.column("ticker").unique().to_pylist()[::20][:NAMES]
    path = tmp_path_factory.mktemp("prices") / "us.parquet"
    pq.write_table(table.filter(pa.compute.is_in(table.column("ticker").cast(pa.string()), pa.array(tickers))), path)
    return path


@pytest.fixture(scope="module")
def snapshot(real_data: Path) -> pd.DataFrame:
    return pd.read_csv(real_data / "equity_meta.csv.gz", keep_default_na=False, na_values=[""])


def panel_beside(prices: Path, meta: pd.DataFrame, folder: Path) -> PointInTimePanel:
    path = folder / "meta.csv"
    meta.to_csv(path, index=False)
    return panel_of_files(load_settings(env={}), prices, path, LAST)


def at_end(panel: PointInTimePanel) -> PanelView:
    return panel.as_of(to_instant(panel.known_at[-1]))


def unsplit(panel: PointInTimePanel) -> np.ndarray:
    """Assets without a split, of which a snapshot has no say on which side it was counted."""
    splits = at_end(panel).splits
    return np.ones(len(panel.assets), dtype=np.bool_) if splits is None else (splits == 1.0).all(axis=0)


def test_an_undated_snapshot_gives_sizes_and_their_flag(prices: Path, snapshot: pd.DataFrame, tmp_path: Path) -> None:
    panel = panel_beside(prices, snapshot, tmp_path)
    assert "static_lookahead" in panel.flags
    assert np.isfinite(at_end(panel).market_cap()[-1]).mean() > 0.8


def test_a_count_of_2018_is_not_used_in_2016(prices: Path, snapshot: pd.DataFrame, tmp_path: Path) -> None:
    """Size is the log median dollar volume then, as :mod:`market.exposures` says of assets without a capitalization."""
    view = at_end(panel_beside(prices, snapshot.assign(as_of=SNAPSHOT), tmp_path))
    assert np.isnan(view.market_cap()).all()
    members = np.flatnonzero(view.history_sessions() > YEAR_SESSIONS)
    volume = np.median(view.dollar_volume()[-YEAR_SESSIONS:, members], axis=0)
    expected = standardize(np.log(np.where(volume > 0, volume, np.nan)), view.assets.sectors[members])
    np.testing.assert_allclose(compute_exposures(view, members).style("size"), expected, atol=1e-12)


def test_a_count_counts_from_its_date_or_its_instant(prices: Path, snapshot: pd.DataFrame, tmp_path: Path) -> None:
    dated = panel_beside(prices, snapshot.assign(as_of="2015-07-01"), tmp_path)
    begun = np.isfinite(at_end(dated).market_cap()).any(axis=1)
    assert str(dated.sessions[begun.argmax()]) == "2015-07-01"
    told = panel_beside(prices, snapshot.assign(as_of="2015-07-01", known_at="2015-08-04T12:00:00Z"), tmp_path)
    begun = np.isfinite(at_end(told).market_cap()).any(axis=1)
    assert str(told.sessions[begun.argmax()]) == "2015-08-04"
    undated = at_end(panel_beside(prices, snapshot, tmp_path)).market_cap()
    whole = unsplit(told)
    np.testing.assert_array_equal(at_end(told).market_cap()[-1, whole], undated[-1, whole])


def test_of_several_counts_each_holds_until_the_next(prices: Path, snapshot: pd.DataFrame, tmp_path: Path) -> None:
    twice = pd.concat([
        snapshot.assign(as_of="2015-03-02"),
        snapshot.assign(as_of="2015-09-01", shares_out_approx=2 * snapshot["shares_out_approx"], sector="Later"),
    ])  # fmt: skip
    panel = panel_beside(prices, twice, tmp_path)
    plain = at_end(panel_beside(prices, snapshot, tmp_path)).market_cap()
    ratio = at_end(panel).market_cap() / plain
    rows = [panel.index_of(date(2015, 8, 31)), panel.index_of(date(2015, 9, 1))]
    known = np.isfinite(plain[rows[0]]) & unsplit(panel)
    assert set(ratio[rows[0], known]) == {1.0}
    assert set(ratio[rows[1], known]) == {2.0}
    assert set(panel.assets.sectors) <= {"Later", "unknown"}, "the newest row's words"


def test_a_capitalization_of_the_snapshot_is_never_used(prices: Path, snapshot: pd.DataFrame, tmp_path: Path) -> None:
    other = snapshot.assign(market_cap_usd=7.0)
    assert panel_beside(prices, other, tmp_path).content_hash() == panel_beside(prices, snapshot, tmp_path).content_hash()


@pytest.mark.parametrize("wrong", [{"as_of": "soon"}, {"as_of": SNAPSHOT, "known_at": "soon"}])
def test_what_is_no_date_is_refused(prices: Path, snapshot: pd.DataFrame, wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputRejected) as refused:
        panel_beside(prices, snapshot.assign(**wrong), tmp_path)
    assert refused.value.code is Code.META_UNREADABLE


def test_a_view_before_a_count_was_told_does_not_depend_on_it(prices: Path, snapshot: pd.DataFrame, tmp_path: Path) -> None:
    panel = panel_beside(prices, snapshot.assign(as_of="2015-07-01"), tmp_path)
    counts = panel.share_counts
    assert counts is not None
    other = replace(panel, share_counts=replace(counts, values=counts.values * 3.0))
    before = datetime(2015, 6, 30, 23, tzinfo=UTC)
    for one in (panel, other):
        assert np.isnan(one.as_of(before).market_cap()).all()
