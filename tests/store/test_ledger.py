"""The ledger keeps what was posted, refuses what must not be, and notices every change of its rows: on both databases.

Balances are compared with a plain dictionary in the test; tampering is done past the triggers, one field at a time.
"""

import random

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from service.store import ledger
from service.store.parts import IDS_AT_ONCE
from service.store.records import LedgerHead
from service.store.types import encode_amount
from staking.ledger import GENESIS_HASH, seal
from tests.builders.store_rows import TOKEN, deposit, stake


def _post(store, *transfers):
    with store.write() as connection:
        return ledger.post(connection, transfers)


def test_an_empty_ledger_is_whole(store):
    with store.read() as connection:
        assert ledger.head(connection) == LedgerHead(0, GENESIS_HASH)
        assert ledger.balance(connection, "treasury") == 0
        assert ledger.balances(connection) == {}
        assert ledger.history(connection) == []
        assert ledger.verify(connection) == []
    assert _post(store) == []


def test_posted_transfers_come_back_sealed_in_a_chain(store):
    first, second, third = deposit("d", "provider:a", 5 * TOKEN), stake("s", "a", "m", 3 * TOKEN), stake("t", "a", "m", 1)
    records = [*_post(store, first, second), *_post(store, third)]
    assert [r.sequence for r in records] == [1, 2, 3]
    assert [r.transfer for r in records] == [first, second, third]
    previous = GENESIS_HASH
    for record in records:
        assert record.previous_hash == previous
        assert record.hash == seal(previous, record.sequence, record.transfer)
        previous = record.hash
    with store.read() as connection:
        assert ledger.head(connection) == LedgerHead(3, previous)
        assert ledger.history(connection) == records[::-1]
        assert ledger.history(connection, limit=1) == records[2:]
        assert ledger.history(connection, "external") == records[:1]
        assert ledger.history(connection, "stake:m", limit=1) == records[2:]
        assert ledger.transfer_by_id(connection, "s") == records[1]
        assert ledger.transfer_by_id(connection, "x") is None
        assert ledger.verify(connection) == []


def test_balances_follow_the_entries(store):
    _post(store, deposit("d", "provider:a", 5 * TOKEN), stake("s", "a", "m", 3 * TOKEN), deposit("e", "treasury", 10**30))
    with store.read() as connection:
        assert ledger.balances(connection) == {
            "external": -5 * TOKEN - 10**30,
            "provider:a": 2 * TOKEN,
            "stake:m": 3 * TOKEN,
            "treasury": 10**30,
        }
        assert sum(ledger.balances(connection).values()) == 0
        assert ledger.balances(connection, "stake:") == {"stake:m": 3 * TOKEN}
        assert ledger.balances(connection, "Stake:") == {}
        assert ledger.balances(connection, "%") == {}
        assert ledger.balance(connection, "provider:a") == 2 * TOKEN
        assert ledger.balances_of(connection, ["provider:a", "provider:b"]) == {"provider:a": 2 * TOKEN}


def test_an_account_cannot_give_what_it_does_not_hold(store):
    _post(store, deposit("d", "provider:a", TOKEN))
    with pytest.raises(Conflict) as caught:
        _post(store, stake("s", "a", "m", 1), stake("t", "a", "m", TOKEN))
    assert caught.value.code is Code.BALANCE_TOO_LOW
    with store.read() as connection:
        assert ledger.balance(connection, "provider:a") == TOKEN, "all or none"
        assert ledger.head(connection).sequence == 1
    _post(store, stake("s", "a", "m", TOKEN))


def test_order_inside_a_post_counts(store):
    _post(store, deposit("d", "provider:a", 1), stake("s", "a", "m", 1))
    with pytest.raises(Conflict):
        _post(store, stake("t", "a", "m", 1), deposit("e", "provider:a", 1))


def test_the_same_transfer_again_is_the_same_transfer(store):
    first = deposit("d", "provider:a", TOKEN)
    (record,) = _post(store, first)
    assert _post(store, first) == [record]
    both = _post(store, first, deposit("e", "provider:a", 1), first)
    assert [r.sequence for r in both] == [1, 2, 1]
    with store.read() as connection:
        assert ledger.balance(connection, "provider:a") == TOKEN + 1
    twice = deposit("f", "provider:a", 1)
    assert [r.sequence for r in _post(store, twice, twice)] == [3, 3]


@pytest.mark.parametrize("other", [deposit("d", "provider:a", 2), deposit("d", "provider:b", 1)])
def test_an_id_with_another_content_is_refused(store, other):
    _post(store, deposit("d", "provider:a", 1))
    for batch in ((other,), (deposit("e", "provider:a", 1), other)):
        with pytest.raises(Conflict) as caught:
            _post(store, *batch)
        assert caught.value.code is Code.TRANSFER_EXISTS
    with store.read() as connection:
        assert ledger.head(connection).sequence == 1


def test_random_postings_agree_with_a_plain_dictionary(store):
    seed = 20160104
    print(f"seed {seed}")
    rng = random.Random(seed)
    plain: dict[str, int] = {}
    amounts = (1, 2, 10**18 - 1, 10**18, 2**63 - 1, 2**63, 10**27)
    for batch in range(20):
        transfers = []
        for place in range(rng.randint(1, 60)):
            who, atoms = str(rng.randint(1, 5)), rng.choice(amounts)
            name = f"{batch}-{place}"
            if plain.get(f"provider:{who}", 0) >= atoms and rng.random() < 0.5:
                transfers.append(stake(name, who, who, atoms))
            else:
                transfers.append(deposit(name, f"provider:{who}", atoms))
            for entry in transfers[-1].entries:
                plain[entry.account] = plain.get(entry.account, 0) + entry.amount_atoms
        _post(store, *transfers)
    with store.read() as connection:
        assert ledger.balances(connection) == dict(sorted(plain.items()))
        assert ledger.verify(connection) == []


@pytest.mark.parametrize("table", ["transfers", "entries"])
def test_rows_are_never_changed_or_removed(store, table):
    _post(store, deposit("d", "provider:a", 1))
    column = {"transfers": "reference", "entries": "account"}[table]
    statements = [f"UPDATE {table} SET {column} = 'x'", f"DELETE FROM {table}"]
    if store.dialect == "sqlite":
        statements.append(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    else:
        statements.append(f"TRUNCATE {table} CASCADE")
    for statement in statements:
        with pytest.raises(DBAPIError, match="are never"), store.write() as connection:
            connection.execute(text(statement))
    with store.read() as connection:
        assert ledger.verify(connection) == []


TAMPERINGS = (
    "UPDATE transfers SET id = 'x' WHERE sequence = {n}",
    "UPDATE transfers SET kind = 'unstake' WHERE sequence = {n}",
    "UPDATE transfers SET at = '2016-01-04T21:00:01Z' WHERE sequence = {n}",
    "UPDATE transfers SET reference = 'other' WHERE sequence = {n}",
    "UPDATE transfers SET previous_hash = 'x' WHERE sequence = {n}",
    "UPDATE transfers SET hash = 'x' WHERE sequence = {n}",
    "UPDATE transfers SET sequence = 99 WHERE sequence = {n}",
    "UPDATE entries SET account = 'provider:zz' WHERE transfer_sequence = {n} AND position = 1",
    "UPDATE entries SET amount = :amount WHERE transfer_sequence = {n} AND position = 1",
    "UPDATE entries SET position = 7 WHERE transfer_sequence = {n} AND position = 1",
    "UPDATE entries SET transfer_sequence = 99 WHERE transfer_sequence = {n} AND position = 1",
    "DELETE FROM entries WHERE transfer_sequence = {n} AND position = 1",
    "DELETE FROM entries WHERE transfer_sequence = {n}",
    "DELETE FROM transfers WHERE sequence = {n}",
    "UPDATE balances SET balance = :amount WHERE account = 'provider:a'",
    "DELETE FROM balances WHERE account = 'provider:a'",
    "UPDATE ledger_head SET hash = 'x'",
    "UPDATE ledger_head SET sequence = 2",
    "DELETE FROM ledger_head",
)


@pytest.mark.parametrize("statement", TAMPERINGS)
def test_every_change_behind_the_stores_back_is_noticed(store, statement):
    _post(store, *(deposit(f"d{n}", "provider:a", n * TOKEN) for n in range(1, 6)))
    amount = {"amount": encode_amount(7) if store.dialect == "sqlite" else 7}
    for n in (1, 3, 5):
        bound = {k: v for k, v in amount.items() if f":{k}" in statement}
        assert _problems_after(store, text(statement.format(n=n)), bound), (statement, n)
    with store.read() as connection:
        assert ledger.verify(connection) == []


def _problems_after(store, statement, bound):
    """Return what verify says after ``statement``, run as an insider would: without triggers; then undo it."""
    with store.engine.connect() as connection:
        if store.dialect == "sqlite":
            connection.connection.driver_connection.execute("PRAGMA foreign_keys = OFF")
        with connection.begin() as transaction:
            for table in ("transfers", "entries"):
                if store.dialect == "postgresql":
                    connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
                else:
                    connection.execute(text(f"DROP TRIGGER {table}_no_update"))
                    connection.execute(text(f"DROP TRIGGER {table}_no_delete"))
            connection.execute(statement, bound)
            problems = ledger.verify(connection)
            transaction.rollback()
        connection.invalidate()
    return problems


def test_an_amount_that_cannot_be_read_is_noticed(store):
    if store.dialect != "sqlite":
        return  # NUMERIC holds nothing else than numbers
    _post(store, deposit("d", "provider:a", TOKEN))
    statement = text("UPDATE entries SET amount = 'p12' WHERE position = 1")
    assert "cannot be read" in _problems_after(store, statement, {})[0]


def test_a_swap_of_whole_transfers_is_noticed(store):
    _post(store, deposit("d1", "provider:a", 1), deposit("d2", "provider:a", 1))
    statement = text("UPDATE transfers SET id = CASE sequence WHEN 1 THEN 'd2x' ELSE 'd1' END")
    assert _problems_after(store, statement, {})


def test_more_transfers_than_one_statement_names(store):
    transfers = [deposit(f"d{n}", f"provider:{n}", n + 1) for n in range(IDS_AT_ONCE + 7)]
    records = _post(store, *transfers)
    assert _post(store, *transfers) == records
    with store.read() as connection:
        assert ledger.history(connection) == records[::-1]
        assert ledger.balances_of(connection, [f"provider:{n}" for n in range(len(transfers))]) == {
            f"provider:{n}": n + 1 for n in range(len(transfers))
        }
        assert ledger.verify(connection) == []
