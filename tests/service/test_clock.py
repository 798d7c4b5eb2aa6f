"""Time and ids come from one source each. Method: both databases' clocks beside the machine's, sequences of seeded ids."""

import random
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from crowdalpha.errors import InvariantBroken
from service.clock import SimulatedClock, SystemClock, as_utc, instant_text
from service.idsource import RandomIds, SeededIds

if TYPE_CHECKING:
    from service.store.engine import Store

AT = datetime(2016, 1, 8, 21, 0, tzinfo=UTC)
SLACK = timedelta(seconds=5)


def test_the_database_is_asked_for_the_time_inside_the_transaction(store: "Store") -> None:
    """Each asking gives a later instant: PostgreSQL's now() would stand still at the transaction's beginning."""
    clock = SystemClock()
    with store.write() as connection:
        first = clock.now(connection)
        while (second := clock.now(connection)) <= first:
            pass
    assert first.utcoffset() == timedelta(0)
    assert abs(second - clock.now()) < SLACK


def test_without_a_connection_the_machine_is_asked() -> None:
    assert abs(SystemClock().now() - datetime.now(UTC)) < SLACK


def test_simulated_time_stands_until_it_is_advanced_and_never_goes_back() -> None:
    clock = SimulatedClock(AT)
    assert clock.now() == AT
    clock.advance_to(AT)
    clock.advance_to(AT + timedelta(microseconds=1))
    with pytest.raises(InvariantBroken):
        clock.advance_to(AT)
    assert clock.now() == AT + timedelta(microseconds=1)


def test_an_instant_without_a_time_zone_is_a_bug() -> None:
    for call in (as_utc, instant_text, SimulatedClock):
        with pytest.raises(InvariantBroken):
            call(datetime(2016, 1, 8))  # noqa: DTZ001 - that is the point


def test_instants_are_written_in_utc_with_microseconds_and_sort_as_time() -> None:
    assert instant_text(AT.astimezone(timezone(timedelta(hours=-5)))) == "2016-01-08T21:00:00.000000Z"
    seed = 5
    print(f"seed {seed}")
    rng = random.Random(seed)
    instants = sorted(AT + timedelta(microseconds=rng.randint(-(10**15), 10**15)) for _ in range(500))
    texts = [instant_text(i) for i in instants]
    assert texts == sorted(texts)
    assert [datetime.fromisoformat(t) for t in texts] == instants


def test_seeded_ids_repeat_and_random_ids_do_not() -> None:
    first, again, other = SeededIds(7), SeededIds(7), SeededIds(8)
    a, b, c = ([source.new() for _ in range(1000)] for source in (first, again, other))
    assert a == b
    assert len({*a, *c}) == 2000
    live = [RandomIds().new() for _ in range(1000)]
    assert len({*live, *a}) == 2000
    assert all(str(uuid.UUID(i)) == i and uuid.UUID(i).version == 4 for i in a + live)


def test_seeded_ids_never_change() -> None:
    """Golden: a replay's files name these ids. The digest is that of the text `1:0`."""
    assert SeededIds(1).new() == "a6685f3b-62d5-4bfc-8935-263140bae87f"
