"""``crowdalpha leaderboard``: models and providers by reputation, by return on stake, or in a season."""

from typing import Annotated, Any

import typer

from service.cli.options import HOME, HomeOption, JsonOption, TournamentLabel, TournamentOption
from service.reports.ranking import YEAR_MAX, YEAR_MIN

SCORE_DECIMALS = 4


def add_to(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("leaderboard")(leaderboard)


def leaderboard(
    tournament: TournamentOption = TournamentLabel.SIGNALS,
    by: Annotated[str, typer.Option("--by", metavar="KIND", help="paid, a kind of score, or return.")] = "paid",
    season: Annotated[
        int | None, typer.Option("--season", min=YEAR_MIN, max=YEAR_MAX, metavar="YEAR", help="The providers of a season.")
    ] = None,
    providers: Annotated[bool, typer.Option("--providers", help="Providers instead of models.")] = False,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Rank models by the reputation of the last year.

    A reputation is a mean over all rounds of the year, those without a file counting 0; paid is what the rounds' terms pay on.
    """
    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform
    from service.reports.standings import provider_standings, season_standings, standings

    found: Any
    with open_platform(home) as platform:
        if season is not None:
            found = season_standings(platform, tournament.tournament, season, by)
        elif providers:
            found = provider_standings(platform, tournament.tournament, by)
        else:
            found = standings(platform, tournament.tournament, by)
    if as_json:
        echo_json(found)
    elif season is not None:
        state = "over" if found["over"] else "so far"
        print_rows(f"season {season}, {tournament.value}, by {by}: {found['rounds']} rounds {state}", found["providers"])
    elif providers:
        print_rows(f"providers of {tournament.value} by {by}", found)
    else:
        print_rows(f"models of {tournament.value} by {by}", [_shown(line) for line in found])


def _shown(line: dict[str, Any]) -> dict[str, Any]:
    """Return what fits on a line; ``--json`` has the rest."""
    return {
        "rank": line["rank"],
        "model": line["model"],
        "provider": line["provider"],
        "rounds": f"{line['rounds_in_year']} of {line['rounds_of_year']}",
        **{kind: round(value, SCORE_DECIMALS) for kind, value in line["reputation"].items() if value is not None},
        "return 1y": line["returns"]["1y"],
    }
