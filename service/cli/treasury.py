"""``crowdalpha treasury``: the operator's purse, which payouts come from."""

from typing import Annotated, Any

import typer

from service.cli.options import HOME, HomeOption, JsonOption, parse_tokens

app = typer.Typer(help="The treasury: deposit, show.", no_args_is_help=True)


@app.command("deposit")
def deposit(
    tokens: Annotated[str, typer.Argument(metavar="TOKENS", help="How many tokens, such as 20000.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so, for the audit trail.")] = "operator",
    home: HomeOption = HOME,
) -> None:
    """Put tokens from outside into the treasury."""
    from service.context import open_platform
    from service.workflows import treasury
    from staking.amount import format_amount

    with open_platform(home) as platform:
        state = treasury.deposit_treasury(platform, parse_tokens(tokens), by)
    typer.echo(f"The treasury holds {format_amount(state.balance_atoms)} tokens.")


@app.command("show")
def show(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Show what the treasury holds, what budgets have promised of it, and what is left for further rounds."""
    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform
    from service.workflows import treasury
    from staking.amount import format_amount

    with open_platform(home) as platform:
        state = treasury.treasury_state(platform)
    row: dict[str, Any] = {
        "balance_tokens": format_amount(state.balance_atoms),
        "credit_tokens": format_amount(state.credit_atoms),
        "promised_tokens": format_amount(state.promised_atoms),
        "free_tokens": format_amount(state.free_atoms),
    }
    if as_json:
        echo_json(row)
    else:
        print_rows("treasury, in tokens", [row])
