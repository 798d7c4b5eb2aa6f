"""``crowdalpha stake whatif`` and ``stake choose``: what other terms would have paid, and which multipliers a model has."""

import re
from typing import Annotated

import typer

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import ATOMS_PER_TOKEN, PPB, PayoutTerms
from service.cli.options import HOME, HomeOption, JsonOption, parse_tokens

CHOICE = re.compile(r"([a-z_]{1,20})=(-?)([0-9]{1,9}(?:\.[0-9]{1,9})?)")

ChoicesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[KIND=MULTIPLIER]...", help="What is chosen, such as mmc=2.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group of stakes."""
    app.command("whatif")(whatif)
    app.command("choose")(choose)


def whatif(
    model: Annotated[str, typer.Option("--model", "-m", metavar="NAME", help="Whose history.")],
    terms: Annotated[
        str | None, typer.Option("--terms", metavar="PRESET", help="Other terms; each round's own without.")
    ] = None,
    stake: Annotated[str | None, typer.Option("--stake", metavar="TOKENS", help="Another stake; 100 without.")] = None,
    mode: Annotated[str, typer.Option("--mode", metavar="MODE", help="fixed in every round, or compound.")] = "fixed",
    choose: Annotated[
        list[str] | None,
        typer.Option("--choose", metavar="KIND=MULTIPLIER", help="Where the terms leave a choice; repeatable."),
    ] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Pay a model's resolved rounds by other terms or on another stake.

    From the published scores; what a round did not publish is named. Nothing is stored.
    """
    from service.cli.plain import echo_json
    from service.cli.render import print_figures, print_rows, waiting
    from service.context import open_platform
    from service.reports.virtual import whatif_report
    from service.workflows.whatif import what_if

    atoms = None if stake is None else parse_tokens(stake)
    with open_platform(home) as platform, waiting("Paying the rounds anew"):
        found = what_if(platform, model, terms, atoms, mode, parse_choices(choose) if choose else None)
    report = whatif_report(found)
    if as_json:
        echo_json(report)
        return
    print_rows(f"{model}, paid anew, in tokens", report["rounds"])
    print_figures("in all", {name: value for name, value in report.items() if name != "rounds"})


def choose(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    multipliers: ChoicesArgument = None,
    home: HomeOption = HOME,
) -> None:
    """Choose a model's multipliers where the terms offer some.

    Without KIND=MULTIPLIER what was chosen is forgotten. Each round freezes, when it closes, what its own terms offer of it.
    """
    from service.context import open_platform
    from service.workflows.choose import choose as choose_multipliers

    chosen = parse_choices(multipliers or [])
    with open_platform(home) as platform:
        offers = choose_multipliers(platform, model, chosen)
    for key, terms in offers.open_rounds:
        typer.echo(f"{model} is paid {_paid(terms.payout, chosen)} in {key}, which is open under the terms {terms.name}.")
    in_force = offers.in_force
    typer.echo(f"{model} is paid {_paid(in_force.payout, chosen)} in rounds that open under the terms {in_force.name}.")


def _paid(terms: PayoutTerms, chosen_ppb: dict[str, int]) -> str:
    paid = dict(terms.multipliers_ppb) | terms.allowed_choice(chosen_ppb)
    return " + ".join(f"{multiplier / PPB:g} × {kind}" for kind, multiplier in paid.items())


def parse_choices(texts: list[str]) -> dict[str, int]:
    """Return multipliers in ppb by kind from texts such as ``mmc=2``; raises InputRejected ``choice_invalid``."""
    from staking.amount import parse_amount

    chosen: dict[str, int] = {}
    for text in texts:
        parts = CHOICE.fullmatch(text)
        if parts is None or parts[1] in chosen:
            message = f"'{text[:40]}' is no choice; write each kind once, with at most nine decimals, such as mmc=0.5."
            raise InputRejected(Code.CHOICE_INVALID, message)
        magnitude = parse_amount(parts[3]) * PPB // ATOMS_PER_TOKEN
        chosen[parts[1]] = -magnitude if parts[2] else magnitude
    return chosen
