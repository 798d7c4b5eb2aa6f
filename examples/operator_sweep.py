"""An operator's sweep: which signal would have earned its costs, and how? Standard library, public doors only.

1. Write a grid: the signals, costs on and off, the prices as they are and with two percent of the assets dying each year, and
   the values of a mandate's keys that are to be tried.
2. Have it run by ``crowdalpha backtest sweep``. What is finished is kept: stop it, run it again, and it goes on.
3. Print the table, and of each signal the cell that is believed most after all that was tried, with what deaths leave of it.

Usage: ``python examples/operator_sweep.py --home home --set risk_aversion=1,2,4 momentum.csv reversal.csv``
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

DEATHS_PERCENT = 2.0
INSTALLED = shutil.which("crowdalpha")
COMMAND = [INSTALLED] if INSTALLED else [sys.executable, "-c", "from service.cli import main; main()"]


def grid_text(signals: list[Path], changes: list[str], first: str | None) -> str:
    """Return the grid as TOML; paths are absolute, so that the grid may lie anywhere."""
    lines = [
        f"signals = {json.dumps([str(path.resolve()) for path in signals])}",
        "costs = [true, false]",
        f"deaths_percent = [0.0, {DEATHS_PERCENT}]",
    ]
    if first is not None:
        lines.append(f"from = {first}")
    lines.append("[mandate]")
    lines += [f"{key} = [{values}]" for key, _, values in (change.partition("=") for change in changes)]
    return "\n".join(lines) + "\n"


def run_sweep(grid: Path, home: Path, executor: str) -> list[dict[str, Any]]:
    """Run the sweep and return its rows; leave with its exit code where it is refused."""
    asked = [*COMMAND, "backtest", "sweep", str(grid), "--home", str(home), "--executor", executor, "--json"]
    done = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode != 0:
        sys.exit(done.returncode)
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print a line a cell."""
    for row in rows:
        varied = {k: v for k, v in row.items() if k in {"costs", "deaths_percent"} or k.startswith("mandate.")}
        words = " ".join(f"{name.removeprefix('mandate.')}={value}" for name, value in varied.items())
        print(f"{row['source']:<16} {words:<44} Sharpe {told(row['sharpe'])}  deflated {told(row['deflated_sharpe'])}")


def told(value: float | None) -> str:
    """Return a ratio with two decimals, a dash where it has no meaning."""
    return "    –" if value is None else f"{value:5.2f}"


def best_of(rows: list[dict[str, Any]], source: str) -> dict[str, Any]:
    """Return the cell of a signal that is believed most, among those with costs and without deaths."""
    real = [row for row in rows if row["source"] == source and row["costs"] and row["deaths_percent"] == 0.0]
    return max(real, key=lambda row: row["deflated_sharpe"] or 0.0)


def same_with_deaths(rows: list[dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
    """Return the cell that differs from ``row`` by the deaths alone."""
    axes = [name for name in row if name in {"source", "costs"} or name.startswith("mandate.")]
    return next(r for r in rows if r["deaths_percent"] == DEATHS_PERCENT and all(r[a] == row[a] for a in axes))


def main() -> None:
    """Run the sweep and tell what came of it."""
    parser = argparse.ArgumentParser(description="Sweep signals over costs, deaths and a mandate's keys.")
    parser.add_argument("signals", type=Path, nargs="+", help="histories: date,ticker,signal")
    parser.add_argument("--home", type=Path, default=Path("home"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=V,V", help="values of a mandate's key")
    parser.add_argument("--from", dest="first", metavar="DATE")
    parser.add_argument("--executor", default="serial", choices=("serial", "processes", "dask"))
    parser.add_argument("--grid", type=Path, default=Path("grid.toml"), help="where the grid is written")
    options = parser.parse_args()
    options.grid.write_text(grid_text(options.signals, options.set, options.first), encoding="utf-8")
    rows = run_sweep(options.grid, options.home, options.executor)
    show(rows)
    for source in dict.fromkeys(row["source"] for row in rows):
        best = best_of(rows, source)
        dying = same_with_deaths(rows, best)
        print(f"{source}: at best a Sharpe ratio of {told(best['sharpe'])}, and {told(dying['sharpe'])} among the mortal.")


if __name__ == "__main__":
    main()
