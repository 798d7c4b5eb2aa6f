"""``crowdalpha stake``: tokens behind models."""

from typing import Annotated

import typer

from service.cli.options import HOME, HomeOption, JsonOption, parse_tokens

app = typer.Typer(help="Stakes: show, increase, decrease.", no_args_is_help=True)

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")]
TokensArgument = Annotated[str, typer.Argument(metavar="TOKENS", help="How many tokens, such as 1.5.")]


@app.command("show")
def show(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="One model; all without it.")] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show stakes: free, and held by rounds."""
    from service.cli.listing import stake_rows
    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform

    with open_platform(home) as platform:
        rows = stake_rows(platform, model)
    if as_json:
        echo_json(rows)
    else:
        print_rows("stakes, in tokens", rows)


@app.command("increase")
def increase(model: ModelArgument, tokens: TokensArgument, home: HomeOption = HOME) -> None:
    """Move tokens from the wallet onto a model."""
    from service.context import open_platform
    from service.workflows import stakes
    from staking.amount import format_amount

    with open_platform(home) as platform:
        free = stakes.increase(platform, model, parse_tokens(tokens))
    typer.echo(f"{model} has a free stake of {format_amount(free)} tokens.")


@app.command("decrease")
def decrease(model: ModelArgument, tokens: TokensArgument, home: HomeOption = HOME) -> None:
    """Move free tokens back to the wallet."""
    from service.context import open_platform
    from service.workflows import stakes
    from staking.amount import format_amount

    with open_platform(home) as platform:
        free = stakes.decrease(platform, model, parse_tokens(tokens))
    typer.echo(f"{model} has a free stake of {format_amount(free)} tokens.")
