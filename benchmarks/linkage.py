"""What the classic dataset's obfuscation holds back on real prices, and what it cannot.

    python -m benchmarks.linkage --prices us_daily.parquet --meta equity_meta.csv.gz

It measures judgement and not speed, so nothing here is timed. Whoever tries to link has the published files, no secret.

1. *Rows to rows*: each asset of an era is said to be the row of a later era with the nearest features (least sum of absolute
   differences of bins). How often that is the same asset, and how often it is among the ten nearest. Then again with each
   feature weighed by its steadiness, which anybody can learn from the rows that are linked from one week to the next.
2. *Rows to prices*: whoever has the prices and the formulas computes the bins of every ticker and looks for the same row. How
   many rows have bins that no other row of their era has, all features and the small set.
3. *Rows to the signals dataset*: it names tickers beside the raw and the factor-neutral targets, which are classic ones too.
   How many rows have a combination of these four bins that no other row has, and how many rows share one in the mean.

Chance would link one row in the number of rows of an era.
"""

import argparse
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import machine

if TYPE_CHECKING:
    import numpy as np

FIRST, LAST = date(2015, 1, 1), date(2016, 12, 31)
STEPS_WEEKS = (1, 4, 13, 26)
EVERY_WEEKS = 4
"""Eras from which rows are linked; the eras they are linked to lie between."""

NEAREST = 10
LEARNT_WEEKS = 26
MOVED_MIN = 0.02
"""In bins: no feature is steadier than this."""

SECRET = b"a secret of the benchmark's own"
TARGETS_KNOWN_DAYS = 100
"""Prices are read so far beyond the last era, for its longest target."""


def eras(panel: Any, universe: int) -> "list[tuple[np.ndarray, np.ndarray, np.ndarray]]":
    """Return of each weekly era its members, features (n, k) in their order, and the four targets that both datasets have."""
    import numpy as np

    from market.calendars import to_instant
    from service.desk import MarketDesk, week_end_rows
    from service.settings import load_settings
    from signals.classic.dataset import live_era
    from signals.classic.targets import HORIZONS, era_targets

    desk: Any = MarketDesk(home=None, settings=load_settings().with_overrides({"universe.size": universe}))  # type: ignore[arg-type]
    desk.use(panel)
    end = panel.as_of(to_instant(panel.known_at[-1]))
    found = []
    for row in week_end_rows(panel.sessions, 252, 10_000):
        if not np.datetime64(FIRST) <= panel.sessions[row] <= np.datetime64(LAST):
            continue
        view = panel.as_of(to_instant(panel.known_at[row]))
        members = desk.universe(view).members
        era = live_era(view, members, SECRET, str(view.last_session))
        targets = era_targets(end, members, view.last_session, 2, {"neutral": desk.exposures(view, members).values})
        four = [targets[way, horizon] for way in ("raw", "neutral") for horizon in HORIZONS]
        found.append((members, era.design, np.column_stack(four)))
    return found


def steadiness(found: Sequence[Any]) -> "np.ndarray":
    """Return a weight a feature, greater the less it moves from a row to the nearest one a week later. No secret is used."""
    import numpy as np
    from scipy.spatial.distance import cdist

    moved = []
    for first, second in pairwise(found[: LEARNT_WEEKS + 1]):
        nearest = cdist(first[1], second[1], "cityblock").argmin(axis=1)
        moved.append(np.abs(first[1] - second[1][nearest]).mean(axis=0))
    return np.asarray(1.0 / (MOVED_MIN + np.mean(moved, axis=0)))


def linked(first: Any, second: Any, weights: "np.ndarray") -> tuple[float, float]:
    """Return how often the nearest row, and one of the ten nearest, is the same asset; over the assets in both eras."""
    import numpy as np
    from scipy.spatial.distance import cdist

    _, here, there = np.intersect1d(first[0], second[0], return_indices=True)
    distance = cdist(first[1][here], second[1], "cityblock", w=weights)
    own = distance[np.arange(len(here)), there][:, None]
    # a tie is broken by chance: the asset's place is the middle of those that are as near
    before, same = (distance < own).sum(axis=1), (distance == own).sum(axis=1)
    hit = np.where(before == 0, 1.0 / same, 0.0)
    near = np.clip((NEAREST - before) / same, 0.0, 1.0)
    return float(hit.mean()), float(near.mean())


def alone(rows: "np.ndarray") -> tuple[float, float]:
    """Return the share of rows that no other equals, and the mean number of rows that share one's values."""
    import numpy as np

    _, which, counts = np.unique(np.nan_to_num(rows, nan=-1.0), axis=0, return_inverse=True, return_counts=True)
    return float((counts[which.ravel()] == 1).mean()), float(counts[which.ravel()].mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    import numpy as np

    from service.settings import load_settings
    from service.vendors.ingested import panel_of_files
    from signals.classic.dataset import FEATURE_SETS

    parser = argparse.ArgumentParser(description="Measure how far rows of the classic dataset can be linked.")
    parser.add_argument("--prices", type=Path, required=True)
    parser.add_argument("--meta", type=Path)
    parser.add_argument("--universe", type=int, default=1000, metavar="N", help="assets in an era, at most")
    options = parser.parse_args(arguments)

    until = date.fromordinal(LAST.toordinal() + TARGETS_KNOWN_DAYS)
    panel = panel_of_files(load_settings(), options.prices, options.meta, until)
    found = eras(panel, options.universe)
    rows, features = found[0][1].shape
    print(f"{machine()}\n\n{len(found)} weekly eras, {FIRST} to {LAST}, {rows} assets in the first, {features} features.\n")

    print(f"| an era against the one of … weeks later | nearest row is the same asset | among the {NEAREST} nearest ", end="")
    print("| nearest by steady features | among the ten |\n|---|---|---|---|---|")
    steady = steadiness(found)
    for step in STEPS_WEEKS:
        cells = []
        for weights in (np.ones(features), steady):
            pairs = [linked(found[i], found[i + step], weights) for i in range(0, len(found) - step, EVERY_WEEKS)]
            cells += [f"{share:.1%}" for share in np.mean(pairs, axis=0)]
        print(f"| {step} | {' | '.join(cells)} |")
    small = np.random.default_rng(0).permutation(features)[: FEATURE_SETS["small"]]
    print("\n| what is known of an asset | rows that it fits alone | rows that it fits, mean |\n|---|---|---|")
    for name, columns in {
        "bins of all features": [design for _, design, _ in found],
        f"bins of {len(small)} features": [design[:, small] for _, design, _ in found],
        "the four targets of the signals dataset": [targets for _, _, targets in found],
    }.items():
        single, shared = np.mean([alone(c) for c in columns], axis=0)
        print(f"| {name} | {single:.1%} | {shared:.1f} |")


if __name__ == "__main__":
    main()
