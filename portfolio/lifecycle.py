"""What becomes of a decision: the states of a rebalance, and the only steps between them.

A decision is proposed, approved by somebody, sent to the broker, filled at one open, and reconciled with the broker's account::

    proposed ──► approved ──► sent ──► filled ──► reconciled
        │            │          │
        ├► rejected ◄┤          │
        ├► expired ◄─┤          │
        └► cancelled ◄──────────┘

It is a table and no more: who may take a step, and when, is the matter of the workflows. An approval ends with the fill: what
is not sent before the open that it was decided for expires, and the book stays.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class RebalanceState(StrEnum):
    """Where a decision stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    SENT = "sent"
    FILLED = "filled"
    RECONCILED = "reconciled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class RebalanceStep(StrEnum):
    """What can be done with a decision."""

    APPROVE = "approve"
    REJECT = "reject"
    SEND = "send"
    FILL = "fill"
    RECONCILE = "reconcile"
    EXPIRE = "expire"
    CANCEL = "cancel"


_S = RebalanceState

STEPS: Final = MappingProxyType(
    {
        RebalanceStep.APPROVE: (frozenset({_S.PROPOSED}), _S.APPROVED),
        RebalanceStep.REJECT: (frozenset({_S.PROPOSED, _S.APPROVED}), _S.REJECTED),
        # Sending may have been cut short: it is taken up again from where it stands.
        RebalanceStep.SEND: (frozenset({_S.APPROVED, _S.SENT}), _S.SENT),
        RebalanceStep.FILL: (frozenset({_S.SENT}), _S.FILLED),
        RebalanceStep.RECONCILE: (frozenset({_S.FILLED}), _S.RECONCILED),
        RebalanceStep.EXPIRE: (frozenset({_S.PROPOSED, _S.APPROVED}), _S.EXPIRED),
        RebalanceStep.CANCEL: (frozenset({_S.PROPOSED, _S.APPROVED, _S.SENT}), _S.CANCELLED),
    }
)
"""For each step the states that it may be taken in, and the state that it leads to."""

TRADED: Final = frozenset({_S.FILLED, _S.RECONCILED})
"""States of a decision that the book has followed."""

ENDED: Final = frozenset({_S.REJECTED, _S.EXPIRED, _S.CANCELLED})
"""States of a decision that the book never followed; for its session another one may be proposed."""


def may(step: RebalanceStep, state: RebalanceState) -> bool:
    """Say whether ``step`` may be taken in ``state``.

    Examples
    --------
    >>> may(RebalanceStep.SEND, RebalanceState.PROPOSED), may(RebalanceStep.SEND, RebalanceState.APPROVED)
    (False, True)
    """
    return state in STEPS[step][0]
