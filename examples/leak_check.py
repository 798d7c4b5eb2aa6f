"""Does my strategy know the future? Change everything after a few evenings, ask it again, and compare to the bit.

1. Take the market of a home, or a small synthetic one where none is named.
2. Choose evenings in the second half of it: each is a cut after which prices, volumes and events are made NaN, multiplied by a
   million, shuffled or cut off.
3. Print the verdict and the first places that changed.

A strategy is a function of a view (``market.PanelView``: what was known at an instant) that returns arrays, numbers, tables or
collections of these. With ``--whole-panel`` it takes the whole panel and the instant: for research code that cuts the future
off by itself, or means to. It must be a function of its arguments, so seed its randomness by the instant.

Usage: ``python examples/leak_check.py --strategy my_strategy.py:decide --home home``
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from market import PanelView, PointInTimePanel, SyntheticSpec, find_leaks, generate_market, of_view
from market.calendars import to_instant

YEAR_SESSIONS, MONTH_SESSIONS = 252, 21
LEAKS_SHOWN_MAX = 10


def momentum(view: PanelView) -> np.ndarray:
    """Return each asset's return over the last twelve months without the last one: an honest strategy."""
    growth = 1.0 + np.nan_to_num(view.total_returns()[-YEAR_SESSIONS:-MONTH_SESSIONS])
    return growth.prod(axis=0) - 1.0


def lagged_the_wrong_way(panel: PointInTimePanel, instant: datetime) -> np.ndarray:
    """Return the return of the session before; so it was meant, but the shift has the wrong sign."""
    everything = panel.as_of(to_instant(panel.known_at[-1]))
    yesterday = np.roll(everything.total_returns(), -1, axis=0)
    row = len(panel.as_of(instant).sessions) - 1
    return yesterday[row]


def load_function(place: str) -> Callable[..., Any]:
    """Return the function that ``FILE.py:NAME`` names."""
    path, _, name = place.rpartition(":")
    spec = importlib.util.spec_from_file_location("strategy", path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        sys.exit(f"There is no Python file {path!r}; a strategy is named FILE.py:FUNCTION.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[..., Any] = getattr(module, name)
    return function


def market_of(home: Path | None) -> PointInTimePanel:
    """Return the market of a home, or a synthetic one of sixty assets over a year and a half."""
    if home is None:
        return generate_market(SyntheticSpec(seed=1, n_assets=60, start=date(2015, 1, 2), end=date(2016, 6, 30)))
    from service.desk import MarketDesk
    from service.home import Home
    from service.settings import load_settings

    return MarketDesk(Home.open(home), load_settings()).panel


def main() -> int:
    """Search one strategy for leaks and return the exit code: 0 if it is clean, 2 if not."""
    parser = argparse.ArgumentParser(description="Search a strategy for knowledge of the future.")
    parser.add_argument("--strategy", default=f"{__file__}:momentum", help="FILE.py:FUNCTION; by default an honest example")
    parser.add_argument("--whole-panel", action="store_true", help="the function takes panel and instant, not a view")
    parser.add_argument("--home", type=Path, help="home whose prices are used; by default a synthetic market")
    parser.add_argument("--cuts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the shuffles")
    options = parser.parse_args()

    decide = load_function(options.strategy)
    panel = market_of(options.home)
    sessions = len(panel.sessions)
    rows = np.linspace(sessions // 2, sessions - 2, options.cuts).astype(int)
    instants = [to_instant(panel.known_at[row]) for row in rows]
    strategy = decide if options.whole_panel else of_view(decide)
    report = find_leaks(strategy, panel, instants, rng=np.random.default_rng(options.seed))
    print(report)
    for leak in report.leaks[:LEAKS_SHOWN_MAX]:
        print(f"  {leak}")
    if len(report.leaks) > LEAKS_SHOWN_MAX:
        print(f"  … and {len(report.leaks) - LEAKS_SHOWN_MAX} more.")
    return 0 if report.clean else 2


if __name__ == "__main__":
    sys.exit(main())
