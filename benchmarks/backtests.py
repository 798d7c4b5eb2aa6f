"""What the default mandate would have made of plain signals on real prices: costs on and off, and with synthetic deaths.

    python -m benchmarks.backtests --prices us_daily.parquet --meta equity_meta.csv.gz

It measures judgement and not speed, so nothing here is timed. How to read it stands in docs/guides/backtests.md. It takes about
half an hour on two cores that do nothing else.

1. A home under ``build/backtests`` takes the prices; it stays, and a second run goes on where the first was stopped.
2. On each week's last session the universe is chosen as known then, and three signals are made of what was known: momentum
   (the last year less the last month), reversal (minus the last month) and low volatility (minus a year's deviation). Their
   histories are files, as a user would have them.
3. A sweep walks each of them under the default mandate, with costs and without, on the prices as they are and on the same with
   two percent of the assets dying each year.
4. With ``--home`` the meta-models of a replay's home are walked in the same four ways, in that home.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import ROOT, machine

if TYPE_CHECKING:
    import numpy as np

    from service.backtest.sweep import Sweep
    from service.context import Platform

FIRST, LAST = date(2013, 1, 1), date(2018, 7, 18)
HISTORY_FROM = date(2012, 1, 1)
"""A record of scores needs a year before the first decision."""
DEATHS_PERCENT = 2.0
GRID = """\
signals = [{signals}]
costs = [true, false]
deaths_percent = [0.0, {deaths}]
seeds = [0]
from = {first}
to = {last}
"""


def signals() -> "dict[str, Callable[[Any], np.ndarray]]":
    """Return the signals by name: functions of what a strategy of the tournament sees."""
    from service.replay.providers.low_volatility import low_volatility
    from service.replay.providers.momentum import momentum
    from service.replay.providers.reversal import reversal

    return {"momentum": momentum, "reversal": reversal, "low-volatility": low_volatility}


def open_home(folder: Path, prices: Path, meta: Path) -> Path:
    """Return a home that holds the prices, made now if it is not there."""
    from service.context import init_home
    from service.home import Home
    from service.settings import load_settings
    from service.vendors.ingested import FileBatch, end_of, ingest_file, market_store

    path = folder / "home"
    if not (path / "home.toml").is_file():
        init_home(path)
        settings = load_settings()
        ingest_file(market_store(Home.open(path), sync=False), settings, FileBatch(prices, meta, last=LAST), end_of(LAST))
    return path


def write_histories(
    platform: "Platform", folder: Path, chosen: "Mapping[str, Callable[[Any], np.ndarray]] | None" = None
) -> list[Path]:
    """Write the history of each signal, or of those that are chosen, weekly; each value as known on its evening."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from market.calendars import to_instant
    from market.ranks import tie_kept_rank
    from service.desk import week_end_rows
    from service.replay.providers.window import StrategyInput, round_window

    chosen = chosen or signals()
    paths = {name: folder / f"{name}.parquet" for name in chosen}
    if all(path.is_file() for path in paths.values()):
        return list(paths.values())
    panel, desk = platform.desk.panel, platform.desk
    first = int(np.searchsorted(panel.sessions, np.datetime64(HISTORY_FROM, "D")))
    columns: dict[str, list[Any]] = {"date": [], "ticker": [], **{name: [] for name in paths}}
    for row in week_end_rows(panel.sessions, max(first, platform.settings.universe.min_history_sessions)):
        view = desk.view(to_instant(panel.known_at[row]))
        members = desk.universe(view).members
        seen = StrategyInput(view, members, round_window(view, members), np.random.default_rng(0))
        columns["date"] += [str(panel.sessions[row])] * len(members)
        columns["ticker"] += view.assets.tickers[members].tolist()
        for name, signal in chosen.items():
            columns[name] += tie_kept_rank(signal(seen)).tolist()
    for name, path in paths.items():
        pq.write_table(pa.table({"date": columns["date"], "ticker": columns["ticker"], "signal": columns[name]}), path)
    return list(paths.values())


def sweep_of(platform: "Platform", grid: Path, names: Sequence[str], workers: int) -> "Sweep":
    """Sweep the signals, or meta-models, in the four ways."""
    from service.backtest.executors import Executor
    from service.backtest.finish import Workers
    from service.backtest.sweep import run_sweep
    from service.cli.progress import ConsoleProgress

    told = ", ".join(f'"{name}"' for name in names)
    grid.write_text(GRID.format(signals=told, deaths=DEATHS_PERCENT, first=FIRST, last=LAST), encoding="utf-8")
    executor = Executor.PROCESSES if workers > 1 else Executor.SERIAL
    with ConsoleProgress() as progress:
        return run_sweep(platform, grid, Workers(executor, count=workers), progress)


def tell(platform: "Platform", sweep: "Sweep") -> None:
    """Print the table of a sweep, and what its decisions kept to."""
    from service.backtest.trials import Trials

    heads = (
        "signal", "deaths", "costs", "return a year", "volatility", "Sharpe", "before costs", "deflated", "drawdown",
        "turnover", "costs a year", "gross", "names", "ex-post beta", "decisions", "outside a band",
    )  # fmt: skip
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    trials = {trial.id[:12]: trial for trial in Trials(platform.home).everything()}
    for row in sorted(sweep.rows, key=lambda r: (r["source"], r["deaths_percent"], not r["costs"])):
        f = trials[row["trial"]].figures
        statuses = ", ".join(f"{count} {name}" for name, count in f["statuses"].items())
        deflated = "–" if row["deflated_sharpe"] is None else f"{row['deflated_sharpe']:.2f}"
        cells = (
            row["source"], f"{row['deaths_percent']:g} %", "on" if row["costs"] else "off", f"{f['annual_return']:+.2%}",
            f"{f['annual_volatility']:.2%}", f"{f['sharpe']:+.2f} ± {f['sharpe_error']:.2f}", f"{f['gross_sharpe']:+.2f}",
            deflated, f"{f['max_drawdown']:.1%}", f"{f['turnover']:.1f}", f"{sum(f['costs'].values()):.2%}",
            f"{f['gross_exposure']:.2f}", f"{f['holdings']:.0f}", f"{f['beta']:+.3f} ± {f['beta_error']:.3f}", statuses,
            f"{f['outside_bands']} of {f['decisions']}",
        )  # fmt: skip
        print(f"| {' | '.join(cells)} |")


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    from service.context import open_platform
    from service.settings import load_settings

    parser = argparse.ArgumentParser(prog="python -m benchmarks.backtests")
    parser.add_argument("--prices", type=Path, required=True)
    parser.add_argument("--meta", type=Path, required=True)
    parser.add_argument("--home", type=Path, help="of a replay, for its meta-models")
    parser.add_argument("--universe", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "backtests")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    settings = load_settings().with_overrides({"universe.size": options.universe})
    with open_platform(open_home(options.folder, options.prices, options.meta), settings) as platform:
        paths = write_histories(platform, options.folder)
        sweep = sweep_of(platform, options.folder / "grid.toml", [path.name for path in paths], options.workers)
        tell(platform, sweep)
    if options.home is not None:
        with open_platform(options.home) as platform:
            tell(platform, sweep_of(platform, options.folder / "meta.toml", ["meta-model"], options.workers))
    print(f"\n{machine('cvxpy', 'scipy')}")


if __name__ == "__main__":
    main()
