"""Bring a database to the newest schema, in one transaction that no other writer interleaves.

Two processes that start at once therefore migrate once. Alembic is loaded only when there is something to do: most openings of
a home only read one row.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, Table, Text, inspect, select

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.store.engine import Store

if TYPE_CHECKING:
    from alembic.config import Config

HEAD_REVISION = "0004"
"""The newest step; a test compares it with the files."""

_VERSION = Table("alembic_version", MetaData(), Column("version_num", Text))


def current_revision(store: Store) -> str | None:
    """Return the step that the database stands at, or None before the first."""
    with store.read() as connection:
        return _revision(connection)


def upgrade(store: Store) -> None:
    """Bring the database to the newest schema; one that is there already is left alone.

    Raises
    ------
    InputRejected
        HOME_VERSION if the database was written by a later version of the platform.
    """
    if current_revision(store) == HEAD_REVISION:
        return
    from alembic import command
    from alembic.script import ScriptDirectory

    with store.write_schema() as connection:
        config = _config(connection)
        revision = _revision(connection)
        known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
        if revision is not None and revision not in known:
            raise InputRejected(
                Code.HOME_VERSION, f"The database stands at step {revision}, which this version of the platform does not know."
            )
        command.upgrade(config, HEAD_REVISION)


def downgrade(store: Store, revision: str = "base") -> None:
    """Take the database back to ``revision``; what the later steps added is lost."""
    from alembic import command

    with store.write_schema() as connection:
        command.downgrade(_config(connection), revision)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar()


def _config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    # A percent sign in the path would be read as the start of an interpolation.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
