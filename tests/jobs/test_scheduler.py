"""Goal: the scheduler does what is due, survives a failing tick, and stops cleanly on a signal. Method: the real process
on a real database, with one job put in the place of the platform's own."""

import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import Unavailable
from service.clock import SimulatedClock
from service.jobs import scheduler
from service.jobs.scheduler import Tick

PROCESS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from service.clock import SystemClock
from service.desk import MarketDesk
from service.home import Home
from service.idsource import RandomIds
from service.jobs import registry, scheduler
from service.settings import load_settings
from service.store import occurrences
from service.store.engine import Store
from service.store.records import PlannedOccurrence

store = Store(sys.argv[1])
due_at = datetime(2016, 1, 4, tzinfo=UTC)
with store.write() as connection:
    occurrences.plan(connection, [PlannedOccurrence(f"note:{i}", due_at, {"i": str(i)}, chain="notes") for i in range(3)])
registry.JOBS["note"] = lambda platform, payload: print("ran", payload["i"], flush=True)
settings = load_settings(env={}).with_overrides({"scheduler.poll_seconds": 1})
desk = MarketDesk(Home(Path("nowhere")), settings)
scheduler.run(SimpleNamespace(store=store, clock=SystemClock(), settings=settings, ids=RandomIds(), desk=desk))
print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_does_what_is_due_and_stops_on_a_signal(
    sqlite_template: Path, tmp_path: Path, number: signal.Signals
) -> None:
    database = tmp_path / "crowdalpha.db"
    database.write_bytes(sqlite_template.read_bytes())
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, f"sqlite:///{database}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    rescue = threading.Timer(60, process.kill)
    rescue.start()
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(3)]
        assert lines == ["ran 0", "ran 1", "ran 2"]
        process.send_signal(number)
        rest, _ = process.communicate(timeout=30)
    finally:
        rescue.cancel()
        process.kill()
    assert rest.strip() == "stopped"
    assert process.returncode == 0


def test_a_tick_that_fails_is_logged_and_the_next_one_plans_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    planned: list[datetime] = []

    def plan_ahead(platform, until: datetime) -> int:
        planned.append(until)
        if len(planned) == 1:
            raise Unavailable(Code.DATABASE_UNAVAILABLE, "The database does not answer.")
        return 0

    ran: list[str] = []
    monkeypatch.setattr(scheduler, "plan_ahead", plan_ahead)
    monkeypatch.setattr(scheduler, "run_due", lambda platform, owner, on_event, stopped: ran.append(owner))
    clock = SimulatedClock(datetime(2016, 1, 4, tzinfo=UTC))
    tick = Tick(SimpleNamespace(clock=clock), "one", lambda: False)
    tick()
    assert ran == []
    assert "a tick of the scheduler failed" in caplog.text
    tick()
    tick()
    assert len(planned) == 2
    assert ran == ["one", "one"]
    clock.advance_to(clock.now() + timedelta(hours=1))
    tick()
    assert len(planned) == 3
