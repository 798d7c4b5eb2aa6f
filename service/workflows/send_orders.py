"""Send an approved rebalance's orders to the broker.

1. *load* the rebalance and its decision; check the orders once more by what is known now.
2. *commit* that sending has begun, with all orders, in one transaction: from here on the book follows whatever the broker
   fills.
3. Place the orders in parts, and confirm each part when the broker has taken it.

Whoever is killed in between sends again: an order's id is made from the rebalance and the asset, so that the broker takes none
twice. A halt is looked for before each part and after it. Decision instant: the clock's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from portfolio.lifecycle import RebalanceState, RebalanceStep
from service.broker import Broker, PaperBroker
from service.context import Platform
from service.decisions import read_decision
from service.faults import fault_point
from service.halted import refuse_halted
from service.named import refuse_nobody
from service.orders import WHOLE, orders_of_decision
from service.store import audit, fund, orders
from service.store.records import OrderRecord, RebalanceRecord
from service.workflows.approve_rebalance import check_again, find_rebalance, refuse_blocked, refuse_expired, refuse_step

PART_ORDERS = 100
"""Orders that are placed between two looks at the halt switch."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A rebalance whose orders are with the broker, and how many there are."""

    record: RebalanceRecord
    orders: int


def send_orders(platform: Platform, who: str, rebalance_id: str | None = None, broker: Broker | None = None) -> Sending:
    """Place the orders of an approved rebalance, or go on with a sending that was cut short.

    Parameters
    ----------
    who : str
        Who sends, for the audit trail.
    rebalance_id : str, optional
        The latest one by default.
    broker : Broker, optional
        The paper broker by default.

    Raises
    ------
    InputRejected
        REBALANCE_UNKNOWN; REQUEST_INVALID for nobody's name.
    Conflict
        REBALANCE_STATE when it is not approved, REBALANCE_EXPIRED after its open, REBALANCE_BLOCKED when a finding blocks,
        FUND_HALTED while the fund is halted.
    """
    refuse_nobody(who)
    broker = broker or PaperBroker(platform)
    with platform.store.read() as connection:
        record = find_rebalance(connection, rebalance_id)
        refuse_halted(connection)
    refuse_step(record, RebalanceStep.SEND)
    refuse_expired(record, platform.clock.now())
    if record.sent_at is None:
        refuse_blocked(record, check_again(platform, record))
    record, wanted = _begin(platform, record, who)
    fault_point("send.recorded")
    for part in _parts([o for o in wanted if o.state == "new"]):
        _place(platform, broker, record, part)
    return Sending(record, len(wanted))


def _begin(platform: Platform, record: RebalanceRecord, who: str) -> tuple[RebalanceRecord, list[OrderRecord]]:
    """Say that sending has begun, with all its orders; a sending that goes on finds them there."""
    decision = read_decision(platform, record)
    if decision.sizes is None:
        raise Conflict(Code.REBALANCE_STATE, f"Rebalance {record.id} was decided by an earlier version and holds no orders.")
    whole = platform.settings.fund.orders.shares == WHOLE
    with platform.store.write() as connection:
        now = platform.clock.now(connection)
        refuse_expired(record, now)
        refuse_halted(connection)
        if record.sent_at is None:
            orders.add_orders(connection, orders_of_decision(decision, record.id, whole=whole))
        wanted = orders.orders_of(connection, record.id)
        record = fund.advance_rebalance(connection, record.id, RebalanceStep.SEND, sent_at=record.sent_at or now)
        audit.record(connection, now, who, "send_orders", record.id, {"orders": len(wanted)})
    return record, wanted


def _place(platform: Platform, broker: Broker, record: RebalanceRecord, part: Sequence[OrderRecord]) -> None:
    ids = [order.client_order_id for order in part]
    if record.fill_session is None:
        raise Conflict(Code.REBALANCE_STATE, f"Rebalance {record.id} has no session to be filled in.")
    with platform.store.read() as connection:
        _refuse_stopped(connection, record.id)
    fault_point("send.before_placing")
    broker.place(part, record.fill_session)
    fault_point("send.placed")
    try:
        with platform.store.write() as connection:
            _refuse_stopped(connection, record.id)
            orders.set_order_state(connection, ids, "sent")
    except Conflict:
        # A halt came while these were on their way, and took back only what had arrived by then.
        broker.cancel(ids)
        raise
    fault_point("send.confirmed")


def _refuse_stopped(connection: Connection, rebalance_id: str) -> None:
    """Raise Conflict when a halt has come since the sending began, also one that is over."""
    refuse_halted(connection)
    record = find_rebalance(connection, rebalance_id)
    if record.state != RebalanceState.SENT:
        raise Conflict(Code.REBALANCE_STATE, f"Rebalance {rebalance_id} became {record.state} while it was being sent.")


def _parts(wanted: Sequence[OrderRecord]) -> Iterator[Sequence[OrderRecord]]:
    for first in range(0, len(wanted), PART_ORDERS):
        yield wanted[first : first + PART_ORDERS]
