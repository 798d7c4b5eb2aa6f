"""``crowdalpha init``, ``serve``, ``scheduler`` and ``health``: a home folder and the processes that live on it."""

from typing import Annotated

import typer

from crowdalpha.errors import Unavailable
from service.cli.options import HOME, HomeOption, JsonOption


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command("init")(init)
    app.command("serve")(serve)
    app.command("scheduler")(scheduler)
    app.command("health")(health)


def init(home: HomeOption = HOME) -> None:
    """Create a home: database, folders, keys."""
    from service.context import init_home

    init_home(home)
    typer.echo(f"Made a home in {home}.")


def serve(
    home: HomeOption = HOME,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, metavar="N", help="Port to listen on; else the setting.")
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on; else the setting.")
    ] = None,
) -> None:
    """Serve pages and HTTP until Ctrl-C."""
    import uvicorn

    from service.context import open_platform
    from service.http.app import create_app

    with open_platform(home) as platform:
        where = (host or platform.settings.serve.host, port or platform.settings.serve.port)
        typer.echo(f"Serving on http://{where[0]}:{where[1]} — Ctrl-C stops it.", err=True)
        uvicorn.run(create_app(platform), host=where[0], port=where[1], log_level="warning", server_header=False)


def scheduler(home: HomeOption = HOME) -> None:
    """Do what falls due until Ctrl-C.

    Rounds open and close, scores are computed, rounds resolve, the fund rebalances.
    """
    from service.context import open_platform
    from service.jobs.scheduler import run

    with open_platform(home) as platform:
        typer.echo("The scheduler runs — Ctrl-C stops it.", err=True)
        run(platform)


def health(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Say whether the home is sound.

    It looks at the database, the ledger's sum, guards and kept heads, and what is overdue; the exit code is 4 if one is wrong.
    """
    from service import queries
    from service.cli.plain import echo_json
    from service.cli.render import print_figures
    from service.context import open_platform

    with open_platform(home) as platform:
        state = queries.health(platform)
    if as_json:
        echo_json(state)
    else:
        print_figures("health", state)
    if state.get("status", "ok") != "ok":
        raise typer.Exit(Unavailable.exit_code)
