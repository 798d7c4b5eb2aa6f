"""The double-entry ledger: transfers that sum to zero, balances, and the hash chain over both.

Pure: it holds no rows and writes nowhere. The store appends what is made here, and anybody who has the records checks them
with :func:`verify_chain`. What this is not: a place where amounts are decided (see :mod:`staking.payout`).

1. A :class:`Transfer` moves atoms between accounts; its kind says from which class of account to which.
2. :func:`apply` gives the balances after it, and refuses any account below zero but ``external`` and ``treasury``.
3. :func:`append` seals it: SHA-256 over the frozen bytes of (format, sequence, previous hash, transfer).
4. :func:`verify_chain` replays records from the first and lists everything that does not fit.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crowdalpha.canonical import Plain, canonical_hash
from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InvariantBroken
from staking.accounts import CLASSES, OVERDRAWN_ALLOWED, SPOKEN, AccountId, account_class
from staking.amount import ATOMS_MAX, format_amount

SEAL_FORMAT = 1
"""Version of the sealed bytes. A change of the bytes needs a new number, and old records keep theirs."""

GENESIS_HASH = "0" * 64
"""What the first record has for its previous hash."""

Balances = dict[AccountId, int]

KIND_FLOWS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "deposit": (("external",), ("provider", "treasury")),
    "withdraw": (("provider",), ("external",)),
    "stake": (("provider",), ("stake", "pool")),
    "unstake": (("stake", "pool"), ("provider",)),
    "reweight": (("pool", "stake"), ("pool", "stake")),
    "reserve": (("stake",), ("reserve",)),
    "release": (("reserve",), ("stake",)),
    "payout": (("treasury",), ("stake", "provider")),
    "burn": (("reserve",), ("burned",)),
    "correction": (CLASSES, CLASSES),
}
"""For each kind of transfer the classes of account that may give and those that may take. No other flow exists."""

_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?(Z|\+00:00))?")


def _broken(message: str) -> InvariantBroken:
    return InvariantBroken(Code.LEDGER_BROKEN, message)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One side of a transfer: atoms that an account receives (positive) or gives (negative), never zero."""

    account: AccountId
    amount_atoms: int

    def __post_init__(self) -> None:
        if type(self.amount_atoms) is not int or not 0 < abs(self.amount_atoms) <= ATOMS_MAX:
            raise _broken(f"An entry on {self.account} holds {self.amount_atoms!r}, which is no amount that can be moved.")
        if not account_class(self.account):
            raise _broken(f"{self.account!r} names no account.")


@dataclass(frozen=True, slots=True)
class Transfer:
    """Entries that belong together and sum to zero.

    Attributes
    ----------
    id : str
        Unique in the ledger. Transfers of a round have fixed ids (``signals-7:payout``), so that none can be booked twice.
    kind : str
        One of :data:`KIND_FLOWS`.
    at : str
        When it was booked: an instant of UTC (``2016-01-08T21:00:00Z``) or a session (``2016-01-08``), as ISO 8601 text. It is
        sealed as given.
    entries : tuple of LedgerEntry
        Kept sorted by account, each account once, whatever the order given.
    reference : str
        What the transfer is for: a round, or a request.

    Raises
    ------
    InvariantBroken
        ``LEDGER_UNBALANCED`` if the entries do not sum to zero; ``LEDGER_BROKEN`` for any other form that no workflow makes.
    """

    id: str
    kind: str
    at: str
    entries: tuple[LedgerEntry, ...]
    reference: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", tuple(sorted(self.entries, key=lambda entry: entry.account)))
        total = sum(entry.amount_atoms for entry in self.entries)
        if total:
            raise InvariantBroken(Code.LEDGER_UNBALANCED, f"The entries of transfer {self.id} sum to {total} atoms, not zero.")
        if not self.id or not self.entries or len({entry.account for entry in self.entries}) != len(self.entries):
            raise _broken(f"Transfer {self.id!r} needs an id and entries that name each account once.")
        if not _INSTANT.fullmatch(self.at):
            raise _broken(f"Transfer {self.id} has {self.at!r} for its instant, not ISO 8601 text in UTC.")
        self._check_flow()

    def _check_flow(self) -> None:
        if self.kind not in KIND_FLOWS:
            raise _broken(f"Transfer {self.id} is of the unknown kind {self.kind!r}.")
        givers, takers = KIND_FLOWS[self.kind]
        for entry in self.entries:
            allowed = takers if entry.amount_atoms > 0 else givers
            if account_class(entry.account) not in allowed:
                raise _broken(f"Transfer {self.id} is a {self.kind} and cannot move {entry.amount_atoms} on {entry.account}.")

    def as_plain(self) -> dict[str, Plain]:
        """Return the transfer as plain values for hashing and publication; amounts are decimal text of atoms."""
        return {
            "id": self.id,
            "kind": self.kind,
            "at": self.at,
            "reference": self.reference,
            "entries": [[entry.account, str(entry.amount_atoms)] for entry in self.entries],
        }


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """A sealed transfer: its place in the chain (from 1), the hash before it, and its own."""

    sequence: int
    previous_hash: str
    hash: str
    transfer: Transfer


@dataclass(frozen=True, slots=True)
class LedgerProblem:
    """Something in a chain that does not fit, at the record of that sequence."""

    sequence: int
    message: str


def seal(previous_hash: str, sequence: int, transfer: Transfer) -> str:
    """Return the hash that binds ``transfer`` to its place: SHA-256 over frozen bytes, hexadecimal.

    The bytes are the canonical form of ``{"format", "previous", "sequence", "transfer"}``; golden vectors pin them.
    """
    return canonical_hash(
        {"format": SEAL_FORMAT, "sequence": sequence, "previous": previous_hash, "transfer": transfer.as_plain()}
    )


def append(previous: LedgerRecord | None, transfer: Transfer) -> LedgerRecord:
    """Return the record that follows ``previous`` (None for the first of a ledger)."""
    sequence, previous_hash = (previous.sequence + 1, previous.hash) if previous else (1, GENESIS_HASH)
    return LedgerRecord(sequence, previous_hash, seal(previous_hash, sequence, transfer), transfer)


def changed_balances(balances: Mapping[AccountId, int], transfer: Transfer) -> Balances:
    """Return the new balances of the accounts that ``transfer`` touches, and of no others.

    Parameters
    ----------
    balances : mapping of account to int
        Atoms before the transfer; an account that is missing holds zero.

    Raises
    ------
    Conflict
        ``BALANCE_TOO_LOW`` if an account would fall below zero that must not; ``AMOUNT_INVALID`` if it would hold more than
        a database can (:data:`staking.amount.ATOMS_MAX`), on either side of zero.
    """
    changed: Balances = {}
    for entry in transfer.entries:
        before = balances.get(entry.account, 0)
        after = before + entry.amount_atoms
        if after < 0 and entry.account not in OVERDRAWN_ALLOWED:
            have, need = format_amount(before), format_amount(-entry.amount_atoms)
            who = SPOKEN[account_class(entry.account)]
            raise Conflict(Code.BALANCE_TOO_LOW, f"{who} holds {have} tokens and cannot give {need} ({entry.account}).")
        if abs(after) > ATOMS_MAX:
            tokens = format_amount(abs(entry.amount_atoms))
            told = "with what was moved before, it is more than a ledger can hold"
            raise Conflict(Code.AMOUNT_INVALID, f"A {transfer.kind} of {tokens} tokens is too much: {told}.")
        changed[entry.account] = after
    return changed


def apply(balances: Mapping[AccountId, int], transfer: Transfer) -> Balances:
    """Return all balances after ``transfer``; the argument is left as it was. Raises like :func:`changed_balances`."""
    return {**balances, **changed_balances(balances, transfer)}


def replay(transfers: Iterable[Transfer]) -> Balances:
    """Return the balances that ``transfers`` lead to, from nothing. Raises like :func:`changed_balances`."""
    balances: Balances = {}
    for transfer in transfers:
        balances.update(changed_balances(balances, transfer))
    return balances


def verify_chain(records: Iterable[LedgerRecord], expected_head: str | None = None) -> list[LedgerProblem]:
    """List everything that does not fit in a ledger; an empty list means that it is whole.

    Parameters
    ----------
    records : iterable of LedgerRecord
        All records from the first, in order.
    expected_head : str or None
        Hash of the last record as published elsewhere. Without it, a cut-off tail cannot be told from a shorter ledger.

    Returns
    -------
    list of LedgerProblem
        Wrong sequence, broken link, wrong seal, id used twice, account below zero, or another head.
    """
    problems: list[LedgerProblem] = []
    balances: Balances = {}
    ids: set[str] = set()
    head, sequence = GENESIS_HASH, 0
    for sequence, record in enumerate(records, start=1):
        problems += [LedgerProblem(record.sequence, text) for text in _misfits(record, sequence, head)]
        if record.transfer.id in ids:
            problems.append(LedgerProblem(record.sequence, f"The id {record.transfer.id} was used before."))
        ids.add(record.transfer.id)
        try:
            balances.update(changed_balances(balances, record.transfer))
        except Conflict as error:
            problems.append(LedgerProblem(record.sequence, error.message))
        head = record.hash
    if expected_head is not None and head != expected_head:
        problems.append(LedgerProblem(sequence, "The last hash is not the head that was published."))
    return problems


def _misfits(record: LedgerRecord, sequence: int, head: str) -> Iterable[str]:
    if record.sequence != sequence:
        yield f"Record {sequence} calls itself {record.sequence}."
    if record.previous_hash != head:
        yield "The previous hash is not that of the record before."
    if record.hash != seal(record.previous_hash, record.sequence, record.transfer):
        yield "The hash is not that of the record's bytes."
