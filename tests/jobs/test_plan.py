"""Goal: planning again adds nothing twice, an absence is caught up without a gap, and nothing from before the home's first plan
is ever planned. Method: plans in many small steps against one plan in one step, on a real store."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from market.synthetic import SyntheticSpec, generate_market
from service.clock import SimulatedClock
from service.desk import MarketDesk
from service.home import Home
from service.jobs.plan import plan_ahead
from service.settings import load_settings
from service.store import occurrences

START = datetime(2016, 1, 6, 12, 0, tzinfo=UTC)


def platform_on(store):
    settings = load_settings(env={})
    desk = MarketDesk(Home(Path("nowhere")), settings)  # without prices
    return SimpleNamespace(store=store, clock=SimulatedClock(START), settings=settings, desk=desk)


def rows(store) -> list[tuple[str, datetime]]:
    with store.read() as connection:
        return [(o.job, o.due_at) for o in occurrences.list_occurrences(connection)]


def test_planning_again_adds_nothing(store) -> None:
    platform = platform_on(store)
    until = START + timedelta(days=60)
    new = plan_ahead(platform, until)
    assert new == len(rows(store)) > 0
    assert plan_ahead(platform, until) == 0
    assert plan_ahead(platform, until - timedelta(days=30)) == 0


@pytest.mark.parametrize("step_days", [3, 13, 100])
def test_small_steps_plan_what_one_step_plans(store, step_days: int) -> None:
    platform = platform_on(store)
    last = START + timedelta(days=200)
    until = START
    while until < last:
        until = min(until + timedelta(days=step_days), last)
        plan_ahead(platform, until)
        # Nothing is run meanwhile: the scheduler was away.
        platform.clock.advance_to(until)
    stepwise = rows(store)
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM occurrences")
        connection.exec_driver_sql("DELETE FROM meta")
    fresh = platform_on(store)
    plan_ahead(fresh, last)
    assert stepwise == rows(store)


def test_nothing_is_planned_from_before_the_first_plan(store) -> None:
    platform = platform_on(store)
    plan_ahead(platform, START + timedelta(days=20))
    platform.clock.advance_to(START + timedelta(days=90))
    plan_ahead(platform, START + timedelta(days=120))
    assert min(due_at for _, due_at in rows(store)) >= START
    opened = Counter(job.split(":")[1] for job, _ in rows(store) if job.startswith("open_round"))
    # Fridays from 8 January to 29 April 2016 (Good Friday's week ends on a Thursday).
    assert opened == {"signals": 17, "classic": 17}


def test_a_home_with_several_exchanges_plans_by_all_of_them(store) -> None:
    spec = SyntheticSpec(seed=4, n_assets=12, countries=("US", "JP"), start=date(2015, 6, 1), end=date(2016, 1, 5))
    alone = platform_on(store)
    plan_ahead(alone, START + timedelta(days=150))
    one = rows(store)
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM occurrences")
        connection.exec_driver_sql("DELETE FROM meta")
    platform = platform_on(store)
    platform.desk.use(generate_market(spec))
    plan_ahead(platform, START + timedelta(days=150))
    two = rows(store)
    opened = [[row for row in plan if row[0].startswith(("open_round", "close_round"))] for plan in (one, two)]
    assert opened[0] == opened[1]
    # Tokyo was closed on 29 April and from 3 to 5 May 2016: 22 sessions after 1 April end there on 9 May, in New York on 3 May
    due = [dict(plan)["resolve_round:signals:2016-04-01"].date() for plan in (one, two)]
    assert due == [date(2016, 5, 3), date(2016, 5, 9)]
