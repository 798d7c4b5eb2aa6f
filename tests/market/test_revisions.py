"""A correction is invisible until it was learnt, then it counts, and never does it change what was known before.

Method: two hundred random corrections of a small panel; at random instants every view equals the one of a panel that was built,
cell by cell, from nothing but the words known by then (the plain twin, in loops).
"""

from dataclasses import replace

import numpy as np
import pytest

from crowdalpha.errors import InvariantBroken
from market.calendars import to_instant
from market.panel import NOT_DELISTED, PointInTimePanel
from market.quotes import FIELDS, NOTHING, Quotes
from market.revisions import Revisions
from tests.builders.panels import hand_panel, small_panel, view_at

SEED = 909
CORRECTIONS = 200
ARRAYS = ("total_returns", "return_index", "overnight_returns", "intraday_returns", "dollar_volume", "market_cap")


def corrected(panel: PointInTimePanel, rng: np.random.Generator) -> PointInTimePanel:
    """The panel with corrections of prices, volumes and dividends, each learnt some time after its session."""
    t, n = panel.close.shape
    fields = rng.choice([FIELDS.index(name) for name in ("open", "close", "volume", "dividends")], CORRECTIONS)
    rows, assets = rng.integers(0, t - 1, CORRECTIONS), rng.integers(0, n, CORRECTIONS)
    rows[-20:], assets[-20:], fields[-20:] = rows[:20], assets[:20], fields[:20]  # some cells are corrected twice
    values = np.where(fields == FIELDS.index("dividends"), rng.uniform(0, 1, CORRECTIONS), rng.uniform(10, 90, CORRECTIONS))
    values[::17] = np.where(fields[::17] == FIELDS.index("dividends"), 0.0, np.nan)  # some prices are taken back
    learnt = rows + rng.integers(1, 60, CORRECTIONS)
    known_at = panel.known_at[np.minimum(learnt, t - 1)].astype("datetime64[us]") + np.timedelta64(1, "h")
    order = np.argsort(known_at, kind="stable")
    late = Revisions(known_at[order], fields[order], rows[order], assets[order], values[order])
    return replace(panel, revisions=late)


def by_loop(panel: PointInTimePanel, count: int) -> PointInTimePanel:
    """The plain twin: a panel whose first words are the last ones known after ``count`` revisions."""
    arrays = {name: panel.quotes.arrays().get(name, np.full(panel.close.shape, NOTHING[name])).copy() for name in FIELDS}
    late = panel.revisions
    for i in range(count):
        arrays[FIELDS[late.field_index[i]]][late.rows[i], late.assets[i]] = late.values[i]
    kept = {name: arrays[name] for name in ("open", "close", "volume", "dividends")}
    return replace(panel, quotes=Quotes(**kept), revisions=Revisions.none())


def test_a_view_holds_what_was_known_at_its_instant_and_nothing_else() -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    panel = corrected(small_panel(seed=5, n_assets=12, n_sessions=260), rng)
    for row in [*rng.integers(1, 259, 25).tolist(), 259, 3, 259]:
        instant = to_instant(panel.known_at[row])
        count = int((panel.revisions.known_at <= panel.known_at[row]).sum())
        view, twin = panel.as_of(instant), by_loop(panel, count).as_of(instant)
        for name, array in twin.quotes.arrays().items():
            assert view.quotes.arrays()[name].tobytes() == array.tobytes(), name
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(view, name)(), getattr(twin, name)(), err_msg=name)
        np.testing.assert_array_equal(view.traded, twin.traded)
        np.testing.assert_array_equal(view.history_sessions(), twin.history_sessions())


@pytest.mark.parametrize("foreign", [False, True])
def test_states_that_are_made_of_the_former_one_equal_those_made_of_nothing(foreign: bool) -> None:
    print(f"seed {SEED + 2}")
    rng = np.random.default_rng(SEED + 2)
    panel = corrected(small_panel(seed=8, n_assets=60, n_sessions=260), rng)
    if foreign:
        panel = replace(panel, fx=rng.uniform(0.5, 2.0, panel.close.shape))
    mended = 0
    for row in range(40, 260, 4):
        view = panel.as_of(to_instant(panel.known_at[row]))
        twin = by_loop(panel, int((panel.revisions.known_at <= panel.known_at[row]).sum())).as_of(view.instant)
        mended += len(view._derived._former)
        for name in rng.choice([*ARRAYS, "history_sessions"], 4, replace=False).tolist():
            assert getattr(view, name)().tobytes() == getattr(twin, name)().tobytes(), name
        assert view.traded.tobytes() == twin.traded.tobytes()
    assert mended > 50  # this is about columns that were taken over


def test_a_correction_changes_no_view_of_before_it_was_learnt_and_every_view_after() -> None:
    print(f"seed {SEED + 1}")
    plain = small_panel(seed=6, n_assets=12, n_sessions=120)
    cell = (50, 2)
    at = plain.known_at[80].astype("datetime64[us]")
    close = FIELDS.index("close")
    whole = lambda value: np.array([value], dtype=np.int64)  # noqa: E731 - three words, three times
    late = Revisions(np.array([at]), whole(close), whole(cell[0]), whole(cell[1]), np.array([123.0]))
    panel = replace(plain, revisions=late)
    for row in (50, 60, 79):
        assert view_at(panel, row).close.tobytes() == view_at(plain, row).close.tobytes()
        assert view_at(panel, row).total_returns().tobytes() == view_at(plain, row).total_returns().tobytes()
    for row in (80, 119):
        assert view_at(panel, row).close[cell] == 123.0
        assert view_at(panel, row).total_returns()[51, 2] == view_at(panel, row).close[51, 2] / 123.0 - 1.0


def test_views_of_several_states_stay_as_they_were_whatever_is_asked_next() -> None:
    rng = np.random.default_rng(SEED + 2)
    panel = corrected(small_panel(seed=7, n_assets=12, n_sessions=200), rng)
    rows = rng.integers(1, 199, 40).tolist()
    first = [(view_at(panel, r), view_at(panel, r).total_returns().tobytes()) for r in rows]
    again = [view_at(replace(panel), r).total_returns().tobytes() for r in rows[::-1]]
    assert [kept for _, kept in first] == again[::-1]
    assert all(view.total_returns().tobytes() == kept for view, kept in first)


def test_a_view_without_revisions_is_a_slice_and_one_with_them_cannot_be_written() -> None:
    panel = corrected(small_panel(seed=8, n_assets=12, n_sessions=100), np.random.default_rng(SEED + 3))
    before = to_instant(panel.known_at[0])
    assert np.shares_memory(panel.as_of(before).close, panel.quotes.close)
    with pytest.raises(ValueError, match="read-only"):
        view_at(panel, 99).close[0, 0] = 1.0


def test_a_delisting_that_is_learnt_late_is_unknown_until_then() -> None:
    plain = hand_panel(np.full((6, 2), 10.0), delistings={1: (3, -0.5)})
    learnt = np.array(["NaT", plain.known_at[4]], dtype="datetime64[us]")
    panel = replace(plain, delisting_known_at=learnt)
    assert view_at(panel, 3).delisting_index.tolist() == [NOT_DELISTED, NOT_DELISTED]
    assert view_at(panel, 4).delisting_index.tolist() == [NOT_DELISTED, 3]


def test_returns_are_in_the_funds_currency_where_rates_are_given() -> None:
    close = np.array([[10.0, 100.0], [11.0, 110.0], [11.0, np.nan], [12.1, 99.0]])
    rates = np.array([[1.0, 1.5], [1.0, 1.2], [1.0, 1.2], [1.0, 1.8]])
    panel = replace(hand_panel(close), fx=rates)
    view = view_at(panel)
    by_hand = [[np.nan] * 2, [0.1, 1.1 * 1.2 / 1.5 - 1], [0.0, 0.0], [0.1, 0.9 * 1.8 / 1.2 - 1]]
    np.testing.assert_allclose(view.total_returns(), by_hand, atol=1e-15)
    np.testing.assert_allclose(view.dollar_volume()[3], [12.1 * 1e5, 99.0 * 1e5 * 1.8])
    np.testing.assert_allclose(view.market_cap()[:, 1], np.array([100.0, 110.0, 110.0, 99.0]) * rates[:, 1] * 1e6)
    both = (1 + view.overnight_returns()) * (1 + view.intraday_returns()) - 1
    np.testing.assert_allclose(both, view.total_returns(), atol=1e-14)


def test_revisions_that_make_no_sense_are_refused() -> None:
    panel = small_panel(n_assets=12, n_sessions=30)
    one, when = np.array([0]), np.array(["2014-02-01"], dtype="datetime64[us]")
    with pytest.raises(InvariantBroken):
        Revisions(when, np.array([99]), one, one, np.ones(1))
    with pytest.raises(InvariantBroken):
        Revisions(np.repeat(when, 2) + np.array([1, 0]), *(np.zeros(2, dtype=np.int64),) * 3, np.ones(2))
    with pytest.raises(InvariantBroken):
        replace(panel, revisions=Revisions(when, one, np.array([30]), one, np.ones(1)))
