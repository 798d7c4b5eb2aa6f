"""Capacity is what the walks say of it. Method: a small signal at two sizes, set beside a single backtest of the same mandate;
the verdicts of made-up tables by hand."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from crowdalpha.errors import InputRejected
from service.backtest.capacity import IMPACT_FACTORS, NOT_DEFINED, Capacity, _capacity, kept_capacity, run_capacity
from service.backtest.outcome import tearsheet
from service.backtest.spec import BacktestSpec, named_mandate
from service.workflows.backtest import BacktestRoom, run_backtest
from tests.builders.backtests import WIDE, Room, backtest_home

AUMS = (1e7, 5e9)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = backtest_home(tmp_path_factory.mktemp("capacity"))
    yield room
    room.platform.store.dispose()


def spec_of(home: Room) -> BacktestSpec:
    return BacktestSpec(named_mandate(home.platform.settings, changes=WIDE), home.momentum, last=date(2016, 3, 4))


@pytest.fixture(scope="module")
def found(home: Room) -> Capacity:
    return run_capacity(home.platform, spec_of(home), AUMS)


def test_a_size_is_a_backtest_of_that_mandate(home: Room, found: Capacity) -> None:
    row = next(r for r in found.rows if (r["impact_factor"], r["aum"]) == (2.0, 5e9))
    mandate = replace(spec_of(home).mandate, aum=5e9, impact_coefficient=1.0)
    alone = run_backtest(home.platform, replace(spec_of(home), mandate=mandate))
    assert alone.trial.id.startswith(row["trial"])
    assert row["gross"] == alone.trial.figures["gross_exposure"]
    assert row["net_pnl"] == pytest.approx(alone.trial.figures["net_pnl"] * 252 / len(alone.walk.sessions))


def test_a_larger_fund_reaches_less_of_its_gross(found: Capacity) -> None:
    for factor in IMPACT_FACTORS:
        small, large = (r["gross"] for r in found.rows if r["impact_factor"] == factor)
        assert large < small


def test_a_second_search_computes_nothing(home: Room, found: Capacity) -> None:
    again = run_capacity(home.platform, spec_of(home), AUMS)
    assert again.rows == found.rows
    assert (found.computed, again.computed) == (6, 0)


def test_what_a_search_kept_is_found_by_the_backtest_of_any_of_its_sizes(home: Room, found: Capacity) -> None:
    """Point by point the search's rows, with the coefficient told beside the asker's own; other backtests are no points."""
    room, spec = BacktestRoom(home.platform), spec_of(home)
    own = replace(spec, mandate=replace(spec.mandate, aum=2e7))
    walked = room.run(own)
    room.run(replace(own, mandate=replace(own.mandate, risk_aversion=9.0, aum=3e7)))
    points = kept_capacity(room, own)
    assert set(points) > set(found.points)
    told = {(p.impact_multiple, p.aum): (p.gross, p.net_pnl, p.sharpe) for p in points}
    searched = {(r["impact_factor"], r["aum"]): (r["gross"], r["net_pnl"], r["sharpe"]) for r in found.rows}
    assert {key: told[key] for key in searched} == searched
    assert set(told) - set(searched) == {(1.0, 2e7)}
    page = tearsheet(walked.walk, own, walked.flags, capacity=points)
    assert "<h2>Capacity</h2>" in page
    doubled = replace(own, mandate=replace(own.mandate, impact_coefficient=2 * own.mandate.impact_coefficient))
    assert {p.impact_multiple for p in kept_capacity(room, doubled)} == {0.5, 1.0}


def test_a_backtest_of_one_size_tells_no_capacity(home: Room, found: Capacity) -> None:
    room, spec = BacktestRoom(home.platform), spec_of(home)
    for other in (replace(spec, signal=home.reversal), replace(spec, costs=False), replace(spec, last=date(2016, 2, 26))):
        room.run(other)
        assert kept_capacity(room, other) == ()


def rows_of(*profits: float) -> list[dict[str, Any]]:
    return [{"impact_factor": 1.0, "aum": 1e7 * 10**k, "net_pnl": p} for k, p in enumerate(profits)]


def test_the_verdict_is_the_size_with_the_largest_profit() -> None:
    assert _capacity(rows_of(1.0, 8.0, 5.0), 1.0) == "100 M"
    assert _capacity(rows_of(1.0, 8.0, 9.0), 1.0) == "at least 1,000 M"


def test_what_loses_money_small_has_no_capacity() -> None:
    assert _capacity(rows_of(-1.0, 8.0, 9.0), 1.0) == NOT_DEFINED
    assert _capacity(rows_of(0.0, 8.0, 9.0), 1.0) == NOT_DEFINED


def test_a_fund_of_ten_million_is_asked_also_where_smaller_ones_were_tried() -> None:
    """As on the tear sheet: one rule in both."""
    assert _capacity([{"impact_factor": 1.0, "aum": 1e3, "net_pnl": -7.69}, *rows_of(160_617.0, 1.0)], 1.0) == "10 M"
    assert _capacity([{"impact_factor": 1.0, "aum": 1e6, "net_pnl": 5.0}, *rows_of(-1.0, 9.0)], 1.0) == NOT_DEFINED
    small = [{"impact_factor": 1.0, "aum": 1e6 * k, "net_pnl": profit} for k, profit in ((1, 5.0), (2, 3.0))]
    assert _capacity(small, 1.0) == "1 M"


def test_a_question_without_an_answer_is_refused(home: Room) -> None:
    spec = spec_of(home)
    free = replace(spec, mandate=replace(spec.mandate, impact_coefficient=0.0))
    for wrong, aums in ((replace(spec, costs=False), AUMS), (free, AUMS), (spec, (1e9, 1e7)), (spec, ()), (spec, (0.0, 1e7))):
        with pytest.raises(InputRejected):
            run_capacity(home.platform, wrong, aums)
