"""Forward returns and targets equal hand calculations (independent source) and end where they say."""

from datetime import date

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.exposures import compute_exposures
from market.targets import coverage, forward_returns, neutral_target, priced_share
from tests.builders.panels import changed_after, hand_panel, small_panel, view_at

NAN = np.nan
S0 = date(2014, 1, 2)
ALL = np.arange


def test_the_window_runs_from_lag_to_lag_plus_horizon():
    close = np.array([[100.0], [101.0], [105.0], [110.0], [120.0], [200.0]])
    view = view_at(hand_panel(close))
    assert forward_returns(view, ALL(1), S0, horizon=2, lag=1)[0] == pytest.approx(110 / 101 - 1, abs=1e-15)
    assert forward_returns(view, ALL(1), S0, horizon=1, lag=0)[0] == pytest.approx(0.01, abs=1e-15)
    assert forward_returns(view, ALL(1), date(2014, 1, 3), horizon=3, lag=1)[0] == pytest.approx(200 / 105 - 1, abs=1e-14)


def test_dividends_halts_delistings_and_gaps_by_hand():
    close = np.array(
        [
            # paid, halted inside, halted at the end, delisted, gone before, halted throughout, listed late, halted at the start
            [10.0, 10.0, 10.0, 10.0, 10.0, 10.0, NAN, 10.0],
            [10.0, 10.0, 10.0, 10.0, NAN, NAN, NAN, NAN],  # start: s₀ + 1
            [10.0, NAN, 12.0, 12.0, NAN, NAN, 10.0, NAN],
            [10.0, NAN, NAN, NAN, NAN, NAN, 15.0, 13.0],
            [10.0, 11.0, NAN, NAN, NAN, NAN, 20.0, 13.0],  # end: s₀ + 4
            [99.0, 99.0, 99.0, NAN, NAN, 99.0, 99.0, 99.0],
        ]
    )
    adj = close.copy()
    adj[:3, 0] *= 0.9
    panel = hand_panel(close, adj_close=adj, delistings={3: (3, -0.5), 4: (1, 0.2)})
    got = forward_returns(view_at(panel), ALL(8), S0, horizon=3, lag=1)
    want = [1 / 0.9 - 1, 0.1, 0.2, 1.2 * 0.5 - 1, NAN, NAN, NAN, 0.3]
    np.testing.assert_allclose(got, want, atol=1e-14)
    assert coverage(got) == 5 / 8
    assert coverage(np.empty(0)) == 0.0


def test_a_total_loss_is_minus_one():
    panel = hand_panel([[10.0], [10.0], [10.0], [NAN]], delistings={0: (3, -1.0)})
    assert forward_returns(view_at(panel), ALL(1), S0, 2, 1)[0] == -1.0


def test_a_window_that_is_not_known_yet_is_refused():
    panel = small_panel(n_sessions=40)
    s0 = date(2014, 1, 2)
    assert np.isfinite(forward_returns(view_at(panel, 22), ALL(3), s0, 20, 2)).all()
    for row, window, code in [
        (21, (20, 2), Code.DATE_OUTSIDE_PANEL),
        (30, (0, 2), Code.SETTING_INVALID),
        (30, (5, -1), Code.SETTING_INVALID),
    ]:
        with pytest.raises(InputRejected) as caught:
            forward_returns(view_at(panel, row), ALL(3), s0, *window)
        assert caught.value.code is code
    with pytest.raises(InputRejected) as caught:
        forward_returns(view_at(panel, 30), ALL(3), date(2014, 1, 4), 1, 0)
    assert caught.value.code is Code.DATE_OUTSIDE_PANEL


def test_nothing_after_the_window_changes_a_return():
    panel = small_panel(seed=12)
    print("seed 12")
    base = panel.sessions[270].astype(object)
    for row in (292, 300, 318):
        a = forward_returns(view_at(panel, row), ALL(40), base, 20, 2)
        b = forward_returns(view_at(changed_after(panel, row), row), ALL(40), base, 20, 2)
        assert a.tobytes() == b.tobytes()
    late = forward_returns(view_at(changed_after(panel, 292)), ALL(40), base, 20, 2)
    np.testing.assert_array_equal(late, forward_returns(view_at(panel, 292), ALL(40), base, 20, 2))


def test_target_by_hand():
    # Two sectors of ten: residuals are the returns less their sector's mean, −0.45 … 0.45 in both, plus a tilt by asset
    sector = np.repeat([0, 1], 10)
    returns = np.tile(np.arange(10) / 10.0, 2) + np.where(sector == 0, 5.0, -3.0)
    returns[0] -= 0.01
    returns[19] += 0.01
    target = neutral_target(returns, np.eye(2)[sector])
    # the order by hand: asset 0 lowest, asset 19 highest; pairs (i, 10 + i) differ by the moved mean, 0.001
    assert target[0] == 0.0
    assert target[19] == 1.0
    np.testing.assert_array_equal(np.sort(target), [0] + [0.25] * 4 + [0.5] * 10 + [0.75] * 4 + [1])
    np.testing.assert_array_equal(target[[10, 1, 11]], [0.25] * 3)
    np.testing.assert_array_equal(target[[9, 8, 18]], [0.75] * 3)


def test_target_keeps_ties_and_missing_returns_and_is_blind_to_exposures():
    rng = np.random.default_rng(13)
    print("seed 13")
    n = 200
    exposures = np.column_stack([np.eye(5)[rng.integers(0, 5, n)], rng.normal(size=(n, 3))])
    exposures[100:] = exposures[:100]
    returns = rng.normal(size=n)
    returns[100:] = returns[:100]
    returns[[3, 103]] = NAN
    target = neutral_target(returns, exposures)
    np.testing.assert_array_equal(target[:100], target[100:])
    np.testing.assert_array_equal(np.isnan(target), np.isnan(returns))
    shifted = neutral_target(returns + exposures @ rng.normal(size=8), exposures)
    np.testing.assert_array_equal(shifted, target)


def test_target_takes_the_exposures_record():
    view = view_at(small_panel(seed=14))
    exposures = compute_exposures(view, ALL(40))
    returns = np.random.default_rng(14).normal(size=40)
    np.testing.assert_array_equal(neutral_target(returns, exposures), neutral_target(returns, exposures.values))


def test_a_window_is_priced_as_far_as_its_ends_are():
    close = np.full((6, 10), 10.0)
    close[1, 0] = NAN  # start: s₀ + 1
    close[4, 1:4] = NAN  # end: s₀ + 4
    close[2:4, 5:] = NAN  # a halt inside the window is none of its ends
    view = view_at(hand_panel(close, delistings={1: (3, -0.5)}))
    assert priced_share(view, ALL(10), S0, horizon=3, lag=1) == 0.8
    assert priced_share(view, ALL(10), S0, horizon=2, lag=1) == 0.5
    assert priced_share(view, ALL(10), S0, horizon=4, lag=1) == 0.9
    assert coverage(forward_returns(view, ALL(10), S0, horizon=3, lag=1)) == 1.0
