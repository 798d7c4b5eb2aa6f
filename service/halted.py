"""The halt switch as the database remembers it: since when, by whom, why. Nothing is cancelled here."""

import json
from datetime import datetime

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from service.store import meta

KEY = "fund_halted"


def halted_since(connection: Connection) -> datetime | None:
    """Return since when the fund is halted, or None while it is not."""
    text = meta.get_meta(connection, KEY)
    return datetime.fromisoformat(json.loads(text)["at"]) if text else None


def set_halted(connection: Connection, at: datetime, who: str, why: str) -> None:
    """Turn the switch on."""
    meta.set_meta(connection, KEY, json.dumps({"at": at.isoformat(), "who": who, "why": why}, sort_keys=True))


def clear_halted(connection: Connection) -> None:
    """Turn the switch off."""
    meta.set_meta(connection, KEY, "")


def refuse_halted(connection: Connection) -> None:
    """Raise Conflict FUND_HALTED while the fund is halted."""
    since = halted_since(connection)
    if since is not None:
        raise Conflict(Code.FUND_HALTED, f"The fund is halted since {since.isoformat()}: nothing is sent until it is resumed.")
