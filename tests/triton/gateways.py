"""A real `pixelis gateway` before a test's Triton."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server.embedded import EmbeddedTriton
from tests.waiting import until


@contextlib.contextmanager
def gateway(port: int, triton: EmbeddedTriton, state: Path, *more: str) -> Iterator[str]:
    """`pixelis gateway`, with `more` on its command line, as a process of its own; it ends upon SIGTERM."""
    command = [sys.executable, "-m", "pixelis", "gateway", "--port", str(port), "--triton", triton.grpc_url, *more]
    environment = {**os.environ, "PIXELIS_STATE": str(state), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert f"127.0.0.1:{port}" in process.stdout.readline()
        assert until(lambda: _answers(port))
        try:
            yield f"127.0.0.1:{port}"
            process.terminate()
            assert process.wait(20) in (0, -signal.SIGTERM)
        finally:
            process.kill()  # of a test that failed; else it has ended


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def posted(url: str, path: str, said: object, key: str = "") -> tuple[int, Any]:
    """Status and JSON; a GET where nothing is said. With a `key`, as whoever has it."""
    connection = http.client.HTTPConnection(url, timeout=60)
    data = None if said is None else json.dumps(said).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    connection.request("GET" if data is None else "POST", path, data, headers)
    response = connection.getresponse()
    try:
        return response.status, json.loads(response.read())
    finally:
        connection.close()
