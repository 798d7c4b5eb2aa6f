"""The web application of one platform: routes under ``/v1``, the public pages, static files, and the frame around them all.

Nothing is opened here and nothing started: whoever calls :func:`create_app` owns the platform and closes it. Endpoints are
plain functions, so that they run on the server's worker threads; each workflow opens its own transaction.
"""

from typing import Any

from fastapi import Depends, FastAPI
from starlette.responses import JSONResponse

from crowdalpha import __version__
from service import queries
from service.context import Platform
from service.http import datasets, errors, models, rounds, standings
from service.http.access import OurPlatform, refuse_unknown_parameters
from service.http.frame import RequestFrame

HEALTHY = "ok"


def create_app(platform: Platform) -> FastAPI:
    """Return the application that serves ``platform``.

    The interactive pages of the framework are left out: they load scripts from elsewhere, which the pages' policy forbids.
    The description of the routes is at ``/v1/openapi.json``.
    """
    from service.web import pages

    app = FastAPI(
        title="crowdalpha",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        redirect_slashes=False,
    )
    app.state.platform = platform
    for part in (rounds, models, standings, datasets):
        app.include_router(part.router, prefix="/v1", dependencies=[Depends(refuse_unknown_parameters)])
    app.add_api_route("/health", _health, methods=["GET"], tags=["health"])
    pages.install(app)
    errors.install(app)
    app.add_middleware(RequestFrame, new_id=platform.ids.new, body_bytes_max=platform.settings.limits.upload_bytes_max)
    return app


def _health(platform: OurPlatform) -> JSONResponse:
    """Tell whether the platform answers and whether anything that is due stays undone; 503 when it is not well."""
    state: dict[str, Any] = queries.health(platform)
    return JSONResponse(state, status_code=200 if state.get("status") == HEALTHY else 503)
