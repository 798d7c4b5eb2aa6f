"""``crowdalpha rebalance``: from the meta-model to a book that satisfies the mandate."""

from typing import Annotated

import typer

from service.cli.options import HOME, HomeOption, JsonOption, parse_date


def add_to(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("rebalance")(rebalance)


def rebalance(
    as_of: Annotated[str, typer.Option("--as-of", metavar="DATE", help="Session after whose close to decide.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the book without keeping it.")] = False,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Decide the fund's book."""
    session = parse_date(as_of, "--as-of")

    from service.cli.plain import echo_json
    from service.cli.render import print_book, waiting
    from service.context import open_platform
    from service.workflows.rebalance import rebalance as decide

    with open_platform(home) as platform, waiting("rebalancing"):
        decision = decide(platform, session, dry_run=dry_run)
    if as_json:
        echo_json(decision)
    else:
        title = f"book decided as of {decision.as_of}, filled at the open of {decision.fill_session}"
        print_book(title + (" (dry run)" if dry_run else ""), decision.asset_ids, decision.weights, decision.evidence)
