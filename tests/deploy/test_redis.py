"""Both Redis as docker-compose.yml starts them: the password by the input, and the settings in force."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from python_backends.experience.replicas.checks import warnings
from tests.deploy.compose import config
from tests.deploy.tools import DEPLOY, running
from tests.redis_server import needs_redis, wait

MIB = 2**20


@contextlib.contextmanager
def started(which: str, folder: Path) -> Iterator[Any]:
    """The Redis of a service by the service's own command, with a port and a folder of the test's; a client of it."""
    needs_redis()
    import redis

    service = config("cpu")["services"][f"redis-{which}"]
    word = service["environment"]["REDISCLI_AUTH"]
    shell, flag, script = service["command"]
    # `config` doubles the dollars again, as Compose would read them.
    script = script.replace("$$", "$").replace("/etc/redis/redis.conf", str(DEPLOY / "redis" / f"{which}.conf"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = script.replace("dir /data", f"dir {folder}\nport {port}\nbind 127.0.0.1")
    with running([shell, flag, script], folder / "log", REDISCLI_AUTH=word) as process:
        client = redis.Redis(port=port, password=word, socket_timeout=5)

        def up() -> bool:
            try:
                return bool(client.ping())
            except redis.exceptions.ConnectionError:
                return False

        wait(up)
        assert word.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis(port=port, socket_timeout=5).ping()
        yield client
        client.close()


def test_the_cache_forgets_what_is_used_least(tmp_path: Path) -> None:
    with started("cache", tmp_path) as client:
        found = client.config_get()
    assert (found["maxmemory"], found["maxmemory-policy"]) == (str(512 * MIB), "allkeys-lfu")
    assert (found["save"], found["appendonly"], found["protected-mode"]) == ("", "no", "yes")
    assert [path.name for path in tmp_path.iterdir()] == ["log"], "nothing is written to disk"


def test_the_log_keeps_what_it_has_acknowledged(tmp_path: Path) -> None:
    with started("log", tmp_path) as client:
        assert warnings(client) == [], "a replica has nothing to say against it"
        found = client.config_get()
        client.xadd("pixelis:experiences", {"record": "{}"})
        assert b"pixelis:experiences" in next((tmp_path / "appendonlydir").glob("*.incr.aof")).read_bytes()
        client.config_set("maxmemory", 1)
        with pytest.raises(Exception, match="maxmemory"):
            client.xadd("pixelis:experiences", {"record": "{}"})
    assert found["maxmemory"] == str(512 * MIB)
    assert found["save"] == ""


@pytest.mark.parametrize("which", ["cache", "log"])
def test_its_container_has_room_for_what_it_may_hold(which: str) -> None:
    limit = config("cpu")["services"][f"redis-{which}"]["mem_limit"]
    assert int(str(limit).rstrip("m")) * (1 if "m" in str(limit) else 1 / MIB) >= 1.5 * 512
