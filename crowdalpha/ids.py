"""Names of things: tournaments, rounds and their states, and the ids that other packages pass around.

Ids of providers, models and submissions are UUIDs as text, given by a source that the shell injects; nothing here makes one.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NewType

AssetId = NewType("AssetId", str)
ProviderId = NewType("ProviderId", str)
ModelId = NewType("ModelId", str)
SubmissionId = NewType("SubmissionId", str)


ROUND_NUMBER_MAX = 10_000_000
"""No round has a higher number: a round each minute would take nineteen years to reach it. Databases hold it in 32 bits."""


class Tournament(IntEnum):
    """A tournament; its number is the one that the numerapi client sends."""

    CLASSIC = 8
    SIGNALS = 11

    @property
    def label(self) -> str:
        """The name in commands, pages and files: ``classic`` or ``signals``."""
        return self.name.lower()

    @classmethod
    def from_label(cls, label: str) -> "Tournament":
        """Return the tournament that ``label`` names; raises KeyError for another word."""
        return cls[label.upper()]


@dataclass(frozen=True, slots=True, order=True)
class RoundKey:
    """A round: rounds are numbered per tournament, from 1."""

    tournament: Tournament
    number: int

    def __str__(self) -> str:
        return f"{self.tournament.label}-{self.number}"


class RoundState(StrEnum):
    """Where a round stands. The arrows are in :data:`ROUND_ARROWS`; no other step exists."""

    SCHEDULED = "scheduled"
    OPEN = "open"
    CLOSED = "closed"
    SCORING = "scoring"
    RESOLVED = "resolved"
    VOID = "void"


UNSETTLED = (RoundState.OPEN, RoundState.CLOSED, RoundState.SCORING)
"""Rounds that were opened and have paid, burned and given back nothing yet."""

ROUND_ARROWS: dict[RoundState, frozenset[RoundState]] = {
    RoundState.SCHEDULED: frozenset({RoundState.OPEN, RoundState.VOID}),
    RoundState.OPEN: frozenset({RoundState.CLOSED, RoundState.VOID}),
    RoundState.CLOSED: frozenset({RoundState.SCORING, RoundState.VOID}),
    RoundState.SCORING: frozenset({RoundState.RESOLVED, RoundState.VOID}),
    RoundState.RESOLVED: frozenset(),
    RoundState.VOID: frozenset(),
}
