"""``crowdalpha rebalance``: from the meta-model to a proposed book that satisfies the mandate, and its orders."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import HOME, HomeOption, JsonOption, parse_date

if TYPE_CHECKING:
    from service.decisions import Decision


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
    """Propose the fund's book; `fund approve` and `fund send` make it trade.

    The book is settled first. A proposal that stands for the session is shown again; `fund reject` makes room for another.
    """
    session = parse_date(as_of, "--as-of")

    from service.cli.plain import echo_json
    from service.cli.render import print_book, print_rows, waiting
    from service.context import open_platform
    from service.orders import write_orders
    from service.outputs import refuse_output
    from service.workflows.rebalance import rebalance as decide

    refuse_output(orders)
    with open_platform(home) as platform, waiting("rebalancing"):
        decision = decide(platform, session, dry_run=dry_run)
        if orders is not None:
            write_orders(platform, decision, orders)
    found = [f.as_dict() for f in decision.findings]
    if decision.standing and decision.record is not None:
        found = [dict(f) for f in decision.record.findings]
    if as_json:
        echo_json({f.name: getattr(decision, f.name) for f in fields(decision) if f.name != "sizes"} | {"findings": found})
        return
    print_book(book_title(decision, dry_run=dry_run), decision.asset_ids, decision.weights, decision.evidence)
    if found:
        print_rows("findings of the checks", [{"code": f["code"], "message": f["message"]} for f in found])


def book_title(decision: "Decision", *, dry_run: bool) -> str:
    """Say what is shown: a book proposed now, a dry run, or one that stands, whose inputs may have changed since."""
    book = f"as of {decision.as_of}, for the open of {decision.fill_session}"
    if decision.standing and decision.record is not None:
        which = f"rebalance {decision.record.id}, {decision.record.state}"
        return f"nothing proposed: this book stands {book} ({which}; decided {decision.record.decided_at:%Y-%m-%d %H:%M} UTC)"
    return f"book proposed {book}" + (" (dry run)" if dry_run else "")
