"""Goal: each week opens each tournament once, at the right instant, whatever clocks and holidays do. Method: hand-made dates
from the exchange's published hours (16:00 New York, 13:00 on half days), counts against plain ISO weeks, and order rules."""

from datetime import UTC, date, datetime, timedelta

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import Tournament
from market.calendars import joint_calendar, session_calendar, to_instant
from service.jobs.timetable import Timed, occurrences, order
from service.settings import Schedule
from service.store.records import PlannedOccurrence as Planned


def hours(window_minutes: int = 2400, score_days: tuple[int, ...] = (1, 5, 10, 20)) -> Timed:
    return Timed(Schedule("test", 120, window_minutes, score_days, score_after_minutes=30, settle_after_minutes=15))


BOTH = {Tournament.CLASSIC: hours(), Tournament.SIGNALS: hours()}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def plan(first: str, last: str, tournaments=BOTH) -> list[Planned]:
    calendar = session_calendar("XNYS", date(2013, 1, 2), date(2027, 6, 30))
    return occurrences(calendar, tournaments, at(first), at(last))


def of(planned: list[Planned], prefix: str) -> list[Planned]:
    return [p for p in planned if p.job.startswith(prefix)]


@pytest.mark.parametrize(
    ("week", "base", "closes"),
    [
        ("2016-03-07", "2016-03-11", "2016-03-11T21:00"),  # the last close in winter time
        ("2016-03-14", "2016-03-18", "2016-03-18T20:00"),  # the first in summer time
        ("2016-10-31", "2016-11-04", "2016-11-04T20:00"),
        ("2016-11-07", "2016-11-11", "2016-11-11T21:00"),
        ("2024-03-25", "2024-03-28", "2024-03-28T20:00"),  # Good Friday
        ("2026-11-23", "2026-11-27", "2026-11-27T18:00"),  # half day after Thanksgiving
        ("2020-12-28", "2020-12-31", "2020-12-31T21:00"),  # New Year's Day on a Friday; the ISO week ends in 2021
        ("2021-12-20", "2021-12-23", "2021-12-23T21:00"),  # Christmas observed on a Friday
        ("2024-02-26", "2024-03-01", "2024-03-01T21:00"),  # leap day inside the week
    ],
)
def test_a_week_opens_after_the_close_of_its_last_session(week: str, base: str, closes: str) -> None:
    monday = at(week)
    planned = plan(week, (monday + timedelta(days=7)).isoformat()[:10])
    opened = of(planned, "open_round")
    assert [p.job for p in opened] == [f"open_round:classic:{base}", f"open_round:signals:{base}"]
    assert {p.due_at for p in opened} == {at(closes) + timedelta(minutes=120)}
    assert {p.payload["base_session"] for p in opened} == {base}
    assert {p.due_at for p in of(planned, "close_round")} == {at(closes) + timedelta(minutes=2520)}


def test_every_iso_week_of_twelve_years_opens_each_tournament_once() -> None:
    planned = plan("2014-01-01", "2026-01-01")
    weeks = {(date(2014, 1, 3) + timedelta(weeks=i)).isocalendar()[:2] for i in range(52 * 12 + 6)}
    weeks = {w for w in weeks if w <= (2025, 52)}
    for name in ("classic", "signals"):
        opened = [date.fromisoformat(p.payload["base_session"]).isocalendar()[:2] for p in of(planned, f"open_round:{name}")]
        assert len(opened) == len(set(opened))
        assert set(opened) == weeks


def test_settlements_are_one_a_session() -> None:
    planned = of(plan("2014-01-01", "2026-01-01"), "settle_fund")
    calendar = session_calendar("XNYS", date(2013, 1, 2), date(2027, 6, 30))
    expected = [d.item().isoformat() for d in calendar.sessions if date(2014, 1, 1) <= d.item() <= date(2025, 12, 31)]
    assert [p.payload["session"] for p in planned] == expected


def test_a_head_is_kept_after_each_settlement_and_whatever_else_falls_due_with_it() -> None:
    planned = plan("2016-01-01", "2017-01-01")
    heads, settled = of(planned, "keep_head"), of(planned, "settle_fund")
    assert [(p.payload, p.due_at) for p in heads] == [(p.payload, p.due_at) for p in settled]
    assert {p.chain for p in heads} == {"heads"}
    for head in heads:
        together = [p for p in planned if p.due_at == head.due_at]
        assert together[-1] == head


def test_no_two_occurrences_share_job_and_instant() -> None:
    daily = hours(score_days=tuple(range(1, 21)))
    planned = plan("2014-01-01", "2017-01-01", {Tournament.CLASSIC: daily, Tournament.SIGNALS: daily})
    assert len({(p.job, p.due_at) for p in planned}) == len(planned)
    assert planned == sorted(planned, key=order)


def test_a_round_is_scored_and_resolved_when_its_window_is_known() -> None:
    planned = plan("2016-01-04", "2016-03-01")
    base = "2016-01-08"
    scores = of(planned, f"score_round:signals:{base}")
    # s0 = Friday 8 January; Martin Luther King's day (18 January) and Washington's birthday (15 February) have no session.
    assert [p.due_at for p in scores] == [
        at("2016-01-13T22:30"),
        at("2016-01-20T22:30"),
        at("2016-01-27T22:30"),
        at("2016-02-10T22:30"),
    ]
    resolved = of(planned, f"resolve_round:signals:{base}")
    assert [p.due_at for p in resolved] == [scores[-1].due_at]
    assert planned.index(scores[-1]) < planned.index(resolved[0])


def test_the_fund_decides_after_both_closes() -> None:
    late = {Tournament.CLASSIC: hours(window_minutes=2000), Tournament.SIGNALS: hours(window_minutes=2400)}
    for schedules in (BOTH, late):
        planned = plan("2016-01-04", "2016-01-11", schedules)
        rebalance = of(planned, "rebalance")
        assert len(rebalance) == 1
        closes = of(planned, "close_round")
        assert rebalance[0].due_at == max(p.due_at for p in closes)
        assert all(planned.index(p) < planned.index(rebalance[0]) for p in closes)


def test_the_horizon_is_scored_even_when_no_day_names_it() -> None:
    planned = plan("2016-01-04", "2016-03-01", {Tournament.SIGNALS: hours(score_days=())})
    assert len(of(planned, "score_round:signals:2016-01-08")) == 1


def test_rounds_that_open_before_the_first_instant_are_left_alone() -> None:
    planned = plan("2016-01-09T12:00", "2016-03-01")
    assert not [p for p in planned if p.payload.get("base_session") == "2016-01-08"]


def test_a_window_longer_than_the_week_end_is_refused() -> None:
    with pytest.raises(InputRejected) as caught:
        plan("2016-01-04", "2016-02-01", {Tournament.SIGNALS: hours(window_minutes=3 * 1440)})
    assert caught.value.code == Code.SETTING_INVALID


@pytest.mark.parametrize("days", [(0,), (21,), (-1, 5)])
def test_a_scored_day_outside_the_horizon_is_refused(days: tuple[int, ...]) -> None:
    with pytest.raises(InputRejected):
        plan("2016-01-04", "2016-02-01", {Tournament.SIGNALS: hours(score_days=days)})


def test_a_calendar_that_is_too_short_is_refused() -> None:
    with pytest.raises(InputRejected) as caught:
        plan("2027-01-04", "2028-01-04")
    assert caught.value.code == Code.CALENDAR_END


def test_a_round_is_one_chain_and_the_fund_another() -> None:
    planned = plan("2016-01-04", "2016-03-01")
    of_round = [p for p in planned if p.chain == "signals:2016-01-08"]
    assert [p.job.split(":")[0] for p in of_round] == ["open_round", "close_round", *["score_round"] * 4, "resolve_round"]
    assert {p.job.split(":")[0] for p in planned if p.chain == "fund"} == {"settle_fund", "rebalance"}


# --- several exchanges ---------------------------------------------------------------------------------------------------

FIVE = ("XNYS", "XLON", "XTKS", "XETR", "XHKG")


def single(exchange: str):
    return session_calendar(exchange, date(2014, 12, 1), date(2019, 6, 30))


def plan_five(first: str, last: str, tournaments=BOTH) -> list[Planned]:
    return occurrences(single("XNYS"), tournaments, at(first), at(last), markets=joint_calendar([single(x) for x in FIVE]))


def test_several_exchanges_open_and_close_the_rounds_that_one_does() -> None:
    alone = occurrences(single("XNYS"), BOTH, at("2015-01-01"), at("2019-01-01"))
    five = plan_five("2015-01-01", "2019-01-01")
    for step in ("open_round", "close_round", "rebalance"):
        assert of(five, step) == of(alone, step)
    assert (
        len(of(five, "open_round:signals")) == len({p.payload["base_session"] for p in of(five, "open_round:signals")}) == 209
    )


def test_a_score_waits_for_the_last_exchange() -> None:
    """By hand: each exchange's own list of sessions is walked from its last close before the round's close."""
    closes = {p.payload["base_session"]: p.due_at for p in of(plan_five("2015-01-01", "2018-01-01"), "close_round:signals")}
    resolved = of(plan_five("2015-01-01", "2018-01-01"), "resolve_round:signals")
    assert len(resolved) > 150
    later = 0
    for planned in resolved:
        ends = []
        for exchange in FIVE:
            calendar = single(exchange)
            closed = sum(to_instant(c) < closes[planned.payload["base_session"]] for c in calendar.closes)
            ends.append(calendar.sessions[closed - 1 + 22].item())
        # of the date on which the last window ends, all prices are known after the last close on it
        hours = [c.close_at(max(ends)) for c in map(single, FIVE) if c.is_session(max(ends))]
        assert planned.due_at == max(hours) + timedelta(minutes=60 + 30)
        later += max(ends) > ends[0]
    assert later > 50


def test_the_fund_is_settled_on_each_date_of_any_exchange() -> None:
    settled = [p.payload["session"] for p in of(plan_five("2016-01-01", "2017-01-01"), "settle_fund")]
    expected = {d.item() for x in FIVE for d in single(x).sessions if date(2016, 1, 1) <= d.item() <= date(2016, 12, 31)}
    assert settled == [d.isoformat() for d in sorted(expected)]
    assert "2016-12-26" in settled  # Tokyo alone


def test_a_calendar_of_any_exchange_that_ends_too_early_is_refused() -> None:
    short = joint_calendar([single("XNYS"), session_calendar("XTKS", date(2014, 12, 1), date(2016, 1, 31))])
    with pytest.raises(InputRejected) as caught:
        occurrences(single("XNYS"), BOTH, at("2015-12-01"), at("2016-03-01"), markets=short)
    assert caught.value.code is Code.CALENDAR_END
