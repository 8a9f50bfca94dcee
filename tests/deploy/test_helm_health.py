"""The pod of `helm test`: it says what the gateway says."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.deploy.chart import pod


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that has one answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/health"
        finally:
            server.shutdown()
            thread.join()


def asked(url: str) -> tuple[int, str]:
    """How the pod of `helm test` ends, without its patience, and what it says."""
    command = pod("cpu", "test").main["command"]
    assert command[:2] == ["python3", "-Ic"]
    assert command[3] == "http://pixelis-gateway:8080/health"
    script = command[2].replace("patience_s: float = 60.0", "patience_s: float = 0.0")
    assert script != command[2]
    done = subprocess.run([sys.executable, "-Ic", script, url], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (200, {"live": True, "ready": True, "degraded": []}, 0, ": ready\n"),
        (200, {"live": True, "ready": True, "degraded": ["vote"]}, 0, "ready, without ['vote']"),
        (503, {"live": True, "ready": False, "degraded": ["policy"]}, 1, "take no requests: ['policy']"),
    ],
)
def test_the_test_says_what_the_gateway_says(status: int, body: object, code: int, words: str) -> None:
    with answering(status, json.dumps(body).encode()) as url:
        found, said = asked(url)
    assert found == code
    assert words in said


def test_the_test_fails_where_nobody_or_somebody_else_answers() -> None:
    with answering(200, b"<html>") as url:
        assert asked(url)[0] == 1
    code, said = asked(url)
    assert code == 1
    assert "refused" in said
