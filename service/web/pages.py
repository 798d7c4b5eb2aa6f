"""The public pages (leaderboard, a round, a model, the fund), the list of rounds, and the page of an error.

They read through :mod:`service.queries` and render Jinja2 templates with autoescape on: a name is shown as text, whatever it
holds. There is no script, no cookie and no form; the static files are served by us alone.
"""

from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from crowdalpha.ids import Tournament
from service import queries
from service.http.access import OurPlatform
from service.http.models import model_name
from service.http.rounds import round_key_of
from service.reports.earned import earned_by
from service.reports.pending import pending_payouts
from service.reports.standings import model_line
from service.reports.virtual import virtual_report
from service.web import views, write

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(write.FILTERS)
    return environment


ENVIRONMENT = _environment()


def install(app: FastAPI) -> None:
    """Give ``app`` the pages and their static files."""
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for path, page in (
        ("/", show_leaderboards),
        ("/rounds", show_rounds),
        ("/rounds/{tournament}/{number}", show_round),
        ("/models/{name}", show_model),
        ("/fund", show_fund),
        ("/favicon.ico", show_icon),
    ):
        app.add_api_route(path, page, methods=["GET"], response_class=HTMLResponse, include_in_schema=False)


def show_leaderboards(platform: OurPlatform) -> Response:
    """Show the leaderboards of both tournaments."""
    boards = [views.board(t, queries.leaderboard(platform, t)) for t in (Tournament.SIGNALS, Tournament.CLASSIC)]
    rounds = [views.latest(t, queries.rounds(platform, t)) for t in (Tournament.SIGNALS, Tournament.CLASSIC)]
    return _render("leaderboard.html", here="/", boards=boards, latest=[r for r in rounds if r is not None])


def show_rounds(platform: OurPlatform) -> Response:
    """Show the latest rounds of both tournaments."""
    tables = [views.round_table(t, queries.rounds(platform, t)) for t in (Tournament.SIGNALS, Tournament.CLASSIC)]
    return _render("rounds.html", here="/rounds", tables=tables)


def show_round(platform: OurPlatform, tournament: str, number: int) -> Response:
    """Show one round: state, times, terms, and what has been published of it."""
    key = round_key_of(tournament, number)
    return _render("round.html", here="/rounds", round=views.round_page(key, queries.round_detail(platform, key)))


def show_model(platform: OurPlatform, name: str) -> Response:
    """Show one model: how it stands, what open rounds would pay it today, and what its stakes have earned beside the fund."""
    name = model_name(name)
    earned = earned_by(platform, name)
    page = views.model_page(model_line(platform, name), pending_payouts(platform, name), earned, virtual_report(platform, name))
    return _render("model.html", here="/", model=page)


def show_fund(platform: OurPlatform) -> Response:
    """Show the fund's curve, its statistics, and the flags of the data under it."""
    return _render("fund.html", here="/fund", fund=views.fund_page(queries.fund_curve(platform)))


def show_icon() -> Response:
    """Give the icon to clients that ask for it where it always was."""
    return FileResponse(STATIC / "favicon.svg", media_type="image/svg+xml")


def error_page(status: int, message: str, request_id: str, headers: dict[str, str] | None = None) -> Response:
    """Return the page of an error: its sentence, its request id, and ways on."""
    title = HTTPStatus(status).phrase
    return _render(
        "error.html", status, headers, here="", error={"title": title, "status": status, "message": message, "id": request_id}
    )


def _render(template: str, status: int = 200, headers: dict[str, str] | None = None, **values: Any) -> HTMLResponse:
    return HTMLResponse(ENVIRONMENT.get_template(template).render(**values), status_code=status, headers=headers)
