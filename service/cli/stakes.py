"""``crowdalpha stake``: tokens behind models."""

from typing import Annotated

import typer

from service.cli import pools
from service.cli.options import HOME, HomeOption, JsonOption, parse_tokens

app = typer.Typer(help="Stakes: show, increase, decrease, cancel, mode, pool.", no_args_is_help=True)
app.add_typer(pools.app, name="pool")

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")]
TokensArgument = Annotated[str, typer.Argument(metavar="TOKENS", help="How many tokens, such as 1.5.")]


@app.command("show")
def show(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="One model; all without it.")] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show stakes: free, held by rounds, on their way back, and how they are kept."""
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
        one = stakes.increase(platform, model, parse_tokens(tokens))
    typer.echo(f"{model} has a free stake of {format_amount(one.free_atoms)} tokens.")


@app.command("decrease")
def decrease(model: ModelArgument, tokens: TokensArgument, home: HomeOption = HOME) -> None:
    """Release tokens of a model's stake to the wallet.

    At once where the model backs no closed round; otherwise when the last of those rounds is settled. Until then it can still
    burn, and no new round counts it.
    """
    from service.context import open_platform
    from service.workflows import stakes
    from staking.amount import format_amount

    with open_platform(home) as platform:
        one = stakes.decrease(platform, model, parse_tokens(tokens))
    pending = f"; {format_amount(one.pending_atoms)} tokens wait for rounds to be settled" if one.pending_atoms else ""
    typer.echo(f"{model} has a stake of {format_amount(one.own_atoms)} tokens{pending}.")


@app.command("cancel")
def cancel(model: ModelArgument, home: HomeOption = HOME) -> None:
    """Take back what is on its way to the wallet: it stays with the model."""
    from service.context import open_platform
    from service.workflows import stakes
    from staking.amount import format_amount

    with open_platform(home) as platform:
        atoms = stakes.cancel(platform, model)
    typer.echo(f"{format_amount(atoms)} tokens stay with {model}.")


@app.command("mode")
def mode(
    model: ModelArgument,
    name: Annotated[str, typer.Argument(metavar="MODE", help="compound or fixed.")],
    tokens: Annotated[str | None, typer.Option("--tokens", metavar="X", help="The constant amount of mode fixed.")] = None,
    home: HomeOption = HOME,
) -> None:
    """Say how a stake is kept from the next close on.

    compound: payouts go to the stake. fixed: a constant amount is at risk, topped up from the wallet at each close, and payouts
    go to the wallet.
    """
    from service.context import open_platform
    from service.workflows import stakes

    with open_platform(home) as platform:
        stakes.set_mode(platform, model, name, None if tokens is None else parse_tokens(tokens))
    typer.echo(f"The stake of {model} is {name}" + (f" at {tokens} tokens." if tokens else "."))
