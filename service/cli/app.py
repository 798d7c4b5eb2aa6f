"""The ``crowdalpha`` command: its parts put together, and the one place where errors become exit codes.

Nothing heavy is imported here, so that ``--help`` answers at once; each command imports what it needs when it runs.

1. Typer parses; a wrong command, option or number is exit code 2.
2. A :class:`~crowdalpha.errors.CrowdalphaError` is one sentence on standard error, a table of its findings where it has any,
   and the exit code of its class.
3. Ctrl-C is 130. Anything else is a fault of ours: one sentence, exit code 70; ``--debug`` shows where it came from.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from crowdalpha import __version__
from crowdalpha.errors import CrowdalphaError
from service.cli import (
    accounts,
    backtest,
    data,
    diagnose,
    earnings,
    files,
    fund,
    home,
    keys,
    leaderboard,
    ledger,
    metamodel,
    rebalance,
    rounds,
    season,
    stakes,
    treasury,
    verify,
    whatif,
)
from service.threads import use_one_blas_thread

EXIT_INTERRUPTED = 130
EXIT_FAULT = 70


@dataclass(slots=True)
class RunFlags:
    """What stands before the command's name and is needed after the command has failed."""

    debug: bool = False


app = typer.Typer(
    name="crowdalpha",
    help="Run a crowd-sourced hedge fund: rounds, submissions, scores, stakes, the meta-model and its portfolio.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: boxes would cost a fifth of the half second that --help may take
)
season.add_to(app)
home.add_to(app)
files.add_to(app)
diagnose.add_to(app)
metamodel.add_to(app)
rebalance.add_to(app)
leaderboard.add_to(app)
earnings.add_to(stakes.app)
verify.add_to(app)
app.add_typer(data.app, name="data")
app.add_typer(backtest.app, name="backtest")
app.add_typer(rounds.app, name="round")
app.add_typer(accounts.providers, name="provider")
app.add_typer(accounts.models, name="model")
app.add_typer(keys.app, name="key")
app.add_typer(stakes.app, name="stake")
whatif.add_to(stakes.app)
app.add_typer(ledger.app, name="ledger")
app.add_typer(treasury.app, name="treasury")
app.add_typer(fund.app, name="fund")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crowdalpha {__version__}")
        raise typer.Exit


@app.callback()
def _before(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    if isinstance(context.obj, RunFlags):
        context.obj.debug = debug


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str
        What stands behind ``crowdalpha``.

    Returns
    -------
    int
        0 for success; 2, 3, 4, 5 or 70 as :mod:`crowdalpha.errors` says; 130 after Ctrl-C.
    """
    flags = RunFlags()
    try:
        app(args=list(arguments), prog_name="crowdalpha", obj=flags)
    except SystemExit as finished:
        return finished.code if isinstance(finished.code, int) else int(finished.code is not None)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except CrowdalphaError as error:
        from service.cli.failures import report_error

        report_error(error, debug=flags.debug)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last door before the user: whatever it is, one sentence and code 70
        from service.cli.failures import report_fault

        report_fault(error, debug=flags.debug)
        return EXIT_FAULT
    return 0


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    use_one_blas_thread()
    sys.exit(run(sys.argv[1:]))
