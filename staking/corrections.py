"""Corrections: what undoes a transfer, wholly or in part, is another transfer that names it. Nothing is ever changed.

Pure: who may propose and approve is not decided here. A correction may name any accounts; that none falls below zero is seen to
where it is posted. What it corrects, why, and who approved it is sealed with it, as the canonical text of its reference.
"""

from collections.abc import Iterable, Sequence

from crowdalpha.canonical import canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from staking.accounts import AccountId, account_class
from staking.ledger import LedgerEntry, Transfer


def reversal(transfer: Transfer) -> tuple[LedgerEntry, ...]:
    """Return the entries that undo the whole of a transfer."""
    return tuple(LedgerEntry(entry.account, -entry.amount_atoms) for entry in transfer.entries)


def moves(given: Iterable[tuple[AccountId, AccountId, int]]) -> tuple[LedgerEntry, ...]:
    """Return the entries of moves from one account to another, each account once.

    Parameters
    ----------
    given : iterable of (giver, taker, atoms)

    Raises
    ------
    InputRejected
        ``CORRECTION_INVALID`` for an amount that is not positive, a name of no account, or moves that cancel out.

    Examples
    --------
    >>> [(e.account, e.amount_atoms) for e in moves([("burned", "stake:m", 5), ("burned", "treasury", 2)])]
    [('burned', -7), ('stake:m', 5), ('treasury', 2)]
    """
    net: dict[AccountId, int] = {}
    for giver, taker, atoms in given:
        if atoms <= 0 or not account_class(giver) or not account_class(taker):
            raise InputRejected(Code.CORRECTION_INVALID, f"Nothing can move {atoms} atoms from '{giver}' to '{taker}'.")
        net[giver] = net.get(giver, 0) - atoms
        net[taker] = net.get(taker, 0) + atoms
    entries = tuple(LedgerEntry(account, atoms) for account, atoms in sorted(net.items()) if atoms)
    if not entries:
        raise InputRejected(Code.CORRECTION_INVALID, "A correction moves something.")
    return entries


def correction(
    correction_id: str, corrects: str, reason: str, approvers: Sequence[str], entries: Sequence[LedgerEntry], at: str
) -> Transfer:
    """Return the transfer that posts a correction.

    Parameters
    ----------
    correction_id : str
        The transfer's id is ``correction:<correction_id>``.
    corrects : str
        Id of the transfer that is corrected.
    reason : str
    approvers : sequence of str
        Who proposed and who approved, in this order.
    entries : sequence of LedgerEntry
    at : str
        When it is booked.
    """
    reference = canonical_bytes({"corrects": corrects, "reason": reason, "approvers": list(approvers)}).decode()
    return Transfer(f"correction:{correction_id}", "correction", at, tuple(entries), reference)
