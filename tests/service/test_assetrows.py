"""A ticker map makes assets of a vendor's labels in the panel, at each instant as known then; without one nothing changes.

Method: a small store with a rename, a ticker used again and a label that no map knows; prices by hand, one number a cell.
"""

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from market.batch import EventRows, PriceRows
from market.calendars import to_instant
from market.panel import NOT_DELISTED, PointInTimePanel
from service.pricepanel import stored_panel
from service.pricestore import Dataset, PriceStore
from tests.builders.panels import new_york

US = Dataset("us", "parquet", "XNYS", "US", "USD", "raw", 60)
FIRST = date(2015, 1, 5)
T = 30
RENAMED, REUSED = date(2015, 1, 20), date(2015, 1, 28)
"""OLD became NEW; ten days later another company took the ticker OLD."""

HEAD = "asset_id,kind,value,valid_from,valid_to,known_at\n"
RENAME = f"A1,ticker,OLD,2010-01-04,,\nA1,ticker,OLD,2010-01-04,{RENAMED},2015-01-15T12:00:00Z\n"
RENAME += f"A1,ticker,NEW,{RENAMED},,2015-01-15T12:00:00Z\n"
REUSE = f"A2,ticker,OLD,{REUSED},,2015-01-27T12:00:00Z\n"


def row_of(day: date) -> int:
    return int(np.searchsorted(new_york().sessions, np.datetime64(day))) - new_york().index_of(FIRST)


def rows(labels: list[str], first: list[int], last: list[int], base: list[float]) -> PriceRows:
    """Prices of base + row for each label between its rows, known an hour after each close."""
    begin = new_york().index_of(FIRST)
    label = np.concatenate([np.full(b - a, i) for i, (a, b) in enumerate(zip(first, last, strict=True))])
    row = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
    close, nothing = np.array(base)[label] + row, np.full(len(row), np.nan)
    known = new_york().closes[begin + row].astype("datetime64[us]") + np.timedelta64(60, "m")
    return PriceRows(
        np.arange(1, len(row) + 1), np.array(labels)[label], new_york().sessions[begin + row], close, nothing, nothing,
        close, np.full(len(row), 100.0), np.full(len(row), "USD"), known,
    )  # fmt: skip


def events(*told: tuple[str, str, int, float]) -> EventRows:
    kinds, labels, at, values = zip(*told, strict=True)
    days = new_york().sessions[new_york().index_of(FIRST) + np.array(at)]
    known = new_york().closes[new_york().index_of(FIRST) + np.array(at)].astype("datetime64[us]")
    return EventRows(np.array(kinds), np.array(labels), days, np.array(values), np.full(len(at), ""), known)


def prices() -> PriceRows:
    cut, again = row_of(RENAMED), row_of(REUSED)
    return rows(["OLD", "NEW", "OLD", "ODD"], [0, cut, again, 0], [cut, T, T, T], [10.0, 10.0, 500.0, 70.0])


@pytest.fixture
def store(tmp_path: Path) -> PriceStore:
    made = PriceStore(tmp_path / "market", sync=False)
    told = events(("split", "OLD", 3, 2.0), ("dividend", "NEW", row_of(RENAMED) + 1, 0.5), ("dividend", "OLD", T - 2, 0.25))
    made.append(US, prices(), told, batch_id="1", flags=["assumed"])
    return made


def panel_under(store: PriceStore, text: str) -> PointInTimePanel:
    store.keep_ticker_map((HEAD + text).encode())
    return stored_panel(store)


def at_row(panel: PointInTimePanel, row: int) -> datetime:
    return to_instant(panel.known_at[row])


def test_a_rename_joins_one_history_and_a_reused_ticker_makes_two_assets(store: PriceStore) -> None:
    panel = panel_under(store, RENAME + REUSE)
    view = panel.as_of(at_row(panel, T - 1))
    assert view.assets.asset_ids.tolist() == ["A1", "A2", "ODD"]
    np.testing.assert_array_equal(view.close[:, 0], 10.0 + np.arange(T))
    again = row_of(REUSED)
    assert np.isnan(view.close[:again, 1]).all()
    np.testing.assert_array_equal(view.close[again:, 1], 500.0 + np.arange(again, T))
    assert view.splits[3].tolist() == [2.0, 1.0, 1.0]
    assert (view.dividends[row_of(RENAMED) + 1, 0], view.dividends[T - 2].tolist()) == (0.5, [0.0, 0.25, 0.0])
    assert view.assets.tickers.tolist() == ["NEW", "OLD", "ODD"]
    assert len(panel.revisions) == 0
    assert {"labels_unmapped", "assumed"} <= panel.flags
    assert (panel.notes["labels_unmapped"], panel.notes["rows_unmapped"]) == (1, T)


def test_a_view_names_assets_as_they_were_called_then(store: PriceStore) -> None:
    panel = panel_under(store, RENAME + REUSE)
    before, after = row_of(RENAMED) - 1, row_of(RENAMED)
    assert panel.as_of(at_row(panel, before)).assets.tickers.tolist() == ["OLD", "A2", "ODD"]
    assert panel.as_of(at_row(panel, after)).assets.tickers.tolist() == ["NEW", "A2", "ODD"]


def test_what_a_map_learns_later_is_invisible_before(store: PriceStore) -> None:
    """NEW stays an asset of its own until the rename is told; then its rows become A1's."""
    late = RENAME.replace("2015-01-15T12:00:00Z", "2015-02-06T12:00:00Z")
    plain, panel = panel_under(store, RENAME + REUSE), panel_under(store, late + REUSE)
    cut, told = row_of(RENAMED), row_of(date(2015, 2, 6))
    before = panel.as_of(at_row(panel, told - 1))
    ids = before.assets.asset_ids.tolist()
    assert ids == ["A1", "A2", "NEW", "ODD", "OLD"]
    assert np.isnan(before.close[cut:, 0]).all()
    # nobody knew that A1 had given up the ticker, so what traded under it from the reuse on might have been either's
    assert np.isfinite(before.close[row_of(REUSED) :, 4]).all()
    assert np.isnan(before.close[:, 1]).all()
    np.testing.assert_array_equal(before.close[cut:, 2], 10.0 + np.arange(cut, told))
    assert before.dividends[cut + 1, 2] == 0.5
    assert before.assets.tickers[0] == "OLD"
    after = panel.as_of(at_row(panel, T - 1))
    assert np.isnan(after.close[:, [2, 4]]).all()
    assert after.dividends[cut + 1].tolist() == [0.5, 0.0, 0.0, 0.0, 0.0]
    same = plain.as_of(at_row(plain, T - 1))
    np.testing.assert_array_equal(after.close[:, [0, 1, 3]], same.close)
    np.testing.assert_array_equal(after.total_returns()[:, 0], same.total_returns()[:, 0])


def test_without_a_map_and_with_one_that_knows_no_label_prices_are_the_same(store: PriceStore) -> None:
    bare = stored_panel(store)
    assert bare.assets.asset_ids.tolist() == ["NEW", "ODD", "OLD"]
    foreign = panel_under(store, "Q,ticker,OTHER,,,\n")
    assert foreign.assets.asset_ids.tolist() == bare.assets.asset_ids.tolist()
    assert foreign.close.tobytes() == bare.close.tobytes()
    assert foreign.notes["labels_unmapped"] == 3
    assert not {"labels_unmapped", "rows_unmapped"} & set(bare.notes)


def test_an_unresolved_label_is_never_taken_for_the_asset_of_that_id(store: PriceStore) -> None:
    own = (RENAME + f"A1,ticker,OLD,{REUSED},{REUSED},2015-01-27T12:00:00Z\n").replace("A1", "OLD")
    panel = panel_under(store, own)
    assert panel.assets.asset_ids.tolist() == ["ODD", "OLD", "OLD:unmapped"]
    np.testing.assert_array_equal(panel.close[:, 1], 10.0 + np.arange(T))
    assert np.isfinite(panel.close[row_of(REUSED) :, 2]).all()


def test_a_delisting_is_of_who_had_the_ticker_the_day_before(store: PriceStore) -> None:
    gone = row_of(date(2015, 2, 10))
    told = events(("delisting", "OLD", gone, -0.4))
    store.append(US, PriceRows.empty(), told, batch_id="2")
    ended = f"A2,ticker,OLD,{REUSED},2015-02-10,2015-01-27T12:00:00Z\n"
    panel = panel_under(store, RENAME + ended)
    assert panel.delisting_index.tolist()[:2] == [NOT_DELISTED, gone]
    late = panel_under(store, RENAME + ended.replace("2015-01-27T12", "2015-02-12T12"))
    at = late.assets.asset_ids.tolist().index("A2")
    assert late.delisting_known_at is not None
    assert late.delisting_known_at[at] == np.datetime64("2015-02-12T12:00:00")


def test_sectors_are_those_known_then_and_a_snapshot_is_flagged(store: PriceStore) -> None:
    facts = pa.table({"ticker": ["NEW", "ODD"], "sector": ["Retail", "Energy"], "listing_country": ["US", "US"],
                      "shares_out_approx": pa.array([None, None], pa.float64())})  # fmt: skip
    store.append(US, PriceRows.empty(), EventRows.empty(), batch_id="3", assets=facts, flags=["static_lookahead"])
    sectors = "A1,sector,Media,2015-01-12,,2015-01-13T12:00:00Z\nA1,sector,Media,2015-01-12,2015-02-02,2015-02-03T12:00:00Z\n"
    sectors += "A1,sector,Software,2015-02-02,,2015-02-03T12:00:00Z\n"
    panel = panel_under(store, RENAME + REUSE + sectors)
    assert "static_lookahead" in panel.flags, "ODD has nothing but the snapshot"

    def of_a1(day: date) -> str:
        return str(panel.as_of(at_row(panel, row_of(day))).assets.sectors[0])

    days = (date(2015, 1, 12), date(2015, 1, 13), date(2015, 2, 2), date(2015, 2, 3))
    assert [of_a1(day) for day in days] == ["unknown", "Media", "Media", "Software"]
    countries = "".join(f"{a},country,US,2010-01-01,,\n" for a in ("A1", "A2", "ODD"))
    dated = panel_under(store, RENAME + REUSE + sectors + "ODD,sector,Energy,2010-01-01,,\n" + countries)
    assert "static_lookahead" not in dated.flags


def counted(store: PriceStore, label: str, day: str, known_at: str, shares: float) -> None:
    table = pa.table({
        "ticker": [label, label], "sector": pa.array([None, None], pa.string()), "listing_country": ["US", None],
        "shares_out_approx": [None, shares], "as_of": pa.array([None, date.fromisoformat(day)], pa.date32()),
        "known_at": pa.array([None, datetime.fromisoformat(known_at)], pa.timestamp("us")),
    })  # fmt: skip
    store.append(US, PriceRows.empty(), EventRows.empty(), batch_id=f"{label} {day}", assets=table)


def test_a_share_count_is_used_from_its_date_on_and_carried_over_later_splits(store: PriceStore) -> None:
    """The split of 2 on row 3 doubles the shares that were counted on row 2; prices are raw."""
    day, known = str(new_york().sessions[new_york().index_of(FIRST) + 2]), "2015-01-12T12:00:00"
    counted(store, "OLD", day, known, 1000.0)
    panel = panel_under(store, RENAME + REUSE)
    cap = panel.as_of(at_row(panel, T - 1)).market_cap()[:, 0]
    first = row_of(date(2015, 1, 12))
    assert np.isnan(cap[:first]).all()
    np.testing.assert_allclose(cap[first:], 2000.0 * (10.0 + np.arange(first, T)), rtol=1e-15)
    early = panel.as_of(at_row(panel, first - 1))
    assert np.isnan(early.market_cap()[:, 0]).all()


def test_an_asset_of_two_datasets_of_one_country_is_told_apart_by_dataset(store: PriceStore) -> None:
    other = replace(US, name="second", source="csv")
    store.append(other, rows(["NEW"], [0], [5], [3.0]), EventRows.empty(), batch_id="9")
    assert stored_panel(store).assets.asset_ids.tolist() == ["NEW:second", "NEW:us", "ODD", "OLD"]


def test_content_differs_when_a_word_does(store: PriceStore) -> None:
    hashes = {
        panel_under(store, RENAME + REUSE + f"A1,sector,{name},2015-01-12,,\n").content_hash() for name in ("Media", "Retail")
    }
    assert len(hashes) == 2
