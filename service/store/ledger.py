"""The ledger's rows: transfers, their entries, the balances that follow from them, and the head of the chain.

What a transfer may be and how it is sealed is decided in :mod:`staking.ledger`; here it is kept.

1. A post reads the head and the balances that it touches; no other writer comes between (see :mod:`service.store.engine`).
2. A transfer whose id stands already is returned as it stands if it is the same, and refused if it is not.
3. The others are checked against the balances, sealed in order, and inserted in bulk with the new balances and the new head.

Transfers and entries are never changed or removed: triggers refuse it. Balances are derived; :func:`verify` recomputes them.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InvariantBroken
from service.store.parts import among, rows_among
from service.store.records import LedgerHead
from service.store.schema import balances as balances_table
from service.store.schema import entries, ledger_head, transfers
from service.store.types import ValueUnfit
from service.store.upsert import upsert_into
from staking.ledger import (
    GENESIS_HASH,
    LedgerEntry,
    LedgerRecord,
    Transfer,
    changed_balances,
    seal,
    verify_chain,
)

_HEAD = select(ledger_head)
_BALANCES_OF = select(balances_table).where(among(balances_table.c.account))
_TRANSFERS_OF = select(transfers).where(among(transfers.c.id))
_ENTRIES_OF = (
    select(entries).where(among(entries.c.transfer_sequence)).order_by(entries.c.transfer_sequence, entries.c.position)
)

ROWS_AT_ONCE = 1_000
"""How many rows a check of the whole ledger holds at a time."""


def head(connection: Connection) -> LedgerHead:
    """Return the end of the chain; an empty ledger has sequence 0 and the genesis hash."""
    row = connection.execute(_HEAD).first()
    return LedgerHead(0, GENESIS_HASH) if row is None else LedgerHead(row.sequence, row.hash)


def post(connection: Connection, new: Sequence[Transfer]) -> list[LedgerRecord]:
    """Append transfers to the ledger, all or none, and return their sealed records in the order given.

    Parameters
    ----------
    connection : Connection
        A writing one.
    new : sequence of Transfer
        One whose id was posted before, with the same content, is returned as it stands.

    Raises
    ------
    Conflict
        BALANCE_TOO_LOW if an account other than ``external`` and ``treasury`` would fall below zero; TRANSFER_EXISTS if an
        id was posted before with another content.
    """
    standing = {record.transfer.id: record for record in _posted(connection, [transfer.id for transfer in new])}
    state = balances_of(connection, {entry.account for transfer in new for entry in transfer.entries})
    end = head(connection)
    touched: dict[str, int] = {}
    fresh: list[LedgerRecord] = []
    for transfer in new:
        before = standing.get(transfer.id)
        if before is not None:
            if before.transfer != transfer:
                raise Conflict(Code.TRANSFER_EXISTS, f"Transfer {transfer.id} was posted before with other entries.")
            continue
        changed = changed_balances(state, transfer)
        state.update(changed)
        touched.update(changed)
        sequence = end.sequence + 1
        record = LedgerRecord(sequence, end.hash, seal(end.hash, sequence, transfer), transfer)
        end = LedgerHead(sequence, record.hash)
        standing[transfer.id] = record
        fresh.append(record)
    if fresh:
        _insert(connection, fresh, touched, end)
    return [standing[transfer.id] for transfer in new]


def balance(connection: Connection, account: str) -> int:
    """Return the atoms that an account holds; one that was never touched holds zero."""
    return balances_of(connection, [account]).get(account, 0)


def balances_of(connection: Connection, accounts: Iterable[str]) -> dict[str, int]:
    """Return the balances of those accounts that were ever touched."""
    return {row.account: row.balance for row in rows_among(connection, _BALANCES_OF, sorted(accounts))}


def balances(connection: Connection, prefix: str = "") -> dict[str, int]:
    """Return the balances of all accounts whose name starts with ``prefix``, by name."""
    statement = select(balances_table)
    if prefix:
        # Not LIKE: it knows no case on SQLite.
        statement = statement.where(func.substr(balances_table.c.account, 1, len(prefix)) == prefix)
    return dict(sorted((row.account, row.balance) for row in connection.execute(statement)))


def history(connection: Connection, account: str | None = None, limit: int | None = None) -> list[LedgerRecord]:
    """Return transfers, the latest first: all, or those that touch ``account``."""
    statement = select(transfers).order_by(transfers.c.sequence.desc()).limit(limit)
    if account is not None:
        touching = select(entries.c.transfer_sequence).where(entries.c.account == account)
        statement = statement.where(transfers.c.sequence.in_(touching))
    return _with_entries(connection, connection.execute(statement).all())


def transfer_by_id(connection: Connection, transfer_id: str) -> LedgerRecord | None:
    """Return the sealed transfer of that id, or None."""
    found = _posted(connection, [transfer_id])
    return found[0] if found else None


def transfer_by_sequence(connection: Connection, sequence: int) -> LedgerRecord | None:
    """Return the sealed transfer at that place of the chain, or None."""
    rows = connection.execute(select(transfers).where(transfers.c.sequence == sequence)).all()
    found = _with_entries(connection, rows)
    return found[0] if found else None


def hashes_of(connection: Connection, sequences: Iterable[int]) -> dict[int, str]:
    """Return the hashes of the transfers at those places of the chain, without those that are not there."""
    statement = select(transfers.c.sequence, transfers.c.hash).where(among(transfers.c.sequence))
    return {row.sequence: row.hash for row in rows_among(connection, statement, sorted(set(sequences)))}


def verify(connection: Connection) -> list[str]:
    """Recompute the chain, the sums and the balances from the rows; an empty list means that the ledger is whole."""
    try:
        return _misfits(connection)
    except ValueUnfit as error:
        return [f"The rows cannot be read: {error.message}"]


def _misfits(connection: Connection) -> list[str]:
    problems: list[str] = []
    sums: dict[str, int] = {}
    end = head(connection)
    chain = verify_chain(_all_records(connection, problems, sums), expected_head=end.hash)
    problems += [f"transfer {problem.sequence}: {problem.message}" for problem in chain]
    problems += [f"There are entries of transfer {sequence}, but no such transfer." for sequence in _orphans(connection)]
    count = connection.execute(select(func.count()).select_from(transfers)).scalar_one()
    if count != end.sequence:
        problems.append(f"The ledger holds {count} transfers, but its head counts {end.sequence}.")
    stored = balances(connection)
    problems += [
        f"{account} is stored with {stored.get(account, 0)} atoms, but its entries sum to {sums.get(account, 0)}."
        for account in sorted(stored.keys() | sums.keys())
        if stored.get(account, 0) != sums.get(account, 0)
    ]
    return problems


def _insert(connection: Connection, fresh: Sequence[LedgerRecord], touched: dict[str, int], end: LedgerHead) -> None:
    connection.execute(
        insert(transfers),
        [
            {
                "sequence": record.sequence,
                "id": record.transfer.id,
                "kind": record.transfer.kind,
                "at": record.transfer.at,
                "reference": record.transfer.reference,
                "previous_hash": record.previous_hash,
                "hash": record.hash,
            }
            for record in fresh
        ],
    )
    connection.execute(
        insert(entries),
        [
            {
                "transfer_sequence": record.sequence,
                "position": position,
                "account": entry.account,
                "amount": entry.amount_atoms,
            }
            for record in fresh
            for position, entry in enumerate(record.transfer.entries)
        ],
    )
    rows = [{"account": account, "balance": atoms} for account, atoms in sorted(touched.items())]
    connection.execute(upsert_into(connection, balances_table), rows)
    connection.execute(upsert_into(connection, ledger_head), [{"id": 1, "sequence": end.sequence, "hash": end.hash}])


def _posted(connection: Connection, ids: Sequence[str]) -> list[LedgerRecord]:
    return _with_entries(connection, list(rows_among(connection, _TRANSFERS_OF, ids)))


def _with_entries(connection: Connection, rows: Sequence[Row[Any]]) -> list[LedgerRecord]:
    by_sequence: dict[int, list[LedgerEntry]] = {row.sequence: [] for row in rows}
    for entry in rows_among(connection, _ENTRIES_OF, list(by_sequence)):
        by_sequence[entry.transfer_sequence].append(LedgerEntry(entry.account, entry.amount))
    return [_record(row, by_sequence[row.sequence]) for row in rows]


def _record(row: Row[Any], own: Sequence[LedgerEntry]) -> LedgerRecord:
    transfer = Transfer(row.id, row.kind, row.at, tuple(own), row.reference)
    return LedgerRecord(row.sequence, row.previous_hash, row.hash, transfer)


def _all_records(connection: Connection, problems: list[str], sums: dict[str, int]) -> Iterator[LedgerRecord]:
    """Yield the records from the first; rows that make no record become problems, and all entries are added to ``sums``."""
    statement = (
        select(transfers, entries.c.position, entries.c.account, entries.c.amount)
        .outerjoin(entries, entries.c.transfer_sequence == transfers.c.sequence)
        .order_by(transfers.c.sequence, entries.c.position)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    for sequence, group in groupby(connection.execute(statement), key=lambda row: row.sequence):
        rows = list(group)
        own = [row for row in rows if row.position is not None]
        for row in own:
            sums[row.account] = sums.get(row.account, 0) + row.amount
        accounts = [row.account for row in own]
        if [row.position for row in own] != list(range(len(own))) or accounts != sorted(accounts):
            problems.append(f"transfer {sequence}: The places of its entries are not as they were sealed.")
        try:
            yield _record(rows[0], [LedgerEntry(row.account, row.amount) for row in own])
        except InvariantBroken as error:
            problems.append(f"transfer {sequence}: {error.message}")


def _orphans(connection: Connection) -> list[int]:
    known = select(transfers.c.sequence)
    statement = select(entries.c.transfer_sequence).where(entries.c.transfer_sequence.not_in(known)).distinct()
    return sorted(connection.execute(statement).scalars())
