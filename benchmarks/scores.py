"""A whole round beside numerai-tools: seven kinds of score from raw predictions, and again against a new target.

1. Ours scores all models: it prepares the round and multiplies; then, apart, it scores the prepared state, which lies on disk,
   against another target each time.
2. numerai-tools is timed on fewer models, and its seconds are scaled to as many as ours. It is asked in two ways: all its
   models in one frame, which is the best that it can do, and a model at a time, as where files arrive one by one.
3. Predictions and frames are made outside the clock. Only the models that both score are staked, so that both see the same
   portfolio, and every score of theirs is compared.

Linear algebra has one thread in all; ours works on two threads beside each other, as the platform does by default.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.harness import SEED, Outcome, contend, duration, repeat, show, table

MODELS, ASSETS, NEUTRALIZERS, SECTORS = 10_000, 5_000, 70, 11
COMPARED, ONE_BY_ONE = 50, 10
THREADS = 2
KINDS = ("corr", "mmc", "fnc", "neutral_corr", "neutral_mmc", "alpha", "mpc")


def _beside() -> dict[str, Any]:
    """Return what predictions are scored beside: exposures (n, k); hidden view, meta-model, sample weights, targets (n,)."""
    import numpy as np

    rng = np.random.default_rng(SEED)
    sectors = np.eye(SECTORS)[rng.integers(0, SECTORS, ASSETS)]
    exposures = np.column_stack([sectors, rng.standard_normal((ASSETS, NEUTRALIZERS - SECTORS))])
    hidden = rng.standard_normal(ASSETS)
    targets = []
    for noise in (3.0, 4.0):
        outcome = hidden + noise * rng.standard_normal(ASSETS)
        targets.append(np.searchsorted(np.quantile(outcome, [0.05, 0.25, 0.75, 0.95]), outcome) / 4.0)
    meta = hidden + rng.standard_normal(ASSETS)
    return {
        "exposures": exposures,
        "hidden": hidden,
        "meta": meta,
        "weights": rng.uniform(0.5, 1.5, ASSETS),
        "targets": targets,
    }


def _predictions(models: int, hidden: Any) -> Any:
    """Return (models, n) float64; the first rows are the same however many there are."""
    import numpy as np

    rng = np.random.default_rng(SEED + 1)
    out = np.empty((models, ASSETS))
    for row in out:
        row[:] = rng.standard_normal(ASSETS) + 0.1 * hidden
    return out


def _stakes(models: int) -> Any:
    import numpy as np

    stakes = np.zeros(models)
    stakes[:COMPARED] = np.random.default_rng(SEED + 2).uniform(1, 100, COMPARED)[:models]
    return stakes


def _prepare(models: int) -> tuple[Callable[[], Any], list[Any]]:
    """Return the call that prepares the round, and the two targets."""
    from signals.prepared import prepare_round

    beside = _beside()
    predictions, stakes = _predictions(models, beside["hidden"]), _stakes(models)
    assets, names = [f"T{i:05d}" for i in range(ASSETS)], [f"m{i:05d}" for i in range(models)]

    def prepare() -> Any:
        return prepare_round(
            predictions, assets, names, beside["exposures"], beside["meta"], beside["exposures"], beside["weights"], stakes,
            kinds=KINDS, workers=THREADS,
        )  # fmt: skip

    return prepare, beside["targets"]


def from_raw(models: int) -> dict[str, Any]:
    """Prepare the round and score it."""
    from signals.prepared import score_prepared

    prepare, targets = _prepare(models)
    seconds, found = repeat(lambda: score_prepared(prepare(), targets[0], KINDS, workers=THREADS))
    return {**seconds, "scores": {kind: values[:COMPARED].tolist() for kind, values in found.items()}}


def store(models: int, folder: str) -> dict[str, Any]:
    """Prepare the round and leave its arrays in ``folder``: outside every clock."""
    import numpy as np

    prepare, _ = _prepare(models)
    for name, array in prepare().to_arrays().items():
        np.save(Path(folder) / f"{name}.npy", array)
    return {"wall": [0.0], "cpu": [0.0]}


def from_disk(folder: str) -> dict[str, Any]:
    """Map the arrays into memory and score them against a target that they were not scored against before."""
    import numpy as np

    from signals.prepared import PreparedRound, score_prepared

    targets = _beside()["targets"]

    def score() -> Any:
        arrays = {path.stem: np.load(path, mmap_mode="r") for path in Path(folder).glob("*.npy")}
        return score_prepared(PreparedRound.from_arrays(arrays), targets[1], KINDS, workers=THREADS)

    seconds, found = repeat(score, 9)
    return {**seconds, "scores": {kind: values[:COMPARED].tolist() for kind, values in found.items()}}


def numerai(count: int, one_by_one: bool, target_at: int) -> dict[str, Any]:
    """Score the first ``count`` models with numerai-tools, a model at a time or all at once."""
    import pandas as pd
    from numerai_tools import scoring

    beside = _beside()
    ids = pd.Index([f"T{i:05d}" for i in range(ASSETS)])
    names = [f"m{i:05d}" for i in range(COMPARED)]
    frame = pd.DataFrame(_predictions(COMPARED, beside["hidden"]).T, index=ids, columns=names)
    neutralizers = pd.DataFrame(beside["exposures"], index=ids, columns=[f"n{i}" for i in range(NEUTRALIZERS)])
    meta, weights = (pd.Series(beside[name], ids, name=name) for name in ("meta", "weights"))
    target = pd.Series(beside["targets"][target_at], ids, name="target")
    stakes = pd.Series(_stakes(COMPARED), names)
    parts = [frame[[name]] for name in names[:count]] if one_by_one else [frame[names[:count]]]

    def score() -> dict[str, list[float]]:
        found: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for part in parts:
            found["corr"] += scoring.numerai_corr(part, target).tolist()
            found["mmc"] += scoring.correlation_contribution(part, meta, target).tolist()
            found["fnc"] += scoring.feature_neutral_corr(part, neutralizers, target).tolist()
            found["neutral_corr"] += scoring.neutral_correlation(part, neutralizers, target).tolist()
            found["neutral_mmc"] += scoring.neutral_contribution(part, meta, neutralizers, target).tolist()
            found["alpha"] += scoring.alpha(part, neutralizers, weights, target).tolist()
            if not one_by_one:  # there is no portfolio of one model
                found["mpc"] += scoring.meta_portfolio_contribution(part, stakes, neutralizers, weights, target).tolist()
        return found

    seconds, found = repeat(score)
    return {**seconds, "scores": found}


def _scaled(outcome: Outcome, by: float) -> Outcome:
    return Outcome(
        outcome.name, tuple(s * by for s in outcome.wall), tuple(s * by for s in outcome.cpu), outcome.peak_bytes, outcome.found
    )


def _difference(a: Outcome, b: Outcome) -> float:
    mine, theirs = a.found["scores"], b.found["scores"]
    pairs = ((x, y) for kind in KINDS for x, y in zip(mine[kind], theirs[kind], strict=False))
    largest: float = max(abs(x - y) for x, y in pairs)
    return largest


def _show(title: str, ours: Outcome, others: list[Outcome], models: int) -> None:
    apart = {"largest difference": lambda o: "" if o is ours else f"{_difference(o, ours):.1e}"}
    a_model = {"a model": lambda o: duration(o.seconds / models)}
    body = table([ours, *others], apart | a_model)
    notes = ["The library's seconds are those of fewer models, scaled; its peak memory is not."]
    show(title, "python -m benchmarks.scores", body, packages=("pandas", "numerai-tools"), notes=notes)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scores", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=int, default=MODELS, help="models that ours scores")
    models = parser.parse_args(arguments).models
    size = f"{models:,} models × {ASSETS:,} stocks, {NEUTRALIZERS} neutralizers"
    framed, single = (f"numerai-tools, {way}, scaled" for way in (f"{COMPARED} models in one frame", "a model at a time"))

    def peers(target_at: int) -> list[Outcome]:
        frame = contend(framed, "scores", "numerai", count=COMPARED, one_by_one=False, target_at=target_at)
        alone = contend(single, "scores", "numerai", count=ONE_BY_ONE, one_by_one=True, target_at=target_at)
        return [_scaled(frame, models / COMPARED), _scaled(alone, models / ONE_BY_ONE)]

    ours = contend(f"crowdalpha, prepare and score, {THREADS} threads", "scores", "from_raw", models=models)
    _show(f"{', '.join(KINDS)} of {size}, from raw predictions", ours, peers(0), models)
    with TemporaryDirectory() as folder:
        contend("", "scores", "store", models=models, folder=folder)
        again = contend(f"crowdalpha, prepared state on disk, {THREADS} threads", "scores", "from_disk", folder=folder)
    _show(f"the same of {size}, against a new target", again, peers(1), models)


if __name__ == "__main__":
    main()
