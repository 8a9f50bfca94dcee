"""A gateway on a real uvicorn before the echoing Triton. Port 18133."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from clients.gateway.serving import configured
from pixelis.gateway_config import Gateway
from pixelis.settings import Limits
from server.embedded import EmbeddedTriton
from tests.clients.conftest import PORTS

PORT = 18133
LIMITS = Limits(image_bytes=200_000, frames=4, question_bytes=256)
Served = Callable[..., contextlib.AbstractContextManager[uvicorn.Server]]


@contextlib.contextmanager
def running(url: str, **changes: Any) -> Iterator[uvicorn.Server]:
    """A gateway before the Triton at `url` while it runs, its settings changed."""
    config = Gateway(
        port=PORT, triton=url, triton_metrics=f"127.0.0.1:{PORTS['metrics']}", body_bytes=2**20, json_depth=8
    )
    changed = Gateway.model_validate({**config.model_dump(), **changes})
    server = uvicorn.Server(configured(changed, LIMITS))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not server.started and time.monotonic() < end:
        time.sleep(0.02)
    assert server.started
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def gateway(served: EmbeddedTriton) -> Iterator[uvicorn.Server]:
    """One with the settings that most tests need."""
    with running(served.grpc_url) as server:
        yield server


@pytest.fixture
def gateways(served: EmbeddedTriton) -> Served:
    """Makes gateways with settings of a test's own."""
    return lambda **changes: running(served.grpc_url, **changes)


def ask(path: str, said: object = None, method: str | None = None, **headers: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body of one exchange; a body that is JSON is parsed."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    try:
        data = said if isinstance(said, (bytes, type(None))) else json.dumps(said).encode()
        kind = {} if data is None else {"Content-Type": "application/json"}
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if data is None else "POST"), path, data, {**kind, **names})
        response = connection.getresponse()
        content = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
        parsed = json.loads(content) if found.get("content-type") == "application/json" and content else content
        return response.status, found, parsed
    finally:
        connection.close()


def key_file(path: Path, **keys: dict[str, Any]) -> Path:
    """A file of keys: name -> what it has beside its name."""
    path.write_text(json.dumps({"keys": [{"name": name, **rest} for name, rest in keys.items()]}))
    return path
