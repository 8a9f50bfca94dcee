"""What the synchronous and the asyncio client have in common: where the server is, and how often it is asked."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Generic, Literal, TypeVar

from clients.retry import Retry, after
from clients.wire import Call
from pixelis.errors import InvalidRequest, PixelisError
from pixelis.settings import settings

T = TypeVar("T")
Protocol = Literal["grpc", "http"]

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


def address(url: str | None, protocol: Protocol) -> str:
    """`host:port` of `url`, its scheme left out; without one, where the settings say that a server is.

    Raises:
        InvalidRequest: it is not `host:port`.
    """
    if url is not None:
        found = url.split("://", 1)[-1].rstrip("/")
        if not _ADDRESS.fullmatch(found) or int(found.rpartition(":")[2]) > 65535:
            raise InvalidRequest(f"{url!r} is not host:port.", mend="For instance localhost:8001.")
        return found
    server = settings().server
    return f"{server.host}:{server.grpc_port if protocol == 'grpc' else server.http_port}"


def metrics_address(url: str, metrics_url: str | None) -> str:
    """`host:port` of the metrics: as given, else the configured port on the server's host."""
    return metrics_url or f"{url.rsplit(':', 1)[0]}:{settings().server.metrics_port}"


class Connection:
    """A client's way to its server.

    Args:
        url: `host:port`; none = the settings' own server.
        protocol: `grpc`, or `http` (binary tensors, and server-sent events for streams); the answers are the same.
        metrics_url: `host:port` of the metrics; none = the settings' port on the same host.
        retries: how often what finds the server not up or too busy is asked again, with pauses, within the request's
            time; only what changes nothing, and no stream.
        shared_memory: whether large images go to a gRPC server of this machine through shared memory, where that works.
    """

    def __init__(
        self,
        url: str | None = None,
        protocol: Protocol = "grpc",
        metrics_url: str | None = None,
        *,
        retries: int = 0,
        shared_memory: bool = True,
    ) -> None:
        self._share = shared_memory
        self._retry = Retry(retries)
        self.url = address(url, protocol)
        self._metrics_url = metrics_address(self.url, metrics_url)
        self._connect(protocol)

    def _connect(self, protocol: Protocol) -> None:
        """Make the transport to `self.url`."""
        raise NotImplementedError

    def _tries(self, call: Call[T]) -> Tries[T]:
        return Tries(call, self._retry)


class Tries(Generic[T]):
    """The tries of one call, all within its time.

    Args:
        call: what is asked.
        retry: how often, and the pauses.
    """

    def __init__(self, call: Call[T], retry: Retry) -> None:
        self._call, self._pauses = call, retry.pauses()
        self._end = time.monotonic() + call.timeout_s

    def next(self) -> Call[T]:
        """The call, with the time that is left."""
        return replace(self._call, timeout_s=self._end - time.monotonic())

    def pause_s(self, error: PixelisError) -> float:
        """How long to wait before the next one. Raises `error` where there is none."""
        pause = next(self._pauses, None)
        wait = None if pause is None else after(error, self._call.safe, pause, self._end - time.monotonic())
        if wait is None:
            raise error
        return wait
