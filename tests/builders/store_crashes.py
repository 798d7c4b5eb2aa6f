"""A process that is killed while it writes to a store, and the one that looks at what it left.

Run as ``python -m tests.builders.store_crashes SCENARIO URL …``: it forks children that kill themselves or are killed with
SIGKILL, and prints what it found as JSON. A process of its own, because a fork must not share connections with the tests.
"""

import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import event

from service.store import ledger, occurrences, resolutions, rounds
from service.store.engine import Store
from service.store.records import PlannedOccurrence
from tests.builders.store_rows import deposit, later
from tests.builders.store_work import resolve_once

BATCH = 10


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _in_child(work: Callable[[], Any]) -> int:
    """Run ``work`` in a fork and return how it ended: 0, or minus the signal."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _dying_at(url: str, step: int) -> Store:
    """Return a store whose process dies before its ``step``-th statement; a commit counts as one."""
    store = Store(url)
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == step:
            _die()

    event.listen(store.engine, "before_cursor_execute", count)
    event.listen(store.engine, "commit", count)
    return store


def resolve_killed_at_each_step(url: str, model_id: str, numbers: list[int]) -> dict[str, Any]:
    """Resolve round after round, each killed one statement later than the one before, until one comes through; then again."""
    steps, outcomes = 0, []
    for number in numbers:
        steps += 1
        ended = _in_child(lambda n=number, s=steps: resolve_once(_dying_at(url, s), n, model_id))
        outcomes.append(ended)
        store = Store(url)
        with store.read() as connection:
            done = resolutions.list_resolutions(connection)
            booked = sum(resolutions.resolution_of_round(connection, r.key) is not None for r in rounds.list_rounds(connection))
            problems = ledger.verify(connection)
            paid = ledger.balance(connection, "treasury")
        if problems or paid != -7 * len(done) or booked != len(done):
            return {"problems": problems, "paid": paid, "done": len(done), "step": steps}
        resolve_once(store, number, model_id)
        resolve_once(store, number, model_id)
        store.dispose()
        if ended == 0:
            break
    return {"problems": [], "steps": steps, "outcomes": outcomes, "rounds": steps}


def post_killed_at_random(url: str, seed: int, kills: int) -> dict[str, Any]:
    """Kill a posting process at random instants; after each kill look for what it acknowledged, and for half a batch."""
    rng = random.Random(seed)
    acknowledged, found = 0, 0
    for life in range(kills):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            _post_for_ever(url, life, writing)
        os.close(writing)
        select.select([reading], [], [], 60)
        time.sleep(rng.random() * 0.05)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with os.fdopen(reading) as lines:
            acknowledged += len(lines.readlines())
        store = Store(url)
        with store.read() as connection:
            head = ledger.head(connection)
            problems = ledger.verify(connection)
        store.dispose()
        found = head.sequence // BATCH
        # At most the batch whose commit was done but not yet told may be more than what was acknowledged.
        if problems or head.sequence % BATCH or not acknowledged <= found <= acknowledged + life + 1:
            return {"problems": problems, "head": head.sequence, "acknowledged": acknowledged, "life": life}
    return {"problems": [], "acknowledged": acknowledged, "found": found}


def _post_for_ever(url: str, life: int, writing: int) -> None:
    store = Store(url)
    n = 0
    while True:
        batch = [deposit(f"{life}-{n}-{place}", f"provider:{place}", 1 + n) for place in range(BATCH)]
        with store.write() as connection:
            ledger.post(connection, batch)
        os.write(writing, b"one batch\n")
        n += 1


def claim_killed(url: str) -> dict[str, Any]:
    """Kill a process that holds a claim, and one that dies in the finishing transaction; the event must be taken over."""
    store = Store(url)
    with store.write() as connection:
        occurrences.plan(connection, [PlannedOccurrence("a", later(1), {})])
    store.dispose()

    def claim_and_die(now: float, *, finishing: bool) -> None:
        own = Store(url)
        with own.write() as connection:
            mine = occurrences.claim_next(connection, "dies", later(now), 60)
        if finishing and mine is not None:
            with own.write() as connection:
                occurrences.finish(connection, mine, later(now))
                _die()
        _die()

    ends = [_in_child(lambda: claim_and_die(1, finishing=False)), _in_child(lambda: claim_and_die(61, finishing=True))]
    store = Store(url)
    with store.write() as connection:
        early = occurrences.claim_next(connection, "lives", later(120), 60)
        taken = occurrences.claim_next(connection, "lives", later(121), 60)
    with store.write() as connection:
        done = taken and occurrences.finish(connection, taken, later(122)).state
    store.dispose()
    return {"ends": ends, "early": early is not None, "fencing": taken and taken.fencing, "done": done}


def main(scenario: str, url: str, *rest: str) -> None:
    """Run a scenario and print what it found."""
    if scenario == "resolve":
        found = resolve_killed_at_each_step(url, rest[0], list(range(1, int(rest[1]) + 1)))
    elif scenario == "post":
        found = post_killed_at_random(url, int(rest[0]), int(rest[1]))
    else:
        found = claim_killed(url)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
