"""``crowdalpha ledger``: the double-entry ledger, shown and checked from its first record."""

from typing import Annotated

import typer

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from service.cli.options import HOME, HomeOption, JsonOption

app = typer.Typer(help="The ledger: show, verify.", no_args_is_help=True)

RECORDS_SHOWN = 40


@app.command("show")
def show(
    last: Annotated[int, typer.Option("--last", min=0, metavar="N", help="How many of the newest transfers.")] = RECORDS_SHOWN,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show balances and the newest transfers."""
    from service.cli.listing import balance_rows, transfer_rows
    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform

    with open_platform(home) as platform:
        balances, transfers = balance_rows(platform), transfer_rows(platform, last)
    if as_json:
        echo_json({"balances": balances, "transfers": transfers})
        return
    print_rows("balances", balances)
    print_rows("transfers", transfers)


@app.command("verify")
def verify(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Check every seal, link and balance.

    Whatever does not fit is listed, and the exit code is 70.
    """
    from service.cli.listing import ledger_state
    from service.cli.plain import echo_json
    from service.context import open_platform

    with open_platform(home) as platform:
        state = ledger_state(platform)
    problems = state["problems"]
    if as_json:
        echo_json(state)
    elif not problems:
        typer.echo(f"The ledger is whole: {state['transfers']} transfers, head {state['head']}.")
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise InvariantBroken(Code.LEDGER_BROKEN, f"The ledger does not fit in {len(problems)} places.")
