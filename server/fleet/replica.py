"""One replica: a Triton with its watchdog, and a gateway before it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sys
from collections.abc import Sequence

from pixelis.fleet_config import Fleet
from pixelis.settings import TUNED, Settings
from server.fleet import redis
from server.fleet.part import Part
from server.fleet.places import Places

GATEWAY_GRACE_S = 5.0
"""Beyond the time that its requests have to end."""
ASK_S = 2.0
"""A part that does not say how it is within this time does not work."""


class Replica:
    """One of a fleet.

    Args:
        number: from 1 on.
        places: of the fleet.
        config: this process's settings, which a replica has but for where it listens and keeps its state.

    Attributes:
        leaving: it gets no requests any more, since it is going to end.
    """

    def __init__(self, number: int, places: Places, config: Settings) -> None:
        self.number, self._places = number, places
        first = places.first_port(number)
        self.http, self.grpc, self.metrics, self.gateway = range(first, first + 4)
        self.state = places.folder(f"replica-{number}").absolute()
        environment = self._environment(config)
        mark = f"replica-{number}"
        python = [sys.executable, "-m", "pixelis"]
        grace_s = config.server.exit_timeout_s + 10.0
        self.triton = Part(
            f"triton-{number}", [*python, "serve", "--json"], environment, places.log(f"{mark}-triton"), self._serves
        )
        self.triton.grace_s = grace_s
        self.front = Part(
            f"gateway-{number}", [*python, "gateway"], environment, places.log(f"{mark}-gateway"), self._answers
        )
        self.front.grace_s = places.config.drain_s + GATEWAY_GRACE_S
        if places.config.processors is not None:
            bound = processors(number, places.config.processors, sorted(os.sched_getaffinity(0)))
            self.triton.processors = self.front.processors = bound
        self.leaving = False

    @property
    def parts(self) -> tuple[Part, Part]:
        """Its processes."""
        return (self.triton, self.front)

    @property
    def ready(self) -> bool:
        """Whether both do their work."""
        return all(part.state == "ready" for part in self.parts)

    @property
    def gateway_url(self) -> str:
        """`host:port` of REST."""
        return f"127.0.0.1:{self.gateway}"

    @property
    def grpc_url(self) -> str:
        """`host:port` of Triton's gRPC."""
        return f"127.0.0.1:{self.grpc}"

    def alive(self) -> bool:
        """Whether it takes requests, asked now; blocks for some seconds where it hangs."""
        return self._serves() and self._answers()

    def _serves(self) -> bool:
        return status(self.http, "/v2/health/ready") == 200

    def _answers(self) -> bool:
        return status(self.gateway, "/health") == 200

    def _environment(self, config: Settings) -> dict[str, str]:
        """This process's, and what makes it this replica's."""
        tuned = config.state / TUNED
        if tuned.is_file():
            shutil.copyfile(tuned, self.state / TUNED)
        told: dict[str, object] = {
            "STATE": self.state,
            "REPOSITORY": config.repository.absolute(),
            "SERVER__HOST": "127.0.0.1",
            "SERVER__HTTP_PORT": self.http,
            "SERVER__GRPC_PORT": self.grpc,
            "SERVER__METRICS_PORT": self.metrics,
            "GATEWAY__HOST": "127.0.0.1",
            "GATEWAY__PORT": self.gateway,
            "GATEWAY__TRITON": self.grpc_url,
            "GATEWAY__TRITON_METRICS": f"127.0.0.1:{self.metrics}",
            "GATEWAY__TRUSTED_PROXIES": json.dumps(["127.0.0.0/8"]),
            "GATEWAY__DRAIN_S": self._places.config.drain_s,
            "CACHE__ENABLE_REDIS": "true",
            "CACHE__REDIS_URL": redis.cache_url(self._places),
            "RETRIEVAL__REPLICAS__URL": redis.log_url(self._places),
        }
        if config.gateway.keys is not None:
            told["GATEWAY__KEYS"] = config.gateway.keys.absolute()
        said = {f"PIXELIS_{name}": str(value) for name, value in told.items()}
        return {**os.environ, "PYTHONUNBUFFERED": "1", **said}


def processors(number: int, each: int, ours: Sequence[int]) -> frozenset[int]:
    """Those that a replica is bound to: the next ones, from the first on again after the last."""
    first = (number - 1) * each
    return frozenset(ours[at % len(ours)] for at in range(first, first + min(each, len(ours))))


def status(port: int, path: str, host: str = "127.0.0.1") -> int:
    """Of a GET; 0 = nobody answered."""
    connection = http.client.HTTPConnection(host, port, timeout=ASK_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def numbers(config: Fleet) -> list[int]:
    """Of the replicas that a fleet starts with."""
    return list(range(1, config.replicas + 1))
