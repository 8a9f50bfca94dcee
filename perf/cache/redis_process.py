"""A real redis-server on loopback that can be killed and started again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from pixelis.errors import SetupError

START_S = 10.0


class RedisProcess:
    """As a cache: in memory, least frequently used entries go first, nothing on disk.

    Args:
        directory: where it runs.
        megabytes: of memory.
        options: of its configuration, before those.

    Raises:
        SetupError: there is no redis-server, or it does not start.
    """

    def __init__(self, directory: Path, megabytes: int = 64, options: Mapping[str, str] | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._directory, self._megabytes, self._options = directory, megabytes, dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None
        if shutil.which("redis-server") is None:
            raise SetupError("There is no redis-server.", mend="apt-get install redis-server")
        self.start()

    @property
    def url(self) -> str:
        """For `PIXELIS_CACHE__REDIS_URL`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        from redis import Redis
        from redis.exceptions import RedisError

        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no"}
        options |= {"maxmemory": f"{self._megabytes}mb", "maxmemory-policy": "allkeys-lfu", **self._options}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            ["redis-server", *words], cwd=self._directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + START_S
        with Redis(port=self.port, socket_timeout=1) as client:
            while True:
                try:
                    client.ping()
                    return
                except RedisError:
                    if time.monotonic() > until:
                        self.kill()
                        raise SetupError(f"redis-server does not answer within {START_S:.0f} s.") from None
                    time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL, as a machine that goes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> RedisProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
