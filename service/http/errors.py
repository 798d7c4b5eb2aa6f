"""The one error envelope, and which status each error of the platform answers with.

It is not a place for decisions: an error arrives with its stable code and its sentence, and leaves as

``{"error": {"code": …, "message": …, "details": …, "request_id": …}}``.

What was not raised on purpose leaves as 500 with the code ``internal``, without text of the exception, path or trace; those
stay in the log under the request id.
"""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, CrowdalphaError, InputRejected, Unavailable

log = logging.getLogger(__name__)

MACHINE_PATHS = ("/v1", "/health", "/static")
"""Below these every answer is JSON; elsewhere a browser gets a page."""

STATUS_BY_CODE = {
    Code.FILE_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Code.KEY_INVALID: HTTPStatus.UNAUTHORIZED,
    Code.KEY_SCOPE: HTTPStatus.FORBIDDEN,
    Code.BUNDLE_MISSING: HTTPStatus.NOT_FOUND,
    Code.MODEL_UNKNOWN: HTTPStatus.NOT_FOUND,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.PROVIDER_UNKNOWN: HTTPStatus.NOT_FOUND,
    Code.ROUND_UNKNOWN: HTTPStatus.NOT_FOUND,
    Code.SUBMISSION_UNKNOWN: HTTPStatus.NOT_FOUND,
}
"""Codes whose status says more than their branch of the error tree."""

RETRY_AFTER_SECONDS = "5"
INTERNAL_MESSAGE = "Something failed inside; it was recorded under the request id."


def status_of(error: CrowdalphaError) -> int:
    """Return the HTTP status of ``error``: by its code where that says more, else by who must act."""
    if error.code in STATUS_BY_CODE:
        return int(STATUS_BY_CODE[error.code])
    if isinstance(error, InputRejected):
        return int(HTTPStatus.UNPROCESSABLE_ENTITY)
    if isinstance(error, Conflict):
        return int(HTTPStatus.CONFLICT)
    if isinstance(error, Unavailable):
        return int(HTTPStatus.SERVICE_UNAVAILABLE)
    return int(HTTPStatus.INTERNAL_SERVER_ERROR)


def request_id_of(scope: Scope) -> str:
    """Return the id that the request frame gave this request; empty outside of a frame."""
    return str(scope.get("state", {}).get("request_id", ""))


def envelope(
    scope: Scope, status: int, code: str, message: str, details: Any = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return the answer that every error leaves in."""
    error = {"code": code, "message": message, "details": details, "request_id": request_id_of(scope)}
    return JSONResponse({"error": error}, status_code=status, headers=headers)


def wants_page(scope: Scope) -> bool:
    """Tell whether an error of this request is shown as a page: outside the machine paths, to a client that reads HTML."""
    path = str(scope.get("path", ""))
    if any(path == prefix or path.startswith(prefix + "/") for prefix in MACHINE_PATHS):
        return False
    accepted = dict(scope.get("headers", [])).get(b"accept", b"")
    return b"text/html" in accepted


def answer(
    scope: Scope, status: int, code: str, message: str, details: Any = None, headers: dict[str, str] | None = None
) -> Response:
    """Return the error as a page to a browser on a page address, and in the envelope to everyone else."""
    if wants_page(scope):
        from service.web.pages import error_page

        return error_page(status, message, request_id_of(scope), headers)
    return envelope(scope, status, code, message, details, headers)


def own_error(scope: Scope, error: CrowdalphaError) -> Response:
    """Return the answer to an error that the platform raised on purpose."""
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, Unavailable):
        log.error("request %s failed: %s", request_id_of(scope), error, exc_info=error)
        return answer(scope, status, Code.INTERNAL.value, INTERNAL_MESSAGE)
    details = None
    if isinstance(error, InputRejected) and error.findings:
        details = {"findings": [finding.as_dict() for finding in error.findings]}
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Token"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    return answer(scope, status, error.code.value, error.message, details, headers)


def internal_error(scope: Scope, error: Exception) -> Response:
    """Record ``error`` under the request id and return an answer that tells nothing of it."""
    log.error("request %s failed", request_id_of(scope), exc_info=error)
    return answer(scope, HTTPStatus.INTERNAL_SERVER_ERROR, Code.INTERNAL.value, INTERNAL_MESSAGE)


def _framework_error(scope: Scope, error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return answer(scope, 404, Code.NOT_FOUND.value, "There is nothing at that address.", headers=headers)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return answer(scope, 405, Code.REQUEST_INVALID.value, "That address does not take this method.", headers=headers)
    status = max(error.status_code, int(HTTPStatus.BAD_REQUEST))
    return answer(
        scope, status, Code.REQUEST_INVALID.value, "The request does not have the form that is documented.", headers=headers
    )


def _malformed(scope: Scope, error: RequestValidationError) -> Response:
    # The input itself is not echoed: it may hold a secret, or be very long.
    details = [{"where": [str(part) for part in e["loc"]], "message": str(e["msg"])} for e in error.errors()[:100]]
    return answer(
        scope, 422, Code.REQUEST_INVALID.value, "The request does not have the form that is documented.", {"fields": details}
    )


def install(app: FastAPI) -> None:
    """Make ``app`` answer every kind of error in one form."""

    @app.exception_handler(CrowdalphaError)
    def _own(request: Request, error: CrowdalphaError) -> Response:
        return own_error(request.scope, error)

    @app.exception_handler(HTTPException)
    def _framework(request: Request, error: HTTPException) -> Response:
        return _framework_error(request.scope, error)

    @app.exception_handler(RequestValidationError)
    def _validation(request: Request, error: RequestValidationError) -> Response:
        return _malformed(request.scope, error)
