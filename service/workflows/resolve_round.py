"""Resolve a round: pay and burn, once.

1. *load* what the close froze (at-risk stakes, retentions, terms) and the final integer scores.
2. *decide* with :func:`staking.resolution.resolve`: exact integers, the same bytes for the same inputs.
3. *commit* the resolution under the round's unique key, the transfers, the releases that had waited for the round, and the
   state ``resolved``, in one transaction.

Run it twice, kill it anywhere, race it: the unique key lets one effect through, and the others find it done.
"""

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from crowdalpha.ids import RoundKey, RoundState
from crowdalpha.terms import RoundTerms
from service.clock import instant_text
from service.context import Platform
from service.faults import fault_point
from service.stakelines import stake_lines
from service.store import audit, models, resolutions, rounds, stakes
from service.store.records import ResolutionRecord, RoundRecord
from service.workflows.settlement import rows_of, settle
from staking import Resolution, StakeLine, resolve


def resolve_round(platform: Platform, key: RoundKey) -> ResolutionRecord:
    """Resolve round ``key`` on its final scores. A round resolved before returns its standing resolution.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN.
    Conflict
        ROUND_NOT_DUE until the final scores are there; ROUND_STATE for a round that is not being scored.
    """
    with platform.store.read() as connection:
        record = rounds.round_by_key(connection, key)
        standing = resolutions.resolution_of_round(connection, key)
        if record is None:
            raise InputRejected(Code.ROUND_UNKNOWN, f"There is no round {key}.")
        if standing is not None:
            return standing
        if record.state is not RoundState.SCORING:
            raise Conflict(Code.ROUND_STATE, f"Round {key} is {record.state.value}: it cannot be resolved.")
        lines, wallets = _lines(connection, key)
        at = instant_text(platform.clock.now(connection))  # by the clock that booked the reservations
    terms = RoundTerms.from_dict(record.terms)
    resolution = resolve(str(key), lines, terms.payout, at, wallets)
    fault_point("resolve.decided")
    sha = platform.blobs.put(resolution.canonical())
    fault_point("resolve.blob_written")
    with platform.store.write() as connection:
        return _commit(platform, connection, record, resolution, sha)


def _lines(connection: Connection, key: RoundKey) -> tuple[tuple[StakeLine, ...], dict[str, str]]:
    """Return the stakes of the round, and the providers whose wallets are paid, by model."""
    known = stake_lines(connection, key)
    if known.day and not known.final:
        raise Conflict(Code.ROUND_NOT_DUE, f"Round {key} has no final scores yet.")
    if known.unscored:
        raise Conflict(Code.ROUND_NOT_DUE, f"Round {key} has no final scores of {len(known.unscored)} models yet.")
    return known.lines, models.owners_of(connection, stakes.paid_to_wallet(connection, key))


def _commit(
    platform: Platform, connection: Connection, record: RoundRecord, resolution: Resolution, sha: str
) -> ResolutionRecord:
    standing = resolutions.resolution_of_round(connection, record.key)
    if standing is not None:
        return standing
    now = platform.clock.now(connection)
    stored, added = resolutions.add_resolution(connection, *rows_of(resolution, record.key, now, sha))
    if not added:
        return stored
    fault_point("resolve.row_written")
    settle(connection, platform, resolution)
    fault_point("resolve.transfers_posted")
    rounds.advance_round(connection, record.key, (RoundState.SCORING,), RoundState.RESOLVED, resolved_at=now)
    audit.record(connection, now, "schedule", "resolve_round", str(record.key), {"resolution": sha})
    fault_point("resolve.before_commit")
    return stored
