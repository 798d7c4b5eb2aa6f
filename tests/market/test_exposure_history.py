"""Goal: exposures of many dates at once are those of each date by itself. Method: compare with compute_exposures, date by date.

That one is checked against plain loops in test_exposures.py, so it is the independent source here. Seeds are printed.
"""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.exposure_history import BLOCK_DATES, exposure_history
from market.exposures import DEFAULT_STYLES, compute_exposures
from market.medians import column_medians
from market.quotes import FIELDS, carried
from market.revisions import Revisions
from tests.builders.panels import changed_after, hand_panel, small_panel, view_at


def both_ways(panel, rows, members, styles=DEFAULT_STYLES):
    """Pairs of exposures, from the history and from each date's own view."""
    views = [view_at(panel, row) for row in rows]
    together = list(exposure_history(panel, [v.last_session for v in views], members, styles))
    return list(zip(together, [compute_exposures(v, m, styles) for v, m in zip(views, members, strict=True)], strict=True))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_dates_and_universes_give_the_numbers_of_one_date_at_a_time(seed):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    count = 1500 if seed == 2 else 700
    panel = small_panel(seed=seed, n_assets=60, n_sessions=count)
    rows = np.sort(rng.choice(np.arange(251, count), 70, replace=False)).tolist()
    if seed == 3:
        rng.shuffle(rows)  # out of order is slower, not other
    members = [np.sort(rng.choice(60, rng.integers(25, 61), replace=False)) for _ in rows]
    for one, other in both_ways(panel, rows, members):
        assert (one.names, one.kinds, one.filled, one.flags) == (other.names, other.kinds, other.filled, other.flags)
        np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-10)


def test_young_assets_gaps_unknown_shares_and_several_countries_are_no_exception():
    seed = 4
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    panel = small_panel(seed=seed, n_assets=30, n_sessions=420)
    close = panel.close.copy()
    close[:330, 1] = np.nan  # observed on a third of the last year: too little for beta and momentum
    close[:400, 2] = np.nan
    close[rng.random(close.shape) < 0.1] = np.nan
    shares = np.where(rng.random(30) < 0.5, np.nan, 1e6)
    volume = np.where(rng.random(close.shape) < 0.6, 0.0, 1e5)
    countries = ["US"] * 20 + ["DE"] * 10
    panel = hand_panel(close, volume=np.where(np.isnan(close), np.nan, volume), shares=shares, countries=countries)
    rows = list(range(380, 420))
    for one, other in both_ways(panel, rows, [np.arange(30)] * len(rows)):
        assert one.names == other.names
        np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-10)


@pytest.mark.parametrize("style", DEFAULT_STYLES)
def test_each_style_can_be_had_alone(style):
    panel = small_panel(seed=5, n_sessions=620)
    for one, other in both_ways(panel, [260, 300, 600], [np.arange(40)] * 3, (style,)):
        assert one.names == other.names
        np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-10)


def test_nothing_after_a_date_changes_its_exposures_even_in_one_block():
    panel = small_panel(seed=6)
    rows = [270, 280, 290, 300]
    sessions, members = [view_at(panel, r).last_session for r in rows], [np.arange(40)] * len(rows)
    before = list(exposure_history(panel, sessions, members))
    after = list(exposure_history(changed_after(panel, 285), sessions, members))
    for k in (0, 1):
        assert before[k].values.tobytes() == after[k].values.tobytes()
    assert np.abs(before[3].values - after[3].values).max() > 0.1


def test_where_blocks_are_cut_changes_nothing_that_counts():
    panel = small_panel(seed=7, n_sessions=400)
    rows = list(range(260, 260 + 2 * BLOCK_DATES + 1))
    sessions, members = [view_at(panel, r).last_session for r in rows], [np.arange(40)] * len(rows)
    together = list(exposure_history(panel, sessions, members))
    alone = [next(exposure_history(panel, [s], [m])) for s, m in zip(sessions, members, strict=True)]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-12)


def test_wrong_requests_are_refused_by_name():
    panel = small_panel(seed=8)
    last, early = view_at(panel).last_session, view_at(panel, 250).last_session
    for code, call in [
        (Code.SETTING_UNKNOWN, lambda: exposure_history(panel, [last], [np.arange(40)], ("charm",))),
        (Code.UNIVERSE_TOO_SMALL, lambda: exposure_history(panel, [last], [np.arange(0)])),
        (Code.HISTORY_TOO_SHORT, lambda: exposure_history(panel, [early], [np.arange(40)])),
        (Code.DATE_OUTSIDE_PANEL, lambda: exposure_history(panel, [last + timedelta(days=900)], [np.arange(40)])),
    ]:
        with pytest.raises(InputRejected) as caught:
            list(call())
        assert caught.value.code is code
    with pytest.raises(InvariantBroken):
        list(exposure_history(panel, [last], []))
    assert list(exposure_history(panel, [], [])) == []


@pytest.mark.parametrize("rows", [1, 2, 5, 8])
def test_medians_of_columns_are_numpys(rows):
    print(f"seed {rows}")
    values = np.random.default_rng(rows).integers(0, 4, (rows, 200)).astype(np.float64)
    np.testing.assert_array_equal(column_medians(values), np.median(values, axis=0))


def test_a_correction_between_two_dates_changes_the_later_one_alone():
    panel = small_panel(seed=9)
    rows, cell = [270, 280, 290], (260, 4)
    learnt = panel.known_at[[285]].astype("datetime64[us]")
    whole = np.zeros(1, dtype=np.int64)
    late = Revisions(
        learnt, whole + FIELDS.index("close"), whole + cell[0], whole + cell[1], panel.close[cell] * np.full(1, 5.0)
    )
    revised = replace(panel, revisions=late)
    for one, other in both_ways(revised, rows, [np.arange(40)] * 3):
        np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-10)
    sessions = [view_at(panel, r).last_session for r in rows]
    before = list(exposure_history(panel, sessions, [np.arange(40)] * 3))
    after = list(exposure_history(revised, sessions, [np.arange(40)] * 3))
    np.testing.assert_allclose(before[1].values, after[1].values, rtol=0, atol=1e-12)
    assert np.abs(before[2].values - after[2].values).max() > 0.01


def test_prices_without_gaps_are_carried_as_they_stand():
    prices = np.linspace(1.0, 2.0, 30).reshape(10, 3)
    np.testing.assert_array_equal(carried(prices), prices)
    gappy = np.where(np.arange(10)[:, None] == 4, np.nan, prices)
    np.testing.assert_array_equal(carried(gappy)[4], prices[3])
    np.testing.assert_array_equal(np.delete(carried(gappy), 4, axis=0), np.delete(prices, 4, axis=0))
