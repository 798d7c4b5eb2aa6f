"""``crowdalpha demo`` and ``crowdalpha replay``: a whole season through every workflow, on a simulated clock."""

from pathlib import Path
from typing import Annotated

import typer

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.cli.options import HOME, HomeOption, JsonOption, SeedOption, parse_date

SEED = 0
UNIVERSE_SIZE = 1000
UNIVERSE_SIZE_MAX = 1_000_000
"""More than all exchanges list."""


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command("demo")(demo)
    app.command("replay")(replay)


def demo(home: HomeOption = HOME, seed: SeedOption = SEED, as_json: JsonOption = False) -> None:
    """Run a season on the synthetic market.

    Rounds, files, scores, stakes and the fund, through every workflow, into a fresh home.
    """
    from service.cli.plain import echo_json
    from service.cli.progress import ConsoleProgress
    from service.cli.render import print_summary
    from service.replay.run import run_demo

    with ConsoleProgress() as progress:
        summary = run_demo(home, seed, progress)
    if as_json:
        echo_json(summary.data)
    else:
        print_summary(summary.data, summary.paths)


def replay(
    prices: Annotated[Path, typer.Option("--prices", metavar="FILE", help="Long Parquet or CSV of daily prices.")],
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First date, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="Last date; nothing later is read.")],
    meta: Annotated[Path | None, typer.Option("--meta", metavar="FILE", help="CSV of sectors and the like.")] = None,
    universe: Annotated[
        int, typer.Option("--universe", min=1, max=UNIVERSE_SIZE_MAX, metavar="N", help="Assets in a round.")
    ] = UNIVERSE_SIZE,
    seed: SeedOption = SEED,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Run a season on real history, as if it were live.

    It goes through every workflow, into a fresh home. Nothing after --to is read.
    """
    first_date, last_date = parse_date(first, "--from"), parse_date(last, "--to")
    if first_date > last_date:
        raise InputRejected(Code.DATE_INVALID, f"--from {first} is after --to {last}.")

    from service.cli.plain import echo_json
    from service.cli.progress import ConsoleProgress
    from service.cli.render import print_summary
    from service.replay.run import run_replay

    with ConsoleProgress() as progress:
        summary = run_replay(home, prices, meta, first_date, last_date, seed, universe, progress)
    if as_json:
        echo_json(summary.data)
    else:
        print_summary(summary.data, summary.paths)
