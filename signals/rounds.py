"""A round: one dated contest of one tournament, with the terms it was opened under.

It is not the schedule: when rounds open and close is decided in the shell, which asks the clock. Here a round is a value, and
:func:`advance` is the only way from one state to the next.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InvariantBroken
from crowdalpha.ids import ROUND_ARROWS, RoundKey, RoundState
from crowdalpha.terms import RoundTerms


@dataclass(frozen=True, slots=True)
class Round:
    """A round with everything that was frozen at its opening.

    Attributes
    ----------
    key : RoundKey
        Tournament and number.
    state : RoundState
        Where the round stands.
    opens_at, closes_at : datetime
        Aware UTC instants; a file that is complete at ``closes_at`` or later is late.
    base_session : date
        s₀, the last session whose close precedes ``closes_at``.
    resolve_session : date
        s₀ + lag + horizon: the session whose close ends the return that is scored.
    terms : RoundTerms
        What the round measures and pays by; immutable.
    universe_hash : str
        Hash of the frozen, sorted universe.

    Raises
    ------
    InvariantBroken
        If an instant carries no UTC offset, or an end does not follow its beginning.
    """

    key: RoundKey
    state: RoundState
    opens_at: datetime
    closes_at: datetime
    base_session: date
    resolve_session: date
    terms: RoundTerms
    universe_hash: str

    def __post_init__(self) -> None:
        if self.opens_at.utcoffset() is None or self.closes_at.utcoffset() is None:
            raise InvariantBroken(Code.INTERNAL, f"Round {self.key} holds an instant without an offset from UTC.")
        if self.closes_at <= self.opens_at or self.resolve_session <= self.base_session:
            raise InvariantBroken(Code.INTERNAL, f"Round {self.key} ends before it begins.")

    def takes_files_at(self, instant: datetime) -> bool:
        """Say whether a file that is complete at ``instant`` is on time; exactly at ``closes_at`` is late."""
        return self.state is RoundState.OPEN and self.opens_at <= instant < self.closes_at


def advance(round_: Round, to_state: RoundState) -> Round:
    """Return the round in its next state.

    Parameters
    ----------
    round_ : Round
        The round as it stands.
    to_state : RoundState
        One of the states that :data:`crowdalpha.ids.ROUND_ARROWS` allows from there.

    Raises
    ------
    Conflict
        ``ROUND_STATE``, if there is no such arrow; also for the state in which the round is already.

    Examples
    --------
    >>> sorted(state.value for state in ROUND_ARROWS[RoundState.CLOSED])
    ['scoring', 'void']
    """
    if to_state not in ROUND_ARROWS[round_.state]:
        raise Conflict(Code.ROUND_STATE, f"Round {round_.key} is {round_.state.value} and cannot become {to_state.value}.")
    return replace(round_, state=to_state)
