"""A real Redis with the file and the command line that the chart gives its container. Ports 18165 and 18166."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deploy import chart
from tests.deploy.containers import SECRETS, placed, process, told
from tests.redis_server import wait

CACHE, LOG = 18165, 18166
PASSWORDS = {"cache": SECRETS["the-cache-password"], "log": SECRETS["the-log-password"]}


@contextmanager
def running_redis(case: str, store: str, port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The container of `cache` or `log`, when it is ready."""
    container = chart.pod(case, f"redis-{store}").main
    places = {"/etc/redis": str(folder), "port 6379": f"port {port}", "dir /data": f"dir {folder}"}
    conf = chart.named(case, "ConfigMap", f"-redis-{store}")["data"]["redis.conf"]
    (folder / "redis.conf").write_text(placed(conf, places) + "bind 127.0.0.1\n")
    words, variables = told(container, places)
    with process(words, variables | {"PATH": "/usr/bin:/bin"}, folder / "redis.log") as made:
        wait(lambda: probed(case, store, port, variables["REDISCLI_AUTH"]) == 0)
        yield made


def probed(case: str, store: str, port: int, password: str) -> int:
    """How the probe ends that says whether it is ready."""
    shell, dash, script = chart.pod(case, f"redis-{store}").main["readinessProbe"]["exec"]["command"]
    words = [shell, dash, script.replace("redis-cli", f"redis-cli -p {port}")]
    variables = {"PATH": "/usr/bin:/bin", "REDISCLI_AUTH": password}
    return subprocess.run(words, env=variables, stderr=subprocess.DEVNULL, check=False).returncode


def answers(port: int, password: str | None) -> Any:
    """A client of it."""
    import redis

    return redis.Redis(port=port, password=password, socket_timeout=5)
