"""``crowdalpha key``: API keys, shown once and kept as hashes."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.accounts import ProviderOption
from service.cli.options import HOME, HomeOption, JsonOption

app = typer.Typer(help="API keys.", no_args_is_help=True)


@app.command("create")
def create(
    provider: ProviderOption,
    scope: Annotated[list[str], typer.Option("--scope", metavar="SCOPE", help="read, submit, stake or admin; repeatable.")],
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Make a key and show it this once."""
    from service.cli.plain import echo_json
    from service.context import open_platform
    from service.workflows.accounts import create_key

    with open_platform(home) as platform:
        record, text = create_key(platform, provider, scope)
    if as_json:
        echo_json({"prefix": record.prefix, "scopes": list(record.scopes), "key": text})
    else:
        typer.echo(text)
        typer.echo("Keep it now: only its hash is stored.", err=True)


@app.command("revoke")
def revoke(
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="The part of the key before the $.")], home: HomeOption = HOME
) -> None:
    """Revoke a key at once."""
    from service.context import open_platform
    from service.workflows.accounts import revoke_key

    with open_platform(home) as platform:
        revoke_key(platform, prefix)
    typer.echo(f"Key {prefix} is revoked.")


@app.command("auditor")
def auditor(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key is written; must not exist.")],
) -> None:
    """Make a key pair for an auditor.

    The private key goes to FILE (mode 0600); the public one is printed, for auditor_key in the terms.
    """
    from crowdalpha.codes import Code
    from crowdalpha.errors import InputRejected
    from service.atomic import write_file
    from service.bundles.sealed import make_key_pair
    from service.outputs import refuse_output

    refuse_output(path)
    private, public = make_key_pair()
    if not write_file(path, f"{private}\n".encode(), mode=0o600, replace=False):
        raise InputRejected(Code.REQUEST_INVALID, f"'{path.name}' exists, and a key is never written over.")
    typer.echo(public)
