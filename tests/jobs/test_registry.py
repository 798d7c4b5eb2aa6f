"""Goal: every step of the timetable has a job, and a step finds its round by base session. Method: the names that the timetable
makes, and rounds written through the store."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from crowdalpha.ids import RoundKey, RoundState, Tournament
from service.clock import SimulatedClock
from service.jobs import registry
from service.jobs.timetable import PRIORITY
from service.store import rounds
from service.store.records import RoundRecord

FRIDAY = date(2016, 1, 8)


def a_round(number: int, base: date, state: RoundState) -> RoundRecord:
    at = datetime(base.year, base.month, base.day, 23, tzinfo=UTC)
    return RoundRecord(
        key=RoundKey(Tournament.SIGNALS, number),
        state=state,
        opens_at=at,
        closes_at=at + timedelta(days=1),
        base_session=base,
        resolve_session=base + timedelta(days=33),
        terms={},
        terms_hash="0" * 64,
        universe_hash="0" * 64,
        opened_at=at,
    )


@pytest.fixture
def platform(store):
    with store.write() as connection:
        for number in range(1, 6):
            state = RoundState.VOID if number == 2 else RoundState.OPEN
            rounds.add_round(connection, a_round(number, FRIDAY + timedelta(weeks=number - 1), state))
    view = SimpleNamespace(last_session=FRIDAY)
    desk = SimpleNamespace(view=lambda instant: view, home_session=lambda view: view.last_session, seen=view)
    return SimpleNamespace(store=store, clock=SimulatedClock(datetime(2016, 3, 1, tzinfo=UTC)), desk=desk)


def payload(week: int) -> dict[str, str]:
    return {"tournament": "signals", "base_session": (FRIDAY + timedelta(weeks=week)).isoformat()}


def test_every_step_of_the_timetable_has_its_job() -> None:
    assert set(registry.JOBS) == set(PRIORITY)
    with pytest.raises(InputRejected):
        registry.job_of("brew_tea:pot")


@pytest.mark.parametrize("week", [0, 2, 4])
def test_a_step_finds_its_round_by_base_session(platform, monkeypatch: pytest.MonkeyPatch, week: int) -> None:
    import service.workflows.close_round as module

    monkeypatch.setattr(module, "close_round", lambda platform, key: key)
    assert registry.close_round(platform, payload(week)) == RoundKey(Tournament.SIGNALS, week + 1)


@pytest.mark.parametrize("week", [-1, 1, 5])
def test_a_round_that_is_absent_or_void_is_missed(platform, week: int) -> None:
    assert isinstance(registry.score_round(platform, payload(week)), registry.Missed)


def test_the_fund_waits_for_open_rounds_and_misses_what_has_passed(platform) -> None:
    base = {"base_session": (FRIDAY + timedelta(weeks=4)).isoformat()}
    platform.desk.seen.last_session = FRIDAY + timedelta(weeks=4)
    with pytest.raises(Conflict) as caught:
        registry.rebalance(platform, base)
    assert caught.value.code is Code.ROUND_NOT_DUE
    platform.desk.seen.last_session = FRIDAY + timedelta(weeks=4, days=3)
    assert isinstance(registry.rebalance(platform, base), registry.Missed)


def test_a_late_opening_is_missed_and_other_refusals_are_not(platform, monkeypatch: pytest.MonkeyPatch) -> None:
    import service.workflows.open_round as module

    def refuses(code: Code):
        def workflow(*arguments: object) -> None:
            raise InputRejected(code, "x")

        return workflow

    monkeypatch.setattr(module, "open_round", refuses(Code.DATE_INVALID))
    assert isinstance(registry.open_round(platform, payload(5)), registry.Missed)
    monkeypatch.setattr(module, "open_round", refuses(Code.UNIVERSE_TOO_SMALL))
    with pytest.raises(InputRejected):
        registry.open_round(platform, payload(5))
