"""Windows on several exchanges against tests/answers/sessions.csv (sessions that the exchanges published, no calendar library):
each asset's return is recomputed from its own exchange's list of sessions, and delisting returns from the rules by hand."""

import csv
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.calendars import joint_calendar, session_calendar
from market.delistings import delisting_returns, traded_before
from market.targets import forward_returns, raw_target, window_returns
from market.windows import days_known, last_base_row, rows_spanned, windows
from tests.builders.panels import hand_panel, small_panel, view_at

NAN = np.nan
EXCHANGES = ("XNYS", "XLON", "XTKS")
FIRST, LAST = date(2015, 1, 1), date(2016, 12, 31)
JOINT = joint_calendar([session_calendar(exchange, FIRST, LAST) for exchange in EXCHANGES])
ANSWERS = Path(__file__).resolve().parents[1] / "answers" / "sessions.csv"


def published() -> dict[str, list[tuple[date, datetime]]]:
    found: dict[str, list[tuple[date, datetime]]] = {exchange: [] for exchange in EXCHANGES}
    with ANSWERS.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            close = datetime.fromisoformat(row["close_utc"]).replace(tzinfo=UTC)
            found[row["exchange"]].append((date.fromisoformat(row["session"]), close))
    return found


PUBLISHED = published()


def expected(exchange: str, closes_at: datetime, horizon: int, lag: int) -> tuple[date, date]:
    """First and last date of a window, by counting along the exchange's published list."""
    s0 = max(i for i, (_, close) in enumerate(PUBLISHED[exchange]) if close < closes_at)
    return PUBLISHED[exchange][s0 + lag][0], PUBLISHED[exchange][s0 + lag + horizon][0]


def world(seed: int):
    """Six assets, two an exchange, priced on the sessions of their own exchange only."""
    rng = np.random.default_rng(seed)
    index = np.array([0, 1, 2, 0, 1, 2])
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (JOINT.sessions.shape[0], 6)), axis=0))
    close[~JOINT.trading[:, index]] = NAN
    return close, index


@pytest.mark.parametrize(("horizon", "lag"), [(20, 2), (60, 2), (1, 0)])
@pytest.mark.parametrize(
    "closes_at",
    [
        datetime(2015, 4, 20, 14, 30, tzinfo=UTC),  # before Golden Week; Tokyo's Monday has closed, the others' has not
        datetime(2015, 9, 11, 21, 0, tzinfo=UTC),  # Silver Week lies inside
        datetime(2015, 12, 21, 12, 0, tzinfo=UTC),  # Christmas: half days, and holidays of one exchange only
        datetime(2016, 3, 18, 20, 0, tzinfo=UTC),  # Easter, a change of the clocks; New York closes at this very instant
    ],
)
def test_each_assets_window_is_counted_in_its_own_exchanges_sessions(closes_at, horizon, lag):
    close, index = world(seed=41)
    print("seed 41")
    panel = hand_panel(close, calendar=JOINT, first=JOINT.sessions[0].item())
    start, end = windows(JOINT, index, JOINT.own_last_closed_before(closes_at), horizon, lag)
    got = window_returns(view_at(panel, int(end.max())), np.arange(6), start, end)
    for i, exchange in enumerate(np.array(EXCHANGES)[index].tolist()):
        first, last = expected(exchange, closes_at, horizon, lag)
        assert (JOINT.sessions[start[i]].item(), JOINT.sessions[end[i]].item()) == (first, last)
        prices = {day.item(): price for day, price in zip(JOINT.sessions, close[:, i], strict=True)}
        assert got[i] == pytest.approx(prices[last] / prices[first] - 1, abs=1e-13)


def test_a_round_can_resolve_when_the_latest_end_is_known_and_not_before():
    close, index = world(seed=42)
    print("seed 42")
    panel = hand_panel(close, calendar=JOINT, first=JOINT.sessions[0].item())
    # Silver Week and the Day of Sports take four sessions from Tokyo's count: its window ends last
    start, end = windows(JOINT, index, JOINT.own_last_closed_before(datetime(2015, 9, 11, 21, tzinfo=UTC)), 20, 2)
    assert (end - end[0]).tolist() == [0, 0, 4, 0, 0, 4]
    latest = int(end.max())
    assert np.isfinite(window_returns(view_at(panel, latest), np.arange(6), start, end)).all()
    with pytest.raises(InputRejected) as caught:
        window_returns(view_at(panel, latest - 1), np.arange(6), start, end)
    assert caught.value.code is Code.DATE_OUTSIDE_PANEL
    # New York's assets alone are known before
    york = np.flatnonzero(index == 0)
    assert np.isfinite(window_returns(view_at(panel, int(end[0])), york, start[york], end[york])).all()


def test_nothing_outside_its_own_window_changes_an_assets_return():
    close, index = world(seed=43)
    print("seed 43")
    start, end = windows(JOINT, index, JOINT.own_last_closed_before(datetime(2015, 9, 11, 21, tzinfo=UTC)), 20, 2)
    other = close.copy()
    rows = np.arange(close.shape[0])[:, None]
    other[(rows < start) | (rows > end)] *= 3.0
    got = [
        window_returns(view_at(hand_panel(c, calendar=JOINT, first=JOINT.sessions[0].item())), np.arange(6), start, end)
        for c in (close, other)
    ]
    np.testing.assert_allclose(got[0], got[1], rtol=1e-12)


def test_one_date_for_all_stands_for_each_exchanges_last_session_up_to_it():
    # Tokyo trades on Christmas Day, the others do not
    start, end = windows(JOINT, np.array([0, 1, 2]), date(2015, 12, 25), 1, 0)
    assert JOINT.sessions[start].tolist() == [date(2015, 12, 24), date(2015, 12, 24), date(2015, 12, 25)]
    assert JOINT.sessions[end].tolist() == [date(2015, 12, 28), date(2015, 12, 29), date(2015, 12, 28)]


def test_rows_are_counted_from_the_axis_that_is_given():
    late = date(2015, 3, 2)
    a = windows(JOINT, np.array([0, 2]), date(2015, 6, 1), 20, 2)
    b = windows(JOINT, np.array([0, 2]), date(2015, 6, 1), 20, 2, axis_start=late)
    shift = int(np.searchsorted(JOINT.sessions, np.datetime64(late)))
    for whole, part in zip(a, b, strict=True):
        np.testing.assert_array_equal(whole - shift, part)


def test_on_one_exchange_the_window_is_that_of_forward_returns_to_the_last_bit():
    panel = small_panel(seed=15)
    print("seed 15")
    view, members = view_at(panel), np.arange(40)
    s0 = panel.sessions[250].item()
    start, end = windows(panel.calendar, np.zeros(40, dtype=int), s0, 20, 2, axis_start=panel.first_session)
    a, b = forward_returns(view, members, s0, 20, 2), window_returns(view, members, start, end)
    assert a.tobytes() == b.tobytes()
    assert window_returns(view, members[:0], start[:0], end[:0]).shape == (0,)


def test_a_delisting_counts_inside_its_assets_own_window_only():
    close = np.full((8, 3), 10.0)
    close[5:, :] = NAN
    panel = hand_panel(close, delistings={0: (5, -0.5), 1: (5, -0.5), 2: (5, -0.5)})
    start, end = np.array([1, 1, 5]), np.array([5, 4, 7])
    np.testing.assert_allclose(window_returns(view_at(panel), np.arange(3), start, end), [-0.5, 0.0, NAN])


def test_windows_that_cannot_be_told_are_refused_by_name():
    ny = np.array([0])
    for base, horizon, lag, code in [
        (date(2016, 12, 20), 20, 2, Code.CALENDAR_END),
        (date(2014, 12, 31), 20, 2, Code.CALENDAR_END),
        (date(2015, 6, 1), 0, 2, Code.SETTING_INVALID),
        (date(2015, 6, 1), 20, -1, Code.SETTING_INVALID),
    ]:
        with pytest.raises(InputRejected) as caught:
            windows(JOINT, ny, base, horizon, lag)
        assert caught.value.code is code
    with pytest.raises(InputRejected) as caught:
        windows(JOINT, ny, date(2015, 6, 1), 20, 2, axis_start=date(2015, 6, 2))
    assert caught.value.code is Code.DATE_OUTSIDE_PANEL
    with pytest.raises(InvariantBroken):
        windows(JOINT, np.array([3]), date(2015, 6, 1), 20, 2)
    view = view_at(small_panel(n_sessions=30))
    with pytest.raises(InvariantBroken):
        window_returns(view, np.arange(1), np.array([5]), np.array([5]))


def test_a_raw_target_bins_the_returns_as_they_are():
    returns = np.arange(20.0) / 100
    returns[7] += 1e-15  # noise of a sum
    np.testing.assert_array_equal(raw_target(returns), [0] + [0.25] * 4 + [0.5] * 10 + [0.75] * 4 + [1])
    tied = np.array([0.1, 0.1 + 1e-15, 0.3, NAN, -0.2, -0.2])
    got = raw_target(tied)
    assert got[0] == got[1]
    assert got[4] == got[5]
    assert np.isnan(got[3])


def test_unknown_delisting_returns_follow_their_reason_by_hand():
    values = np.array([NAN, NAN, NAN, NAN, NAN, NAN, 0.25, -1.0])
    reasons = np.array(["merger", "merger", "performance", "performance", "unknown", "", "performance", "unknown"])
    traded = np.array([True, False, True, False, True, False, False, False])
    returns, assumed = delisting_returns(values, reasons, traded)
    np.testing.assert_array_equal(returns, [0, 0, -0.3, -0.3, 0, -0.3, 0.25, -1])
    assert assumed.tolist() == [True] * 6 + [False] * 2
    np.testing.assert_array_equal(
        delisting_returns(values, reasons, traded, -0.55)[0], [0, 0, -0.55, -0.55, 0, -0.55, 0.25, -1]
    )


def test_an_asset_traded_until_the_end_if_it_did_so_in_its_last_week():
    traded = np.ones((20, 4), dtype=bool)
    traded[12:, 0] = False  # last trade on row 11
    traded[10:, 1] = False  # last trade on row 9
    got = traded_before(traded, np.array([16, 16, -1, 0]))
    assert got.tolist() == [True, False, False, False]
    # what trades on the day of the event or later says nothing
    late = np.zeros((20, 1), dtype=bool)
    late[16:] = True
    assert not traded_before(late, np.array([16]))[0]


def test_a_round_that_closes_a_second_later_may_have_another_base():
    close = datetime(2015, 6, 8, 6, 0, tzinfo=UTC)  # Tokyo's close
    a, b = (windows(JOINT, np.array([2]), JOINT.own_last_closed_before(close + timedelta(seconds=s)), 20, 2) for s in (0, 1))
    assert (b[0] - a[0]).tolist() == [1]


@pytest.mark.parametrize("lag", [0, 2])
def test_day_k_is_known_when_every_exchange_has_had_k_sessions(lag):
    index = np.array([0, 1, 2])
    closes_at = datetime(2015, 9, 11, 21, 0, tzinfo=UTC)  # before Silver Week
    base = JOINT.own_last_closed_before(closes_at)
    for last in JOINT.sessions[JOINT.index_of(date(2015, 9, 10)) :][:40].tolist():
        after = [sum(day <= last and close >= closes_at for day, close in PUBLISHED[exchange]) for exchange in EXCHANGES]
        assert days_known(JOINT, index, base, lag, last) == min(after) - lag
        assert days_known(JOINT, index[:1], base, lag, last) == after[0] - lag
    ends = windows(JOINT, index, base, 20, lag)[1]
    assert days_known(JOINT, index, base, lag, JOINT.sessions[ends.max()].item()) == 20
    assert days_known(JOINT, index, base, lag, JOINT.sessions[ends.max() - 1].item()) == 19


def test_the_last_base_is_the_last_one_whose_windows_end_inside():
    trading = JOINT.trading[:300]
    row = last_base_row(trading, 20, 2)
    for at, inside in ((row, True), (row + 1, False)):
        ends = windows(JOINT, np.array([0, 1, 2]), JOINT.sessions[at].item(), 20, 2)[1]
        assert bool(ends.max() < 300) is inside
    assert last_base_row(np.ones((22, 1), dtype=bool), 20, 2) == -1
    assert last_base_row(np.ones((23, 1), dtype=bool), 20, 2) == 0
    assert last_base_row(np.ones((21, 2), dtype=bool), 20, 2) == -1


def test_forward_returns_on_several_exchanges_run_over_each_ones_own_window():
    close, index = world(seed=43)
    print("seed 43")
    flat = hand_panel(close, calendar=JOINT, first=JOINT.sessions[0].item())
    assets = replace(flat.assets, exchanges=np.array(EXCHANGES)[index])
    names = sorted(EXCHANGES)
    trading = JOINT.trading[:, [EXCHANGES.index(name) for name in names]]
    panel = replace(flat, assets=assets, trading=trading)
    evening = date(2015, 9, 11)
    start, end = windows(JOINT, index, evening, 20, 2)
    view = view_at(panel, int(end.max()))
    expected = close[end, np.arange(6)] / close[start, np.arange(6)] - 1
    np.testing.assert_allclose(forward_returns(view, np.arange(6), evening, 20, 2), expected, atol=1e-13)
    with pytest.raises(InputRejected) as caught:
        forward_returns(view_at(panel, int(end.max()) - 1), np.arange(6), evening, 20, 2)
    assert caught.value.code is Code.DATE_OUTSIDE_PANEL


def test_a_window_spans_the_rows_that_other_exchanges_had_to_themselves():
    for sessions in (5, 22, 62):
        spans = []
        for base in JOINT.sessions[5:400].tolist():
            start, end = windows(JOINT, np.array([0, 1, 2]), base, sessions, 0)
            spans.append((end - start).max())
        assert rows_spanned(JOINT.trading[:480], sessions) == max(spans) > sessions
    assert rows_spanned(np.ones((30, 1), dtype=bool), 22) == 22
    assert rows_spanned(np.ones((10, 1), dtype=bool), 22) == 22
