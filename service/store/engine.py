"""A store: one database, and the two ways to reach it.

``read()`` is a consistent snapshot that can change nothing. ``write()`` is one transaction that is alone: on SQLite it takes
the write lock at once (``BEGIN IMMEDIATE``), because a deferred transaction that reads first and writes later is refused as
busy however long it is told to wait; on PostgreSQL it takes one advisory lock. Writers therefore stand in a line on both
databases, a workflow that reads and then writes sees nothing change in between, and sequence numbers follow commits.

It is not a session and keeps no objects: statements are SQLAlchemy Core, rows become records in the files beside this one.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken, Unavailable

BUSY_TIMEOUT_SECONDS = 60
"""How long a writer waits in the line before it is told to retry later."""

BUSY_POLL_SECONDS = 0.02

CONNECT_TIMEOUT_SECONDS = 2
"""PostgreSQL that does not answer within this is reported as away."""

POOL_SIZE = 8
POOL_OVERFLOW = 56
"""With the pool's own 8 this is 64 connections, below the 100 that PostgreSQL allows by default."""

WRITER_LOCK = 0x63726F77
"""Key of the advisory lock that PostgreSQL writers stand in line for; any constant will do, as long as it stays."""

_SQLITE_AWAY = frozenset({5, 6, 7, 8, 10, 11, 13, 14, 26})
"""BUSY, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB: the surroundings fail, not the statement."""

_SQLITE_READONLY = 8
_BEGIN = "crowdalpha_begin"


class Store:
    """The database behind ``url``: ``sqlite:///path`` or ``postgresql://…``. It connects when it is first used.

    Parameters
    ----------
    url : str
        Address as SQLAlchemy writes it.
    durable : bool
        Whether a commit waits until the disk has it. Without, a transaction is as whole as ever and a killed process loses
        nothing, but a power loss may lose the last commits, and on SQLite the file.

    Raises
    ------
    InputRejected
        SETTING_INVALID for an address that names neither database, or whose driver is not installed.
    """

    def __init__(self, url: str, *, durable: bool = True) -> None:
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
                raise InputRejected(
                    Code.SETTING_INVALID, "The database is SQLite or PostgreSQL; the address names another one."
                )
            self.engine = _engine(url, durable)
        except (ArgumentError, NoSuchModuleError) as error:
            raise InputRejected(Code.SETTING_INVALID, "The database address cannot be read.") from error
        except ModuleNotFoundError as error:
            raise InputRejected(Code.SETTING_INVALID, f"The database driver is not installed: {error.name}.") from error
        self._writing = threading.local()

    @classmethod
    def for_home(cls, path: Path) -> Self:
        """Return the store in the SQLite file at ``path``."""
        return cls(f"sqlite:///{path}")

    @property
    def url(self) -> str:
        """The address, password included: for another process of ours, never for a log."""
        return self.engine.url.render_as_string(hide_password=False)

    @property
    def dialect(self) -> str:
        """The name of the database: ``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection to one snapshot of the database; a statement that would change it fails.

        Raises
        ------
        Unavailable
            DATABASE_UNAVAILABLE when the database does not answer.
        """
        options: dict[str, Any] = {_BEGIN: "BEGIN"}
        if self.dialect == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._connected(_SQLITE_AWAY - {_SQLITE_READONLY}) as opened:
            connection = opened.execution_options(**options)
            with _query_only(connection), connection.begin() as transaction:
                yield connection
                transaction.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection to one transaction that no other writer interleaves; it commits unless the block raises.

        Raises
        ------
        Unavailable
            DATABASE_UNAVAILABLE when the database does not answer, or the line of writers did not move for a minute.
        InvariantBroken
            When this thread is writing already: the inner block would wait for the outer one for ever.
        """
        if getattr(self._writing, "now", False):
            raise InvariantBroken(Code.INTERNAL, "A write was begun inside a write of the same thread.")
        self._writing.now = True
        try:
            with self._connected(_SQLITE_AWAY) as opened:
                connection = opened.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
                with connection.begin():
                    self._stand_in_line(connection)
                    yield connection
        finally:
            self._writing.now = False

    @contextmanager
    def write_schema(self) -> Iterator[Connection]:
        """Give a writing connection on which tables may be rebuilt: SQLite checks foreign keys at its end, not within."""
        if self.dialect != "sqlite":
            with self.write() as connection:
                yield connection
            return
        with self._connected(_SQLITE_AWAY) as opened:
            connection = opened.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            _pragma(connection, "PRAGMA foreign_keys = OFF")
            try:
                with connection.begin():
                    yield connection
                    if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                        raise InvariantBroken(Code.INTERNAL, "The migration left rows that refer to nothing.")
            finally:
                _pragma(connection, "PRAGMA foreign_keys = ON")

    def dispose(self) -> None:
        """Close all connections; the store may be used again and connects anew."""
        self.engine.dispose()

    def _stand_in_line(self, connection: Connection) -> None:
        if self.dialect == "postgresql":
            # One round trip: the columns are computed from left to right, so the wait has its limit.
            timeout = func.set_config("lock_timeout", f"{BUSY_TIMEOUT_SECONDS}s", True)
            connection.execute(select(timeout, func.pg_advisory_xact_lock(WRITER_LOCK)))

    @contextmanager
    def _connected(self, away_codes: frozenset[int]) -> Iterator[Connection]:
        try:
            with self.engine.connect() as connection:
                yield connection
        except PoolTimeout as error:
            raise Unavailable(Code.DATABASE_UNAVAILABLE, "All connections to the database are busy; retry later.") from error
        except DatabaseError as error:
            if _is_away(error, away_codes):
                reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "no reason given"
                raise Unavailable(Code.DATABASE_UNAVAILABLE, f"The database does not answer: {reason}.") from error
            raise


def _is_away(error: DatabaseError, away_codes: frozenset[int]) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is None:
        # PostgreSQL has no such number: its OperationalError is lost connections, timeouts, a full disk.
        return isinstance(error, OperationalError)
    # The low byte is the kind of failure; the others tell apart its variants.
    return (code & 0xFF) in away_codes


def _engine(url: str, durable: bool) -> Engine:
    pool: dict[str, Any] = {
        "poolclass": QueuePool,
        "pool_size": POOL_SIZE,
        "max_overflow": POOL_OVERFLOW,
        "pool_timeout": BUSY_TIMEOUT_SECONDS,
    }
    if make_url(url).get_backend_name() == "postgresql":
        # The pre-ping lets a pool outlive a restart of the server.
        arguments = {"connect_timeout": CONNECT_TIMEOUT_SECONDS}
        engine = create_engine(url, pool_pre_ping=True, connect_args=arguments, **pool)
        if not durable:
            event.listen(engine, "connect", _prepare_hasty_postgresql)
        return engine
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False}, **pool)
    event.listen(engine, "connect", partial(_prepare_sqlite, durable))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(durable: bool, connection: Any, _record: Any) -> None:
    # The driver would begin deferred transactions on its own; with None it leaves that to us.
    connection.isolation_level = None
    _use_write_ahead_log(connection)
    for statement in (f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}", "PRAGMA foreign_keys = ON"):
        connection.execute(statement)


def _use_write_ahead_log(connection: Any) -> None:
    # Where several open a new database at once, the change of its mode is refused at once and waits for nobody, as others do.
    patience = monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > patience:
                raise
            sleep(BUSY_POLL_SECONDS)
        else:
            return


def _prepare_hasty_postgresql(connection: Any, _record: Any) -> None:
    # Outside of a transaction, whose rollback would take it back.
    connection.autocommit = True
    connection.execute("SET synchronous_commit = off")
    connection.autocommit = False


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


@contextmanager
def _query_only(connection: Connection) -> Iterator[None]:
    if connection.dialect.name != "sqlite":
        yield
        return
    _pragma(connection, "PRAGMA query_only = ON")
    try:
        yield
    finally:
        # A connection that broke is thrown away by the pool, and with it the pragma.
        with suppress(OperationalError):
            _pragma(connection, "PRAGMA query_only = OFF")


def _pragma(connection: Connection, statement: str) -> None:
    # Past SQLAlchemy, which would begin a transaction for it: these pragmas do nothing inside one.
    driver_connection = connection.connection.driver_connection
    if driver_connection is None:
        raise InvariantBroken(Code.INTERNAL, "The connection was closed before its pragma was set.")
    driver_connection.execute(statement)
