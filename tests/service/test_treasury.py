"""A round whose budget the treasury cannot cover does not open. Goal: no promise of money that is not there.

Method: the open_round workflow on a small synthetic market; balances and budgets by hand.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from crowdalpha.ids import RoundState, Tournament
from crowdalpha.terms import ATOMS_PER_TOKEN
from service.clock import SimulatedClock
from service.context import Platform, build_platform
from service.home import Home
from service.idsource import SeededIds
from service.jobs.plan import plan_ahead
from service.jobs.runner import JobEvent, run_due
from service.store import audit, ledger, rounds
from service.workflows.open_round import open_round
from service.workflows.treasury import deposit_treasury, treasury_state
from tests.builders.seasons import small_panel, small_settings

FRIDAY_EVENING = datetime(2021, 1, 8, 23, 30, tzinfo=UTC)
BUDGET = 20_000 * ATOMS_PER_TOKEN
"""Of one round, by the shipped terms of both tournaments."""


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = platform_in(tmp_path / "home")
    yield made
    made.store.dispose()


def platform_in(path: Path, credit_tokens: str = "0", at: datetime = FRIDAY_EVENING) -> Platform:
    settings = small_settings({"treasury.credit_tokens": credit_tokens})
    made = build_platform(Home.create(path), settings, SimulatedClock(at), SeededIds("treasury"))
    made.desk.use(small_panel())
    return made


def test_a_round_opens_once_the_treasury_covers_its_budget_to_the_atom(platform: Platform) -> None:
    deposit_treasury(platform, BUDGET - 1)
    with pytest.raises(Conflict) as caught:
        open_round(platform, Tournament.SIGNALS)
    assert caught.value.code is Code.TREASURY_TOO_LOW
    assert "19999.999999999999999999 tokens" in caught.value.message
    with platform.store.read() as connection:
        assert rounds.list_rounds(connection) == []
    assert deposit_treasury(platform, 1, "ann").free_atoms == BUDGET
    assert open_round(platform, Tournament.SIGNALS).state is RoundState.OPEN
    state = treasury_state(platform)
    assert (state.balance_atoms, state.promised_atoms, state.free_atoms) == (BUDGET, BUDGET, 0)
    with platform.store.read() as connection:
        assert [line.who for line in audit.list_audit(connection, "treasury")] == ["ann", "operator"]


def test_an_open_rounds_budget_is_not_there_for_another_until_it_is_settled(platform: Platform) -> None:
    deposit_treasury(platform, 2 * BUDGET - 1)
    first = open_round(platform, Tournament.SIGNALS)
    with pytest.raises(Conflict):
        open_round(platform, Tournament.CLASSIC)
    assert open_round(platform, Tournament.SIGNALS).key == first.key
    with platform.store.write() as connection:
        rounds.advance_round(connection, first.key, (RoundState.OPEN,), RoundState.VOID, void_reason="a test")
    assert open_round(platform, Tournament.CLASSIC).state is RoundState.OPEN


def test_credit_stands_for_what_the_treasury_does_not_hold(tmp_path: Path) -> None:
    platform = platform_in(tmp_path / "home", credit_tokens="20000")
    assert open_round(platform, Tournament.SIGNALS).state is RoundState.OPEN
    with pytest.raises(Conflict):
        open_round(platform, Tournament.CLASSIC)
    with platform.store.read() as connection:
        assert ledger.balances(connection) == {}
    platform.store.dispose()


def test_the_schedule_tries_again_until_the_window_has_passed(tmp_path: Path) -> None:
    platform = platform_in(tmp_path / "home", at=FRIDAY_EVENING - timedelta(hours=12))
    plan_ahead(platform, FRIDAY_EVENING + timedelta(days=3))
    events: list[JobEvent] = []

    def run_at(instant: datetime) -> list[tuple[str, str]]:
        events.clear()
        platform.clock.advance_to(instant)  # type: ignore[attr-defined]
        run_due(platform, "schedule", events.append)
        return [(e.occurrence.job.split(":")[1], e.outcome) for e in events if e.occurrence.job.startswith("open_round")]

    assert sorted(run_at(FRIDAY_EVENING)) == [("classic", "failed"), ("signals", "failed")]
    deposit_treasury(platform, BUDGET)
    assert sorted(run_at(FRIDAY_EVENING + timedelta(hours=1))) == [("classic", "done"), ("signals", "failed")]
    # On Tuesday the next session has closed: what has not opened never will.
    assert run_at(datetime(2021, 1, 12, 12, tzinfo=UTC)) == [("signals", "missed")]
    platform.store.dispose()


@pytest.mark.parametrize("atoms", [0, -1])
def test_a_deposit_is_positive(platform: Platform, atoms: int) -> None:
    with pytest.raises(InputRejected) as caught:
        deposit_treasury(platform, atoms)
    assert caught.value.code is Code.AMOUNT_INVALID
