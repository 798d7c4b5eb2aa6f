"""A walk keeps the order of time and decides what the fund would. Method: the same decisions are lived through again by plain
loops over the whole panel, the first book is made again from its parts, and sources are made up where their words matter."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crowdalpha.errors import InputRejected
from market.arrays import StrArray
from market.calendars import session_calendar, to_instant
from market.ranks import tie_kept_rank
from market.synthetic import SyntheticSpec, generate_market
from portfolio.book import BookState, Liquidity, TradingCosts, costs_of
from portfolio.ladder import solve
from portfolio.simulate import BacktestResult, backtest
from service.backtest.evenings import Evenings, Stretch
from service.backtest.sources import HistorySource, Moment, Opinion, spaced
from service.backtest.spec import BacktestSpec, Fill, named_mandate
from service.backtest.walk import Walk, _Path, _waited, walk
from service.decide import decision_market, decision_problem
from signals.findings import FindingList
from signals.history import read_history
from signals.metamodel import build_meta_model
from tests.builders.backtests import WIDE, desk_on, eventful_panel, history_csv, small_settings

LAST = date(2016, 4, 15)
SOMEWHEN = datetime(2018, 1, 1, tzinfo=UTC)


def spec_of(**changes: Any) -> BacktestSpec:
    return BacktestSpec(named_mandate(small_settings(), changes=WIDE), last=LAST, **changes)


@cache
def room() -> tuple[Evenings, HistorySource]:
    evenings = Evenings(desk_on(eventful_panel()), 20, 2)
    history = read_history([history_csv(evenings.desk)])
    return evenings, HistorySource(evenings, history, FindingList())


@cache
def walked(fill: Fill = Fill.OPEN, costs: bool = True) -> Walk:
    return walk(*room(), spec_of(fill=fill, costs=costs))


def targets_of(found: Walk, first: int) -> dict[int, np.ndarray]:
    """The decided weights by the row, counted from ``first``, of the session in which they are filled."""
    panel, targets = eventful_panel(), {}
    for decision in found.decisions:
        weights = np.zeros(len(panel.assets))
        weights[decision.positions] = decision.weights
        targets[panel.index_of(decision.fill_session) - first] = weights
    return targets


def twin_of(found: Walk, *, keep_weights: bool = False) -> BacktestResult:
    """The plain backtest of a walk's targets, which is given all sessions at once, with volumes and deviations taken here."""
    panel = eventful_panel()
    view = panel.as_of(to_instant(panel.known_at[-1]))
    first = panel.index_of(found.decisions[0].fill_session)
    rows = slice(first, first + len(found.sessions))
    targets = targets_of(found, first)
    volume, returns = np.nan_to_num(view.dollar_volume()), np.nan_to_num(view.total_returns())
    liquidity = {
        row: Liquidity(
            np.median(volume[first + row - 63 : first + row], axis=0), returns[first + row - 63 : first + row].std(axis=0)
        )
        for row in targets
    }
    mandate = spec_of().mandate
    gone = np.where(view.delisting_index >= first, view.delisting_index - first, -1)
    return backtest(
        view.overnight_returns()[rows], view.intraday_returns()[rows], targets, costs_of(mandate), initial=mandate.aum,
        traded=view.traded[rows], delisting_rows=gone, delisting_returns=view.delisting_return, liquidity=liquidity,
        keep_weights=keep_weights,
    )  # fmt: skip


def test_equity_is_that_of_the_same_targets_on_the_whole_panel() -> None:
    panel, found = eventful_panel(), walked()
    twin, first = twin_of(found), panel.index_of(found.decisions[0].fill_session)
    assert np.array_equal(found.sessions, panel.sessions[first : first + len(found.sessions)])
    np.testing.assert_allclose(found.result.equity, twin.equity, rtol=1e-12)
    assert len(twin.forced_closes) == len(found.result.forced_closes)


def test_a_fill_at_the_close_earns_nothing_of_its_session() -> None:
    """Plain loop: positions grow by whole sessions, then are set to the target where the name trades."""
    panel, found = eventful_panel(), walked(Fill.CLOSE, costs=False)
    view = panel.as_of(to_instant(panel.known_at[-1]))
    first = panel.index_of(found.decisions[0].fill_session)
    targets = targets_of(found, first)
    positions, cash, equity = np.zeros(len(panel.assets)), spec_of().mandate.aum, []
    for at in range(len(found.sessions)):
        row = first + at
        dead = view.delisting_index == row
        growth = np.where(dead, view.delisting_return, np.nan_to_num(view.total_returns()[row]))
        positions = positions * (1 + growth)
        cash, positions = cash + positions[dead].sum(), np.where(dead, 0.0, positions)
        if at in targets:
            can = (
                view.traded[row]
                & np.isfinite(view.total_returns()[row])
                & ~((view.delisting_index >= 0) & (view.delisting_index <= row))
            )
            wanted = np.where(can, targets[at] * (cash + positions.sum()), positions)
            cash, positions = cash - (wanted - positions).sum(), wanted
        equity.append(cash + positions.sum())
    np.testing.assert_allclose(found.result.equity, equity, rtol=1e-12)


def test_each_book_is_filled_in_the_session_after_its_own() -> None:
    panel = eventful_panel()
    for decision in walked().decisions:
        assert panel.index_of(decision.fill_session) == panel.index_of(decision.session) + 1


def test_every_decision_is_solved_and_inside_its_bands() -> None:
    for decision in walked().decisions:
        assert decision.status == "solved" and decision.beyond == {}  # noqa: PT018 - one promise
        assert abs(dict(zip(decision.factors, decision.exposures, strict=True))["beta"]) < 1e-8


def test_costs_are_charged_once_and_can_be_off() -> None:
    on, off = walked().result, walked(costs=False).result
    assert all((on.costs[kind] >= 0).all() and on.costs[kind].sum() > 0 for kind in ("spread", "impact", "borrow"))
    assert not any(values.any() for values in off.costs.values())


def test_the_first_book_is_what_the_mandate_makes_of_the_score() -> None:
    """From cash, with a universe that nobody has left: problem and solution are made here, of the universe alone."""
    settings = small_settings().with_overrides({"universe.size": 100})
    calm = generate_market(SyntheticSpec(seed=5, n_assets=60, start=date(2015, 1, 2), end=date(2016, 3, 31)))
    desk, mandate = desk_on(calm, settings), named_mandate(settings)
    evenings = Evenings(desk, 20, 2)
    source = HistorySource(evenings, read_history([history_csv(desk)]), FindingList())
    found = walk(evenings, source, BacktestSpec(mandate, last=date(2016, 2, 5))).decisions[0]
    moment = source.moments(5)[0]
    view = desk.view(moment.instant)
    members = desk.universe(view).members
    assert np.array_equal(evenings.evening(moment.instant).market.positions, members), "nobody has left"
    codes = {ticker: place for place, ticker in enumerate(source.history.labels)}
    said = dict(zip(*source.history.era(moment.place), strict=True))
    values = np.array([said[codes[ticker]] for ticker in view.assets.tickers[members]])
    score = build_meta_model(tie_kept_rank(values)[None, :], np.ones(1), desk.exposures(view, members).values).neutral
    whole = np.ones(len(members), dtype=bool)
    problem = decision_problem(
        mandate, decision_market(desk, view, members), score, np.zeros(len(members)), equity=mandate.aum,
        ic=mandate.information_coefficient, in_universe=whole, horizon_sessions=20,
    )  # fmt: skip
    weights = np.zeros(len(calm.assets))
    weights[members] = solve(problem).weights
    assert np.array_equal(weights[found.positions], found.weights)
    assert np.count_nonzero(weights) == len(found.weights)


def test_the_record_holds_the_eras_whose_target_was_known() -> None:
    _, source = room()
    moments = source.moments(5)
    for moment in moments[::6]:
        assert len(source.record(moment)) == sum(earlier.row + 22 <= moment.row for earlier in moments)


def test_what_was_computed_before_changes_nothing() -> None:
    evenings = Evenings(desk_on(eventful_panel()), 20, 2)
    source = HistorySource(evenings, read_history([history_csv(evenings.desk)]), FindingList())
    assert np.array_equal(walk(evenings, source, spec_of()).result.equity, walked().result.equity)


def test_a_holiday_does_not_make_a_weekly_signal_miss_a_week() -> None:
    """Good Friday of 2016 is the 25th of March, Memorial Day the 30th of May: weeks that end or begin with a holiday."""
    sessions = session_calendar("XNYS", date(2016, 2, 29), date(2016, 7, 29)).sessions

    def kept(days: list[str], sessions_between: int) -> list[str]:
        rows = np.searchsorted(sessions, np.array(days, dtype="datetime64[D]")).tolist()
        return [str(sessions[m.row]) for m in spaced([Moment(r, SOMEWHEN, 0) for r in rows], sessions, sessions_between)]

    ends = ["2016-03-11", "2016-03-18", "2016-03-24", "2016-04-01", "2016-04-08"]
    begins = ["2016-05-16", "2016-05-23", "2016-05-31", "2016-06-06", "2016-06-13"]
    fridays_as_sessions = ["2016-03-17", "2016-03-24", "2016-03-31"]
    for weekly in (ends, begins, fridays_as_sessions):
        assert kept(weekly, 5) == weekly
        assert kept(weekly, 10) == weekly[::2]
    assert kept(ends, 4) == ends


@pytest.mark.parametrize("weekday", range(5))
def test_of_daily_signals_two_decisions_never_lie_closer_than_the_weeks_between_them(weekday: int) -> None:
    """Also from a Friday on: the next Monday is in another week, and one session later."""
    sessions = session_calendar("XNYS", date(2015, 1, 2), date(2017, 12, 29)).sessions
    start = next(r for r, day in enumerate(sessions.tolist()) if day.weekday() == weekday)
    moments = [Moment(row, SOMEWHEN, 0) for row in range(start, len(sessions))]
    for weeks in (1, 2, 4):
        rows = np.array([m.row for m in spaced(moments, sessions, 5 * weeks)])
        gaps = np.diff(rows)
        assert gaps.min() >= 5 * weeks - 2
        assert gaps.max() <= 5 * weeks
        assert np.diff(sessions[rows]).astype(int).min() >= 7 * weeks - 3
    assert np.diff([m.row for m in spaced(moments, sessions, 4)]).tolist() == [4] * ((len(moments) - 1) // 4)


def test_decisions_lie_apart_from_the_first_date_on_and_the_record_goes_back_before_it() -> None:
    """Every four weeks from the second week on: what an earlier date would have been does not move them."""
    evenings, source = room()
    everything = source.moments(5)
    second = evenings.desk.panel.sessions[everything[1].row].astype(object)
    assert [m.row for m in source.moments(20, second)] == [m.row for m in everything[1::4]]
    assert [m.row for m in source.moments(20)] == [m.row for m in everything[::4]]
    last = evenings.desk.panel.sessions[everything[9].row].astype(object)
    chosen = source.moments(20, second, last)
    assert [m.row for m in chosen] == [m.row for m in everything[1:10:4]]
    tenth = source.moments(5, evenings.desk.panel.sessions[everything[9].row].astype(object))[0]
    assert len(source.record(tenth)) == sum(m.row + 22 <= tenth.row for m in everything) > 0
    source.moments(5)


def test_the_minutes_after_the_close_decide_which_open_is_the_next() -> None:
    """Prices are known an hour after the close. Seventeen and a half hours after it the next exchange opens; at the evening of
    that day its prices are known, and nothing is decided on those of the day before."""
    evenings, source = room()
    panel = eventful_panel()

    def waiting(minutes: int) -> Walk:
        mandate = named_mandate(small_settings(), changes=WIDE | {"decision_minutes_after_close": minutes})
        return walk(evenings, source, BacktestSpec(mandate, last=date(2016, 2, 29)))

    at_once, an_hour, a_night = (waiting(minutes) for minutes in (0, 60, 18 * 60))
    assert np.array_equal(at_once.result.equity, an_hour.result.equity)
    # A week end is longer than a night: those books are traded on Monday whichever way.
    lags = {panel.index_of(d.fill_session) - panel.index_of(d.session) for d in a_night.decisions if d.session.weekday() < 4}
    after = {panel.index_of(d.fill_session) - panel.index_of(d.session) for d in a_night.decisions if d.session.weekday() == 4}
    assert lags <= {2}
    assert after <= {1}
    assert lags | after
    with pytest.raises(InputRejected, match="no date between"):
        waiting(6 * 24 * 60)


def test_a_delisting_that_is_learnt_late_closes_the_position_then() -> None:
    """Row 1 is the delisting's own; it is known on the evening of row 2, in the second stretch."""
    path = _Path(BookState(np.array(["A", "B"]), np.array([50.0, 0.0]), 50.0), TradingCosts(), Fill.OPEN, 0)
    path.records.append(None)  # type: ignore[arg-type] - trading has begun
    still, traded = np.zeros((2, 2)), np.ones((2, 2), dtype=bool)
    days = np.array(["2016-01-04", "2016-01-05"], dtype="datetime64[D]")
    path.carry(Stretch(range(2), days, still, still, traded, np.array([-1, -1]), np.full(2, np.nan)))
    assert path.book.positions[0] == 50.0
    path.carry(Stretch(range(2, 4), days + 2, still, still, traded, np.array([1, -1]), np.array([-0.4, np.nan])))
    assert path.book.positions[0] == 0.0
    assert path.book.equity == pytest.approx(80.0)


@dataclass
class Mute:
    """Speaks every week, and has an opinion only the first time."""

    source: HistorySource

    def moments(self, sessions_between: int, first: date | None = None, last: date | None = None) -> list[Moment]:
        return self.source.moments(sessions_between, first, last)

    def opinion(self, moment: Moment) -> Opinion | None:
        return self.source.opinion(moment) if moment == self.source.moments(5)[0] else None

    def record(self, moment: Moment) -> list[float]:
        return []

    def parts(self, moment: Moment, asset_ids: StrArray) -> None:
        return None


def test_the_book_stays_where_the_source_is_silent() -> None:
    evenings, source = room()
    found = walk(evenings, Mute(source), spec_of())
    assert len(found.decisions) == 1
    assert found.silent == len(walked().decisions) - 1
    assert np.count_nonzero(found.result.turnover) == 1


def test_dates_without_a_decision_are_refused() -> None:
    with pytest.raises(InputRejected):
        walk(*room(), replace(spec_of(), first=date(2016, 4, 14), last=date(2016, 4, 15)))


def test_a_decision_that_waits_longer_than_the_next_one_is_filled_all_the_same() -> None:
    """Daily decisions that wait a night: each is traded at the open after the next, none is written over."""
    evenings = Evenings(desk_on(eventful_panel()), 20, 2)
    daily = HistorySource(evenings, read_history([history_csv(evenings.desk)]), FindingList())
    changes = WIDE | {"decision_minutes_after_close": 18 * 60, "sessions_per_rebalance": 1}
    found = walk(evenings, Daily(daily), BacktestSpec(named_mandate(small_settings(), changes=changes), last=date(2016, 2, 5)))
    rows = [eventful_panel().index_of(d.fill_session) for d in found.decisions]
    first = eventful_panel().index_of(date.fromisoformat(str(found.sessions[0])))
    traded = [first + at for at in np.flatnonzero(found.result.turnover)]
    assert len(rows) > 5
    assert set(rows) & set(range(first, first + len(found.sessions))) == set(traded)


@dataclass
class Daily:
    """Says on each of some days what a history said on its first date."""

    source: HistorySource

    def moments(self, sessions_between: int, first: date | None = None, last: date | None = None) -> list[Moment]:
        start = self.source.moments(5, first, last)[0]
        close = self.source.evenings.close_instant
        return [Moment(start.row + at, close(start.row + at), start.place) for at in range(0, 20, sessions_between)]

    def opinion(self, moment: Moment) -> Opinion | None:
        said = self.source.opinion(self.source.moments(5)[0])
        assert said is not None
        return Opinion(said.positions, said.score * (-1) ** moment.row)

    def record(self, moment: Moment) -> list[float]:
        return [0.05] * 30

    def parts(self, moment: Moment, asset_ids: StrArray) -> None:
        return None


def test_a_session_of_other_exchanges_alone_needs_no_wait() -> None:
    """New York keeps Martin Luther King's day, and London trades: a wait from a close that there is not moves nothing."""
    panel = SimpleNamespace(
        sessions=np.array(["2016-01-15", "2016-01-18"], dtype="datetime64[D]"), knowledge_at=lambda _: (2, 0, 0, 0)
    )
    desk = SimpleNamespace(panel=panel, home_calendar=lambda _: session_calendar("XNYS", date(2016, 1, 4), date(2016, 1, 29)))
    moment = Moment(1, datetime(2016, 1, 18, 18, tzinfo=UTC), 0)
    evenings: Any = SimpleNamespace(desk=desk)
    for minutes in (0, 120):
        assert _waited(evenings, [moment], minutes) == [moment]
    panel.knowledge_at = lambda _: (1, 0, 0, 0)
    friday = Moment(0, datetime(2016, 1, 15, 21, 30, tzinfo=UTC), 0)
    assert _waited(evenings, [friday], 120)[0].instant == datetime(2016, 1, 15, 23, tzinfo=UTC)
