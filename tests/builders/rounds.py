"""Random labelled rounds with every oddity that a table may have: ties, constants, gaps, missing and unsorted labels."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

MODELS = ("one", "two", "three")
MANNERS = ("smooth", "rounded", "two values", "constant")
SHARES_PERCENT = (5, 25, 75, 95)


@dataclass(frozen=True, eq=False)
class LabelledRound:
    """Everything that a round is scored beside, as tables of pandas, and the signals of the round before.

    ``narrow`` names the table that was cut to the edge of the overlap rule, if one was; ``ends`` is a number of assets for
    the scores of extremes.
    """

    predictions: pd.DataFrame
    target: pd.Series
    meta_model: pd.Series
    benchmark: pd.Series
    neutralizers: pd.DataFrame
    features: pd.DataFrame
    sample_weights: pd.Series
    stakes: pd.Series
    previous: pd.DataFrame
    previous_neutralizers: pd.DataFrame
    previous_sample_weights: pd.Series
    narrow: str | None
    ends: int

    def sides(self) -> dict:
        """Return every table but predictions and target, by its name."""
        return {name: value for name, value in vars(self).items() if name not in {"predictions", "target", "narrow", "ends"}}


def labelled_round(rng: np.random.Generator, edges: tuple[str, ...] = ("predictions", "target")) -> LabelledRound:
    """Draw a round of 20 to 600 assets and 1 to 3 models.

    In one round of eight, one of the tables named in ``edges`` is cut to 80 % of the universe or to one asset less; what it
    shares with others may be less still.
    """
    n, m = round(20 * 30 ** rng.random()), int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1]))
    labels = [f"A{i:04d}" for i in range(n)]
    k = int(rng.integers(1, max(2, min(9, n // 5))))
    hidden = rng.normal(size=n)
    tables = {
        "predictions": pd.DataFrame({name: signal(rng, hidden) for name in MODELS[:m]}, index=labels),
        "target": pd.Series(target(rng, hidden), index=labels, name="target"),
        "meta_model": pd.Series(hidden + rng.normal(size=n), index=labels, name="meta"),
        "benchmark": pd.Series(np.round(rng.normal(size=n), 1), index=labels, name="benchmark"),
        "neutralizers": pd.DataFrame(rng.normal(size=(n, k)), index=labels).add_prefix("f"),
        "features": pd.DataFrame(rng.integers(0, 5, (n, 3)) + 1e-3 * rng.normal(size=(n, 3)), index=labels).add_prefix("x"),
        "sample_weights": pd.Series(rng.uniform(0.2, 2.0, n), index=labels, name="weight"),
        "previous_neutralizers": pd.DataFrame(rng.normal(size=(n, k)), index=labels).add_prefix("f"),
        "previous_sample_weights": pd.Series(rng.uniform(0.2, 2.0, n), index=labels, name="weight"),
    }
    tables["previous"] = tables["predictions"] + rng.normal(size=(n, m)) * rng.choice([0.0, 0.1, 1.0])
    narrow = str(rng.choice(edges)) if rng.random() < 0.12 else None
    for name, table in tables.items():
        tables[name] = with_gaps(rng, table, edge=name == narrow)
    stakes = pd.Series(rng.uniform(1, 100, m), index=list(MODELS[:m]), name="stake")
    return LabelledRound(**tables, stakes=stakes, narrow=narrow, ends=int(rng.integers(2, max(3, n // 4))))


def signal(rng: np.random.Generator, hidden: np.ndarray, manner: str | None = None) -> np.ndarray:
    """Draw a signal that knows something of what is hidden."""
    values = 0.3 * hidden + rng.normal(size=len(hidden))
    manner = str(rng.choice(MANNERS, p=(0.4, 0.25, 0.25, 0.1))) if manner is None else manner
    if manner == "rounded":
        return np.round(values)
    if manner == "two values":
        return np.where(values > np.quantile(values, rng.uniform(0.3, 0.7)), 0.7, 0.2)
    return np.full(len(hidden), 0.1) if manner == "constant" else values


def target(rng: np.random.Generator, hidden: np.ndarray) -> np.ndarray:
    """Draw five bins, or returns; not with tails so long that the library refuses to stress them."""
    if rng.random() < 0.4:
        return 0.03 * hidden + 0.05 * rng.normal(size=len(hidden))
    values = hidden + rng.normal(size=len(hidden))
    return np.searchsorted(np.percentile(values, SHARES_PERCENT), values) / 4


def with_gaps(rng: np.random.Generator, table: pd.DataFrame | pd.Series, *, edge: bool = False) -> pd.DataFrame | pd.Series:
    """Return the rows in another order, perhaps some fewer, perhaps with a NaN; on the edge, 80 % of them or one less."""
    n = len(table)
    kept = rng.permutation(n)
    if edge:
        return table.iloc[kept[: -(-4 * n // 5) - int(rng.integers(0, 2))]]
    if rng.random() < 0.3:
        kept = kept[: n - int(rng.integers(0, 1 + n // 50))]
    out = table.iloc[kept].copy()
    if rng.random() < 0.3:
        at = int(rng.integers(0, len(out)))
        if isinstance(out, pd.DataFrame):
            out.iloc[at, int(rng.integers(0, out.shape[1]))] = np.nan
        else:
            out.iloc[at] = np.nan
    return out
