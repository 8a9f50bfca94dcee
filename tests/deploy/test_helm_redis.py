"""The chart's two Redis, with the files and the command lines that their containers get."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.redises import CACHE, LOG, PASSWORDS, answers, probed, running_redis
from tests.redis_server import needs_redis

EXPECTED = {
    "cache": {"maxmemory-policy": "allkeys-lru", "maxmemory": str(512 * 2**20), "appendonly": "no", "save": ""},
    "log": {
        "maxmemory-policy": "noeviction",
        "maxmemory": str(768 * 2**20),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
    },
}


@pytest.mark.parametrize(("store", "port"), [("cache", CACHE), ("log", LOG)])
def test_redis_takes_its_file_and_wants_its_password(store: str, port: int, tmp_path: Path) -> None:
    needs_redis()
    import redis

    with running_redis("cpu", store, port, tmp_path):
        client = answers(port, PASSWORDS[store])
        assert {name: client.config_get(name)[name] for name in EXPECTED[store]} == EXPECTED[store]
        assert probed("cpu", store, port, "another word") != 0
        with pytest.raises(redis.exceptions.AuthenticationError):
            answers(port, None).ping()
