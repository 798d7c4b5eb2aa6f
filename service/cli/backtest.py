"""``crowdalpha backtest``: the fund's decisions walked through the past, alone and in sweeps."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.cli.options import HOME, SEED_MAX, HomeOption, JsonOption, parse_date

if TYPE_CHECKING:
    from portfolio.mandate import Mandate
    from service.backtest.finish import Workers
    from service.backtest.spec import Fill

WORKERS_MAX = 1_024
"""More processes than one machine has use for."""

app = typer.Typer(help="Walk the fund's decisions through the past.", no_args_is_help=True)

SignalOption = Annotated[
    Path | None,
    typer.Option(
        "--signal", metavar="FILE", help="CSV or Parquet with date, ticker and signal; the home's meta-models without."
    ),
]
MandateOption = Annotated[str | None, typer.Option("--mandate", metavar="NAME", help="A file of config/mandates.")]
FromOption = Annotated[str | None, typer.Option("--from", metavar="DATE", help="First date of a decision.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last date; nothing later is looked at.")]
FillOption = Annotated[
    str | None,
    typer.Option("--fill", metavar="open|close", help="Where in the next session to trade; as the mandate says without."),
]
DeathsOption = Annotated[
    float,
    typer.Option("--deaths", metavar="PERCENT", help="Let so many percent of the assets die a year, as survivors did not."),
]
DeathSeedOption = Annotated[int, typer.Option("--seed", min=0, max=SEED_MAX, metavar="N", help="Of the deaths.")]


ExecutorOption = Annotated[
    str, typer.Option("--executor", metavar="serial|processes|dask", help="Where the backtests are worked on.")
]
SchedulerOption = Annotated[
    str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Of a running Dask scheduler; else a cluster is made here.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, max=WORKERS_MAX, metavar="N", help="Processes; one a processor without it.")
]


def _fill(text: str | None, mandate: "Mandate") -> "Fill":
    """Return the fill that is asked for, or the mandate's own."""
    from service.backtest.spec import Fill

    if text is not None and text not in list(Fill):
        raise InputRejected(Code.REQUEST_INVALID, f"--fill is 'open' or 'close', not '{text[:40]}'.")
    return Fill(text or mandate.fill)


def _workers(executor: str, scheduler: str | None, count: int | None) -> "Workers":
    from service.backtest.executors import Executor
    from service.backtest.finish import Workers

    if executor not in list(Executor):
        raise InputRejected(Code.REQUEST_INVALID, f"--executor is serial, processes or dask, not '{executor[:40]}'.")
    if scheduler is not None and executor != Executor.DASK:
        raise InputRejected(Code.REQUEST_INVALID, "--scheduler is for --executor dask.")
    return Workers(Executor(executor), scheduler, count)


def _date(text: str | None, option: str) -> date | None:
    return None if text is None else parse_date(text, option)


@app.command("run")
def run(
    signal: SignalOption = None,
    mandate: MandateOption = None,
    first: FromOption = None,
    last: ToOption = None,
    no_costs: Annotated[bool, typer.Option("--no-costs", help="Trading and holding cost nothing.")] = False,
    fill: FillOption = None,
    deaths: DeathsOption = 0.0,
    seed: DeathSeedOption = 0,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the tear sheet there.")] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Walk one signal, or the home's meta-models, through the past.

    Each book is decided on the close of a date, with what was known then, and traded in the session after it. The result is
    kept as a trial of the home; the deflated Sharpe ratio counts all trials of the home.
    """
    from service.backtest.capacity import kept_capacity
    from service.backtest.outcome import tearsheet
    from service.backtest.spec import BacktestSpec, named_mandate
    from service.backtest.trials import probability
    from service.cli.failures import report_findings
    from service.cli.plain import echo_json
    from service.cli.progress import ConsoleProgress
    from service.cli.render import print_figures
    from service.context import open_platform
    from service.outputs import refuse_output, write_output
    from service.workflows.backtest import BacktestRoom

    refuse_output(html, signal)
    with open_platform(home) as platform, ConsoleProgress() as progress:
        under = named_mandate(platform.settings, mandate)
        spec = BacktestSpec(
            mandate=under,
            signal=signal,
            first=_date(first, "--from"),
            last=_date(last, "--to"),
            costs=not no_costs,
            fill=_fill(fill, under),
            deaths_percent=deaths,
            seed=seed,
        )
        room = BacktestRoom(platform)
        found = room.run(spec, progress, with_lines=html is not None)
        together = len(room.trials.everything())
        deflated = room.trials.deflated([found.trial])[found.trial.id]
        if html is not None:
            page = tearsheet(found.walk, spec, found.flags, deflated, together, kept_capacity(room, spec))
            write_output(html, page.encode())
    told: dict[str, Any] = {
        "trial": found.trial.id,
        **found.trial.figures,
        "deflated_sharpe": probability(deflated),
        "deflated_sessions": None if deflated is None else deflated.sessions,
        "trials": together,
    }
    if as_json:
        echo_json(told | {"flags": sorted(found.flags), "findings": found.findings})
        return
    print_figures(f"backtest of {spec.source}", told | {"prices": ", ".join(sorted(found.flags)) or "no reservations"})
    if found.findings:
        report_findings(found.findings)
    if html is not None:
        typer.echo(f"page  {html}")


@app.command("sweep")
def sweep(
    grid: Annotated[Path, typer.Argument(metavar="GRID", help="TOML file of lists that are crossed into backtests.")],
    executor: ExecutorOption = "serial",
    scheduler: SchedulerOption = None,
    workers: WorkersOption = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Run the cells of a grid and print one table.

    Finished cells are kept: a sweep that was stopped goes on where it was. The numbers are the same on every executor.
    """
    from service.backtest.sweep import run_sweep
    from service.cli.plain import echo_json
    from service.cli.progress import ConsoleProgress
    from service.cli.render import print_rows
    from service.context import open_platform

    where = _workers(executor, scheduler, workers)
    with open_platform(home) as platform, ConsoleProgress() as progress:
        found = run_sweep(platform, grid, where, progress)
    if as_json:
        echo_json(found)
        return
    print_rows(f"{len(found.rows)} cells, {found.computed} new; {found.trials} trials on these prices", found.rows)


@app.command("capacity")
def capacity(
    signal: SignalOption = None,
    mandate: MandateOption = None,
    first: FromOption = None,
    last: ToOption = None,
    fill: FillOption = None,
    aum: Annotated[
        list[float] | None, typer.Option("--aum", metavar="MONEY", help="A size of the fund, ascending; may be repeated.")
    ] = None,
    executor: ExecutorOption = "serial",
    scheduler: SchedulerOption = None,
    workers: WorkersOption = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Walk a signal at several sizes of the fund.

    From 10 million to 5 billion, with half, once and twice the mandate's impact. Each size is optimized anew.
    """
    from service.backtest.capacity import AUMS, run_capacity
    from service.backtest.spec import BacktestSpec, named_mandate
    from service.cli.plain import echo_json
    from service.cli.progress import ConsoleProgress
    from service.cli.render import print_figures, print_rows
    from service.context import open_platform

    where = _workers(executor, scheduler, workers)
    with open_platform(home) as platform, ConsoleProgress() as progress:
        under = named_mandate(platform.settings, mandate)
        spec = BacktestSpec(
            mandate=under,
            signal=signal,
            first=_date(first, "--from"),
            last=_date(last, "--to"),
            fill=_fill(fill, under),
        )
        found = run_capacity(platform, spec, aum or AUMS, where, progress)
    if as_json:
        echo_json(found)
        return
    print_rows(f"sizes of the fund, {found.computed} walked now", found.rows)
    print_figures("capacity by impact", {f"impact x {factor}": told for factor, told in found.capacities.items()})
