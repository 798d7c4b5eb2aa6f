"""Four kinds of score of 50 models on 5,000 stocks with 70 neutralizers, beside numerai-tools.

The peer is asked in two ways: a model at a time, as scores are computed where models arrive one by one, and all models in one
frame, which is the best that it can do. Frames and arrays are made outside the clock; every score is compared.
"""

from typing import Any

from benchmarks.harness import SEED, Outcome, contend, repeat, show, table

MODELS, ASSETS, NEUTRALIZERS, SECTORS = 50, 5_000, 70, 11
KINDS = ("corr", "mmc", "neutral_corr", "neutral_mmc")


def _round() -> tuple[Any, Any, Any, Any]:
    """Return predictions (m, n), a meta-model (n,), exposures (n, k) and a target in five bins (n,)."""
    import numpy as np

    rng = np.random.default_rng(SEED)
    sectors = np.eye(SECTORS)[rng.integers(0, SECTORS, ASSETS)]
    exposures = np.column_stack([sectors, rng.standard_normal((ASSETS, NEUTRALIZERS - SECTORS))])
    hidden = rng.standard_normal(ASSETS)
    predictions = rng.standard_normal((MODELS, ASSETS)) + 0.1 * hidden
    edges = np.quantile(outcome := hidden + 3 * rng.standard_normal(ASSETS), [0.05, 0.25, 0.75, 0.95])
    return predictions, predictions.mean(axis=0), exposures, np.searchsorted(edges, outcome) / 4.0


def ours() -> dict[str, Any]:
    """Score all kinds at once."""
    from signals.scores import score_kinds

    predictions, meta, exposures, target = _round()
    seconds, scores = repeat(lambda: score_kinds(KINDS, predictions, target, meta, exposures), 9)
    return {**seconds, "scores": {kind: scores[kind].tolist() for kind in KINDS}}


def numerai(one_by_one: bool) -> dict[str, Any]:
    """Score all kinds with numerai-tools, in calls of one model or of all."""
    import pandas as pd
    from numerai_tools.scoring import correlation_contribution, neutral_contribution, neutral_correlation, numerai_corr

    predictions, meta_values, exposures, target_values = _round()
    ids = pd.Index([f"T{i:05d}" for i in range(ASSETS)])
    frame = pd.DataFrame(predictions.T, index=ids, columns=[f"m{i}" for i in range(MODELS)])
    meta, target = pd.Series(meta_values, ids, name="meta"), pd.Series(target_values, ids, name="target")
    neutralizers = pd.DataFrame(exposures, index=ids, columns=[f"n{i}" for i in range(NEUTRALIZERS)])
    parts = [frame[[name]] for name in frame] if one_by_one else [frame]

    def score() -> dict[str, list[float]]:
        scores: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for part in parts:
            scores["corr"] += numerai_corr(part, target).tolist()
            scores["mmc"] += correlation_contribution(part, meta, target).tolist()
            scores["neutral_corr"] += neutral_correlation(part, neutralizers, target).tolist()
            scores["neutral_mmc"] += neutral_contribution(part, meta, neutralizers, target).tolist()
        return scores

    seconds, scores = repeat(score)
    return {**seconds, "scores": scores}


def _difference(a: Outcome, b: Outcome) -> float:
    mine, theirs = a.found["scores"], b.found["scores"]
    largest: float = max(abs(x - y) for kind in KINDS for x, y in zip(mine[kind], theirs[kind], strict=True))
    return largest


def main() -> None:
    """Print the table."""
    mine = contend("crowdalpha, score_kinds", "scores", "ours")
    outcomes = [
        mine,
        contend("numerai-tools, all models in one frame", "scores", "numerai", one_by_one=False),
        contend("numerai-tools, a model at a time", "scores", "numerai", one_by_one=True),
    ]
    body = table(outcomes, {"largest difference": lambda o: "" if o is mine else f"{_difference(o, mine):.1e}"})
    title = f"{', '.join(KINDS)} of {MODELS} models × {ASSETS:,} stocks, {NEUTRALIZERS} neutralizers"
    show(title, "python -m benchmarks.scores", body, packages=("pandas", "numerai-tools"))


if __name__ == "__main__":
    main()
