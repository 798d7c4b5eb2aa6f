"""``crowdalpha data publish``: the datasets that providers work with."""

from dataclasses import asdict
from typing import Annotated

import typer

from service.cli.options import HOME, HomeOption, JsonOption

WEEKS_MAX = 5_200
"""A hundred years."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("publish")(publish)


def publish(
    weeks: Annotated[
        int | None,
        typer.Option(
            "--weeks",
            min=1,
            max=WEEKS_MAX,
            metavar="N",
            help="Most weekly eras of a first publication; the setting by default.",
        ),
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build every era anew, with what has been corrected since; moves the border.")
    ] = False,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Publish the datasets of both tournaments: history with known targets, the live era, example predictions.

    Publishing again adds the eras whose targets have become known; where nothing has, nothing changes.
    """
    from service.cli.plain import echo_json
    from service.cli.progress import ConsoleProgress
    from service.cli.render import print_figures
    from service.context import open_platform
    from service.workflows.publish import publish as publish_datasets

    with open_platform(home) as platform, ConsoleProgress() as progress:
        figures = asdict(publish_datasets(platform, weeks, progress, rebuild=rebuild))
    if as_json:
        echo_json(figures)
    else:
        print_figures("datasets", figures)
