"""A rebalance that nobody watches: propose, approve inside the operator's limits, send.

It is what the scheduler and a replay run. What an operator has rejected or a halt has cancelled is not proposed again here;
what lies outside the limits stays proposed for an operator, and expires at its open if none comes.
"""

from dataclasses import dataclass
from datetime import date

from crowdalpha.errors import Finding
from portfolio.lifecycle import ENDED, RebalanceState
from service.context import Platform
from service.store import fund
from service.store.records import RebalanceRecord
from service.workflows.approve_rebalance import AUTOMATIC, approve_within_limits, find_rebalance
from service.workflows.rebalance import rebalance
from service.workflows.send_orders import send_orders


@dataclass(frozen=True, slots=True)
class Unattended:
    """How far a rebalance came by itself: its row, how many orders were sent, and what keeps it from going on."""

    record: RebalanceRecord
    orders: int = 0
    findings: tuple[Finding, ...] = ()


def run_rebalance(platform: Platform, as_of: date) -> Unattended:
    """Take the rebalance of ``as_of`` as far as it goes without an operator; again, it goes on where it stands.

    Raises
    ------
    Conflict
        As :func:`service.workflows.rebalance.rebalance` and :func:`service.workflows.send_orders.send_orders`.
    """
    with platform.store.read() as connection:
        record = fund.latest_rebalance(connection)
    if record is not None and record.as_of == as_of and RebalanceState(record.state) in ENDED:
        return Unattended(record)
    rebalance(platform, as_of)
    with platform.store.read() as connection:
        record = find_rebalance(connection)
    if record.state == RebalanceState.PROPOSED:
        approval = approve_within_limits(platform, record)
        record = approval.record
        if record.state == RebalanceState.PROPOSED:
            return Unattended(record, findings=approval.findings)
    if record.state in {RebalanceState.APPROVED, RebalanceState.SENT}:
        sending = send_orders(platform, AUTOMATIC, record.id)
        return Unattended(sending.record, sending.orders)
    return Unattended(record)
