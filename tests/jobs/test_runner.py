"""Goal: every due occurrence has exactly one effect, in the order of its chain, whoever races, dies or fails. Method: real
stores on both databases, workers as threads and as a killed process, jobs that write down what they do."""

import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InvariantBroken, Unavailable
from service.clock import SimulatedClock
from service.jobs import registry
from service.jobs.registry import Missed
from service.jobs.runner import RETRY_MAX_SECONDS, JobEvent, retry_delay, run_due
from service.store import audit, occurrences
from service.store.records import PlannedOccurrence

START = datetime(2016, 1, 4, 12, 0, tzinfo=UTC)
LEASE_SECONDS = 60


def platform_on(store, at: datetime = START):
    scheduler = SimpleNamespace(lease_seconds=LEASE_SECONDS)
    return SimpleNamespace(store=store, clock=SimulatedClock(at), settings=SimpleNamespace(scheduler=scheduler))


def planned(count: int, chains: int = 4, every_minutes: int = 0) -> list[PlannedOccurrence]:
    return [
        PlannedOccurrence(
            f"note:{i}", START + timedelta(minutes=i * every_minutes), {"i": str(i)}, priority=i, chain=f"chain-{i % chains}"
        )
        for i in range(count)
    ]


def plan(store, items: list[PlannedOccurrence]) -> None:
    with store.write() as connection:
        occurrences.plan(connection, items)


def states(store) -> Counter[str]:
    with store.read() as connection:
        return Counter(o.state for o in occurrences.list_occurrences(connection))


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    written: list[str] = []
    monkeypatch.setitem(registry.JOBS, "note", lambda platform, payload: written.append(payload["i"]))
    return written


def test_what_is_due_runs_in_order_and_once(store, notes: list[str]) -> None:
    plan(store, planned(12, every_minutes=10))
    platform = platform_on(store, START + timedelta(minutes=45))
    assert run_due(platform, "one") == 5
    assert notes == ["0", "1", "2", "3", "4"]
    assert run_due(platform, "one") == 0
    platform.clock.advance_to(START + timedelta(days=9))
    assert run_due(platform, "two") == 7
    assert notes == [str(i) for i in range(12)]
    assert states(store) == {"done": 12}


def test_three_racing_workers_have_one_effect_each(store, monkeypatch: pytest.MonkeyPatch) -> None:
    running: Counter[str] = Counter()
    written: list[str] = []
    overlapped: list[str] = []
    lock = threading.Lock()

    def note(platform, payload) -> None:
        chain = f"chain-{int(payload['i']) % 4}"
        with lock:
            running[chain] += 1
            if running[chain] > 1:
                overlapped.append(chain)
            written.append(payload["i"])
        with lock:
            running[chain] -= 1

    monkeypatch.setitem(registry.JOBS, "note", note)
    plan(store, planned(200))
    platform = platform_on(store)
    failures: list[BaseException] = []

    def work(owner: str) -> None:
        try:
            # A worker that finds all chains busy stops; here it looks again until everything is done.
            while states(store)["done"] < 200:
                run_due(platform, owner)
        except BaseException as error:  # noqa: BLE001 - a thread's failure has to fail the test
            failures.append(error)

    workers = [threading.Thread(target=work, args=(f"worker-{i}",)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert failures == []
    assert Counter(written) == {str(i): 1 for i in range(200)}
    assert overlapped == []
    for chain in range(4):
        of_chain = [int(i) for i in written if int(i) % 4 == chain]
        assert of_chain == sorted(of_chain)


KILLED_WORKER = """
import os, signal, sys
from datetime import datetime
from types import SimpleNamespace
from service.clock import SimulatedClock
from service.jobs import registry
from service.jobs.runner import run_due
from service.store.engine import Store

def die(platform, payload):
    if payload["i"] == "2":
        os.kill(os.getpid(), signal.SIGKILL)

registry.JOBS["note"] = die
settings = SimpleNamespace(scheduler=SimpleNamespace(lease_seconds=60))
clock = SimulatedClock(datetime.fromisoformat(sys.argv[2]))
run_due(SimpleNamespace(store=Store(sys.argv[1]), clock=clock, settings=settings), "killed")
"""


def test_a_killed_workers_claim_is_taken_over_when_its_lease_ran_out(store, notes: list[str]) -> None:
    plan(store, planned(5, chains=1))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WORKER, store.url, START.isoformat()], check=False, cwd=Path.cwd(), timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    assert states(store) == {"done": 2, "running": 1, "planned": 2}
    platform = platform_on(store, START + timedelta(seconds=LEASE_SECONDS - 1))
    assert run_due(platform, "next") == 0
    platform.clock.advance_to(START + timedelta(seconds=LEASE_SECONDS))
    assert run_due(platform, "next") == 3
    assert notes == ["2", "3", "4"]


def test_a_worker_that_lost_its_lease_changes_nothing(store, monkeypatch: pytest.MonkeyPatch) -> None:
    plan(store, planned(1))
    platform = platform_on(store)
    events: list[JobEvent] = []

    def slow(platform, payload) -> None:
        if not events and not taken:
            taken.append("taken")
            platform.clock.advance_to(START + timedelta(seconds=LEASE_SECONDS + 1))
            assert run_due(platform, "second") == 1

    taken: list[str] = []
    monkeypatch.setitem(registry.JOBS, "note", slow)
    assert run_due(platform, "first", events.append) == 0
    assert [e.outcome for e in events] == ["lost"]
    with store.read() as connection:
        assert [(o.state, o.owner, o.fencing) for o in occurrences.list_occurrences(connection)] == [("done", "second", 2)]


def test_a_failure_is_recorded_and_retried_and_holds_up_its_own_chain_only(store, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def fails_twice(platform, payload) -> None:
        tried.append(payload["i"])
        if payload["i"] == "0" and tried.count("0") < 3:
            raise Unavailable(Code.MARKET_COVERAGE, "Prices are not known yet.")

    monkeypatch.setitem(registry.JOBS, "note", fails_twice)
    plan(store, planned(4, chains=2))
    platform = platform_on(store)
    assert run_due(platform, "one") == 2
    assert tried == ["0", "1", "3"]
    with store.read() as connection:
        failed = [o for o in occurrences.list_occurrences(connection) if o.state == "failed"]
    assert [(o.job, o.error) for o in failed] == [("note:0", "Unavailable: Prices are not known yet. [market_coverage]")]
    platform.clock.advance_to(START + retry_delay(1))
    assert run_due(platform, "one") == 0
    platform.clock.advance_to(START + retry_delay(1) + retry_delay(2))
    assert run_due(platform, "one") == 2
    assert tried == ["0", "1", "3", "0", "0", "2"]


def test_a_broken_invariant_waits_for_an_operator(store, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(platform, payload) -> None:
        raise InvariantBroken(Code.LEDGER_BROKEN, "The ledger does not sum to zero.")

    monkeypatch.setitem(registry.JOBS, "note", breaks)
    plan(store, planned(1))
    platform = platform_on(store)
    assert run_due(platform, "one") == 0
    platform.clock.advance_to(START + timedelta(days=300))
    assert run_due(platform, "one") == 0
    with store.write() as connection:
        occurrences.retry(connection, "note:0", START, platform.clock.now())
    monkeypatch.setitem(registry.JOBS, "note", lambda platform, payload: None)
    assert run_due(platform, "one") == 1


def test_a_missed_step_is_recorded_and_the_steps_after_it_go_on(store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.JOBS, "note", lambda platform, payload: Missed("Too late.") if payload["i"] == "0" else None)
    plan(store, planned(2, chains=1))
    events: list[JobEvent] = []
    assert run_due(platform_on(store), "one", events.append) == 2
    assert [e.outcome for e in events] == ["missed", "done"]
    with store.read() as connection:
        assert [(a.what, a.subject) for a in audit.list_audit(connection)] == [("missed", "note:0")]


def test_a_strict_run_raises_what_failed_and_what_was_missed(store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(platform, payload) -> object:
        if payload["i"] == "0":
            raise Unavailable(Code.MARKET_COVERAGE, "x")
        return Missed("Too late.")

    monkeypatch.setitem(registry.JOBS, "note", fails)
    plan(store, planned(2, chains=2))
    platform = platform_on(store)
    with pytest.raises(Unavailable):
        run_due(platform, "one", strict=True)
    with pytest.raises(Conflict):
        run_due(platform, "one", strict=True)


def test_an_unknown_job_fails_and_stops_nothing(store, notes: list[str]) -> None:
    plan(store, [PlannedOccurrence("brew_tea:pot", START, {}), *planned(1)])
    assert run_due(platform_on(store), "one") == 1
    assert notes == ["0"]
    assert states(store) == {"done": 1, "failed": 1}


def test_a_stopped_worker_leaves_the_rest(store, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setitem(registry.JOBS, "note", lambda platform, payload: written.append(payload["i"]))
    plan(store, planned(9))
    assert run_due(platform_on(store), "one", stopped=lambda: len(written) >= 3) == 3
    assert states(store) == {"done": 3, "planned": 6}


def test_the_wait_between_retries_grows_to_its_limit() -> None:
    waits = [retry_delay(n).total_seconds() for n in range(1, 60)]
    assert waits[:3] == [15, 30, 60]
    assert waits == sorted(waits)
    assert waits[-1] == RETRY_MAX_SECONDS
