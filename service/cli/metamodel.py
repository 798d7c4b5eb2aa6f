"""``crowdalpha metamodel``: what the crowd says together."""

import typer

from service.cli.options import HOME, HomeOption, JsonOption

app = typer.Typer(help="The stake-weighted meta-model.", no_args_is_help=True)


def add_to(root: typer.Typer) -> None:
    """Add the group to the root."""
    root.add_typer(app, name="metamodel")


@app.callback()
def _group() -> None:
    """The stake-weighted meta-model."""


@app.command("show")
def show(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Show the newest meta-model of each tournament."""
    from service import queries
    from service.cli.plain import echo_json
    from service.cli.render import print_detail
    from service.context import open_platform

    with open_platform(home) as platform:
        detail = queries.meta_model_detail(platform)
    if as_json:
        echo_json(detail)
    else:
        print_detail("meta-model", detail)
