"""What arrives, within bounds of bytes and time."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from clients.gateway.broken_off import BrokenOff
from pixelis.errors import DeadlineExceeded, LimitExceeded


class Bounded:
    """ASGI middleware: what has too many bytes is refused before it is held, and a body that trickles is left.

    Args:
        app: what comes behind.
        headers: bytes of address and headers.
        most: bytes of a body.
        timeout_s: from the headers to the body's end.
    """

    def __init__(self, app: ASGIApp, headers: int, most: int, timeout_s: float) -> None:
        self._app, self._headers, self._most, self._timeout_s = app, headers, most, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        size = len(scope["raw_path"]) + len(scope["query_string"])
        if size + sum(len(name) + len(value) for name, value in scope["headers"]) > self._headers:
            raise LimitExceeded(f"The headers are larger than {self._headers} bytes.", mend="Send fewer.")
        body = _Body(receive, self._most, self._timeout_s)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if int(declared) > self._most:
            raise body.too_large()
        expected = int(declared) > 0 or b"transfer-encoding" in dict(scope["headers"])

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and expected and not body.over:
                message["headers"] = [*message["headers"], (b"connection", b"close")]  # the rest is not read
            await send(message)

        await self._app(scope, body.receive, sending)


class _Body:
    """A request's body as it comes; `over` when its end was seen."""

    def __init__(self, receive: Receive, most: int, timeout_s: float) -> None:
        self._receive, self._most, self._timeout_s = receive, most, timeout_s
        self._deadline = asyncio.get_running_loop().time() + timeout_s
        self._held = 0
        self.over = False

    async def receive(self) -> Message:
        if self.over:  # what is waited for now is that the client goes
            return await self._receive()
        late = f"The body did not arrive within {self._timeout_s:g} s."
        with BrokenOff(DeadlineExceeded(late, mend="Send it at once.")) as off:
            alarm = asyncio.get_running_loop().call_at(self._deadline, off.now)
            try:
                message = await self._receive()
            finally:
                alarm.cancel()
        self._held += len(message.get("body", b""))
        if self._held > self._most:
            raise self.too_large()
        self.over = not message.get("more_body", False)
        return message

    def too_large(self) -> LimitExceeded:
        return LimitExceeded(f"The body is larger than {self._most} bytes.", mend="Send fewer or smaller images.")


def protocol(header_bytes: int, header_timeout_s: float) -> type[HttpToolsProtocol]:
    """uvicorn's protocol for HTTP/1.1, with bounds of a request's headers.

    uvicorn bounds how long an idle connection is kept between requests, not how long or large a request's beginning is.
    Its parser in C takes a million chunks of one byte in a second; the one in Python takes half a minute.

    Args:
        header_bytes: of a request's line and headers, while they arrive.
        header_timeout_s: a connection whose headers take longer is closed.
    """

    class Bounded(HttpToolsProtocol):
        _alarm: asyncio.TimerHandle | None = None
        _head = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._have_head()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._alarm is None and (self.cycle is None or self.cycle.response_complete):
                self._await_head()
            self._head += len(data)
            super().data_received(data)
            if self._alarm is not None and self._head > header_bytes and not self.transport.is_closing():
                self.send_400_response(f"The headers are larger than {header_bytes} bytes.")

        def on_headers_complete(self) -> None:
            self._have_head()
            super().on_headers_complete()

        def _await_head(self) -> None:
            self._head = 0
            self._alarm = self.loop.call_later(header_timeout_s, self.transport.close)

        def _have_head(self) -> None:
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None

    return Bounded
