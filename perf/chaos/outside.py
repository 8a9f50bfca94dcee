"""What comes from outside: requests that are far too large, a wire that is cut, a clock that jumps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import requests

from clients.client import PixelisClient
from perf.chaos.fault import Unexpected
from perf.chaos.fleet import Running
from perf.chaos.surroundings import turn, wire
from pixelis.errors import PixelisError

HUGE = 100 * 10**6
HOUR = 3600


@contextlib.contextmanager
def huge_requests(fleet: Running) -> Iterator[Callable[[], bool]]:
    """100 MB to every door: each is refused with a reason."""
    data = np.random.default_rng(0).bytes(HUGE)
    try:
        status = requests.post(f"{fleet.rest}/infer", data=data, timeout=60).status_code
    except requests.ConnectionError:
        status = 413  # closed while we still sent, as a server may that has said its word
    if status != 413:
        raise Unexpected(f"REST answers 100 MB with {status}")
    for url in (fleet.grpc, fleet.replicas()[0]["grpc"]):
        with PixelisClient(url) as client:
            try:
                client.ask(data, "What is it?")
            except PixelisError as error:
                if error.code == "internal":
                    raise Unexpected(f"gRPC at {url} answers 100 MB with {error}") from None
            else:
                raise Unexpected(f"gRPC at {url} answers 100 MB")
    yield fleet.whole


@contextlib.contextmanager
def cut(fleet: Running) -> Iterator[Callable[[], bool]]:
    """The wire to the host of both Redis, until exit."""
    wire(False)
    try:
        yield fleet.whole
    finally:
        wire(True)


def jumped(seconds: int) -> Callable[[Running], contextlib.AbstractContextManager[Callable[[], bool]]]:
    """The clock of all of the fleet's processes at once; it stays so."""

    @contextlib.contextmanager
    def wound(fleet: Running) -> Iterator[Callable[[], bool]]:
        turn(fleet.state, seconds)
        yield fleet.whole

    return wound
