"""A due event has one effect: claimed in order, by one worker at a time, and finished only by the worker that holds it.

Both databases; time is passed in, so leases run out without waiting.
"""

from datetime import timedelta

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from service.store import occurrences
from service.store.records import PlannedOccurrence
from tests.builders.store_rows import T0, later

LEASE = 60


def _plan(store, *items):
    with store.write() as connection:
        return occurrences.plan(connection, [PlannedOccurrence(*item) for item in items])


def _claim(store, at, owner="w1"):
    with store.write() as connection:
        return occurrences.claim_next(connection, owner, at, LEASE)


def _finish(store, occurrence, at):
    with store.write() as connection:
        return occurrences.finish(connection, occurrence, at)


def _fail(store, occurrence, retry_at, error="x"):
    with store.write() as connection:
        return occurrences.fail(connection, occurrence, error, retry_at)


def _drain(store, at):
    done = []
    while (occurrence := _claim(store, at)) is not None:
        _finish(store, occurrence, at)
        done.append((occurrence.job, (occurrence.due_at - T0).total_seconds()))
    return done


def test_planning_again_changes_nothing(store):
    assert _plan(store, ("a", later(1), {"n": 1}), ("a", later(2), {"n": 2}), ("b", later(1), {})) == 3
    assert _plan(store, ("a", later(1), {"n": 9}), ("a", later(3), {})) == 1
    assert _plan(store) == 0
    _finish(store, _claim(store, later(1)), later(1))
    assert _plan(store, ("a", later(1), {})) == 0
    with store.read() as connection:
        first = occurrences.list_occurrences(connection, "a")[0]
        assert (first.state, first.payload, first.finished_at) == ("done", {"n": 1}, later(1))
        assert len(occurrences.list_occurrences(connection)) == 4


def test_a_claim_holds_the_event(store):
    _plan(store, ("a", later(1), {"n": 1}))
    assert _claim(store, later(0.999999)) is None
    mine = _claim(store, later(1))
    assert mine is not None
    assert (mine.job, mine.due_at, mine.payload, mine.chain) == ("a", later(1), {"n": 1}, "a")
    assert (mine.state, mine.owner, mine.fencing) == ("running", "w1", 1)
    assert mine.lease_until == later(1 + LEASE)
    assert _claim(store, later(2), "w2") is None
    done = _finish(store, mine, later(3))
    assert (done.state, done.finished_at, done.lease_until) == ("done", later(3), None)
    assert _claim(store, later(9_999), "w2") is None


def test_events_come_in_order_of_instant_priority_and_name(store):
    _plan(
        store,
        ("b", later(2), {}, 0),
        ("z", later(1), {}, 5),
        ("y", later(1), {}, 10),
        ("c", later(2), {}, 0),
        ("a", later(3), {}, 0),
    )
    assert _drain(store, later(10)) == [("z", 1), ("y", 1), ("b", 2), ("c", 2), ("a", 3)]


def test_what_was_missed_is_caught_up_in_order(store):
    _plan(store, *(("close", later(n), {"n": n}) for n in (5, 3, 1, 4, 2)))
    assert _drain(store, later(3)) == [("close", n) for n in (1, 2, 3)]
    assert _drain(store, later(99)) == [("close", n) for n in (4, 5)]


def test_a_running_event_holds_up_its_chain_and_no_other(store):
    _plan(store, ("a", later(1), {}, 0, "round"), ("b", later(2), {}, 0, "round"), ("c", later(3), {}, 0, "fund"))
    first = _claim(store, later(9))
    assert _claim(store, later(9), "w2").job == "c"
    assert _claim(store, later(9), "w3") is None
    _finish(store, first, later(9))
    assert _claim(store, later(9), "w3").job == "b"


def test_order_inside_a_chain_and_instant_follows_priority(store):
    _plan(store, ("a", later(1), {}, 20, "round"), ("b", later(1), {}, 10, "round"))
    first = _claim(store, later(1))
    assert first.job == "b"
    assert _claim(store, later(1), "w2") is None


def test_a_lease_that_ran_out_is_retaken_and_the_first_worker_is_told(store):
    _plan(store, ("a", later(1), {}))
    lost = _claim(store, later(1))
    assert _claim(store, later(1 + LEASE - 0.000001), "w2") is None
    taken = _claim(store, later(1 + LEASE), "w2")
    assert (taken.owner, taken.fencing) == ("w2", 2)
    for step in (
        lambda c: occurrences.finish(c, lost, later(70)),
        lambda c: occurrences.fail(c, lost, "x", later(70)),
        lambda c: occurrences.renew(c, lost, later(70), LEASE),
    ):
        with pytest.raises(Conflict) as caught, store.write() as connection:
            step(connection)
        assert caught.value.code is Code.JOB_LEASE_LOST
    _finish(store, taken, later(71))
    with pytest.raises(Conflict):
        _finish(store, taken, later(72))


def test_the_same_owner_that_lost_its_lease_to_itself_is_told(store):
    """After a restart a worker may have its old name: only the fencing number tells the two apart."""
    _plan(store, ("a", later(1), {}))
    lost = _claim(store, later(1))
    _claim(store, later(1 + LEASE))
    with pytest.raises(Conflict):
        _finish(store, lost, later(99))


def test_a_lease_can_be_lengthened(store):
    _plan(store, ("a", later(1), {}))
    mine = _claim(store, later(1))
    with store.write() as connection:
        mine = occurrences.renew(connection, mine, later(50), LEASE)
    assert _claim(store, later(1 + LEASE), "w2") is None
    assert _finish(store, mine, later(99)).state == "done"


def test_a_failure_holds_up_its_chain_until_it_is_tried_again(store):
    _plan(store, ("a", later(1), {}), ("a", later(2), {}), ("b", later(3), {}))
    failed = _fail(store, _claim(store, later(5)), later(60), "No prices. " * 1_000)
    assert (failed.state, len(failed.error)) == ("failed", occurrences.ERROR_LENGTH_MAX)
    assert _drain(store, later(59)) == [("b", 3)]
    again = _claim(store, later(60))
    assert (again.due_at, again.fencing, again.error) == (later(1), 2, None)
    _finish(store, again, later(60))
    assert _drain(store, later(60)) == [("a", 2)]


def test_a_failure_without_an_instant_waits_for_a_person(store):
    _plan(store, ("a", later(1), {}), ("a", later(2), {}))
    _fail(store, _claim(store, later(5)), None)
    assert _claim(store, T0 + timedelta(days=999)) is None
    with store.write() as connection:
        occurrences.retry(connection, "a", later(1), later(7))
    assert _drain(store, later(7)) == [("a", 1), ("a", 2)]
    with pytest.raises(Conflict), store.write() as connection:
        occurrences.retry(connection, "a", later(1), later(7))


def test_a_rolled_back_finish_leaves_the_event_to_the_next(store):
    _plan(store, ("a", later(1), {}))
    mine = _claim(store, later(1))
    with pytest.raises(ZeroDivisionError), store.write() as connection:  # noqa: PT012 - the block is the transaction
        occurrences.finish(connection, mine, later(2))
        raise ZeroDivisionError
    assert _claim(store, later(1 + LEASE)).fencing == 2


def test_what_is_due_can_be_seen(store):
    with store.read() as connection:
        assert occurrences.next_due(connection) is None
        assert occurrences.overdue(connection, later(99)) == []
    _plan(store, ("b", later(2), {}), ("a", later(1), {}), ("c", later(9), {}))
    with store.read() as connection:
        assert [o.job for o in occurrences.overdue(connection, later(2))] == ["a", "b"]
        assert [o.job for o in occurrences.planned(connection, later(9))] == ["a", "b", "c"]
        assert occurrences.next_due(connection) == later(1)
    mine = _claim(store, later(2))
    with store.read() as connection:
        assert next(iter(occurrences.overdue(connection, later(2)))) == mine
    _finish(store, mine, later(2))
    with store.read() as connection:
        assert occurrences.next_due(connection) == later(2)


def test_five_thousand_events_wait_for_the_first_of_their_chain(store):
    """A year of catching up, all in one chain, and the first of them running: nobody may claim."""
    _plan(store, *((f"job{n % 7}", later(n), {}, n % 3, "chain") for n in range(5_000)))
    assert _claim(store, later(9_999)) is not None
    assert _claim(store, later(9_999), "w2") is None
