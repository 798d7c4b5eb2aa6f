"""A platform of stakers only: providers, models, and rounds that close and are settled without prices, files or scores.

Closes and settlements go through the code that the workflows call inside their transactions.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import PPB, PayoutTerms
from service.clock import SimulatedClock, instant_text
from service.context import Platform, build_platform
from service.home import Home
from service.idsource import SeededIds
from service.settings import load_settings
from service.store import models, rounds, stakes
from service.store.engine import Store
from service.workflows.reservations import round_reservations
from service.workflows.settlement import settle
from staking import Resolution, StakeLine, resolve, void
from tests.builders.store_rows import T0, round_record


def stakers_on(path: Path, url: str = "") -> Platform:
    """Return a platform in a fresh home at ``path``, on the database at ``url``, whose clock stands still."""
    settings = load_settings(env={})
    if url:
        settings = settings.with_overrides({"database.url": url})
    return build_platform(Home.create(path), settings, SimulatedClock(T0), SeededIds("stakers"))


def round_key(number: int) -> RoundKey:
    """Return the key of a signals round."""
    return RoundKey(Tournament.SIGNALS, number)


def close(connection: Connection, number: int, terms: PayoutTerms, model_ids: Sequence[str]) -> None:
    """Close a round in which ``model_ids`` have sent a file; it stands as one that is being scored."""
    rounds.add_round(connection, round_record(number, state=RoundState.SCORING))
    round_reservations(connection, round_key(number), terms, list(model_ids), T0)


def settle_round(
    platform: Platform, connection: Connection, number: int, terms: PayoutTerms, scores_ppb: Mapping[str, int] | None
) -> Resolution:
    """Resolve a round on ``corr`` scores by model id, or make it void without any."""
    key = round_key(number)
    frozen = stakes.at_risk_of_round(connection, key)
    lines = [
        StakeLine(a.model_id, a.at_risk_atoms, a.reserved_atoms, {"corr": (scores_ppb or {}).get(a.model_id, 0)}, PPB)
        for a in frozen
    ]
    at = instant_text(T0)
    if scores_ppb is None:
        found, end = void(str(key), lines, terms, at), RoundState.VOID
    else:
        wallets = models.owners_of(connection, [a.model_id for a in frozen if a.pays_wallet])
        found, end = resolve(str(key), lines, terms, at, wallets), RoundState.RESOLVED
    settle(connection, platform, found)
    rounds.advance_round(connection, key, (RoundState.SCORING,), end)
    return found


@dataclass
class OneTransaction:
    """What stands for a store while many workflows share one transaction, so that none of them waits for a disk."""

    connection: Connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give the one connection."""
        yield self.connection

    write = read


def inside(platform: Platform, connection: Connection) -> Platform:
    """Return the platform with all of its transactions inside that of ``connection``."""
    store: Any = OneTransaction(connection)
    return replace(platform, store=store)


@contextmanager
def rolled_back(store: Store) -> Iterator[Connection]:
    """Give a writing transaction of which nothing stays."""
    with store.engine.connect() as connection:
        transaction = connection.begin()
        try:
            yield connection
        finally:
            transaction.rollback()
