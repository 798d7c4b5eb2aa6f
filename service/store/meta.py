"""What the home remembers about itself: a few named texts, such as the data that it was made from."""

from sqlalchemy import Connection, select

from service.store.schema import meta
from service.store.upsert import upsert_into


def get_meta(connection: Connection, key: str) -> str | None:
    """Return the text under ``key``, or None."""
    return connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar()


def set_meta(connection: Connection, key: str, value: str) -> None:
    """Put ``value`` under ``key``; the last word holds."""
    connection.execute(upsert_into(connection, meta), [{"key": key, "value": value}])


def all_meta(connection: Connection) -> dict[str, str]:
    """Return all texts by their keys."""
    return dict(sorted((row.key, row.value) for row in connection.execute(select(meta))))
