"""What a settled round does to its rows, the ledger, and stake that waited for it, inside the settling transaction.

1. The resolution's transfers are posted.
2. Pending releases of models that the round burned bear their share of the burn.
3. Those for which this was the last open round go to the wallet, each by a transfer of fixed id.
"""

from datetime import datetime

from sqlalchemy import Connection

from crowdalpha.ids import RoundKey
from service.clock import instant_text
from service.context import Platform
from service.store import ledger, models, stakes
from service.store.records import ResolutionLine, ResolutionRecord, StakeRelease
from service.workflows.stakes import candidates
from staking import PendingRelease, Resolution, release, shared_burn, stake_account


def rows_of(resolution: Resolution, key: RoundKey, now: datetime, sha256: str) -> tuple[ResolutionRecord, list[ResolutionLine]]:
    """Return what the store keeps of a settlement whose canonical text is the file ``sha256``."""
    totals = (resolution.total_at_risk_atoms, resolution.total_payout_atoms, resolution.total_burn_atoms)
    lines = [ResolutionLine(x.model_id, x.at_risk_atoms, x.payout_atoms, x.retention_ppb) for x in resolution.lines]
    return ResolutionRecord(key, now, sha256, *totals), lines


def settle(connection: Connection, platform: Platform, resolution: Resolution) -> None:
    """Book a resolution, once per round.

    The caller holds the round's unique key in this very transaction, and has not changed the round's state yet: the round is
    still among the open ones.
    """
    waiting = _waiting(connection, resolution)
    before = candidates(connection, list(waiting))
    ledger.post(connection, resolution.transfers)
    if not waiting:
        return
    burned = {line.model_id: line.burned_atoms for line in resolution.lines if line.burned_atoms}
    left: dict[str, list[PendingRelease]] = {}
    for model_id, records in waiting.items():
        pending = [PendingRelease(r.id, r.model_id, r.amount_atoms, r.burned_atoms, r.rounds) for r in records]
        after = shared_burn(pending, resolution.round_id, burned.get(model_id, 0), before[model_id].stake_atoms)
        changed = {one.id: one.burned_atoms for was, one in zip(pending, after, strict=True) if was != one}
        stakes.put_burned(connection, changed)
        left[model_id] = list(after)
    _release_due(connection, platform, resolution.round_id, left)


def _waiting(connection: Connection, resolution: Resolution) -> dict[str, list[StakeRelease]]:
    """Return the pending releases of every model that has one waiting for the round, by model, the oldest first."""
    found: dict[str, list[StakeRelease]] = {}
    for record in stakes.pending_releases(connection):
        found.setdefault(record.model_id, []).append(record)
    return {model: own for model, own in found.items() if any(resolution.round_id in record.rounds for record in own)}


def _release_due(connection: Connection, platform: Platform, round_id: str, pending: dict[str, list[PendingRelease]]) -> None:
    now = platform.clock.now(connection)
    owners = models.owners_of(connection, list(pending))
    still_open: dict[str, set[str]] = {model: set() for model in pending}
    for record in stakes.open_reservations(connection, list(pending)):
        if str(record.round) != round_id:
            still_open[record.model_id].add(str(record.round))
    for model_id, own in pending.items():
        for one in own:
            if still_open[model_id].isdisjoint(one.rounds):
                free = ledger.balance(connection, stake_account(model_id))
                transfer = release(one, owners[model_id], free, instant_text(now))
                ledger.post(connection, [transfer] if transfer else [])
                stakes.end_release(connection, one.id, "released", now)
