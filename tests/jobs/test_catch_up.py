"""Goal: a scheduler that was away for weeks catches up in order: rounds that stood are scored and resolved, openings whose time
has passed are recorded as missed, and the weeks after go on as ever. Method: the platform's own workflows on a small synthetic
market, a simulated clock, and an absence of three weeks."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from crowdalpha.ids import RoundState, Tournament
from service.clock import SimulatedClock
from service.context import build_platform
from service.home import Home
from service.idsource import SeededIds
from service.jobs.plan import plan_ahead
from service.jobs.runner import JobEvent, run_due
from service.store import audit, occurrences, rounds
from service.workflows.accounts import create_model, create_provider
from tests.builders.seasons import small_panel, small_settings
from tests.builders.treasuries import fill_treasury

START = datetime(2021, 1, 4, 12, tzinfo=UTC)


def test_an_absence_of_three_weeks_is_caught_up(tmp_path: Path) -> None:
    clock = SimulatedClock(START)
    platform = build_platform(Home.create(tmp_path / "home"), small_settings(), clock, SeededIds("away"))
    platform.desk.use(small_panel())
    fill_treasury(platform)
    create_provider(platform, "alice")
    create_model(platform, "alice", "idle_model", Tournament.SIGNALS)
    until = START + timedelta(days=80)
    plan_ahead(platform, until)
    with platform.store.read() as connection:
        instants = sorted({o.due_at for o in occurrences.list_occurrences(connection)})
    away_from, back_at = datetime(2021, 1, 20, tzinfo=UTC), datetime(2021, 2, 10, tzinfo=UTC)
    events: list[JobEvent] = []
    for instant in [*instants, until]:
        if away_from <= instant < back_at:
            continue
        clock.advance_to(instant)
        run_due(platform, "scheduler", events.append)
    outcomes = Counter(e.outcome for e in events)
    failed = [(e.occurrence.job, str(e.error)) for e in events if e.outcome == "failed"]
    assert failed == []
    with platform.store.read() as connection:
        assert occurrences.overdue(connection, clock.now()) == []
        for tournament in Tournament:
            # Openings of 22 and 29 January and 5 February fell into the absence.
            opened = {r.base_session.isoformat(): r.state for r in rounds.list_rounds(connection, tournament)}
            assert not {"2021-01-22", "2021-01-29", "2021-02-05"} & set(opened)
            assert {"2021-01-08", "2021-01-15", "2021-02-12", "2021-02-19"} <= set(opened)
            assert opened["2021-01-08"] is opened["2021-01-15"] is RoundState.RESOLVED
        missed = [line.subject for line in audit.list_audit(connection) if line.what == "missed"]
    assert {f"open_round:{t}:{d}" for t in ("signals", "classic") for d in ("2021-01-22", "2021-01-29", "2021-02-05")} <= set(
        missed
    )
    assert outcomes["missed"] == len(missed)
