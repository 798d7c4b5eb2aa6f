"""A platform of stakers only: providers, models, and rounds that close and are settled without prices, files or scores.

Closes and settlements go through the code that the workflows call inside their transactions.
"""

import random
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
from service.settings import load_settings, load_terms
from service.store import models, rounds, scores, stakes
from service.store.engine import Store
from service.store.records import RetentionRecord, ScoreRecord
from service.workflows import accounts, pools
from service.workflows import stakes as workflow
from service.workflows.reservations import round_reservations
from service.workflows.settlement import settle
from staking import Resolution, StakeLine, resolve, void
from tests.builders.store_rows import T0, round_record


def stakers_on(path: Path, url: str = "") -> Platform:
    """Return a platform in a fresh home at ``path``, on the database at ``url``, whose clock stands still."""
    return stakers_in(Home.create(path), url)


def stakers_in(home: Home, url: str = "") -> Platform:
    """Return a platform in a home that stands already."""
    settings = load_settings(env={}).with_overrides({"database.url": url} if url else {})
    return build_platform(home, settings, SimulatedClock(T0), SeededIds("stakers"))


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


def scored_round(platform: Platform, stakes_count: int = 60) -> RoundKey:
    """Close a first round on many stakes and give it final scores. One stake is fixed, one in a pool, one on its way out."""
    key, rng = round_key(1), random.Random(5)
    terms = load_terms(platform.settings.tournaments.signals.terms, platform.settings.config_dir)
    accounts.create_provider(platform, "ada", 10**25)
    names = [f"model_{place}" for place in range(stakes_count)]
    ids = [accounts.create_model(platform, "ada", name, Tournament.SIGNALS, rng.randint(1, 10**22)).id for name in names]
    workflow.set_mode(platform, names[0], "fixed", 10**20)
    pools.set_pool(platform, "ada", {names[1]: PPB // 2})
    plain = round_record(1, state=RoundState.SCORING)
    with platform.store.write() as connection:
        rounds.add_round(connection, replace(plain, terms=terms.as_dict(), terms_hash=terms.hash))
        round_reservations(connection, key, terms.payout, ids, T0)
        values = [(model, kind, rng.randint(-40_000_000, 40_000_000)) for model in ids for kind in terms.scoring.kinds]
        scores.put_scores(connection, [ScoreRecord(key, m, kind, 20, ppb / PPB, ppb, True) for m, kind, ppb in values])
        scores.put_retentions(connection, [RetentionRecord(key, m, 0.1, rng.randint(0, PPB)) for m in ids])
    for name in names[2:6]:
        workflow.decrease(platform, name, 1)
    return key


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
