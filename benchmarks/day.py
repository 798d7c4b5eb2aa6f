"""A day of a large platform: all live rounds scored from what their closes prepared, and written where the platform reads it.

15,000 models × 64 live rounds × 7,500 stocks, five kinds: 4.8 million scores. Eight distinct rounds lie on disk and are read in
turn, because sixty-four would only take room. Each scoring takes the steps of the workflow that scores a round:

1. map the prepared arrays into memory, each checked against its hash,
2. make the target of the day neutral and score all models,
3. write the day into the score book, in columns,
4. write each model's last score of the round into SQL (SQLite, waiting for the disk), in a transaction a round.

Nothing is beside it to compare with, so there is no ratio: the goal is a number of minutes and a size.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from benchmarks.harness import SCRATCH, SEED, contend, duration, repeat, show, table

MODELS, ROUNDS, DISTINCT, ASSETS, NEUTRALIZERS, SECTORS = 15_000, 64, 8, 7_500, 70, 11
THREADS = 2
KINDS = ("corr", "mmc", "neutral_corr", "neutral_mmc", "alpha")
BEGIN = datetime(2016, 1, 4, 22, tzinfo=UTC)
STEPS = ("map and check", "target and scores", "score book", "SQL")


def _exposures(rng: Any) -> Any:
    import numpy as np

    sectors = np.eye(SECTORS)[rng.integers(0, SECTORS, ASSETS)]
    return np.column_stack([sectors, rng.standard_normal((ASSETS, NEUTRALIZERS - SECTORS))])


@contextmanager
def _platform(folder: str) -> Iterator[Any]:
    """Open the home in ``folder``, or make one."""
    from service.context import init_home, open_platform

    home = Path(folder) / "home"
    if not home.exists():
        init_home(home)
    with open_platform(home) as platform:
        yield platform


def _keys(rounds: int) -> list[Any]:
    from crowdalpha.ids import RoundKey, Tournament

    return [RoundKey(Tournament.SIGNALS, number + 1) for number in range(rounds)]


def make(folder: str, models: int, rounds: int) -> dict[str, Any]:
    """Fill a home with models and with rounds that have closed; what they prepared is shared by every eighth."""
    import numpy as np

    from crowdalpha.ids import RoundState, Tournament
    from service.frames import put_prepared
    from service.store import models as names
    from service.store import providers
    from service.store import rounds as stored
    from service.store.records import ModelRecord, ProviderRecord, RoundRecord
    from signals.prepared import prepare_round

    rng = np.random.default_rng(SEED)
    ids = [f"model-{i:05d}" for i in range(models)]
    assets = [f"T{i:05d}" for i in range(ASSETS)]
    with _platform(folder) as platform:
        prepared = []
        for _ in range(min(DISTINCT, rounds)):
            beside = (_exposures(rng), rng.standard_normal(ASSETS), None, rng.uniform(0.5, 1.5, ASSETS))
            predictions = rng.random((models, ASSETS))
            made = prepare_round(predictions, assets, ids, *beside, kinds=KINDS, workers=THREADS)
            prepared.append(put_prepared(platform.blobs, made))
            del predictions, made
        with platform.store.write() as connection:
            providers.add_provider(connection, ProviderRecord("provider", "crowd", BEGIN))
            for name in ids:
                names.add_model(connection, ModelRecord(name, "provider", name, Tournament.SIGNALS, BEGIN))
            for at, key in enumerate(_keys(rounds)):
                opens, day = BEGIN + timedelta(days=at), date(2016, 1, 4) + timedelta(days=at)
                about = (opens, opens + timedelta(hours=1), day, day + timedelta(days=90), {}, "0" * 64, "0" * 64)
                stored.add_round(connection, RoundRecord(key, RoundState.OPEN, *about, opened_at=opens))
                for name, sha in prepared[at % len(prepared)].items():
                    stored.set_artifact(connection, key, name, sha)
    return {"wall": [0.0], "cpu": [0.0]}


def score(folder: str, rounds: int, missing: float) -> dict[str, Any]:
    """Score one day of all rounds, once; a part ``missing`` of the returns is unknown. Say where the time went."""
    import numpy as np

    from market.targets import neutral_target
    from service.frames import get_prepared
    from service.scorebook import DayScores
    from service.store import scores
    from service.workflows.score_round import in_ppb
    from signals.prepared import score_prepared

    spent = dict.fromkeys(STEPS, 0.0)
    written = 0

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        begin = perf_counter()
        yield
        spent[step] += perf_counter() - begin

    def score_day() -> None:
        nonlocal written
        rng = np.random.default_rng(SEED + 1)
        for at, key in enumerate(_keys(rounds)):
            returns = rng.standard_normal(ASSETS) * 0.05
            returns[rng.random(ASSETS) < missing] = np.nan
            with timed("map and check"), platform.store.read() as connection:
                prepared = get_prepared(connection, platform.blobs, key)
            with timed("target and scores"):
                target = neutral_target(returns, np.asarray(prepared.sides.exposures))
                values = score_prepared(prepared, target, KINDS, workers=THREADS)
            found = DayScores(str(key), rounds - at, prepared.model_ids.tolist(), values)
            with timed("score book"):
                platform.scorebook.put(BEGIN.date(), found)
            with timed("SQL"), platform.store.write() as connection:
                scores.put_day(connection, key, found.day, found.model_ids, in_ppb(values), final=False)
            written += sum(len(column) for column in values.values())

    with _platform(folder) as platform:
        seconds, _ = repeat(score_day, 1, warm=False)
    return {**seconds, "spent": spent, "written": written}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table: with all returns known, and with some missing, where ranks are taken anew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.day", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=int, default=MODELS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    SCRATCH.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=SCRATCH) as folder:
        contend("", "day", "make", folder=folder, models=options.models, rounds=options.rounds)
        outcomes = [
            contend(name, "day", "score", folder=folder, rounds=options.rounds, missing=missing)
            for name, missing in (("all returns known", 0.0), ("the next day, 1 % of the returns missing", 0.01))
        ]
    columns = {step: lambda o, step=step: duration(o.found["spent"][step]) for step in STEPS}
    body = table(outcomes, columns | {"scores": lambda o: f"{o.found['written']:,}"})
    size = f"{options.models:,} models × {options.rounds} live rounds × {ASSETS:,} stocks"
    show(f"A day of {size}: {', '.join(KINDS)}", "python -m benchmarks.day", body, packages=("sqlalchemy", "pyarrow"))


if __name__ == "__main__":
    main()
