"""``crowdalpha metamodel``: what the crowd says together. A round's close builds it; here one looks at it."""

from typing import Annotated, Any

import typer

from crowdalpha.ids import ROUND_NUMBER_MAX
from service.cli.options import HOME, HomeOption, JsonOption, TournamentLabel, round_key

app = typer.Typer(help="The stake-weighted meta-model.", no_args_is_help=True)

TournamentChoice = Annotated[
    TournamentLabel | None, typer.Option("--tournament", "-t", help="One tournament and its history; both without.")
]
RoundChoice = Annotated[
    int | None,
    typer.Option(
        "--round", min=1, max=ROUND_NUMBER_MAX, metavar="NUMBER", help="One round of the tournament, signals if none is named."
    ),
]

HISTORY_COLUMNS = (
    "round",
    "base_session",
    "state",
    "models",
    "at_risk_tokens",
    "effective_models",
    "effective_providers",
    "largest_provider",
    "score",
)
"""What fits on a line; ``--json`` has the exposures as well."""


def add_to(root: typer.Typer) -> None:
    """Add the group to the root."""
    root.add_typer(app, name="metamodel")


@app.callback()
def _group() -> None:
    """The stake-weighted meta-model."""


@app.command("show")
def show(
    tournament: TournamentChoice = None, number: RoundChoice = None, home: HomeOption = HOME, as_json: JsonOption = False
) -> None:
    """Show the newest meta-models, the history of one tournament, or one round: weights, concentration, exposures."""
    from service import metamodels
    from service.cli.plain import echo_json
    from service.cli.render import print_detail, print_rows
    from service.context import open_platform

    chosen = tournament or TournamentLabel.SIGNALS
    with open_platform(home) as platform:
        found: Any
        if number is not None:
            found = metamodels.meta_report(platform, round_key(chosen, number))
        elif tournament is not None:
            found = metamodels.meta_model_history(platform, tournament.tournament)
        else:
            found = metamodels.meta_model_detail(platform)
    if as_json:
        echo_json(found)
    elif isinstance(found, list):
        print_rows(f"meta-models of {chosen.value}", [{name: line[name] for name in HISTORY_COLUMNS} for line in found])
    elif number is not None:
        print_detail(f"meta-model of {found['round']}", found)
    else:
        print_detail("meta-model", found)
