"""A real Redis for tests."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

try:
    import redis
except ModuleNotFoundError:
    redis = None

PASSWORD = "open sesame"


def needs_redis() -> None:
    """Skip where it cannot be installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server cannot be installed here: apt-get install redis-server")
    if redis is None:
        pytest.skip("the package redis is not installed: make setup-dev")


class Server:
    """A redis-server that can be stopped, hung and started again on its files."""

    def __init__(self, directory: Path, encrypted: bool = False) -> None:
        self.directory, self.encrypted = directory, encrypted
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.options = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        address = f":{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/0"
        if self.encrypted:
            return f"rediss://{address}?ssl_ca_certs={self.directory}/own.crt"
        return f"redis://{address}"

    @property
    def client(self):  # type: ignore[no-untyped-def]
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def start(self) -> None:
        words = [word for name, value in self.options.items() for word in (f"--{name}", value)]
        words += self._encryption() if self.encrypted else ["--port", str(self.port)]
        words += ["--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", ""]
        command = ["redis-server", *words, "--dir", str(self.directory)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait(self._up)

    def _encryption(self) -> list[str]:
        """Options, and a certificate of its own."""
        files = [
            "-keyout",
            "own.key",
            "-out",
            "own.crt",
            "-subj",
            "/CN=redis",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *files]
        subprocess.run(command, cwd=self.directory, check=True, capture_output=True)
        named = ["--tls-cert-file", "own.crt", "--tls-key-file", "own.key", "--tls-ca-cert-file", "own.crt"]
        return ["--port", "0", "--tls-port", str(self.port), *named, "--tls-auth-clients", "no"]

    def _up(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.exceptions.RedisError:
            return False

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def running(directory: Path, encrypted: bool = False) -> Iterator[Server]:
    """A server for a test; the test is skipped where there is none."""
    needs_redis()
    made = Server(directory, encrypted)
    try:
        yield made
    finally:
        made.stop()


def wait(until: Callable[[], bool], timeout_s: float = 10.0) -> float:
    """Seconds until something was so."""
    start = time.monotonic()
    while not until():
        assert time.monotonic() - start < timeout_s, "it did not come about"
        time.sleep(0.005)
    return time.monotonic() - start
