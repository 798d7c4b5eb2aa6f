"""Goal: no body larger than the limit is ever held, every answer carries an id and strict headers, and no trace leaves. Method:
the frame alone around small ASGI applications, driven message by message."""

import asyncio
import json
from typing import Any

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken, Unavailable
from service.http.errors import status_of
from service.http.frame import STRICT_HEADERS, RequestFrame


def run(app: Any, chunks: list[bytes], headers: list[tuple[bytes, bytes]] | None = None, limit: int = 100):
    """Send one request through the frame; return the status, the headers, the body and how many chunks were asked for."""
    asked = 0
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        nonlocal asked
        chunk = chunks[asked]
        asked += 1
        return {"type": "http.request", "body": chunk, "more_body": asked < len(chunks)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/x", "headers": headers or []}
    asyncio.run(RequestFrame(app, lambda: "id-1", limit)(scope, receive, send))
    body = b"".join(m.get("body", b"") for m in sent[1:])
    return sent[0]["status"], {k.decode().lower(): v.decode() for k, v in sent[0]["headers"]}, body, asked


async def swallow(scope, receive, send) -> None:
    more = True
    while more:
        more = (await receive())["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"read"})


def test_a_body_at_the_limit_passes() -> None:
    status, _, body, _ = run(swallow, [b"x" * 60, b"x" * 40])
    assert (status, body) == (200, b"read")


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    status, headers, body, asked = run(swallow, [b"x" * 101], [(b"content-length", b"101")])
    assert (status, asked) == (413, 0)
    assert headers["connection"] == "close"
    assert json.loads(body)["error"]["code"] == "file_too_large"


def test_a_body_that_does_not_say_is_refused_at_the_first_byte_too_many() -> None:
    status, _, _, asked = run(swallow, [b"x" * 60, b"x" * 41, b"x" * 60, b"x"])
    assert (status, asked) == (413, 2)


@pytest.mark.parametrize("declared", [b"-5", b"1e9", b"0x10", b"9" * 40, "٣".encode(), b""])
def test_a_length_that_is_no_number_is_left_to_the_counting(declared: bytes) -> None:
    status, _, _, _ = run(swallow, [b"x" * 101], [(b"content-length", declared)])
    assert status == 413


def test_a_failure_shows_no_trace_and_keeps_the_strict_headers(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(scope, receive, send) -> None:
        raise RuntimeError("secret /etc/path SELECT 1")

    status, headers, body, _ = run(fails, [b""])
    assert status == 500
    assert json.loads(body) == {
        "error": {
            "code": "internal",
            "message": "Something failed inside; it was recorded under the request id.",
            "details": None,
            "request_id": "id-1",
        }
    }
    for name, value in STRICT_HEADERS.items():
        assert headers[name.lower()] == value
    assert headers["x-request-id"] == "id-1"
    assert "id-1" in caplog.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputRejected(Code.VALUE_RANGE, "x"), 422),
        (InputRejected(Code.KEY_INVALID, "x"), 401),
        (InputRejected(Code.KEY_SCOPE, "x"), 403),
        (InputRejected(Code.MODEL_UNKNOWN, "x"), 404),
        (InputRejected(Code.ROUND_UNKNOWN, "x"), 404),
        (InputRejected(Code.FILE_TOO_LARGE, "x"), 413),
        (Unavailable(Code.DATABASE_UNAVAILABLE, "x"), 503),
        (InvariantBroken(Code.LEDGER_BROKEN, "x"), 500),
    ],
)
def test_each_error_has_its_status(error: Any, status: int) -> None:
    assert status_of(error) == status
