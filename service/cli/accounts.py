"""``crowdalpha provider`` and ``crowdalpha model``: who takes part."""

from typing import Annotated

import typer

from service.cli.options import HOME, HomeOption, JsonOption, TournamentOption, parse_tokens

providers = typer.Typer(help="Providers: accounts and wallets.", no_args_is_help=True)
models = typer.Typer(help="Models: a provider's streams of files.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="3 to 40 of a-z, 0-9 and _.")]
TokensArgument = Annotated[str, typer.Argument(metavar="TOKENS", help="How many tokens, such as 1.5.")]
ProviderOption = Annotated[str, typer.Option("--provider", "-p", metavar="NAME", help="Whose it is.")]


@providers.callback()
def _group() -> None:
    """Providers: accounts and wallets."""


@providers.command("create")
def create_provider(
    name: NameArgument,
    deposit: Annotated[str, typer.Option("--deposit", metavar="TOKENS", help="What the wallet starts with.")] = "0",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Open an account."""
    from service.cli.plain import echo_json
    from service.context import open_platform
    from service.workflows import accounts

    with open_platform(home) as platform:
        provider = accounts.create_provider(platform, name, parse_tokens(deposit))
    if as_json:
        echo_json(provider)
    else:
        typer.echo(f"Provider {name} stands, with {deposit} tokens.")


@providers.command("deposit")
def deposit(name: NameArgument, tokens: TokensArgument, home: HomeOption = HOME) -> None:
    """Credit a wallet with tokens from outside."""
    from service.context import open_platform
    from service.workflows import accounts
    from staking.amount import format_amount

    with open_platform(home) as platform:
        wallet = accounts.deposit_tokens(platform, name, parse_tokens(tokens))
    typer.echo(f"The wallet of {name} holds {format_amount(wallet)} tokens.")


@providers.command("withdraw")
def withdraw(name: NameArgument, tokens: TokensArgument, home: HomeOption = HOME) -> None:
    """Take tokens of a wallet out of the platform.

    What is staked is not in the wallet: release it first.
    """
    from service.context import open_platform
    from service.workflows import accounts
    from staking.amount import format_amount

    with open_platform(home) as platform:
        wallet = accounts.withdraw_tokens(platform, name, parse_tokens(tokens))
    typer.echo(f"The wallet of {name} holds {format_amount(wallet)} tokens.")


@models.command("create")
def create_model(
    name: NameArgument,
    tournament: TournamentOption,
    provider: ProviderOption,
    stake: Annotated[str, typer.Option("--stake", metavar="TOKENS", help="Moved from the wallet onto the model.")] = "0",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Create a model in a tournament."""
    from service.cli.plain import echo_json
    from service.context import open_platform
    from service.workflows import accounts

    with open_platform(home) as platform:
        model = accounts.create_model(platform, provider, name, tournament.tournament, parse_tokens(stake))
    if as_json:
        echo_json(model)
    else:
        typer.echo(f"Model {name} stands in {tournament.value}, with a stake of {stake} tokens.")


@models.command("list")
def list_models(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """List all models."""
    from service.cli.listing import model_rows
    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform

    with open_platform(home) as platform:
        rows = model_rows(platform)
    if as_json:
        echo_json(rows)
    else:
        print_rows("models", rows)
