"""Make scores.json beside this file: calls of numerai-tools 0.7.2 on data drawn from a fixed seed.

Run it by hand only when cases are added: ``python tests/answers/make_scores.py``. Scores that the library gives as NaN,
or refuses, are null.
"""

import json
import math
import warnings
from importlib.metadata import version
from pathlib import Path

import numerai_tools.scoring as oracle
import numpy as np
import pandas as pd

SEED = 7_071
N, K = 60, 5


def draw(rng, ties=False):
    """One case's inputs on N assets: three models, a meta-model, exposures and a target."""
    factors = rng.normal(size=(N, K))
    hidden = rng.normal(size=N)
    predictions = np.column_stack([0.4 * hidden + rng.normal(size=N), rng.normal(size=N), factors[:, 0] + 0.2 * hidden])
    if ties:
        predictions = np.round(predictions, 0)
    target = pd.qcut(hidden + rng.normal(size=N), [0, 0.05, 0.25, 0.75, 0.95, 1], labels=False) / 4
    return predictions, predictions.mean(axis=1) + rng.normal(size=N), factors, target


def answer(predictions, meta, factors, target):
    """The four kinds by the library."""
    index = [f"A{i:03d}" for i in range(N)]
    p = pd.DataFrame(predictions, index=index)
    m, t = pd.Series(meta, index=index, name="meta"), pd.Series(target, index=index, name="target")
    f = pd.DataFrame(factors, index=index)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "corr": each(p, lambda q: oracle.numerai_corr(q, t)),
            "mmc": each(p, lambda q: oracle.correlation_contribution(q, m, t)),
            "neutral_corr": each(p, lambda q: oracle.neutral_correlation(q, f, t)),
            "neutral_mmc": each(p, lambda q: oracle.neutral_contribution(q, m, f, t)),
        }


def each(p, score):
    """Scores of all columns; where the library refuses a constant column, NaN for that column alone."""
    try:
        return score(p).tolist()
    except AssertionError:
        return [math.nan if p[c].nunique() == 1 or len(p.columns) == 1 else each(p[[c]], score)[0] for c in p.columns]


def plain(value):
    """Nested lists with null for NaN."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list):
        return [plain(item) for item in value]
    return None if math.isnan(value) else float(value)


def main():
    """Write the file."""
    rng = np.random.default_rng(SEED)
    cases = []
    for name in ("plain", "ties", "target_gaps", "raw_returns", "prediction_gap", "constant_model", "constant_meta"):
        predictions, meta, factors, target = draw(rng, ties=name == "ties")
        if name == "target_gaps":
            target[rng.choice(N, 9, replace=False)] = np.nan
        if name == "raw_returns":
            target = 0.1 * rng.standard_t(4, N)
        if name == "prediction_gap":
            predictions[[3, 17], [0, 2]] = np.nan
        if name == "constant_model":
            predictions[:, 1] = 0.25
        if name == "constant_meta":
            meta[:] = 0.5
        inputs = {"predictions": predictions.T, "meta_model": meta, "exposures": factors, "target": target}
        cases.append(plain({"inputs": inputs, "scores": answer(predictions, meta, factors, target)}) | {"name": name})
    origin = f"numerai-tools {version('numerai-tools')}, seed {SEED}"
    Path(__file__).with_name("scores.json").write_text(json.dumps({"origin": origin, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
