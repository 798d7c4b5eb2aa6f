"""The frame around every request: a request id, strict headers, the limit of the body, and the last net under failures.

It is plain ASGI, outside of the framework's own layers, so that it also covers answers that no route made.

1. The request gets an id from the platform's source of ids; a client's own is never taken over.
2. A body that says it is too large is refused before a byte of it is read; one that does not say is counted while it comes,
   and refused at the first byte too many. So nothing larger than the limit is ever held.
3. Each answer carries the id and the strict headers.
4. What nobody caught becomes a 500 in the one envelope, if nothing was sent yet.
"""

from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.http.errors import internal_error, own_error

STRICT_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def _too_large(bytes_max: int) -> InputRejected:
    return InputRejected(Code.FILE_TOO_LARGE, f"The request's body is larger than {bytes_max:,} bytes.")


class RequestFrame:
    """ASGI application that runs ``app`` inside the frame.

    Parameters
    ----------
    app : ASGIApp
        What answers the request.
    new_id : callable
        Source of request ids.
    body_bytes_max : int
        Largest body that is let through, in bytes.
    """

    def __init__(self, app: ASGIApp, new_id: Callable[[], str], body_bytes_max: int) -> None:
        self.app = app
        self.new_id = new_id
        self.body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = self.new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def framed_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in STRICT_HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            if _declared_bytes(scope) > self.body_bytes_max:
                raise _too_large(self.body_bytes_max)
            await self.app(scope, self._counted(receive), framed_send)
        except InputRejected as error:
            if started:
                raise
            # The rest of the body is not read: the connection ends with the answer.
            response = own_error(scope, error)
            response.headers["Connection"] = "close"
            await response(scope, receive, framed_send)
        except Exception as error:  # the last net: a door never shows a trace
            if started:
                raise
            await internal_error(scope, error)(scope, receive, framed_send)

    def _counted(self, receive: Receive) -> Receive:
        read_bytes = 0

        async def counted_receive() -> Message:
            nonlocal read_bytes
            message = await receive()
            if message["type"] == "http.request":
                read_bytes += len(message.get("body", b""))
                if read_bytes > self.body_bytes_max:
                    raise _too_large(self.body_bytes_max)
            return message

        return counted_receive


def _declared_bytes(scope: Scope) -> int:
    text = Headers(scope=scope).get("content-length", "0")
    # What is not a plain number is left to the counting.
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
