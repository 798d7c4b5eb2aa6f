"""The one source of time. A live platform asks its database, a replay says what time it is.

Deadlines are judged by one clock, that of the database inside the committing transaction, so that two machines whose clocks
differ still agree on what was late. All instants are aware UTC datetimes.
"""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken

if TYPE_CHECKING:
    from sqlalchemy import Connection

_QUESTIONS = {
    "sqlite": "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')",
    # Not now(): that is the instant at which the transaction began, which may be long before its commit.
    "postgresql": "SELECT clock_timestamp()",
}
_INSTANT_TEXT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


class Clock(Protocol):
    """What tells the time to workflows and jobs."""

    def now(self, connection: "Connection | None" = None) -> datetime:
        """Return the present instant, aware UTC; with a connection, by the clock of its database."""


class SystemClock:
    """The clock of a live platform."""

    def now(self, connection: "Connection | None" = None) -> datetime:
        """Return the present instant of the database, or of this machine where no connection is given.

        SQLite answers in milliseconds, PostgreSQL in microseconds.
        """
        if connection is None:
            # The only reading of the machine's clock in the project.
            return datetime.now(UTC)
        answer = connection.exec_driver_sql(_QUESTIONS[connection.dialect.name]).scalar_one()
        if isinstance(answer, str):
            return datetime.fromisoformat(answer).replace(tzinfo=UTC)
        instant: datetime = answer
        return instant.astimezone(UTC)


class SimulatedClock:
    """The clock of a replay: it stands still until it is advanced, and never goes back."""

    def __init__(self, at: datetime) -> None:
        self._at = as_utc(at)

    def now(self, connection: "Connection | None" = None) -> datetime:  # noqa: ARG002 - simulated time is not the database's
        """Return the simulated instant."""
        return self._at

    def advance_to(self, instant: datetime) -> None:
        """Move on to ``instant``; raises InvariantBroken for one that has passed."""
        target = as_utc(instant)
        if target < self._at:
            raise InvariantBroken(
                Code.INTERNAL,
                f"The simulated clock stands at {self._at.isoformat()} and cannot go back to {target.isoformat()}.",
            )
        self._at = target


def as_utc(instant: datetime) -> datetime:
    """Return ``instant`` in UTC; raises InvariantBroken if it has no time zone, because then nobody knows when it was."""
    if instant.tzinfo is None:
        raise InvariantBroken(Code.INTERNAL, f"The instant {instant.isoformat()} has no time zone.")
    return instant.astimezone(UTC)


def instant_text(instant: datetime) -> str:
    """Write an aware instant as ``2016-01-08T21:00:00.000000Z``: always UTC and microseconds, so that text sorts as time."""
    return as_utc(instant).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def is_instant_text(text: object) -> bool:
    """Say whether ``text`` is what :func:`instant_text` writes; two such texts have the order of their instants."""
    if not isinstance(text, str) or not _INSTANT_TEXT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:  # a 30 February, or an hour that no day has
        return False
    return True
