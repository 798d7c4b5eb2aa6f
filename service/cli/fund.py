"""``crowdalpha fund``: what an operator does with a proposed book, up to the broker's account; and the halt switch."""

from pathlib import Path
from typing import Annotated, Any

import typer

from crowdalpha.errors import Conflict
from service.cli.options import HOME, HomeOption, JsonOption, read_bytes

app = typer.Typer(help="The fund: approve, send and reconcile rebalances; halt and resume.", no_args_is_help=True)

ByOption = Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides; it stands in the audit trail.")]
WhyOption = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why; it stands in the audit trail.")]
RebalanceOption = Annotated[
    str | None, typer.Option("--rebalance", metavar="ID", help="Which rebalance; the latest one by default.")
]


@app.command("show")
def show(rebalance: RebalanceOption = None, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Show a rebalance: its state, who approved it, what the checks found, its orders, what whole shares cost."""
    from service import queries
    from service.context import open_platform

    with open_platform(home) as platform:
        detail = queries.rebalance_detail(platform, rebalance)
    _tell(detail, as_json)


@app.command("list")
def list_rebalances(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """List all rebalances, newest first, with their states and approvers."""
    from service import queries
    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform

    with open_platform(home) as platform:
        rows = queries.fund_curve(platform)["rebalances"][::-1]
    if as_json:
        echo_json(rows)
    else:
        columns = ("as_of", "fill_session", "status", "state", "approved_by", "approved_at", "checks")
        print_rows("rebalances", [{name: row[name] for name in columns} for row in rows])


@app.command("approve")
def approve(by: ByOption, rebalance: RebalanceOption = None, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Approve a proposed rebalance, after another look at prices, volumes, lists and the broker's account."""
    from service import queries
    from service.context import open_platform
    from service.workflows.approve_rebalance import approve as workflow

    with open_platform(home) as platform:
        record = workflow(platform, by, rebalance).record
        detail = queries.rebalance_detail(platform, record.id)
    _tell(detail, as_json)


@app.command("reject")
def reject(
    by: ByOption, why: WhyOption, rebalance: RebalanceOption = None, home: HomeOption = HOME, as_json: JsonOption = False
) -> None:
    """Reject a rebalance that has not been sent; the book stays as it is."""
    from service import queries
    from service.context import open_platform
    from service.workflows.approve_rebalance import reject as workflow

    with open_platform(home) as platform:
        record = workflow(platform, by, why, rebalance)
        detail = queries.rebalance_detail(platform, record.id)
    _tell(detail, as_json)


@app.command("send")
def send(by: ByOption, rebalance: RebalanceOption = None, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Send an approved rebalance's orders to the broker; run again, it goes on where it was cut short."""
    from service import queries
    from service.cli.render import waiting
    from service.context import open_platform
    from service.workflows.send_orders import send_orders

    with open_platform(home) as platform, waiting("sending"):
        record = send_orders(platform, by, rebalance).record
        detail = queries.rebalance_detail(platform, record.id)
    _tell(detail, as_json)


@app.command("orders")
def orders(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The CSV file to write.")],
    rebalance: RebalanceOption = None,
    home: HomeOption = HOME,
) -> None:
    """Write a rebalance's orders, in whole shares, into a CSV file."""
    from service.context import open_platform
    from service.decisions import read_decision
    from service.orders import write_orders
    from service.workflows.approve_rebalance import find_rebalance

    with open_platform(home) as platform:
        with platform.store.read() as connection:
            record = find_rebalance(connection, rebalance)
        count = write_orders(platform, read_decision(platform, record), file)
    typer.echo(f"Wrote {count} orders for the open of {record.fill_session} into {file}.")


@app.command("settle")
def settle(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Carry the book through every session that is known; what was not sent by its open expires."""
    from service.cli.render import waiting
    from service.context import open_platform
    from service.workflows.settle_fund import settle_fund

    with open_platform(home) as platform, waiting("settling"):
        settled = settle_fund(platform)
    _tell({"sessions": settled.sessions, "filled": settled.filled, "expired": settled.expired}, as_json)


@app.command("reconcile")
def reconcile(
    by: ByOption,
    statement: Annotated[
        Path | None,
        typer.Option(
            "--statement", metavar="FILE", help="A CSV asset_id,value of another broker's account, with a line for cash."
        ),
    ] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Compare the broker's positions and cash with the fund's book; exit code 3 when they differ."""
    from service.context import open_platform
    from service.workflows.reconcile_fund import reconcile_fund

    data = None if statement is None else read_bytes(statement)
    with open_platform(home) as platform:
        found = reconcile_fund(platform, by, data)
    findings = [f.as_dict() for f in found.findings]
    _tell({"through": found.through, "reconciled": found.rebalances, "findings": findings}, as_json)
    if findings:
        raise typer.Exit(Conflict.exit_code)


@app.command("halt")
def halt(by: ByOption, why: WhyOption, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Cancel every order that is open and send nothing more, until the fund is resumed. Holdings stay."""
    from service.context import open_platform
    from service.workflows.halt_fund import halt_fund

    with open_platform(home) as platform:
        halted = halt_fund(platform, by, why)
    _tell({"halted_since": halted.since, "cancelled": halted.rebalances, "orders": halted.orders_cancelled}, as_json)


@app.command("resume")
def resume(by: ByOption, home: HomeOption = HOME) -> None:
    """Let the fund send again; what was cancelled stays cancelled."""
    from service.context import open_platform
    from service.workflows.halt_fund import resume_fund

    with open_platform(home) as platform:
        resume_fund(platform, by)
    typer.echo("The fund may send again.")


def _tell(detail: dict[str, Any], as_json: bool) -> None:
    from service.cli.plain import echo_json, plain
    from service.cli.render import print_detail

    if as_json:
        echo_json(detail)
    else:
        title = f"rebalance {detail['as_of']}" if "as_of" in detail else "fund"
        print_detail(title, plain(detail))
