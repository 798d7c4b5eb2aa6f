"""Work off what is due: claim, run, finish, until nothing is left.

1. Claim the earliest due occurrence that nothing in its chain holds up, under a lease with a fencing number.
2. Run its workflow. The workflow has its own transactions and one effect however often it is run.
3. Finish it, if the claim is still ours: a worker that lost its lease finds that out here and changes nothing.
4. A failure is recorded and tried again later, each time after a longer while; a broken invariant waits for an operator.

A worker that is killed leaves its claim behind; the next one takes it over when the lease has run out. Nothing here reads a
clock of its own, so that a replay runs through the same code with simulated time.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, CrowdalphaError, InvariantBroken
from service.context import Platform
from service.jobs.registry import Missed, job_of
from service.store import audit, occurrences
from service.store.records import Occurrence

log = logging.getLogger(__name__)

RETRY_FIRST_SECONDS = 15
RETRY_MAX_SECONDS = 900
"""A vendor's prices that are late by hours are found within a quarter of an hour of their coming."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """What became of one claim.

    Attributes
    ----------
    occurrence : Occurrence
        As it was claimed.
    outcome : str
        ``done``; ``missed`` (done, but its time had passed for good); ``failed``; ``lost`` (another worker took it over).
    result : object
        What the workflow returned.
    error : Exception or None
        What it raised.
    """

    occurrence: Occurrence
    outcome: str
    result: object = None
    error: Exception | None = None


def run_due(
    platform: Platform,
    owner: str,
    on_event: Callable[[JobEvent], None] | None = None,
    *,
    strict: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Run every occurrence that is due by the platform's clock and return how many were done.

    Parameters
    ----------
    owner : str
        Name of this worker, unlike that of any other.
    on_event : callable, optional
        Is told of each claim's end.
    strict : bool
        Raise what a job raises, after it was recorded, and refuse a missed step: a replay has nobody to repair and retry.
    stopped : callable
        Asked between two occurrences; when it says True, the rest is left to the next run.

    Raises
    ------
    Unavailable
        DATABASE_UNAVAILABLE when the database does not answer; whatever was claimed is taken over after its lease.
    """
    done = 0
    while not stopped():
        occurrence = _claim(platform, owner)
        if occurrence is None:
            break
        event = _run(platform, occurrence)
        done += event.outcome in {"done", "missed"}
        if on_event is not None:
            on_event(event)
        if strict:
            _raise_what_failed(event)
    return done


def retry_delay(attempt: int) -> timedelta:
    """Return how long the attempt after number ``attempt`` (from 1) waits: doubling from 15 seconds to 15 minutes."""
    return timedelta(seconds=min(RETRY_FIRST_SECONDS * 2.0 ** min(attempt - 1, 16), RETRY_MAX_SECONDS))


def _claim(platform: Platform, owner: str) -> Occurrence | None:
    with platform.store.write() as connection:
        now = platform.clock.now(connection)
        return occurrences.claim_next(connection, owner, now, platform.settings.scheduler.lease_seconds)


def _run(platform: Platform, occurrence: Occurrence) -> JobEvent:
    try:
        result = job_of(occurrence.job)(platform, occurrence.payload)
    except Exception as error:  # noqa: BLE001 - one failing job must not stop the others
        return _failed(platform, occurrence, error)
    return _finished(platform, occurrence, result)


def _finished(platform: Platform, occurrence: Occurrence, result: object) -> JobEvent:
    try:
        with platform.store.write() as connection:
            now = platform.clock.now(connection)
            occurrences.finish(connection, occurrence, now)
            if isinstance(result, Missed):
                audit.record(connection, now, "schedule", "missed", occurrence.job, {"reason": result.reason})
    except Conflict as error:
        return _lost(occurrence, error)
    if isinstance(result, Missed):
        log.warning("%s of %s was missed: %s", occurrence.job, occurrence.due_at, result.reason)
        return JobEvent(occurrence, "missed", result)
    log.info("%s of %s is done", occurrence.job, occurrence.due_at)
    return JobEvent(occurrence, "done", result)


def _failed(platform: Platform, occurrence: Occurrence, error: Exception) -> JobEvent:
    # What we raise on purpose is one sentence; anything else is a fault whose place must be found.
    log.error("%s of %s failed: %s", occurrence.job, occurrence.due_at, error, exc_info=_place_of(error))
    try:
        with platform.store.write() as connection:
            # After a broken invariant a retry may do harm: only an operator lets it run again.
            retry_at = None
            if not isinstance(error, InvariantBroken):
                retry_at = platform.clock.now(connection) + retry_delay(occurrence.fencing)
            occurrences.fail(connection, occurrence, f"{type(error).__name__}: {error}", retry_at)
    except Conflict as conflict:
        return _lost(occurrence, conflict)
    return JobEvent(occurrence, "failed", error=error)


def _place_of(error: Exception) -> Exception | None:
    expected = isinstance(error, CrowdalphaError) and not isinstance(error, InvariantBroken)
    return None if expected else error


def _lost(occurrence: Occurrence, error: Conflict) -> JobEvent:
    if error.code is not Code.JOB_LEASE_LOST:
        raise error
    log.warning("%s of %s was taken over by another worker", occurrence.job, occurrence.due_at)
    return JobEvent(occurrence, "lost", error=error)


def _raise_what_failed(event: JobEvent) -> None:
    if event.error is not None:
        raise event.error
    if isinstance(event.result, Missed):
        raise Conflict(Code.ROUND_NOT_DUE, f"{event.occurrence.job} was missed: {event.result.reason}")
