"""``crowdalpha verify``: recompute a settled round from its bundle, on any machine, without a home."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import JsonOption, read_bytes


def add_to(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("verify")(verify)


def verify(
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="A round's bundle.")] = None,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", metavar="FILE", help="Your receipt, or the answer to the upload.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="The file that the receipt is for, or one that counted.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="An auditor's private key, for a sealed bundle.")
    ] = None,
    public_key: Annotated[
        str | None, typer.Option("--public-key", metavar="KEY", help="The platform's key, as known from elsewhere.")
    ] = None,
    root: Annotated[str | None, typer.Option("--root", metavar="HEX", help="Root of the submissions, as noted.")] = None,
    terms_hash: Annotated[str | None, typer.Option("--terms-hash", metavar="HEX", help="Hash of the terms, as noted.")] = None,
    closes_at: Annotated[
        str | None, typer.Option("--closes-at", metavar="INSTANT", help="Instant of the close, as noted.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute a round's payouts from its bundle.

    With a receipt and its file the scores of that model as well; of a complete bundle, or with an auditor's key, everything.
    What was noted while the round was open, or at its close, must be what the bundle gives.
    The first difference is named, and the exit code is 2.
    """
    from service.bundles.checking import verify as check
    from service.bundles.noted import Noted
    from service.cli.plain import echo_json

    found = check(
        None if bundle is None else read_bytes(bundle),
        receipt=None if receipt is None else read_bytes(receipt),
        file=None if file is None else read_bytes(file),
        private_key=None if key is None else read_bytes(key).decode(errors="replace"),
        public_key=public_key,
        noted=Noted(terms_hash, root, closes_at),
        tell=(lambda _: None) if as_json else typer.echo,
    )
    if as_json:
        echo_json({"steps": found.steps, **found.facts})
