"""Whole commands as a user waits for them: wall and processor seconds, and peak memory, each in a fresh process.

``crowdalpha --help`` stands beside ``import pandas``, which is what a command pays that loads a data library before it speaks.
The demo has no peer. The replay on real prices runs once, only with ``--replay FOLDER``, a folder that holds
``us_daily.parquet`` and ``equity_meta.csv.gz``. ``--only help`` leaves the long commands out.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import REPEATS, Outcome, run_command, show, table

BIN = Path(sys.executable).parent
CROWDALPHA = BIN / "crowdalpha"
HELP_REPEATS = 15


def measure(name: str, command: list[str | Path], repeats: int, *, home: bool = False) -> Outcome:
    """Run a command ``repeats`` times; with ``home``, each time into an empty folder."""
    runs = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(run_command([*command, "--home", Path(folder) / "home"] if home else command))
    wall, cpu, peaks, _ = zip(*runs, strict=True)
    return Outcome(name, wall, cpu, max(peaks))


def replay(folder: Path) -> Outcome:
    """Replay 2014 to 2016 on the real panel, once."""
    command: list[str | Path] = [CROWDALPHA, "replay", "--from", "2014-01-01", "--to", "2016-12-31"]
    command += ["--prices", folder / "us_daily.parquet", "--meta", folder / "equity_meta.csv.gz"]
    return measure("crowdalpha replay, 2014 to 2016", command, 1, home=True)


def main(arguments: list[str] | None = None) -> None:
    """Print one table for the help, one for each long command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commands")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="also replay the real panel in this folder")
    parser.add_argument("--only", choices=["help", "demo", "replay"], help="measure just this")
    options = parser.parse_args(arguments)
    chosen = {options.only} if options.only else {"help", "demo", "replay"}
    command = "python -m benchmarks.commands"
    if "help" in chosen:
        shown = [
            measure("crowdalpha --help", [CROWDALPHA, "--help"], HELP_REPEATS),
            measure('python -c "import pandas"', [sys.executable, "-c", "import pandas"], HELP_REPEATS),
        ]
        show("Time to the help", f"{command} --only help", table(shown), packages=("pandas", "typer"))
    if "demo" in chosen:
        demo = measure("crowdalpha demo", [CROWDALPHA, "demo"], REPEATS, home=True)
        show("A demo, installed", f"{command} --only demo", table([demo]))
    if "replay" in chosen and options.replay is not None:
        shown = [replay(options.replay)]
        show("A replay of three years", f"{command} --only replay --replay FOLDER", table(shown), notes=["Run once."])


if __name__ == "__main__":
    main()
