"""``crowdalpha rebalance``: from the meta-model to a proposed book that satisfies the mandate, and its orders."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import HOME, HomeOption, JsonOption, parse_date


def add_to(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("rebalance")(rebalance)


def rebalance(
    as_of: Annotated[str, typer.Option("--as-of", metavar="DATE", help="Session after whose close to decide.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the book without keeping it.")] = False,
    orders: Annotated[
        Path | None, typer.Option("--orders", metavar="FILE", help="Write the orders, in whole shares, into this CSV file.")
    ] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Propose the fund's book; `fund approve` and `fund send` make it trade."""
    session = parse_date(as_of, "--as-of")

    from service.cli.plain import echo_json
    from service.cli.render import print_book, waiting
    from service.context import open_platform
    from service.orders import write_orders
    from service.outputs import refuse_output
    from service.workflows.rebalance import rebalance as decide

    refuse_output(orders)
    with open_platform(home) as platform, waiting("rebalancing"):
        decision = decide(platform, session, dry_run=dry_run)
        if orders is not None:
            write_orders(platform, decision, orders)
    if as_json:
        echo_json({f.name: getattr(decision, f.name) for f in fields(decision) if f.name != "sizes"})
    else:
        title = f"book proposed as of {decision.as_of}, for the open of {decision.fill_session}"
        print_book(title + (" (dry run)" if dry_run else ""), decision.asset_ids, decision.weights, decision.evidence)
