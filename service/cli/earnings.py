"""``crowdalpha stake pending`` and ``stake report``: what open rounds would pay today, and what stakes have earned."""

from typing import Annotated

import typer

from service.cli.options import HOME, HomeOption, JsonOption


def add_to(stakes: typer.Typer) -> None:
    """Add the commands to the group of stakes."""
    stakes.command("pending")(pending)
    stakes.command("report")(report)


def pending(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="One model; all without it.")] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show what open rounds would pay or burn on today's scores.

    It promises nothing: every session of returns replaces the scores.
    """
    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform
    from service.reports.pending import pending_payouts, pending_total

    with open_platform(home) as platform:
        rows = pending_payouts(platform, model)
    if as_json:
        echo_json({"pending": rows, "total_tokens": pending_total(rows)})
    else:
        print_rows(f"pending, in tokens: {pending_total(rows)} in all", rows)


def report(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show what a model's stakes earned, beside the fund.

    Round by round: the payout, the fund's return over the same sessions, and what the model's part of the book earned in them.
    """
    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform
    from service.reports.earned import earned_by

    with open_platform(home) as platform:
        found = earned_by(platform, model)
    if as_json:
        echo_json(found)
        return
    print_rows(f"{model}: {found['payout_tokens']} tokens", found["rounds"])
    if found["attributed"] is not None:
        typer.echo(f"Its part of the fund's book has earned {found['attributed']:,.0f} before costs.")
