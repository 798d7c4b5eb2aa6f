"""Halt the fund: turn the switch, and take back everything that is still open. Resume it: turn the switch back.

1. *commit* the switch first: from then on nothing new is sent.
2. Take back the orders that are still open, at the broker.
3. *commit* what was taken back: orders, and every rebalance that was approved or sent and not filled yet, are cancelled.

Halting again goes on where a halt was cut short. What the open has already filled is filled: the book follows it. Holdings stay
as they are; a proposal stays a proposal. Decision instant: the clock's.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from portfolio.lifecycle import RebalanceState, RebalanceStep
from service.broker import Broker, PaperBroker
from service.context import Platform
from service.halted import clear_halted, halted_since, set_halted
from service.named import refuse_no_reason, refuse_nobody
from service.store import audit, fund, orders
from service.store.records import RebalanceRecord

CANCELLED_STATES = frozenset({RebalanceState.APPROVED, RebalanceState.SENT})


@dataclass(frozen=True, slots=True)
class Halt:
    """What a halt took back: rebalances and orders."""

    since: datetime
    rebalances: tuple[str, ...]
    orders_cancelled: int


def halt_fund(platform: Platform, who: str, why: str, broker: Broker | None = None) -> Halt:
    """Stop all sending and cancel what is open; raises InputRejected REQUEST_INVALID for nobody's name, or no reason."""
    refuse_nobody(who)
    refuse_no_reason(why)
    broker = broker or PaperBroker(platform)
    with platform.store.write() as connection:
        now = platform.clock.now(connection)
        since = halted_since(connection)
        if since is None:
            set_halted(connection, now, who, why)
            audit.record(connection, now, who, "halt_fund", "fund", {"why": why})
        affected = _open_rebalances(connection, now)
        ids = [o.client_order_id for r in affected for o in orders.orders_of(connection, r.id)]
    taken_back = broker.cancel(ids)
    with platform.store.write() as connection:
        for record in affected:
            mine = [o.client_order_id for o in orders.orders_of(connection, record.id)]
            orders.set_order_state(connection, mine, "cancelled")
            fund.advance_rebalance(connection, record.id, RebalanceStep.CANCEL)
            cancelled = {"orders": len(set(mine) & set(taken_back))}
            audit.record(connection, platform.clock.now(connection), who, "cancel_rebalance", record.id, cancelled)
    return Halt(since or now, tuple(r.id for r in affected), len(taken_back))


def resume_fund(platform: Platform, who: str) -> None:
    """Let the fund send again; what a halt has cancelled stays cancelled. Raises InputRejected for nobody's name."""
    refuse_nobody(who)
    with platform.store.write() as connection:
        if halted_since(connection) is not None:
            clear_halted(connection)
            audit.record(connection, platform.clock.now(connection), who, "resume_fund", "fund", {})


def _open_rebalances(connection: Connection, now: datetime) -> list[RebalanceRecord]:
    """Return the rebalances that are approved or sent and whose open has not come."""
    return [
        record
        for record in fund.list_rebalances(connection)
        if record.state in CANCELLED_STATES and (record.expires_at is None or now < record.expires_at)
    ]
