"""Stored rows with two instants each become a panel whose every view holds the last word known by then.

Method: random words on a small market, several on some cells, in shuffled order; the plain twin goes through them one by one.
"""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.assemble import Setting, StoredEvents, StoredRows, assemble
from market.calendars import to_instant
from market.panel import NOT_DELISTED, AssetTable, PointInTimePanel
from tests.builders.panels import new_york

SEED = 515
NAN = np.nan
N, T, DELAY = 7, 90, 60
FIRST = date(2015, 2, 2)


def table() -> AssetTable:
    ids = np.array([f"A{i}" for i in range(N)])
    words = (np.full(N, "Energy"), np.full(N, "US"), np.full(N, "XNYS"), np.full(N, "USD"))
    return AssetTable(ids, ids.copy(), *words, np.full(N, 1e6))


def setting(basis: str = "raw") -> Setting:
    return Setting(new_york(), DELAY, basis, "parquet", frozenset({"assumed"}))


def words(rng: np.random.Generator) -> tuple[StoredRows, np.ndarray]:
    """First words on most cells and later ones on some; returns the rows and each row's session."""
    calendar = new_york()
    begin = calendar.index_of(FIRST)
    row, asset = np.divmod(np.arange(T * N), N)
    kept = rng.random(T * N) > 0.05
    again = rng.integers(0, T * N, 120)
    row, asset = np.concatenate([row[kept], row[again]]), np.concatenate([asset[kept], asset[again]])
    close = rng.uniform(10, 20, len(row))
    close[-7:] = np.nan
    known = calendar.closes[begin + row].astype("datetime64[us]") + np.timedelta64(DELAY, "m")
    known[: int(kept.sum())] -= rng.integers(0, 30, int(kept.sum())).astype("timedelta64[m]")
    known[int(kept.sum()) :] += (rng.integers(-1, 40, 120) * 24 * 60).astype("timedelta64[m]")
    order = rng.permutation(len(row))
    values = {"open": close * 0.99, "close": close, "volume": np.where(np.isnan(close), np.nan, 1000.0)}
    dates = calendar.sessions[begin + row]
    rows = StoredRows(asset[order], dates[order], known[order], {k: v[order] for k, v in values.items()})
    return rows, row[order]


def no_events() -> StoredEvents:
    none = np.empty(0, dtype=np.int64)
    return StoredEvents(np.empty(0, np.str_), none, none.astype("datetime64[D]"), none.astype("datetime64[us]"), np.empty(0))


def events(*given: tuple[str, int, int, float, int]) -> StoredEvents:
    """Events of (kind, asset, row, value, sessions until learnt)."""
    calendar, begin = new_york(), new_york().index_of(FIRST)
    kinds, assets, rows, values, late = zip(*given, strict=True)
    at = begin + np.array(rows)
    learnt = calendar.closes[at + np.array(late)].astype("datetime64[us]")
    return StoredEvents(np.array(kinds), np.array(assets), calendar.sessions[at], learnt, np.array(values, dtype=float))


def last_word(rows: StoredRows, place: np.ndarray, instant: np.datetime64, name: str) -> np.ndarray:
    """The plain twin: of the words known at the instant, the last one of each cell."""
    out, when = np.full((T, N), np.nan), np.full((T, N), np.datetime64(0, "us"))
    for i in range(len(place)):
        cell = place[i], rows.assets[i]
        if rows.known_at[i] <= instant and rows.known_at[i] >= when[cell]:
            out[cell], when[cell] = rows.values[name][i], rows.known_at[i]
    return out


def view(panel: PointInTimePanel, row: int):
    return panel.as_of(to_instant(panel.known_at[row]))


def test_every_view_holds_the_last_word_known_by_then():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    rows, place = words(rng)
    panel = assemble(rows, no_events(), table(), setting())
    assert 0 < panel.notes["revisions"] < 120 * 3 + 1
    for row in (3, 20, 41, 60, 75, 88, T - 1):
        seen = view(panel, row)
        instant = panel.known_at[row].astype("datetime64[us]")
        for name in ("open", "close", "volume"):
            expected = last_word(rows, place, instant, name)[: row + 1]
            np.testing.assert_array_equal(getattr(seen, name), expected, err_msg=f"{name} at row {row}")


def test_order_of_the_rows_does_not_matter():
    rng = np.random.default_rng(SEED + 1)
    rows, _ = words(rng)
    order = rng.permutation(len(rows.assets))
    other = StoredRows(
        rows.assets[order], rows.dates[order], rows.known_at[order], {k: v[order] for k, v in rows.values.items()}
    )
    one, two = (assemble(r, no_events(), table(), setting()) for r in (rows, other))
    for row in (10, 50, T - 1):
        assert view(one, row).close.tobytes() == view(two, row).close.tobytes()


def test_splits_dividends_and_delistings_take_effect_on_their_sessions_and_when_they_were_learnt():
    rng = np.random.default_rng(SEED + 2)
    rows, _ = words(rng)
    known = events(
        ("split", 0, 10, 2.0, 0), ("dividend", 1, 11, 0.5, 0), ("delisting", 2, 60, -0.3, 0), ("split", 3, 20, 4.0, 5)
    )
    panel = assemble(rows, known, table(), setting())
    assert view(panel, 9).splits.max() == 1.0
    assert view(panel, 10).splits[10, 0] == 2.0
    assert view(panel, 11).dividends[11, 1] == 0.5
    assert view(panel, 24).splits[20, 3] == 1.0
    assert view(panel, 25).splits[20, 3] == 4.0
    assert view(panel, 59).delisting_index.max() == NOT_DELISTED
    assert view(panel, 60).delisting_index.tolist() == [-1, -1, 60, -1, -1, -1, -1]
    assert "survivors_only" not in panel.flags
    assert "survivors_only" in assemble(rows, no_events(), table(), setting()).flags


def test_a_delisting_that_nobody_priced_gets_its_return_by_the_rule_and_the_panel_says_so():
    print(f"seed {SEED + 4}")
    rows, _ = words(np.random.default_rng(SEED + 4))
    ends = {0: 60, 1: 60, 2: 60, 3: 60, 4: 60}
    calendar, begin = new_york(), new_york().index_of(FIRST)
    last_trade = np.array([60, 60, 60, 40, 60, T, T])[rows.assets]  # asset 3 stopped trading a month before
    kept = calendar.sessions[begin + np.minimum(last_trade, T)] > rows.dates
    rows = StoredRows(rows.assets[kept], rows.dates[kept], rows.known_at[kept], {k: v[kept] for k, v in rows.values.items()})
    told = events(*(("delisting", asset, row, NAN if asset else -0.5, 0) for asset, row in ends.items()))
    reasons = np.array(["performance", "merger", "performance", "unknown", ""])
    unknown = replace(told, reasons=reasons)
    panel = assemble(rows, unknown, table(), replace(setting(), delisting_performance_return=-0.4))
    assert panel.delisting_return[:5].tolist() == [-0.5, 0.0, -0.4, -0.4, 0.0]
    assert "delisting_return_assumed" in panel.flags
    # Shumway's figure is the default, and where the data say everything nothing is assumed
    assert assemble(rows, unknown, table(), setting()).delisting_return[2] == -0.3
    stated = assemble(rows, replace(unknown, values=np.full(5, -0.1)), table(), setting())
    assert stated.delisting_return[:5].tolist() == [-0.1] * 5
    assert "delisting_return_assumed" not in stated.flags


def test_an_assumed_delisting_return_depends_on_nothing_after_the_delisting():
    print(f"seed {SEED + 5}")
    rows, place = words(np.random.default_rng(SEED + 5))
    told = events(("delisting", 2, 60, NAN, 0))
    after = place >= 60
    changed = {k: np.where(after, v * 3.0, v) for k, v in rows.values.items()}
    one, two = (assemble(StoredRows(rows.assets, rows.dates, rows.known_at, values), told, table(), setting())
                for values in (rows.values, changed))  # fmt: skip
    assert one.delisting_return[2] == two.delisting_return[2]


def test_rows_off_the_calendar_are_counted_and_nothing_on_it_is_refused():
    rng = np.random.default_rng(SEED + 3)
    rows, _ = words(rng)
    moved = rows.dates.copy()
    sunday = np.datetime64(FIRST - timedelta(days=1), "D")
    moved[:5] = sunday + 7
    panel = assemble(StoredRows(rows.assets, moved, rows.known_at, rows.values), no_events(), table(), setting())
    assert panel.notes["rows_not_sessions"] == 5
    on_sunday = StoredRows(rows.assets, np.full(len(moved), sunday), rows.known_at, rows.values)
    with pytest.raises(InputRejected) as refused:
        assemble(on_sunday, no_events(), table(), setting())
    assert refused.value.code is Code.PRICES_INVALID
    far = np.full(len(moved), np.datetime64("2031-01-02"))
    with pytest.raises(InputRejected) as refused:
        assemble(StoredRows(rows.assets, far, rows.known_at, rows.values), no_events(), table(), setting())
    assert refused.value.code is Code.CALENDAR_END
