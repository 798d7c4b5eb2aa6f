"""``crowdalpha stake pool``: one stake behind several models of a provider."""

from typing import Annotated, Any

import typer

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import ATOMS_PER_TOKEN, PPB
from service.cli.options import HOME, HomeOption, JsonOption, parse_tokens

app = typer.Typer(help="A provider's pool: one stake, laid out by weights at every close.", no_args_is_help=True)

ProviderArgument = Annotated[str, typer.Argument(metavar="PROVIDER", help="Name of the provider.")]
TokensArgument = Annotated[str, typer.Argument(metavar="TOKENS", help="How many tokens, such as 1.5.")]


@app.command("set")
def set_weights(
    provider: ProviderArgument,
    weights: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL=WEIGHT]...", help="Parts of the pool; none dissolves it.")
    ] = None,
    home: HomeOption = HOME,
) -> None:
    """Set the weights of a pool.

    Each weight is above 0 and they sum to at most 1. Without any, the pool is dissolved and each stake is its model's own.
    """
    from service.context import open_platform
    from service.workflows import pools

    parsed = _parse_weights(weights or [])
    with open_platform(home) as platform:
        pools.set_pool(platform, provider, parsed)
    typer.echo(f"The pool of {provider} has {len(parsed)} models." if parsed else f"The pool of {provider} is dissolved.")


@app.command("increase")
def increase(provider: ProviderArgument, tokens: TokensArgument, home: HomeOption = HOME) -> None:
    """Move tokens from the wallet into a pool; the next close places them."""
    from service.context import open_platform
    from service.workflows import pools

    with open_platform(home) as platform:
        state = pools.increase_pool(platform, provider, parse_tokens(tokens))
    typer.echo(_whole(provider, state))


@app.command("decrease")
def decrease(provider: ProviderArgument, tokens: TokensArgument, home: HomeOption = HOME) -> None:
    """Release tokens of a pool.

    What lies on no model comes back at once; the rest is released by its models in proportion to their stakes, when their open
    rounds are settled.
    """
    from service.context import open_platform
    from service.workflows import pools

    with open_platform(home) as platform:
        state = pools.decrease_pool(platform, provider, parse_tokens(tokens))
    typer.echo(_whole(provider, state))


@app.command("show")
def show(provider: ProviderArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Show a pool: weights, and the stake of each model."""
    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform
    from service.workflows import pools
    from staking.amount import format_amount

    with open_platform(home) as platform:
        state = pools.pool_state(platform, provider)
    rows = [
        {
            "model": model.name,
            "weight": format_amount(weight_ppb * ATOMS_PER_TOKEN // PPB),
            "stake_tokens": format_amount(one.stake_atoms),
            "pending_tokens": format_amount(one.pending_atoms),
        }
        for model, weight_ppb, one in state.models
    ]
    if as_json:
        echo_json({"idle_tokens": format_amount(state.idle_atoms), "models": rows})
        return
    print_rows(f"pool of {provider}, in tokens", rows)
    typer.echo(f"On no model: {format_amount(state.idle_atoms)} tokens.")


def _whole(provider: str, state: Any) -> str:
    from staking.amount import format_amount

    whole = state.idle_atoms + sum(one.own_atoms for _, _, one in state.models)
    return f"The pool of {provider} holds {format_amount(whole)} tokens."


def _parse_weights(texts: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in texts:
        model, _, weight = text.partition("=")
        # A weight is read like an amount, exactly: one part in 10⁹ is the least.
        ppb, rest = divmod(parse_tokens(weight) * PPB, ATOMS_PER_TOKEN)
        if rest or model in found:
            raise InputRejected(Code.POOL_WEIGHTS, f"'{text[:60]}' is not MODEL=WEIGHT with at most 9 decimals, named once.")
        found[model] = ppb
    return found
