"""What stands behind nginx in tests of nginx itself: servers that answer as they are told, and count."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIES = 0
"""In the place of a status: it closes the connection when it has read the request."""


@dataclass
class Upstream:
    """One server.

    Attributes:
        port: where it listens.
        status: what it answers with.
        seen: method, path and headers of what it was asked.
        go_on: a stream's second event waits for it.
    """

    port: int
    status: int = 200
    seen: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def serving(port: int) -> Iterator[Upstream]:
    """A server while a test needs it."""
    told = Upstream(port)
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(told))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        told.go_on.set()
        server.shutdown()
        server.server_close()


def _handler(told: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told.seen.append((self.command, self.path, dict(self.headers)))
            if told.status == DIES:
                self.close_connection = True
            elif self.path == "/stream":
                self._stream()
            else:
                self._whole(json.dumps({"port": told.port, "received": len(body)}).encode())

        do_GET = do_POST

        def _whole(self, data: bytes) -> None:
            self.send_response(told.status)
            if told.status == 503:
                self.send_header("Retry-After", "7")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for data in (b"id: 1\n\n", b"id: 2\n\n"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                if data.startswith(b"id: 1"):
                    told.go_on.wait(10)
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
