"""The panel serves what was known at an instant and nothing else; its returns equal hand calculations (independent source)."""

from dataclasses import FrozenInstanceError, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.calendars import to_instant
from market.panel import NOT_DELISTED, AssetTable
from market.pivot import build_panel, to_tables
from market.quotes import FIELDS
from market.revisions import Revisions
from tests.builders.panels import changed_after, hand_panel, new_york, small_panel, view_at

NAN = np.nan


def refused(call, *args, **kwargs):
    with pytest.raises(InputRejected) as caught:
        call(*args, **kwargs)
    return caught.value


def long_table(rows):
    names = ("ticker", "date", "open", "close", "adj_close", "volume")
    return pd.DataFrame(rows, columns=list(names))


ROWS = [
    ("B", "2014-01-03", 10.0, 11.0, 11.0, 100),
    ("A", "2014-01-02", 5.0, 5.5, 5.0, 10),
    ("A", "2014-01-06", 6.0, 6.5, 6.0, 20),
]


# --- the two clocks ---------------------------------------------------------------------------------------------


def test_a_session_is_visible_from_its_known_at_on():
    panel = small_panel(n_assets=12, n_sessions=30)
    for row in (0, 7, 29):
        instant = to_instant(panel.known_at[row])
        assert len(panel.as_of(instant).sessions) == row + 1
        if row:
            assert len(panel.as_of(instant - timedelta(seconds=1)).sessions) == row
            assert len(panel.as_of(instant - timedelta(microseconds=1)).sessions) == row
    assert refused(panel.as_of, to_instant(panel.known_at[0]) - timedelta(seconds=1)).code is Code.DATE_OUTSIDE_PANEL


def test_known_at_is_the_close_plus_the_vendors_delay():
    panel = build_panel(long_table(ROWS), None, new_york(), vendor_delay_minutes=90)
    assert to_instant(panel.known_at[0]) == new_york().close_at(date(2014, 1, 2)) + timedelta(minutes=90)


def test_a_view_is_slices_that_cannot_be_written_and_no_copies():
    panel = small_panel(n_assets=12, n_sessions=30)
    view = view_at(panel, 10)
    pairs = [(getattr(view, name), getattr(panel, name)) for name in ("sessions", "known_at")]
    pairs += [(view.quotes.arrays()[name], array) for name, array in panel.quotes.arrays().items()]
    for array, whole in pairs:
        assert np.shares_memory(array, whole)
        with pytest.raises(ValueError):
            array[0] = array[1]
    derived = (view.total_returns(), view.overnight_returns(), view.intraday_returns(), view.dollar_volume(), view.market_cap())
    for array in (*derived, view.traded, view.delisting_index, view.delisting_return, view.assets.shares, view.assets.sectors):
        with pytest.raises(ValueError):
            array[0] = array[0]
    for array in derived:
        assert array.shape == (11, 12)
    with pytest.raises(FrozenInstanceError):
        view.source = "other"


def test_changing_every_datum_after_a_cut_leaves_the_view_bit_identical():
    panel = small_panel(seed=3)
    print("seed 3")
    for row in (0, 5, 150, 318):
        a, b = view_at(panel, row), view_at(changed_after(panel, row, seed=row), row)
        for name in ("sessions", "known_at", "delisting_index", "delisting_return"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
        assert {n: x.tobytes() for n, x in a.quotes.arrays().items()} == {n: x.tobytes() for n, x in b.quotes.arrays().items()}
        for name in (
            "total_returns",
            "return_index",
            "overnight_returns",
            "intraday_returns",
            "dollar_volume",
            "market_cap",
            "history_sessions",
        ):
            assert getattr(a, name)().tobytes() == getattr(b, name)().tobytes(), name
        assert a.traded.tobytes() == b.traded.tobytes()
    assert changed_after(panel, 150).content_hash() != panel.content_hash()


def test_a_delisting_is_unknown_until_its_session_is_visible():
    panel = hand_panel(np.full((5, 2), 10.0), delistings={1: (3, -0.5)})
    before, on = view_at(panel, 2), view_at(panel, 3)
    assert before.delisting_index.tolist() == [NOT_DELISTED, NOT_DELISTED]
    assert np.isnan(before.delisting_return).all()
    assert on.delisting_index.tolist() == [NOT_DELISTED, 3]
    assert on.delisting_return[1] == -0.5


# --- derived arrays ---------------------------------------------------------------------------------------------


def test_returns_equal_a_hand_calculation_over_gaps_dividends_and_listings():
    panel = hand_panel(
        close=[[NAN, 10.0], [20.0, 11.0], [NAN, 12.0], [24.0, NAN]],
        open_=[[NAN, 10.0], [19.0, 10.5], [NAN, 11.0], [22.0, NAN]],
        adj_close=[[NAN, 5.0], [10.0, 5.5], [NAN, 7.2], [12.0, NAN]],  # asset 1 pays between rows 1 and 2
        volume=[[NAN, 3.0], [2.0, 0.0], [NAN, 4.0], [1.0, NAN]],
    )
    view = view_at(panel)
    np.testing.assert_allclose(view.total_returns(), [[NAN, NAN], [NAN, 0.1], [0.0, 7.2 / 5.5 - 1], [0.2, 0.0]], atol=1e-15)
    intraday = [[NAN, 0.0], [20 / 19 - 1, 11 / 10.5 - 1], [0.0, 12 / 11 - 1], [24 / 22 - 1, 0.0]]
    np.testing.assert_allclose(view.intraday_returns(), intraday, atol=1e-15)
    adjusted_open = 11.0 * 7.2 / 12.0
    overnight = [[NAN, NAN], [NAN, 1.1 / (11 / 10.5) - 1], [0.0, adjusted_open / 5.5 - 1], [1.2 / (24 / 22) - 1, 0.0]]
    np.testing.assert_allclose(view.overnight_returns(), overnight, atol=1e-15)
    np.testing.assert_array_equal(view.dollar_volume(), [[0, 30], [40, 0], [0, 48], [24, 0]])
    np.testing.assert_array_equal(view.traded, [[False, True], [True, False], [False, True], [True, False]])
    assert view.history_sessions().tolist() == [3, 4]
    assert view_at(panel, 0).history_sessions().tolist() == [0, 1]


def test_overnight_and_intraday_compound_to_the_total_return():
    view = view_at(small_panel(seed=4))
    total = view.total_returns()
    both = (1 + view.overnight_returns()) * (1 + view.intraday_returns()) - 1
    np.testing.assert_array_equal(np.isnan(total), np.isnan(both))
    np.testing.assert_allclose(both, total, atol=1e-14)


def test_market_value_does_not_jump_at_a_split():
    splits = np.ones((3, 2))
    splits[1, 0] = 4.0
    panel = hand_panel([[40.0, 9.0], [10.0, 9.0], [11.0, 9.0]], splits=splits, shares=[5, NAN])
    np.testing.assert_array_equal(view_at(panel).market_cap(), [[200, NAN], [200, NAN], [220, NAN]])
    assert panel.price_basis == "raw"


# --- building ---------------------------------------------------------------------------------------------------


def test_a_long_table_in_any_order_becomes_a_dense_panel():
    panel = build_panel(long_table(ROWS), None, new_york())
    assert panel.assets.asset_ids.tolist() == ["A", "B"]
    assert [str(s) for s in panel.sessions] == ["2014-01-02", "2014-01-03", "2014-01-06"]
    np.testing.assert_array_equal(panel.close, [[5.5, NAN], [NAN, 11.0], [6.5, NAN]])
    np.testing.assert_array_equal(panel.quotes.volume, [[10, NAN], [NAN, 100], [20, NAN]])
    assert panel.flags == {"assumed", "survivors_only", "adjusted_prices", "dividends_inferred"}
    assert panel.assets.sectors.tolist() == ["unknown", "unknown"]
    assert panel.index_of(date(2014, 1, 6)) == 2
    assert refused(panel.index_of, date(2014, 1, 5)).code is Code.DATE_OUTSIDE_PANEL
    shuffled = build_panel(pa.Table.from_pandas(long_table(ROWS[::-1])), None, new_york())
    assert shuffled.content_hash() == panel.content_hash()


def test_every_kind_of_column_reads_the_same():
    frame = long_table(ROWS)
    want = build_panel(frame, None, new_york()).content_hash()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    dates = pa.array([date.fromisoformat(d) for d in frame["date"]])
    variants = [
        table.set_column(0, "ticker", table.column("ticker").dictionary_encode()),
        table.set_column(1, "date", dates),
        table.set_column(1, "date", dates.cast(pa.timestamp("ns"))),
        pa.concat_tables([table.slice(0, 1), table.slice(1)]),
        pa.concat_tables(
            [t.set_column(0, "ticker", t.column("ticker").dictionary_encode()) for t in (table.slice(0, 1), table.slice(1))]
        ),
        frame.assign(date=pd.to_datetime(frame["date"]), ticker=frame["ticker"].astype("category")),
    ]
    for variant in variants:
        assert build_panel(variant, None, new_york()).content_hash() == want


def test_rows_that_cannot_be_prices_are_left_out_and_counted():
    bad = [
        ("A", "2014-01-03", 0.0, 1.0, 1.0, 1),
        ("A", "2014-01-07", 1.0, -1.0, 1.0, 1),
        ("A", "2014-01-08", 1.0, 1.0, NAN, 1),
        ("A", "2014-01-09", np.inf, 1.0, 1.0, 1),
        ("A", "2014-01-10", 1.0, 1.0, 1.0, -1),
        ("A", "2014-01-04", 1.0, 1.0, 1.0, 1),  # a Saturday
        ("A", "2014-01-13", 9.0, 9.0, 9.0, 0),  # a quote without a trade
        ("C", "2014-01-06", NAN, NAN, NAN, NAN),
    ]
    panel = build_panel(long_table(ROWS + bad), None, new_york())
    assert dict(panel.notes) == {
        "dividends_refused": 0,
        "rows_read": 11,
        "rows_not_prices": 6,
        "rows_untraded": 1,
        "rows_not_sessions": 1,
        "assets_without_rows": 1,
    }
    assert panel.content_hash() == build_panel(long_table(ROWS), None, new_york()).content_hash()


def test_a_table_that_cannot_be_a_panel_is_refused_with_its_findings():
    frame = long_table(ROWS)
    error = refused(build_panel, frame.drop(columns=["open", "volume"]), None, new_york())
    assert error.code is Code.PRICES_COLUMNS
    assert [f.column for f in error.findings] == ["open", "volume"]
    doubled = refused(build_panel, long_table([*ROWS, ROWS[0], ROWS[0]]), None, new_york())
    assert doubled.code is Code.PRICES_INVALID
    assert "B has 3 rows for 2014-01-03" in doubled.findings[0].message
    assert refused(build_panel, frame.iloc[:0], None, new_york()).code is Code.PRICES_INVALID
    assert refused(build_panel, frame.assign(close=-1.0), None, new_york()).code is Code.PRICES_INVALID
    assert refused(build_panel, frame.assign(close="dear"), None, new_york()).code is Code.PRICES_INVALID
    assert refused(build_panel, frame.assign(date="yesterday"), None, new_york()).code is Code.PRICES_INVALID
    assert (
        refused(build_panel, frame.assign(date=[None, "2014-01-02", "2014-01-03"]), None, new_york()).code
        is Code.PRICES_INVALID
    )
    assert refused(build_panel, frame.assign(ticker=[None, "A", "B"]), None, new_york()).code is Code.PRICES_INVALID
    assert refused(build_panel, frame.assign(date="2014-01-04"), None, new_york()).code is Code.PRICES_INVALID
    assert refused(build_panel, frame.assign(date="2024-01-04"), None, new_york()).code is Code.CALENDAR_END


def test_metadata_are_joined_by_ticker_and_flagged():
    meta = pd.DataFrame(
        {
            "ticker": ["B", "A", "A", "Z"],
            "sector": ["Energy", "Retail", "Technology", "Energy"],
            "listing_country": ["US", "GB", "US", "US"],
            "shares_out_approx": [100.0, 7.0, -1.0, 5.0],
        }
    )
    panel = build_panel(long_table(ROWS), meta, new_york())
    assert panel.assets.sectors.tolist() == ["Technology", "Energy"]  # A's row of the country that most have
    assert panel.assets.countries.tolist() == ["US", "US"]
    np.testing.assert_array_equal(panel.assets.shares, [NAN, 100.0])
    assert "static_lookahead" in panel.flags
    empty = build_panel(long_table(ROWS), meta.assign(sector=None, ticker=["B", "A", "A", "Z"]), new_york())
    assert empty.assets.sectors.tolist() == ["unknown", "unknown"]
    assert refused(build_panel, long_table(ROWS), meta.drop(columns="sector"), new_york()).code is Code.META_UNREADABLE


def test_dated_delistings_are_read_from_the_metadata_and_refused_without_a_return():
    about = {"ticker": ["A"], "sector": ["x"], "listing_country": ["US"], "shares_out_approx": [1.0]}
    meta = pd.DataFrame({**about, "delisted_on": ["2014-01-06"], "delisting_return": [-0.3]})
    panel = build_panel(long_table(ROWS), meta, new_york())
    assert panel.delisting_index.tolist() == [2, NOT_DELISTED]
    assert "survivors_only" not in panel.flags
    later = build_panel(long_table(ROWS), meta.assign(delisted_on="2015-01-06"), new_york())
    assert later.delisting_index.tolist() == [NOT_DELISTED, NOT_DELISTED]
    for wrong in (meta.assign(delisting_return=NAN), meta.assign(delisting_return=-1.5), meta.assign(delisted_on="soon")):
        assert refused(build_panel, long_table(ROWS), wrong, new_york()).code is Code.META_UNREADABLE


def test_a_panel_goes_to_long_tables_and_back():
    splits = np.ones((320, 40))
    splits[100, 1] = 2.0
    plain = small_panel(seed=8)
    for panel in (plain, replace(plain, quotes=replace(plain.quotes, splits=splits), price_basis="raw")):
        prices, meta = to_tables(panel)
        again = build_panel(prices, meta, panel.calendar, 60, panel.source, panel.price_basis)
        known = replace(panel.assets, currencies=again.assets.currencies)
        assert replace(again, flags=panel.flags).content_hash() == replace(panel, assets=known).content_hash()


# --- the record -------------------------------------------------------------------------------------------------


def test_the_content_hash_notices_any_change():
    panel = small_panel(n_assets=12, n_sessions=30)
    seen = {panel.content_hash(), small_panel(seed=1, n_assets=12, n_sessions=30).content_hash()}
    nudged = panel.close.copy()
    nudged[29, 0] = np.nextafter(nudged[29, 0], 1e9)
    seen.add(replace(panel, quotes=replace(panel.quotes, close=nudged)).content_hash())
    seen.add(panel.with_flags(["synthetic"]).content_hash())
    seen.add(replace(panel, known_at=panel.known_at + np.timedelta64(1, "s")).content_hash())
    assert len(seen) == 5
    assert small_panel(n_assets=12, n_sessions=30).content_hash() in seen


def test_a_panel_that_contradicts_itself_is_not_made():
    panel = small_panel(n_assets=12, n_sessions=30)
    backwards = panel.known_at.copy()
    backwards[3] = backwards[1]
    wrong = [
        {"quotes": panel.quotes.first_rows(29)},
        {"known_at": backwards},
        {"sessions": panel.sessions[::-1]},
        {"delisting_return": np.full(12, NAN), "delisting_index": np.zeros(12, dtype=np.int64)},
        {"delisting_index": np.full(12, 30), "delisting_return": np.zeros(12)},
    ]
    for fields in wrong:
        with pytest.raises(InvariantBroken):
            replace(panel, **fields)
    ids = np.array(["B", "A"])
    with pytest.raises(InvariantBroken):
        AssetTable(ids, ids, ids, ids, ids, ids, np.zeros(2))
    with pytest.raises(InvariantBroken):
        AssetTable(np.sort(ids), ids, ids, ids, ids, ids, np.zeros(3))


def test_what_was_known_is_counted_and_as_much_knowledge_means_the_same_bytes():
    panel = small_panel(seed=27, n_assets=12, n_sessions=60)
    print("seed 27")
    evening, late = panel.known_at[40].astype("datetime64[us]"), np.timedelta64(1, "h")
    close, row, asset = (np.array([x]) for x in (FIELDS.index("close"), 30, 7))
    revisions = Revisions(np.array([evening + late]), close, row, asset, np.array([100.0]))
    gone = np.full(12, np.datetime64("NaT"), dtype="datetime64[us]")
    gone[5] = panel.known_at[55].astype("datetime64[us]") + late
    panel = replace(panel, revisions=revisions, delisting_known_at=gone)
    before, after, end = (to_instant(evening + late * k) for k in (0, 2, 24 * 90))
    assert [panel.knowledge_at(instant) for instant in (before, after, end)] == [
        (41, 0, 0, 0),
        (41, 1, 0, 0),
        (60, 1, 1, 0),
    ]
    assert panel.knowledge_at(to_instant(evening - late * 24 * 365))[0] == 0
    assert panel.as_of(before).close.tobytes() == panel.as_of(to_instant(evening + late / 2)).close.tobytes()
    assert panel.as_of(before).close.tobytes() != panel.as_of(after).close.tobytes()
