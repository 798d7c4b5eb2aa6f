"""Void a round that cannot be scored: every stake comes back whole, nobody is paid or burned, once.

1. *load* what the close froze; a round that never closed froze nothing.
2. *decide* with :func:`staking.resolution.void`: the same bytes for the same stakes, whatever scores there were.
3. *commit* the settlement under the round's unique key, the transfers, the releases that had waited for the round, and the
   state ``void`` with its reason, in one transaction.

The key is the one that a resolution takes, so that a round is resolved or void, and never both.
"""

from datetime import timedelta

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from crowdalpha.ids import RoundKey, RoundState
from crowdalpha.terms import RoundTerms
from service.clock import instant_text
from service.context import Platform
from service.store import audit, resolutions, rounds, stakes
from service.store.records import ResolutionRecord, RoundRecord
from service.workflows.overdue import refuse_while_closing
from service.workflows.settlement import rows_of, settle
from staking import Resolution, StakeLine, void

REASON_CHARS_MAX = 400
SCHEDULE = "schedule"
"""Who voids a round because its returns are overdue: a rule, and nobody's choice of an instant."""


def void_round(platform: Platform, key: RoundKey, reason: str, who: str = "operator") -> ResolutionRecord:
    """Void round ``key``. A round voided before returns its standing settlement, and keeps its first reason.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN; REQUEST_INVALID without a reason.
    Conflict
        ALREADY_RESOLVED for a resolved round; ROUND_CLOSING for an operator who would give back stakes while another round is
        due to be closed, which would count them.
    """
    reason = reason.strip()
    if not 0 < len(reason) <= REASON_CHARS_MAX:
        raise InputRejected(Code.REQUEST_INVALID, f"A round is voided for a reason of 1 to {REASON_CHARS_MAX} characters.")
    with platform.store.read() as connection:
        record = rounds.round_by_key(connection, key)
        if record is None:
            raise InputRejected(Code.ROUND_UNKNOWN, f"There is no round {key}.")
        standing = _standing(connection, key)
        if standing is not None:
            return standing
        frozen = stakes.at_risk_of_round(connection, key)
        at = instant_text(platform.clock.now(connection))  # by the clock that booked the reservations
    lines = [StakeLine(a.model_id, a.at_risk_atoms, a.reserved_atoms, {}) for a in frozen]
    terms = RoundTerms.from_dict(record.terms)
    resolution = void(str(key), lines, terms.payout, at)
    sha = platform.blobs.put(resolution.canonical())
    with platform.store.write() as connection:
        return _commit(platform, connection, key, resolution, sha, reason, who)


def void_if_overdue(platform: Platform, record: RoundRecord, reason: str) -> ResolutionRecord | None:
    """Void a round whose returns should have been known ``rounds.void_after_days`` ago; None before that."""
    last = record.resolve_session + timedelta(days=platform.settings.rounds.void_after_days)
    if platform.clock.now().date() <= last:
        return None
    return void_round(platform, record.key, reason, SCHEDULE)


def _standing(connection: Connection, key: RoundKey) -> ResolutionRecord | None:
    standing = resolutions.resolution_of_round(connection, key)
    record = rounds.round_by_key(connection, key)
    if standing is not None and record is not None and record.state is not RoundState.VOID:
        raise Conflict(
            Code.ALREADY_RESOLVED, f"Round {key} is resolved: its payouts stand, and only a correction changes them."
        )
    return standing


def _commit(
    platform: Platform, connection: Connection, key: RoundKey, resolution: Resolution, sha: str, reason: str, who: str
) -> ResolutionRecord:
    standing = _standing(connection, key)
    if standing is not None:
        return standing
    record = rounds.round_by_key(connection, key)
    if record is None or len(stakes.at_risk_of_round(connection, key)) != len(resolution.lines):
        raise Conflict(Code.ROUND_STATE, f"Round {key} closed while it was being voided; void it again.")
    now = platform.clock.now(connection)
    if who != SCHEDULE and resolution.lines:
        refuse_while_closing(connection, now)
    stored, _ = resolutions.add_resolution(connection, *rows_of(resolution, key, now, sha))
    settle(connection, platform, resolution)
    rounds.advance_round(connection, key, (record.state,), RoundState.VOID, resolved_at=now, void_reason=reason)
    audit.record(connection, now, who, "void_round", str(key), {"resolution": sha, "reason": reason})
    return stored
