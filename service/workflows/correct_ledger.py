"""Correct the ledger: one person proposes, another approves, and a transfer that names both is posted.

1. *propose*: which transfer, why, by whom; its reversal, or moves between any accounts. Nothing is booked.
2. *approve*: by another name. The correction is posted in the same transaction, if no account falls below zero by it.
3. A proposal that is not approved can be withdrawn. The whole of a transfer is reversed once.

What rounds hold in reserve is moved by their closes and settlements alone: a correction there would strand what a settled
round gives back no more, or keep a round from being settled.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from service.clock import instant_text
from service.context import Platform
from service.store import audit, corrections, ledger, models, providers
from service.store.corrections import POSTED, PROPOSED, WITHDRAWN
from service.store.records import CorrectionRecord
from service.workflows.accounts import NAME
from service.workflows.overdue import refuse_wallet_while_closing, refuse_while_closing
from staking import LedgerEntry, LedgerRecord, Transfer, account_class, correction, moves, reversal

SEQUENCE_DIGITS_MAX = 18
"""No place in the chain has more; a longer number fits no column."""


def propose(
    platform: Platform, transfer: str, reason: str, by: str, given: Sequence[tuple[str, str, int]] = ()
) -> CorrectionRecord:
    """Propose a correction of ``transfer``: its reversal, or the moves that are given.

    Parameters
    ----------
    transfer : str
        Id of the transfer, or its number in the chain.
    reason, by : str
        Not empty.
    given : sequence of (giver, taker, atoms)
        Accounts by ids, or by the names of providers and models.

    Raises
    ------
    InputRejected
        TRANSFER_UNKNOWN; CORRECTION_INVALID for a reason or a name that is empty, or moves that make no sense.
    Conflict
        CORRECTION_EXISTS when the whole of the transfer is, or is to be, reversed already.
    """
    if not reason.strip() or not _can_be_written(reason):
        raise InputRejected(Code.CORRECTION_INVALID, "A correction needs a reason, in text that can be written.")
    _check_name(by)
    with platform.store.write() as connection:
        record = _transfer(connection, transfer)
        entries = moves([(_account(connection, g), _account(connection, t), a) for g, t, a in given]) if given else ()
        entries = entries or reversal(record.transfer)
        _refuse_reserves(entry.account for entry in entries)
        _refuse_second_reversal(connection, record.transfer, entries)
        now = platform.clock.now(connection)
        plain = tuple((entry.account, entry.amount_atoms) for entry in entries)
        proposal = CorrectionRecord(platform.ids.new(), record.transfer.id, reason, plain, by, now)
        corrections.add_correction(connection, proposal)
        audit.record(connection, now, by, "propose_correction", proposal.id, _details(proposal))
    return proposal


def approve(platform: Platform, correction_id: str, by: str) -> LedgerRecord:
    """Approve a proposal and post it; return the sealed transfer.

    Raises
    ------
    InputRejected
        CORRECTION_UNKNOWN; CORRECTION_INVALID for a name that is none, or a proposal that moves a round's reserve.
    Conflict
        CORRECTION_STATE when it was posted or withdrawn; SECOND_APPROVER for who proposed it; BALANCE_TOO_LOW; ROUND_CLOSING
        while a close is due that counts what it would move.
    """
    _check_name(by)
    with platform.store.write() as connection:
        proposal = _proposal(connection, correction_id)
        _refuse_reserves(account for account, _ in proposal.entries)
        _refuse_while_closing(platform, connection, [account for account, _ in proposal.entries])
        if by == proposal.proposed_by:
            raise Conflict(Code.SECOND_APPROVER, f"'{by[:40]}' proposed the correction: another person must approve it.")
        now = platform.clock.now(connection)
        entries = [LedgerEntry(account, atoms) for account, atoms in proposal.entries]
        approvers = (proposal.proposed_by, by)
        transfer = correction(proposal.id, proposal.transfer_id, proposal.reason, approvers, entries, instant_text(now))
        posted = ledger.post(connection, [transfer])[0]
        corrections.end_correction(connection, proposal.id, POSTED, by, now)
        audit.record(connection, now, by, "approve_correction", proposal.id, _details(proposal) | {"hash": posted.hash})
    return posted


def withdraw(platform: Platform, correction_id: str, by: str) -> None:
    """Withdraw a proposal; raises InputRejected CORRECTION_UNKNOWN or CORRECTION_INVALID, Conflict CORRECTION_STATE."""
    _check_name(by)
    with platform.store.write() as connection:
        proposal = _proposal(connection, correction_id)
        now = platform.clock.now(connection)
        corrections.end_correction(connection, proposal.id, WITHDRAWN)
        audit.record(connection, now, by, "withdraw_correction", proposal.id, _details(proposal))


def _can_be_written(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_name(by: str) -> None:
    """Refuse what could be written in two ways: who proposes and who approves are told apart by these letters."""
    if not NAME.fullmatch(by):
        raise InputRejected(
            Code.CORRECTION_INVALID,
            f"'{by[:40]}' is nobody's name here: 3 to 40 of the characters a-z, 0-9 and _, beginning with a letter.",
        )


def _refuse_reserves(accounts: Iterable[str]) -> None:
    for account in accounts:
        if account_class(account) == "reserve":
            raise InputRejected(
                Code.CORRECTION_INVALID,
                f"A round's reserve moves by its close and its settlement alone ({account}); name other accounts with --move.",
            )


def _refuse_while_closing(platform: Platform, connection: Connection, accounts: Sequence[str]) -> None:
    now = platform.clock.now(connection)
    for account in accounts:
        if account_class(account) in {"stake", "pool"}:
            refuse_while_closing(connection, now)
        elif account_class(account) == "provider":
            refuse_wallet_while_closing(connection, account.partition(":")[2], now)


def _details(proposal: CorrectionRecord) -> dict[str, object]:
    entries = [[account, str(atoms)] for account, atoms in proposal.entries]
    return {"corrects": proposal.transfer_id, "reason": proposal.reason, "entries": entries}


def _transfer(connection: Connection, name: str) -> LedgerRecord:
    found = ledger.transfer_by_id(connection, name)
    if found is None and name.isascii() and name.isdigit() and len(name) <= SEQUENCE_DIGITS_MAX:
        found = ledger.transfer_by_sequence(connection, int(name))
    if found is None:
        raise InputRejected(Code.TRANSFER_UNKNOWN, f"There is no transfer '{name[:80]}'.")
    return found


def _proposal(connection: Connection, correction_id: str) -> CorrectionRecord:
    proposal = corrections.correction_by_id(connection, correction_id)
    if proposal is None:
        raise InputRejected(Code.CORRECTION_UNKNOWN, f"There is no correction '{correction_id[:80]}'.")
    if proposal.state != PROPOSED:
        raise Conflict(Code.CORRECTION_STATE, f"The correction is {proposal.state} already.")
    return proposal


def _refuse_second_reversal(connection: Connection, transfer: Transfer, entries: Sequence[LedgerEntry]) -> None:
    whole = tuple((entry.account, entry.amount_atoms) for entry in reversal(transfer))
    if tuple((entry.account, entry.amount_atoms) for entry in entries) != whole:
        return
    for other in corrections.list_corrections(connection, transfer.id):
        if other.state != WITHDRAWN and other.entries == whole:
            raise Conflict(Code.CORRECTION_EXISTS, f"The whole of transfer {transfer.id} is reversed once: {other.id}.")


def _account(connection: Connection, text: str) -> str:
    """Return an account as the ledger names it: names of providers and models become their ids."""
    name, *parts = text.split(":")
    if parts and name in {"provider", "pool"}:
        provider = providers.provider_by_name(connection, parts[-1]) or providers.provider_by_id(connection, parts[-1])
        owner = provider.id if provider else None
    elif parts and name in {"stake", "reserve"}:
        model = models.model_by_name(connection, parts[-1]) or models.model_by_id(connection, parts[-1])
        owner = model.id if model else None
    else:
        return text
    if owner is None:
        raise InputRejected(Code.CORRECTION_INVALID, f"'{text[:80]}' belongs to nobody.")
    return ":".join([name, *parts[:-1], owner])
