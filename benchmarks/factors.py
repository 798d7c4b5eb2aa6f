"""Do our factors move as the world's do: factor returns from our exposures beside those of Kenneth French's data library.

    python -m benchmarks.factors --prices us_daily.parquet --meta equity_meta.csv.gz --factors ff_us_daily.csv.gz

It measures judgement and not speed, so nothing here is timed.

1. On each week's last session of the years the universe is chosen by the platform's rule, and its exposures are computed, both
   as known that evening.
2. Each session of the week that follows is regressed across the assets on an intercept and the exposures, outliers drawn in, as
   the risk model does it (:mod:`portfolio.riskmodel`); with equal weights, with the sample weights of that evening, with the
   square root of the market capitalization and with the capitalization itself.
3. Beside sector dummies an intercept is not unique: it is told as the regression weights' mean of the sectors, so that these
   sum to zero as Barra has it, and the intercept is the market.
4. The returns of each factor are correlated with the published ones, session by session and over whole weeks.

The published ``smb`` buys small companies: so our size, where large is positive, is expected to run against it.
"""

import argparse
import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import machine

if TYPE_CHECKING:
    import numpy as np

    from market.exposures import Exposures
    from market.panel import PointInTimePanel

FIRST, LAST = date(2014, 1, 1), date(2016, 12, 31)
UNIVERSE = 2_000
PUBLISHED = ("mkt_rf", "smb", "hml", "rmw", "cma", "mom")
FEW = ("size", "momentum", "beta")
WEIGHTINGS = ("equal", "sample weights", "√ capitalization", "capitalization")
PAIRS = (("market", "mkt_rf"), ("size", "smb"), ("momentum", "mom"), ("beta", "mkt_rf"))
"""Our factor and the published one that it is meant to be; beta's return carries the market's sign."""


@dataclass(frozen=True, slots=True, eq=False)
class Week:
    """One evening: who is in the universe, their exposures and weights, and the sessions that follow."""

    members: "np.ndarray"  # (n,)
    exposures: "Exposures"
    weights: "dict[str, np.ndarray]"  # (n,) by name of the weighting
    returns: "np.ndarray"  # (t, n), outliers drawn in
    sessions: "np.ndarray"  # (t,) datetime64[D]


def read_panel(prices: Path, meta: Path) -> "PointInTimePanel":
    """Return the panel up to the end of the years."""
    from service.settings import load_settings
    from service.vendors.ingested import panel_of_files

    return panel_of_files(load_settings(), prices, meta, LAST)


def read_published(path: Path) -> "dict[str, np.ndarray]":
    """Return the published factors of the years by name, with their ``date``; rows that lack one are left out."""
    import numpy as np

    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if FIRST.isoformat() <= r["date"] <= LAST.isoformat()]
    whole = [r for r in rows if all(r[name] for name in PUBLISHED)]
    found = {name: np.array([float(r[name]) for r in whole]) for name in PUBLISHED}
    return found | {"date": np.array([r["date"] for r in whole], dtype="datetime64[D]")}


def weeks_of(panel: "PointInTimePanel", universe: int = UNIVERSE) -> list[Week]:
    """Return the weeks: decision instant of each is the evening of the session before it."""
    import numpy as np

    from market.calendars import to_instant
    from market.exposure_history import exposure_history
    from market.neutralizers import sample_weights
    from market.universe import UniverseRule, select_members
    from portfolio.factorreturns import drawn_in

    ends = panel.calendar.week_ends(FIRST - timedelta(days=7), LAST)
    rows = [panel.index_of(session) for session in ends]
    views = [panel.as_of(to_instant(panel.known_at[row])) for row in rows]
    members = [select_members(view, UniverseRule(size=universe)) for view in views]
    returns = panel.as_of(to_instant(panel.known_at[-1])).total_returns()
    weeks = []
    for row, stop, view, inside, exposures in zip(
        rows, [*rows[1:], len(panel.sessions) - 1], views, members, exposure_history(panel, ends, members), strict=True
    ):
        cap = view.market_cap()[-1, inside]
        cap = np.where(np.isnan(cap), np.nanmedian(cap), cap)
        weights = (np.ones(len(inside)), sample_weights(view, inside), np.sqrt(cap), cap)
        held = slice(row + 1, stop + 1)
        followed = drawn_in(returns[held][:, inside])
        weeks.append(Week(inside, exposures, dict(zip(WEIGHTINGS, weights, strict=True)), followed, panel.sessions[held]))
    return weeks


def factor_series(weeks: Sequence[Week], weighting: str = "equal", styles: Sequence[str] | None = None) -> "dict[str, Any]":
    """Return factor returns of all sessions by name, with their ``date``; the full model, or an intercept and ``styles``."""
    import numpy as np

    from portfolio.factorreturns import MARKET, factor_returns

    names = styles or [n for n, k in zip(weeks[0].exposures.names, weeks[0].exposures.kinds, strict=True) if k == "style"]
    parts: list[np.ndarray] = []
    for week in weeks:
        loaded, weights = week.exposures, week.weights[weighting]
        columns = loaded.values if styles is None else np.column_stack([loaded.style(name) for name in names])
        factors = factor_returns(week.returns, columns, weights)[0]
        if styles is None:
            groups = np.array([kind != "style" for kind in loaded.kinds])
            shares = weights @ loaded.values[:, groups] / weights.sum()
            factors[:, 0] += factors[:, 1:][:, groups] @ shares
        at = [1 + (loaded.names if styles is None else tuple(styles)).index(name) for name in names]
        parts.append(factors[:, [0, *at]])
    found = dict(zip((MARKET, *names), np.concatenate(parts).T, strict=True))
    return found | {"date": np.concatenate([week.sessions for week in weeks])}


def correlations(ours: "dict[str, Any]", published: "dict[str, Any]", weekly: bool = False) -> dict[tuple[str, str], float]:
    """Return the correlation of each of our factors with each published one, over the sessions that both have."""
    import numpy as np

    common, at, there = np.intersect1d(ours["date"], published["date"], return_indices=True)
    weeks = (common.astype(np.int64) + 3) // 7  # days are counted from a Thursday

    def series(values: "np.ndarray") -> "np.ndarray":
        return np.bincount(np.unique(weeks, return_inverse=True)[1], values) if weekly else values

    return {
        (name, other): float(np.corrcoef(series(ours[name][at]), series(published[other][there]))[0, 1])
        for name in ours
        if name != "date"
        for other in PUBLISHED
    }


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.factors")
    for name in ("prices", "meta", "factors"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args(arguments)
    weeks, published = weeks_of(read_panel(options.prices, options.meta)), read_published(options.factors)
    sizes = [len(week.members) for week in weeks]
    filled = {name: max(w.exposures.filled[w.exposures.names.index(name)] for w in weeks) for name in ("beta", "long_reversal")}
    print(f"{len(weeks)} weeks, {min(sizes):,} to {max(sizes):,} assets; most filled: {filled}\n\n{machine()}\n")
    heads = " | ".join(f"{ours} with {theirs}" for ours, theirs in PAIRS)
    print(f"| regression | weights | returns | {heads} |\n|{'---|' * (3 + len(PAIRS))}")
    for model, styles in (("size, momentum, beta", FEW), ("full", None)):
        for weighting in WEIGHTINGS:
            series = factor_series(weeks, weighting, styles)
            for weekly in (False, True):
                found = correlations(series, published, weekly)
                figures = " | ".join(f"{found[pair]:+.2f}" for pair in PAIRS)
                print(f"| {model} | {weighting} | {'weekly' if weekly else 'daily'} | {figures} |")
    series = factor_series(weeks)
    found = correlations(series, published)
    print(f"\n| full, equal weights, daily | {' | '.join(PUBLISHED)} |\n|{'---|' * (1 + len(PUBLISHED))}")
    for name in series:
        if name != "date":
            print(f"| {name} | {' | '.join(f'{found[name, other]:+.2f}' for other in PUBLISHED)} |")


if __name__ == "__main__":
    main()
