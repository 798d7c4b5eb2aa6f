"""Many processes write one store: nothing is lost, nothing is done twice, and "the latest" is what was committed last.

Real processes, each with its own connections, on both databases; the outcome is counted afterwards.
"""

import multiprocessing

import pytest

from crowdalpha.ids import RoundState
from service.store import audit, ledger, occurrences, resolutions, rounds, submissions
from service.store.records import PlannedOccurrence
from tests.builders.store_rows import T0, add_model, add_round, deposit, later
from tests.builders.store_work import (
    SHARED,
    call,
    post_many,
    post_same,
    resolve_same,
    spend_all,
    submit_many,
    work_off,
)

PROCESSES = 8


@pytest.fixture(scope="module")
def pool():
    """Eight processes, started once: what they cost is their imports."""
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as opened:
        yield opened


def test_no_post_is_lost(store, pool):
    assert pool.map(call, [(post_many, store.url, worker, 50) for worker in range(PROCESSES)], 1) == [50] * PROCESSES
    with store.read() as connection:
        assert ledger.balances(connection) == {"external": -50 * PROCESSES, SHARED: 50 * PROCESSES}
        assert ledger.head(connection).sequence == 50 * PROCESSES
        assert ledger.verify(connection) == []


def test_the_same_transfer_from_many_is_posted_once(store, pool):
    answers = pool.map(call, [(post_same, store.url, 20)] * PROCESSES, 1)
    assert all(answer == answers[0] for answer in answers)
    with store.read() as connection:
        assert ledger.balance(connection, SHARED) == 20
        assert ledger.verify(connection) == []


def test_no_atom_is_spent_twice(store, pool):
    with store.write() as connection:
        ledger.post(connection, [deposit("d", SHARED, 50)])
    spent = pool.map(call, [(spend_all, store.url, worker, 20) for worker in range(PROCESSES)], 1)
    assert sum(spent) == 50
    with store.read() as connection:
        assert ledger.balance(connection, SHARED) == 0
        assert ledger.verify(connection) == []


def test_each_occurrence_is_done_once_and_in_order(store, pool):
    items = [PlannedOccurrence(f"job{n % 5}", later(n), {}, chain=f"chain{n % 5}") for n in range(100)]
    with store.write() as connection:
        assert occurrences.plan(connection, items) == 100
    done = pool.map(call, [(work_off, store.url, f"w{worker}", later(1_000)) for worker in range(4)], 1)
    assert sorted(at for part in done for at in part) == sorted(item.due_at.isoformat() for item in items)
    with store.read() as connection:
        effects = audit.list_audit(connection)[::-1]
        assert all(o.state == "done" and o.fencing == 1 for o in occurrences.list_occurrences(connection))
    assert len(effects) == 100
    for chain in {effect.what for effect in effects}:
        order = [effect.subject for effect in effects if effect.what == chain]
        assert order == sorted(order)


def test_a_round_resolved_by_all_is_resolved_once(store, pool):
    numbers = list(range(1, 11))
    with store.write() as connection:
        model = add_model(connection)
        for number in numbers:
            add_round(connection, number, RoundState.SCORING)
        moved = [deposit(f"d{n}", "provider:p", 5) for n in numbers]
        ledger.post(connection, moved)
    _reserve(store, numbers, model.id)
    mine = pool.map(call, [(resolve_same, store.url, numbers, model.id)] * PROCESSES, 1)
    assert sum(mine) == len(numbers)
    with store.read() as connection:
        assert len(resolutions.list_resolutions(connection)) == len(numbers)
        assert ledger.balance(connection, f"stake:{model.id}") == 12 * len(numbers)
        assert ledger.balance(connection, "treasury") == -7 * len(numbers)
        assert {r.state for r in rounds.list_rounds(connection)} == {RoundState.RESOLVED}
        assert ledger.verify(connection) == []


def _reserve(store, numbers, model_id):
    from staking.ledger import LedgerEntry, Transfer

    at = "2016-01-04T20:00:00Z"
    stakes = LedgerEntry("provider:p", -5 * len(numbers)), LedgerEntry(f"stake:{model_id}", 5 * len(numbers))
    reserves = [
        Transfer(
            f"signals-{n}:reserve",
            "reserve",
            at,
            (LedgerEntry(f"stake:{model_id}", -5), LedgerEntry(f"reserve:signals-{n}:{model_id}", 5)),
        )
        for n in numbers
    ]
    with store.write() as connection:
        ledger.post(connection, [Transfer("stake", "stake", at, stakes), *reserves])


def test_the_latest_valid_file_is_the_one_committed_last(store, pool):
    with store.write() as connection:
        model = add_model(connection)
        key = add_round(connection)
    answers = pool.map(call, [(submit_many, store.url, model, key, worker, 25) for worker in range(PROCESSES)], 1)
    acknowledged = dict(pair for answer in answers for pair in answer)
    assert sorted(acknowledged) == list(range(1, 25 * PROCESSES + 1))
    with store.read() as connection:
        kept = submissions.submissions_of_round(connection, key)
        assert {s.sequence: s.sha256 for s in kept} == acknowledged
        assert submissions.selected_submissions(connection, key)[model.id].sequence == 25 * PROCESSES
    assert all(s.received_at > T0 for s in kept)
