"""Due events: planned once, claimed by a lease, finished once. The table is the schedule; what wakes a worker only wakes it.

1. An event is a row of (job, due_at). Planning it again changes nothing.
2. A worker claims the earliest due one, in the order (due_at, priority, job), for the length of a lease. Each claim raises the
   fencing number. An event whose lease ran out is claimed anew.
3. Events of a chain run strictly in order: one that is not done holds up all later ones of its chain, whether it waits, runs or
   failed. What was missed is therefore caught up in order, and nothing overtakes a failure.
4. Finishing asks that owner and fencing number are still the worker's; it belongs into the transaction that writes the result.

An event is done when ``finished_at`` is set; the indexes cover the others only.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select, tuple_, update

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from service.store.records import Occurrence, PlannedOccurrence
from service.store.schema import occurrences
from service.store.upsert import insert_into

ERROR_LENGTH_MAX = 2_000

_TABLE = occurrences.c


def _record(row: Row[Any]) -> Occurrence:
    return Occurrence(
        job=row.job,
        due_at=row.due_at,
        chain=row.chain,
        priority=row.priority,
        payload=row.payload,
        state=row.state,
        owner=row.owner,
        fencing=row.fencing,
        lease_until=row.lease_until,
        finished_at=row.finished_at,
        error=row.error,
    )


def plan(connection: Connection, items: Iterable[PlannedOccurrence]) -> int:
    """Plan events and return how many of them are new; one that was planned before stays as it is, done or not."""
    rows = [
        {
            "job": item.job,
            "due_at": item.due_at,
            "chain": item.chain or item.job,
            "priority": item.priority,
            "payload": item.payload,
            "state": "planned",
            "fencing": 0,
        }
        for item in items
    ]
    if not rows:
        return 0
    statement = insert_into(connection, occurrences).on_conflict_do_nothing().returning(_TABLE.job)
    return len(connection.execute(statement, rows).all())


def claim_next(connection: Connection, owner: str, now: datetime, lease_seconds: float) -> Occurrence | None:
    """Claim the earliest event that is due and not held up, for ``lease_seconds``; None if there is nothing to do."""
    earlier = occurrences.alias("earlier")
    place = tuple_(_TABLE.due_at, _TABLE.priority, _TABLE.job)
    before = tuple_(earlier.c.due_at, earlier.c.priority, earlier.c.job) < place
    held_up = select(earlier.c.job).where(earlier.c.chain == _TABLE.chain, earlier.c.finished_at.is_(None), before).exists()
    ready = (_TABLE.state == "planned") | (_TABLE.lease_until <= now)
    statement = (
        select(_TABLE.job, _TABLE.due_at)
        .where(_TABLE.finished_at.is_(None), _TABLE.due_at <= now, ready, ~held_up)
        .order_by(_TABLE.due_at, _TABLE.priority, _TABLE.job)
        .limit(1)
    )
    found = connection.execute(statement).first()
    if found is None:
        return None
    claimed = (
        update(occurrences)
        .where(_TABLE.job == found.job, _TABLE.due_at == found.due_at)
        .values(
            state="running",
            owner=owner,
            fencing=_TABLE.fencing + 1,
            lease_until=now + timedelta(seconds=lease_seconds),
            error=None,
        )
        .returning(occurrences)
    )
    return _record(connection.execute(claimed).one())


def _ours(occurrence: Occurrence) -> ColumnElement[bool]:
    return (
        (_TABLE.job == occurrence.job)
        & (_TABLE.due_at == occurrence.due_at)
        & (_TABLE.state == "running")
        & (_TABLE.owner == occurrence.owner)
        & (_TABLE.fencing == occurrence.fencing)
    )


def _change(connection: Connection, occurrence: Occurrence, **values: Any) -> Occurrence:
    row = connection.execute(update(occurrences).where(_ours(occurrence)).values(**values).returning(occurrences)).first()
    if row is None:
        raise Conflict(
            Code.JOB_LEASE_LOST, f"{occurrence.job} of {occurrence.due_at.isoformat()} was taken over by another worker."
        )
    return _record(row)


def renew(connection: Connection, occurrence: Occurrence, now: datetime, lease_seconds: float) -> Occurrence:
    """Lengthen the lease of a claimed event; raises Conflict JOB_LEASE_LOST like :func:`finish`."""
    return _change(connection, occurrence, lease_until=now + timedelta(seconds=lease_seconds))


def finish(connection: Connection, occurrence: Occurrence, now: datetime) -> Occurrence:
    """Mark a claimed event as done.

    Raises
    ------
    Conflict
        JOB_LEASE_LOST if another worker claimed it meanwhile; the caller's transaction must then not commit.
    """
    return _change(connection, occurrence, state="done", finished_at=now, lease_until=None)


def fail(connection: Connection, occurrence: Occurrence, error: str, retry_at: datetime | None) -> Occurrence:
    """Mark a claimed event as failed; it is claimed again from ``retry_at`` on, with None not before :func:`retry`.

    Raises
    ------
    Conflict
        JOB_LEASE_LOST if another worker claimed it meanwhile.
    """
    return _change(connection, occurrence, state="failed", error=error[:ERROR_LENGTH_MAX], lease_until=retry_at)


def retry(connection: Connection, job: str, due_at: datetime, at: datetime) -> Occurrence:
    """Let a failed event be claimed again from ``at`` on; raises Conflict ROUND_STATE if it did not fail."""
    failed = (_TABLE.job == job) & (_TABLE.due_at == due_at) & (_TABLE.state == "failed")
    row = connection.execute(update(occurrences).where(failed).values(lease_until=at).returning(occurrences)).first()
    if row is None:
        raise Conflict(Code.ROUND_STATE, f"{job} of {due_at.isoformat()} did not fail.")
    return _record(row)


def planned(connection: Connection, until: datetime) -> list[Occurrence]:
    """Return the events that are due up to ``until`` and not done, in their order."""
    statement = (
        select(occurrences)
        .where(_TABLE.finished_at.is_(None), _TABLE.due_at <= until)
        .order_by(_TABLE.due_at, _TABLE.priority, _TABLE.job)
    )
    return [_record(row) for row in connection.execute(statement)]


def overdue(connection: Connection, now: datetime) -> list[Occurrence]:
    """Return the events that should have been done by ``now``, in their order: a healthy platform has few."""
    return planned(connection, now)


def next_due(connection: Connection) -> datetime | None:
    """Return the instant of the earliest event that is not done, or None when all are: to where a replay may advance."""
    return connection.execute(
        select(func.min(_TABLE.due_at, type_=_TABLE.due_at.type)).where(_TABLE.finished_at.is_(None))
    ).scalar()


def done(connection: Connection, job: str) -> list[Occurrence]:
    """Return the events of a job that are done, in their order."""
    return [one for one in list_occurrences(connection, job) if one.finished_at is not None]


def list_occurrences(connection: Connection, job: str | None = None) -> list[Occurrence]:
    """Return all events, or those of one job, in their order."""
    statement = select(occurrences).order_by(_TABLE.due_at, _TABLE.priority, _TABLE.job)
    if job is not None:
        statement = statement.where(_TABLE.job == job)
    return [_record(row) for row in connection.execute(statement)]
