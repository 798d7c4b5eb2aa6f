"""How much money a signal can carry: what funds of ten million to five billion would have made of it, each optimized anew.

    python -m benchmarks.capacity
    python -m benchmarks.capacity --prices us_daily.parquet --meta equity_meta.csv.gz --universe 500

It measures judgement and not speed, so nothing here is timed. How to read it stands in docs/guides/backtests.md.

1. A home under ``build/capacity`` takes a synthetic market, or the prices of the files. It stays: a second run goes on where
   the first was stopped.
2. The histories of signals are written as in :mod:`benchmarks.backtests`, each value as known on its evening; on the synthetic
   market also that of its oracle, which sees the generated future through noise, because plain signals earn too little there.
3. :func:`service.backtest.capacity.run_capacity` walks each chosen signal under the default mandate at each size, with half,
   once and twice its impact coefficient: 21 walks a signal.
4. A table a signal: gross actually reached, net profit a year and Sharpe ratio, and the size with the largest profit.

The default is the oracle over half a year of a market of 300 stocks, a few minutes. Its table says how capacity is found, and
nothing about any real market or signal.
"""

import argparse
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.backtests import FIRST, LAST, open_home, signals, write_histories
from benchmarks.harness import ROOT, SEED, machine

if TYPE_CHECKING:
    import numpy as np

    from service.backtest.capacity import Capacity
    from service.context import Platform

ASSETS = 300
MARKET_FROM, MARKET_TO = date(2012, 1, 3), date(2015, 2, 27)
SYNTHETIC_FIRST, SYNTHETIC_LAST = date(2014, 7, 3), date(2014, 12, 31)
"""Before it a year for exposures and more than one for the risk model; after it what the oracle looks into."""
SYNTHETIC_SETTINGS = {"universe.size": 240, "fund.risk_weeks": 52}
PLAIN = ("momentum", "reversal", "low-volatility")


def synthetic_home(folder: Path) -> Path:
    """Return a home that holds the synthetic market, made now if it is not there."""
    from market.synthetic import SyntheticSpec, generate_market
    from service.context import init_home
    from service.home import Home
    from service.vendors.ingested import keep_synthetic

    path = folder / "home"
    if not (path / "home.toml").is_file():
        init_home(path)
        spec = SyntheticSpec(seed=SEED, n_assets=ASSETS, start=MARKET_FROM, end=MARKET_TO)
        keep_synthetic(Home.open(path), spec, generate_market(spec))
    return path


def signals_on(platform: "Platform") -> "dict[str, Callable[[Any], np.ndarray]]":
    """Return the plain signals by name, and the oracle of a synthetic market."""
    from service.replay.providers.oracle import ORACLE_NAME, SYNTHETIC, oracle

    panel = platform.desk.panel
    seers = {ORACLE_NAME: partial(oracle, panel=panel)} if panel.source == SYNTHETIC else {}
    return {**signals(), **seers}


def capacity_of(platform: "Platform", signal: Path, first: date, last: date, workers: int) -> "Capacity":
    """Walk one signal at every size."""
    from service.backtest.capacity import run_capacity
    from service.backtest.executors import Executor
    from service.backtest.finish import Workers
    from service.backtest.spec import BacktestSpec, named_mandate
    from service.cli.progress import ConsoleProgress

    executor = Executor.PROCESSES if workers > 1 else Executor.SERIAL
    spec = BacktestSpec(named_mandate(platform.settings), signal, first, last)
    with ConsoleProgress() as progress:
        return run_capacity(platform, spec, workers=Workers(executor, count=workers), progress=progress)


def tell(name: str, found: "Capacity") -> None:
    """Print the table of a tear sheet: a line a size, each figure at half, once and twice the impact."""
    from portfolio.sheetsections import capacity_table

    table = capacity_table(found.points)
    if table is None:
        return
    print(f"\n{name}\n\n| {' | '.join(table.columns)} |\n|{'---|' * len(table.columns)}")
    for row in table.rows:
        print(f"| {' | '.join(row)} |")
    told = ", ".join(f"{size} at × {factor}" for factor, size in found.capacities.items())
    print(f"\ncapacity: {told}")


def main(arguments: list[str] | None = None) -> None:
    """Print a table for each signal."""
    from service.context import open_platform
    from service.settings import load_settings

    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity")
    parser.add_argument("--prices", type=Path, help="real prices; with --meta")
    parser.add_argument("--meta", type=Path)
    parser.add_argument("--signals", nargs="+", choices=PLAIN, help="the oracle of the synthetic market, or all, without it")
    parser.add_argument("--universe", type=int, default=500, help="of real prices")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "capacity")
    options = parser.parse_args(arguments)
    if (options.prices is None) != (options.meta is None):
        parser.error("--prices and --meta go together")
    real = options.prices is not None
    folder = options.folder / ("real" if real else "synthetic")
    folder.mkdir(parents=True, exist_ok=True)
    home = open_home(folder, options.prices, options.meta) if real else synthetic_home(folder)
    changes = {"universe.size": options.universe} if real else SYNTHETIC_SETTINGS
    first, last = (FIRST, LAST) if real else (SYNTHETIC_FIRST, SYNTHETIC_LAST)
    with open_platform(home, load_settings().with_overrides(changes)) as platform:
        known = signals_on(platform)
        paths = {path.stem: path for path in write_histories(platform, folder, known)}
        for name in options.signals or [name for name in paths if real or name not in PLAIN]:
            tell(name, capacity_of(platform, paths[name], first, last, options.workers))
    print(f"\n{machine('cvxpy', 'scipy')}")


if __name__ == "__main__":
    main()
