"""``crowdalpha data``: prices into the home."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import HOME, HomeOption, JsonOption

app = typer.Typer(help="Prices and metadata.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Prices and metadata."""


@app.command("publish")
def publish(
    weeks: Annotated[int, typer.Option("--weeks", min=1, metavar="N", help="Most weekly eras to publish.")] = 104,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Publish the classic tournament's history to train on.

    Weekly eras with the targets that are known today; publishing again replaces what was published before.
    """
    from service.cli.plain import echo_json
    from service.cli.render import print_figures, waiting
    from service.context import open_platform
    from service.workflows.publish_classic import publish_classic

    with open_platform(home) as platform, waiting("building eras"):
        figures = {"eras": publish_classic(platform, weeks)}
    if as_json:
        echo_json(figures)
    else:
        print_figures("classic history", figures)


@app.command("ingest")
def ingest(
    prices: Annotated[Path, typer.Option("--prices", metavar="FILE", help="Long Parquet or CSV of daily prices.")],
    meta: Annotated[Path | None, typer.Option("--meta", metavar="FILE", help="CSV of sectors and the like.")] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Judge a price file and keep it in the home.

    A refused file changes nothing.
    """
    from service.cli.plain import echo_json
    from service.cli.render import print_figures, waiting
    from service.context import open_platform
    from service.workflows.ingest import ingest as ingest_prices

    with open_platform(home) as platform, waiting("reading prices"):
        panel = ingest_prices(platform, prices, meta)
    figures = {
        "assets": len(panel.assets.asset_ids),
        "sessions": len(panel.sessions),
        "first": str(panel.sessions[0]),
        "last": str(panel.sessions[-1]),
        "flags": sorted(panel.flags),
        "notes": dict(panel.notes),
    }
    if as_json:
        echo_json(figures)
    else:
        print_figures("prices", figures)
