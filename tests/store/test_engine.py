"""A read is a snapshot that changes nothing, a write is alone, and a database that is away is one clear error."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from crowdalpha.codes import Code
from crowdalpha.errors import CrowdalphaError, InputRejected, InvariantBroken, Unavailable
from service.store import engine, meta
from service.store.engine import Store, _use_write_ahead_log


def test_a_write_commits_and_a_failed_write_leaves_nothing(store):
    with store.write() as connection:
        meta.set_meta(connection, "a", "1")
    with pytest.raises(ZeroDivisionError), store.write() as connection:  # noqa: PT012 - the block is the transaction
        meta.set_meta(connection, "a", "2")
        meta.set_meta(connection, "b", "2")
        raise ZeroDivisionError
    with store.read() as connection:
        assert meta.all_meta(connection) == {"a": "1"}
        assert meta.get_meta(connection, "b") is None


def test_a_read_cannot_write(store):
    with pytest.raises(DBAPIError), store.read() as connection:
        meta.set_meta(connection, "a", "1")
    with store.write() as connection:
        meta.set_meta(connection, "b", "1")
    with store.read() as connection:
        assert meta.all_meta(connection) == {"b": "1"}


def test_a_read_is_one_snapshot(store):
    with store.write() as connection:
        meta.set_meta(connection, "a", "old")
    with store.read() as snapshot:
        assert meta.get_meta(snapshot, "a") == "old"
        with store.write() as connection:
            meta.set_meta(connection, "a", "new")
        assert meta.get_meta(snapshot, "a") == "old"
    with store.read() as connection:
        assert meta.get_meta(connection, "a") == "new"


def test_a_write_inside_a_write_is_told_at_once(store):
    with store.write(), pytest.raises(InvariantBroken), store.write():
        pass
    with store.write() as connection:
        meta.set_meta(connection, "a", "1")


def test_writers_stand_in_a_line(store):
    """The second writer reads only what the first has committed, so that reading and then writing loses nothing."""
    with store.write() as connection:
        meta.set_meta(connection, "count", "0")

    def add() -> None:
        for _ in range(10):
            with store.write() as connection:
                count = int(meta.get_meta(connection, "count") or "")
                meta.set_meta(connection, "count", str(count + 1))

    threads = [threading.Thread(target=add) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        assert meta.get_meta(connection, "count") == "160"


def test_sqlite_is_set_up_for_money(tmp_path):
    store = Store.for_home(tmp_path / "x.db")
    with store.read() as connection:
        found = {p: connection.execute(text(f"PRAGMA {p}")).scalar() for p in ("journal_mode", "synchronous", "foreign_keys")}
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 60_000
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    assert store.dialect == "sqlite"
    store.dispose()


def test_the_first_to_open_a_database_are_not_refused_by_each_other(tmp_path, monkeypatch):
    """SQLite refuses the change to a write-ahead log at once while another makes it, and is asked again."""

    def refused(code):
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = code
        return error

    def asked(*answers):
        left = list(answers)

        class Answering:
            def execute(self, _):
                answer = left.pop(0)
                if isinstance(answer, Exception):
                    raise answer

        _use_write_ahead_log(Answering())
        assert not left

    asked(refused(sqlite3.SQLITE_BUSY), refused(sqlite3.SQLITE_BUSY_RECOVERY), None)
    with pytest.raises(sqlite3.OperationalError):
        asked(refused(sqlite3.SQLITE_READONLY), None)
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_SECONDS", 0.05)
    with pytest.raises(sqlite3.OperationalError):
        asked(*[refused(sqlite3.SQLITE_BUSY)] * 100)
    for attempt in range(20):
        stores = [Store(f"sqlite:///{tmp_path}/{attempt}.db") for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(_answers, stores)) == [1] * 4
        for store in stores:
            store.dispose()


def _answers(store):
    with store.read() as connection:
        return connection.execute(text("SELECT 1")).scalar()


def test_only_a_store_that_says_so_commits_before_the_disk_has_it(store):
    question = text("PRAGMA synchronous" if store.dialect == "sqlite" else "SHOW synchronous_commit")
    hasty = Store(store.url, durable=False)
    try:
        with hasty.write() as connection:
            assert str(connection.execute(question).scalar()) in {"0", "off"}
            meta.set_meta(connection, "kept", "yes")
        with hasty.read() as connection:
            assert str(connection.execute(question).scalar()) in {"0", "off"}
        with store.read() as connection:
            assert meta.get_meta(connection, "kept") == "yes"
    finally:
        hasty.dispose()


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:9/x", "sqlite:////nowhere/at/all.db"])
def test_a_database_that_is_away_is_unavailable(url):
    store = Store(url)
    for door in (store.read, store.write):
        with pytest.raises(Unavailable) as caught, door():
            pass
        assert caught.value.code is Code.DATABASE_UNAVAILABLE
        assert "\n" not in caught.value.message
    store.dispose()


def test_a_file_that_is_no_database_is_unavailable(tmp_path):
    path = Path(tmp_path / "x.db")
    path.write_bytes(b"This is no database at all." * 100)
    with pytest.raises(Unavailable), Store.for_home(path).read():
        pass


@pytest.mark.parametrize("url", ["mysql://x/y", "no address", "oracle+nothing://"])
def test_an_address_of_no_database_of_ours_is_refused(url):
    with pytest.raises(InputRejected) as caught:
        Store(url)
    assert caught.value.code is Code.SETTING_INVALID


def test_errors_of_a_block_pass_through(store):
    """What a workflow raises inside a transaction is not taken for an absent database."""
    error = CrowdalphaError(Code.INTERNAL, "x")
    with pytest.raises(CrowdalphaError) as caught, store.write():
        raise error
    assert caught.value is error


def test_a_wrong_statement_is_not_taken_for_an_absent_database(store):
    with pytest.raises(DBAPIError), store.write() as connection:
        connection.execute(text("SELECT nothing FROM nowhere"))
