"""A desk that was asked other things before answers as one that was not, remembers the universe of a week before, and knows
the sessions that a round needs. Method: cold desks beside warm ones, asked in other orders; the memory is walked by hand."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.calendars import session_calendar, to_instant
from market.neutralizers import sample_weights
from market.synthetic import SyntheticSpec, generate_market
from market.universe import select_universe
from service.desk import MarketDesk, reach_days, universe_rule, week_end_rows
from service.home import Home
from service.pricestore import Dataset
from service.settings import load_settings
from service.vendors.ingested import keep_synthetic, market_store
from tests.builders.corrections import corrected
from tests.builders.panels import view_at
from tests.builders.vendor import batch_of

SEED = 61
SPEC = SyntheticSpec(seed=SEED, n_assets=90, countries=("US", "JP"), start=date(2015, 1, 2), end=date(2016, 12, 30))


@pytest.fixture(scope="module")
def panel():
    """Two exchanges, with corrections that were learnt days after their sessions, two hours after another one's prices."""
    print(f"seed {SEED}")
    found = corrected(generate_market(SPEC), SEED, share=0.002)
    return replace(found, revisions=replace(found.revisions, known_at=found.revisions.known_at + np.timedelta64(2, "h")))


def desk_of(panel, hysteresis: str = "0.2") -> MarketDesk:
    settings = load_settings(env={}).with_overrides(
        {"universe.size": 40, "universe.hysteresis": hysteresis, "universe.adv_window_sessions": 10}
    )
    desk = MarketDesk(Home(Path("nowhere")), settings)
    desk.use(panel)
    return desk


def evenings(panel, count: int) -> list[datetime]:
    rows = np.linspace(300, len(panel.sessions) - 1, count).astype(int)
    return [to_instant(panel.known_at[row]) + timedelta(hours=7 * (i % 3)) for i, row in enumerate(rows)]


def test_a_warm_desk_answers_as_a_cold_one(panel):
    asked = evenings(panel, 12)
    cold = [desk_of(panel) for _ in asked]
    expected = [desk.universe(desk.view(instant)) for desk, instant in zip(cold, asked, strict=True)]
    for order in (asked, asked[::-1], np.random.default_rng(SEED).permutation(np.array(asked)).tolist()):
        warm = desk_of(panel)
        got = {instant: warm.universe(warm.view(instant)) for instant in order}
        for instant, universe in zip(asked, expected, strict=True):
            assert got[instant].hash == universe.hash
            assert got[instant].entered.tolist() == universe.entered.tolist()
            assert got[instant].left.tolist() == universe.left.tolist()
            exposures = [d.exposures(d.view(instant), universe.members).values.tobytes() for d in (warm, desk_of(panel))]
            assert exposures[0] == exposures[1]


def test_the_memory_is_walked_week_by_week_from_the_first_universe(panel):
    desk, rule = desk_of(panel), universe_rule(desk_of(panel).settings.universe)
    former, churn = None, []
    for row in week_end_rows(panel.sessions, rule.min_history_sessions - 1):
        evening = view_at(panel, row)
        former = select_universe(evening, rule, former)
        assert desk.universe(evening).hash == former.hash
        churn.append(former.churn or 0.0)
    # Wednesday evening remembers the week end before
    wednesday = next(r for r in range(400, 410) if panel.sessions[r].item().isoweekday() == 3)
    friday = [r for r in week_end_rows(panel.sessions[:wednesday], 0) if panel.sessions[r].item().isoweekday() == 5][-1]
    expected = select_universe(view_at(panel, wednesday), rule, desk.universe(view_at(panel, friday)))
    assert desk_of(panel).universe(view_at(panel, wednesday)).hash == expected.hash
    # and what it is for: fewer come and go than without a memory
    plain, restless = desk_of(panel, "0"), []
    for row in week_end_rows(panel.sessions, rule.min_history_sessions - 1):
        universe = plain.universe(view_at(panel, row))
        restless.append(set(universe.asset_ids.tolist()))
    without = [len(a ^ b) / (len(a) + len(b)) for a, b in pairwise(restless)]
    assert 0 < np.mean(churn[1:]) < 0.5 * np.mean(without)


def test_a_revision_between_two_evenings_of_one_session_is_seen(panel):
    """Two instants with the same last session need not know the same."""
    learnt = panel.revisions.known_at
    late = next(k for k in learnt if panel.knowledge_at(to_instant(k))[0] > 300)
    before, after = to_instant(late) - timedelta(seconds=1), to_instant(late) + timedelta(seconds=1)
    assert panel.knowledge_at(before)[0] == panel.knowledge_at(after)[0]
    members = np.arange(len(panel.assets))
    warm = desk_of(panel)
    warm.exposures(warm.view(before), members)
    cold = desk_of(panel)
    assert (
        warm.exposures(warm.view(after), members).values.tobytes() == cold.exposures(cold.view(after), members).values.tobytes()
    )


def test_weeks_of_returns_weigh_by_what_was_known_before_them(panel):
    """Regression weights are the sample weights of the evening before the week, warm and cold; equal ones are none."""
    desk = desk_of(panel)
    view = desk.view(to_instant(panel.known_at[-1]))
    names = desk.exposures(view, desk.universe(view).members).names
    periods = desk.factor_periods(view, names, 6)
    ends = week_end_rows(view.sessions, 252, 7)
    for period, begin in zip(periods, ends, strict=False):
        members = np.flatnonzero(period.in_universe)
        known = panel.as_of(to_instant(panel.known_at[begin]))
        np.testing.assert_array_equal(period.weights[members], sample_weights(known, members))
    for period, again in zip(periods, desk.factor_periods(view, names, 6), strict=True):
        np.testing.assert_array_equal(period.weights, again.weights)
    equal = MarketDesk(Home(Path("nowhere")), desk.settings.with_overrides({"fund.risk.regression_weights": "equal"}))
    equal.use(panel)
    assert [period.weights for period in equal.factor_periods(view, names, 6)] == [None] * 6


@pytest.mark.parametrize("sessions", [22, 62, 250])
def test_the_calendar_reaches_as_far_as_a_round_needs(panel, sessions):
    desk = desk_of(panel)
    # Far beyond the prices, before the holidays of a turn of the year: the calendar of the panel does not reach there
    now = datetime(2018, 12, 14, 23, 0, tzinfo=UTC)
    calendar, home = desk.calendar(now, sessions), desk.home_calendar(now, sessions)
    assert calendar.exchanges == ("XNYS", "XTKS")
    assert home.exchange == "XNYS"
    for exchange in calendar.exchanges:
        own = session_calendar(exchange, date(2015, 1, 2), date(2020, 12, 31))
        base = own.last_closed_before(now)
        assert calendar.own_offset(exchange, base, sessions) == own.offset(base, sessions)
    assert calendar.last_date - now.date() == timedelta(days=reach_days(sessions))


def test_a_calendar_that_is_not_announced_as_far_is_refused():
    mumbai = generate_market(
        SyntheticSpec(seed=1, n_assets=12, countries=("IN",), start=date(2016, 1, 4), end=date(2016, 3, 1))
    )
    desk = desk_of(mumbai)
    assert desk.calendar(datetime(2016, 3, 1, 12, tzinfo=UTC), 62).exchange == "XBOM"
    with pytest.raises(InputRejected) as caught:
        desk.calendar(datetime(2040, 3, 1, 12, tzinfo=UTC), 62)
    assert caught.value.code is Code.CALENDAR_END


def test_the_fund_keeps_the_days_of_the_rounds_exchange(panel):
    desk = desk_of(panel)
    good_friday = view_at(panel, panel.index_of(date(2016, 3, 25)))  # Tokyo alone traded
    assert (good_friday.last_session, desk.home_session(good_friday)) == (date(2016, 3, 25), date(2016, 3, 24))
    golden_week = view_at(panel, panel.index_of(date(2016, 5, 4)))  # New York alone traded
    assert (golden_week.last_session, desk.home_session(golden_week)) == (date(2016, 5, 4), date(2016, 5, 4))


def test_the_exchanges_of_a_home_are_told_without_its_prices(panel, tmp_path):
    home = Home.create(tmp_path / "home")
    desk = MarketDesk(home, load_settings(env={}))
    assert desk.exchanges() == ()
    keep_synthetic(home, SPEC, panel)
    assert desk.exchanges() == panel.exchange_names == ("XNYS", "XTKS")
    desk.use(panel)
    assert desk.exchanges() == panel.exchange_names
    stored = Home.create(tmp_path / "stored")
    about = Dataset("london", "parquet", "XLON", "GB", "GBP", "raw", 60)
    batch = batch_of(
        generate_market(SyntheticSpec(n_assets=12, countries=("GB",), start=date(2016, 1, 4), end=date(2016, 3, 1)))
    )
    market_store(stored).append(about, batch.prices, batch.events, batch_id="1" * 64)
    assert MarketDesk(stored, load_settings(env={})).exchanges() == ("XLON",)
