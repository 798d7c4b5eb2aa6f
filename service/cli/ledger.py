"""``crowdalpha ledger``: the double-entry ledger, shown and checked from its first record."""

from typing import Annotated

import typer

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from service.cli.options import HOME, HomeOption, JsonOption, parse_tokens

app = typer.Typer(help="The ledger: show, verify, heads, corrections.", no_args_is_help=True)

RECORDS_SHOWN = 40
RECORDS_SHOWN_MAX = 1_000_000_000
"""More than any ledger has: whoever wants all of it writes this."""

CorrectionArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the correction.")]
ByOption = Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so.")]


@app.command("show")
def show(
    last: Annotated[
        int, typer.Option("--last", min=0, max=RECORDS_SHOWN_MAX, metavar="N", help="How many of the newest transfers.")
    ] = RECORDS_SHOWN,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show balances and the newest transfers."""
    from service.cli.listing import balance_rows, transfer_rows
    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform

    with open_platform(home) as platform:
        balances, transfers = balance_rows(platform), transfer_rows(platform, last)
    if as_json:
        echo_json({"balances": balances, "transfers": transfers})
        return
    print_rows("balances", balances)
    print_rows("transfers", transfers)


@app.command("verify")
def verify(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Check every seal, link and balance, and every head that was kept.

    Whatever does not fit is listed, and the exit code is 70.
    """
    from service.cli.listing import ledger_state
    from service.cli.plain import echo_json
    from service.context import open_platform

    with open_platform(home) as platform:
        state = ledger_state(platform)
    problems = state["problems"]
    if as_json:
        echo_json(state)
    elif not problems:
        typer.echo(f"The ledger is whole: {state['transfers']} transfers, head {state['head']}.")
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise InvariantBroken(Code.LEDGER_BROKEN, f"The ledger does not fit in {len(problems)} places.")


@app.command("heads")
def heads(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """List the daily heads that were kept outside the database."""
    from dataclasses import asdict

    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform
    from service.workflows.keep_head import kept_heads

    with open_platform(home) as platform:
        kept, problems = kept_heads(platform)
    rows = [asdict(head) for head in kept]
    if as_json:
        echo_json(rows)
    else:
        print_rows("kept heads", [{name: row[name] for name in ("date", "sequence", "hash")} for row in rows])
    for problem in problems:
        typer.echo(problem, err=True)


@app.command("correct")
def correct(
    transfer: Annotated[str, typer.Argument(metavar="TRANSFER", help="Id or number of the transfer.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is sealed with the correction.")],
    by: ByOption,
    move: Annotated[
        list[str] | None, typer.Option("--move", metavar="'FROM TO TOKENS'", help="Instead of the reversal; may be repeated.")
    ] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Propose a correction: the reversal of a transfer, or moves between accounts.

    Nothing is booked before another person approves it.
    """
    from service.cli.plain import echo_json
    from service.context import open_platform
    from service.workflows.correct_ledger import propose

    given = [_parse_move(text) for text in move or []]
    with open_platform(home) as platform:
        proposal = propose(platform, transfer, reason, by, given)
    if as_json:
        echo_json({"id": proposal.id, "corrects": proposal.transfer_id})
    else:
        typer.echo(f"Correction {proposal.id} of transfer {proposal.transfer_id} waits for another person's approval.")


@app.command("approve")
def approve(correction: CorrectionArgument, by: ByOption, home: HomeOption = HOME) -> None:
    """Approve and post a correction that somebody else proposed."""
    from service.context import open_platform
    from service.workflows import correct_ledger

    with open_platform(home) as platform:
        record = correct_ledger.approve(platform, correction, by)
    typer.echo(f"Correction {correction} is posted as transfer {record.sequence}.")


@app.command("withdraw-correction")
def withdraw_correction(correction: CorrectionArgument, by: ByOption, home: HomeOption = HOME) -> None:
    """Withdraw a correction that is not posted yet."""
    from service.context import open_platform
    from service.workflows import correct_ledger

    with open_platform(home) as platform:
        correct_ledger.withdraw(platform, correction, by)
    typer.echo(f"Correction {correction} is withdrawn.")


@app.command("corrections")
def corrections(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """List corrections: proposed, posted, withdrawn."""
    from service.cli.listing import correction_rows
    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform

    with open_platform(home) as platform:
        rows = correction_rows(platform)
    if as_json:
        echo_json(rows)
    else:
        print_rows("corrections", rows)


def _parse_move(text: str) -> tuple[str, str, int]:
    words = text.split()
    if len(words) != 3:
        raise InputRejected(Code.CORRECTION_INVALID, f"'{text[:60]}' is not 'FROM TO TOKENS', two accounts and an amount.")
    return words[0], words[1], parse_tokens(words[2])
