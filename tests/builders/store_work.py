"""What processes do to one store in the concurrency and crash tests: each function opens its own store and closes it.

They live here, not in the test files, because a new process must be able to import them by name.
"""

from datetime import datetime
from typing import Any

from crowdalpha.errors import Conflict
from crowdalpha.ids import RoundKey, RoundState, Tournament
from service.store import audit, ledger, occurrences, resolutions, rounds, submissions
from service.store.engine import Store
from service.store.records import ModelRecord, ResolutionLine, ResolutionRecord
from staking.ledger import LedgerEntry, Transfer
from tests.builders.store_rows import deposit, later, submission

SHARED = "provider:shared"


def post_many(url: str, worker: int, count: int) -> int:
    """Post ``count`` deposits of one atom to the shared account, each in a write of its own."""
    store = Store(url)
    for n in range(count):
        with store.write() as connection:
            ledger.post(connection, [deposit(f"{worker}-{n}", SHARED, 1)])
    store.dispose()
    return count


def post_same(url: str, count: int) -> list[str]:
    """Post the same ``count`` transfers as everybody else does, and return the hashes that came back."""
    store = Store(url)
    hashes = []
    for n in range(count):
        with store.write() as connection:
            hashes += [record.hash for record in ledger.post(connection, [deposit(f"same-{n}", SHARED, 1)])]
    store.dispose()
    return hashes


def spend_all(url: str, worker: int, tries: int) -> int:
    """Try to stake one atom of the shared account ``tries`` times; return how often it was there."""
    store = Store(url)
    spent = 0
    for n in range(tries):
        entries = (LedgerEntry(SHARED, -1), LedgerEntry(f"stake:m{worker}", 1))
        try:
            with store.write() as connection:
                ledger.post(connection, [Transfer(f"spend-{worker}-{n}", "stake", "2016-01-04", entries)])
            spent += 1
        except Conflict:
            pass
    store.dispose()
    return spent


def work_off(url: str, owner: str, now: datetime) -> list[str]:
    """Claim and finish occurrences until none is left; each effect is an audit line of the finishing transaction."""
    store = Store(url)
    done = []
    while True:
        with store.write() as connection:
            mine = occurrences.claim_next(connection, owner, now, 600)
            left = occurrences.next_due(connection)
        if mine is None:
            if left is None:
                break
            continue
        with store.write() as connection:
            audit.record(connection, now, owner, mine.chain, mine.due_at.isoformat(), {})
            occurrences.finish(connection, mine, now)
        done.append(mine.due_at.isoformat())
    store.dispose()
    return done


def resolve_same(url: str, numbers: list[int], model_id: str) -> int:
    """Resolve the rounds ``numbers`` as everybody else does; return how many were this process's doing."""
    store = Store(url)
    mine = sum(resolve_once(store, number, model_id) for number in numbers)
    store.dispose()
    return mine


def resolve_once(store: Store, number: int, model_id: str) -> bool:
    """Book a round as a resolution does: its row, its transfers, its state, in one write. Return whether it was new."""
    key = RoundKey(Tournament.SIGNALS, number)
    record = ResolutionRecord(key, later(number), f"{number:064d}", 100, 7, 0)
    with store.write() as connection:
        _, added = resolutions.add_resolution(connection, record, [ResolutionLine(model_id, 100, 7, 10**9)])
        if added:
            ledger.post(connection, resolution_transfers(number, model_id))
            rounds.advance_round(connection, key, (RoundState.SCORING,), RoundState.RESOLVED, resolved_at=record.resolved_at)
    return added


def resolution_transfers(number: int, model_id: str) -> list[Transfer]:
    """Return what the resolution of round ``number`` posts: a payout of 7 atoms and a release of 5."""
    at = "2016-01-04T21:00:00Z"
    reserve = f"reserve:signals-{number}:{model_id}"
    payout = (LedgerEntry("treasury", -7), LedgerEntry(f"stake:{model_id}", 7))
    release = (LedgerEntry(reserve, -5), LedgerEntry(f"stake:{model_id}", 5))
    return [
        Transfer(f"signals-{number}:payout", "payout", at, payout),
        Transfer(f"signals-{number}:release", "release", at, release),
    ]


def submit_many(url: str, model: ModelRecord, key: RoundKey, worker: int, count: int) -> list[tuple[int, str]]:
    """Send ``count`` accepted files of one model, every other one twice; return (sequence, hash) as acknowledged."""
    store = Store(url)
    got: list[tuple[int, str]] = []
    for n in range(count):
        record = submission(key, model, f"{worker:02d}{n:04d}", tag=f"{worker}")
        with store.write() as connection:
            first = submissions.add_submission(connection, record)
            if n % 2:
                again = submissions.add_submission(connection, submission(key, model, record.sha256, tag="again"))
                if again != first:
                    raise AssertionError(f"{again} is not {first}")
        got.append((first.sequence, first.sha256))
    store.dispose()
    return got


def call(packed: tuple[Any, ...]) -> Any:
    """Call ``packed[0]`` with the rest: what a pool can map over."""
    return packed[0](*packed[1:])
