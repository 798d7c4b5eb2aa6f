"""Approve or reject a proposed rebalance: by an operator, or by the limits that an operator has set.

1. *load* the decision, the market as known now, the broker's account.
2. *decide*: the pre-trade checks; for an automatic approval also the limits of ``[fund.approval]``.
3. *commit* the step with who took it, and what was found, in one transaction with its line in the audit trail.

Nobody approves over a finding that blocks, and nobody approves after the open that the book was decided for. Decision instant:
the clock's.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, Finding, InputRejected
from portfolio.lifecycle import RebalanceState, RebalanceStep, may
from service.book import read_book, refuse_ruin
from service.broker import PaperBroker
from service.context import Platform
from service.decisions import Decision, read_decision
from service.halted import halted_since
from service.named import refuse_no_reason, refuse_nobody
from service.pretrade import pretrade_findings
from service.store import audit, fund
from service.store.records import RebalanceRecord

AUTOMATIC = "automatic"


@dataclass(frozen=True, slots=True)
class Approval:
    """What became of a request to approve: the decision's row, and what speaks against it."""

    record: RebalanceRecord
    findings: tuple[Finding, ...]


def find_rebalance(connection: Connection, rebalance_id: str | None = None) -> RebalanceRecord:
    """Return the rebalance of that id, the latest one for None; raises InputRejected REBALANCE_UNKNOWN."""
    latest = rebalance_id is None
    found = fund.latest_rebalance(connection) if latest else fund.rebalance_by_id(connection, str(rebalance_id))
    if found is None:
        what = "There is no rebalance yet." if rebalance_id is None else f"There is no rebalance '{rebalance_id[:40]}'."
        raise InputRejected(Code.REBALANCE_UNKNOWN, what)
    return found


def approve(platform: Platform, who: str, rebalance_id: str | None = None) -> Approval:
    """Approve a proposed rebalance in the name of ``who``.

    Raises
    ------
    InputRejected
        REBALANCE_UNKNOWN; REQUEST_INVALID for nobody's name.
    Conflict
        REBALANCE_STATE when it is not proposed, REBALANCE_EXPIRED after its open, REBALANCE_BLOCKED when a finding blocks.
    """
    refuse_nobody(who)
    with platform.store.read() as connection:
        record = find_rebalance(connection, rebalance_id)
    refuse_step(record, RebalanceStep.APPROVE)
    refuse_expired(record, platform.clock.now())
    findings = check_again(platform, record)
    refuse_blocked(record, findings)
    return Approval(_approve(platform, record, who), findings)


def approve_within_limits(platform: Platform, record: RebalanceRecord) -> Approval:
    """Approve a proposed rebalance if it lies inside the operator's limits; otherwise leave it proposed and say why."""
    found = list(check_again(platform, record))
    found += _beyond(platform, read_decision(platform, record))
    with platform.store.read() as connection:
        halted = halted_since(connection)
    if halted is not None:
        found.append(Finding(Code.FUND_HALTED, f"The fund is halted since {halted.isoformat()}."))
    if platform.settings.fund.approval.mode != AUTOMATIC:
        found.append(Finding(Code.APPROVAL_LIMIT, "The settings leave every approval to an operator."))
    if found:
        with platform.store.write() as connection:
            fund.set_findings(connection, record.id, [f.as_dict() for f in found])
            now = platform.clock.now(connection)
            codes = {"findings": sorted({f.code.value for f in found})}
            audit.record(connection, now, AUTOMATIC, "leave_rebalance", record.id, codes)
            return Approval(find_rebalance(connection, record.id), tuple(found))
    return Approval(_approve(platform, record, AUTOMATIC), ())


def reject(platform: Platform, who: str, why: str, rebalance_id: str | None = None) -> RebalanceRecord:
    """Reject a rebalance that has not been sent; the book stays, and another one may be proposed for the same session.

    Raises
    ------
    InputRejected
        REBALANCE_UNKNOWN; REQUEST_INVALID for nobody's name, or no reason.
    Conflict
        REBALANCE_STATE when it has been sent, or has ended.
    """
    refuse_nobody(who)
    refuse_no_reason(why)
    with platform.store.write() as connection:
        record = find_rebalance(connection, rebalance_id)
        rejected = fund.advance_rebalance(connection, record.id, RebalanceStep.REJECT)
        audit.record(connection, platform.clock.now(connection), who, "reject_rebalance", record.id, {"why": why})
    return rejected


def check_again(platform: Platform, record: RebalanceRecord) -> tuple[Finding, ...]:
    """Run the pre-trade checks by what is known now, and keep what they find with the rebalance.

    Raises
    ------
    Conflict
        FUND_RUINED when nothing is left of the equity that the book was decided on.
    """
    decision = read_decision(platform, record)
    view = platform.desk.view(platform.clock.now())
    with platform.store.read() as connection:
        refuse_ruin(read_book(connection, platform)[0])
        found = pretrade_findings(platform, connection, PaperBroker(platform), view, decision)
    with platform.store.write() as connection:
        fund.set_findings(connection, record.id, [f.as_dict() for f in found])
    return found


def refuse_step(record: RebalanceRecord, step: RebalanceStep) -> None:
    """Raise Conflict REBALANCE_STATE when ``step`` cannot be taken from where the rebalance stands."""
    if not may(step, RebalanceState(record.state)):
        text = f"Rebalance {record.id} is {record.state}: the step '{step.value}' is not taken from there."
        raise Conflict(Code.REBALANCE_STATE, text)


def refuse_blocked(record: RebalanceRecord, findings: tuple[Finding, ...]) -> None:
    """Raise Conflict REBALANCE_BLOCKED when one of ``findings`` keeps the orders back."""
    blocking = [f for f in findings if f.refuses]
    if blocking:
        more = f" and {len(blocking) - 1} more" if len(blocking) > 1 else ""
        text = f"Rebalance {record.id} is kept back: {blocking[0].message.rstrip('.')}{more}."
        raise Conflict(Code.REBALANCE_BLOCKED, text)


def refuse_expired(record: RebalanceRecord, now: datetime) -> None:
    """Raise Conflict REBALANCE_EXPIRED when the open that the rebalance was decided for has passed."""
    if record.expires_at is not None and now >= record.expires_at:
        text = f"Rebalance {record.id} was for the open of {record.fill_session}, which has passed."
        raise Conflict(Code.REBALANCE_EXPIRED, text)


def _approve(platform: Platform, record: RebalanceRecord, who: str) -> RebalanceRecord:
    with platform.store.write() as connection:
        now = platform.clock.now(connection)
        refuse_expired(record, now)
        approved = fund.advance_rebalance(connection, record.id, RebalanceStep.APPROVE, approved_by=who, approved_at=now)
        audit.record(connection, now, who, "approve_rebalance", record.id, {"evidence": record.sha256})
    return approved


def _beyond(platform: Platform, decision: Decision) -> list[Finding]:
    """Return in which respects a decision lies outside the limits of automatic approval."""
    limits, evidence = platform.settings.fund.approval, decision.evidence
    found = []
    if evidence["status"] not in limits.statuses.split():
        found.append(f"The optimizer's book is {evidence['status']}, not {' or '.join(limits.statuses.split())}.")
    for name, value, limit in (
        ("turnover", evidence["turnover"], limits.turnover_max),
        ("gross", evidence["gross"], limits.gross_max),
        ("number of names", evidence["holdings"], limits.names_max),
    ):
        if limit and not value <= limit:
            found.append(f"The book's {name} is {value:.4g}, more than the {limit:g} that is approved automatically.")
    return [Finding(Code.APPROVAL_LIMIT, text) for text in found]
