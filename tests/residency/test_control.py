"""Orders to a server: what is sent, and what is made of the answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from pixelis.errors import ServingError, Unavailable
from python_backends.residency.control import Control


class Orders(BaseHTTPRequestHandler):
    """Takes orders as Triton does; `broken` does not load."""

    seen: list[tuple[str, str | None]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).seen.append((self.path, self.headers["pixelis-repository-key"]))
        broken = "/broken/" in self.path
        body = json.dumps({"error": "load failed: told to fail\n\nAt:\n  model.py(6)"} if broken else {}).encode()
        self.send_response(400 if broken else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Orders.seen = []
    with HTTPServer(("127.0.0.1", 0), Orders) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_orders_go_with_the_key(url: str) -> None:
    control = Control(url, "secret")
    control.load("policy.large", 10)
    control.unload("policy.large", 10)
    path = "/v2/repository/models/policy.large"
    assert Orders.seen == [(f"{path}/load", "secret"), (f"{path}/unload", "secret")]


def test_what_triton_says_is_told_without_its_trace(url: str) -> None:
    with pytest.raises(ServingError, match=r"`broken` does not load: load failed: told to fail$"):
        Control(url, "").load("broken", 10)


def test_nobody_there() -> None:
    with pytest.raises(Unavailable, match="does not take orders"):
        Control("127.0.0.1:1", "").load("a", 1)
    with pytest.raises(Unavailable, match="PIXELIS_CONTROL_URL"):
        Control("", "").load("a", 1)
