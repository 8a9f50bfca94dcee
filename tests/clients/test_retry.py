"""What is asked again, when, and what never is."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any

import numpy as np
import pytest

from clients import AsyncPixelisClient, PixelisClient
from clients.retry import Retry, after
from clients.tensors import text
from clients.wire import Call
from pixelis.errors import DeadlineExceeded, InvalidRequest, PixelisError, ServingError, Unavailable
from tests.clients.conftest import DEAD


def test_pauses_are_jittered_below_a_bound_that_doubles() -> None:
    found = np.array([list(Retry(6, 0.1, 1.0).pauses()) for _ in range(400)])
    bounds = np.array([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert (found <= bounds).all()
    assert (found.max(0) > bounds * 0.9).all()
    assert (found.min(0) < bounds * 0.1).all()
    assert list(Retry().pauses()) == []


@pytest.mark.parametrize(
    ("error", "safe", "left_s", "wait"),
    [
        (Unavailable("down"), True, 10, 0.5),
        (Unavailable("busy", retry_after_s=2), True, 10, 2),
        (Unavailable("busy", retry_after_s=0.1), True, 10, 0.5),
        (Unavailable("busy", retry_after_s=20), True, 10, None),
        (Unavailable("down"), False, 10, None),
        (Unavailable("down"), True, 0.4, None),
        (DeadlineExceeded("late"), True, 10, None),
        (InvalidRequest("wrong"), True, 10, None),
        (ServingError("broken"), True, 10, None),
    ],
)
def test_what_may_be_asked_again(error: PixelisError, safe: bool, left_s: float, wait: float | None) -> None:
    assert after(error, safe, 0.5, left_s) == wait


class Flaky:
    """A transport that is down for so many calls."""

    def __init__(self, down: int) -> None:
        self.down, self.calls = down, 0

    def infer(self, call: Call[Any]) -> dict[str, Any]:
        self.calls += 1
        if self.calls <= self.down:
            raise Unavailable("down")
        return {"RESULT": text("{}")}


class AioFlaky(Flaky):
    """The same, awaited."""

    async def infer(self, call: Call[Any]) -> dict[str, Any]:  # type: ignore[override]
        return super().infer(call)


def call(safe: bool = True) -> Call[int]:
    return Call("m", {}, 5.0, len, safe=safe)


def test_a_server_that_comes_back_answers() -> None:
    client = PixelisClient(DEAD, retries=2)
    client._transport = flaky = Flaky(2)  # type: ignore[assignment]
    assert (client.infer(call()), flaky.calls) == (1, 3)


@pytest.mark.parametrize(("retries", "safe", "calls"), [(1, True, 2), (0, True, 1), (3, False, 1)])
def test_a_server_that_stays_away_is_an_error(retries: int, safe: bool, calls: int) -> None:
    client = PixelisClient(DEAD, retries=retries)
    client._transport = flaky = Flaky(9)  # type: ignore[assignment]
    with pytest.raises(Unavailable):
        client.infer(call(safe))
    assert flaky.calls == calls


async def test_the_same_from_asyncio() -> None:
    client = AsyncPixelisClient(DEAD, retries=2)
    client._transport = flaky = AioFlaky(2)  # type: ignore[assignment]
    assert (await client.infer(call()), flaky.calls) == (1, 3)
    client._transport = flaky = AioFlaky(9)  # type: ignore[assignment]
    with pytest.raises(Unavailable):
        await client.infer(call())
    assert flaky.calls == 3


def test_a_dead_server_is_tried_again_in_earnest() -> None:
    begun = time.monotonic()
    with pytest.raises(Unavailable), PixelisClient(DEAD, retries=2) as client:
        client.stats()
    assert time.monotonic() - begun < 10
    with pytest.raises(Unavailable):
        asyncio.run(AsyncPixelisClient(DEAD, retries=1).stats())


def test_a_connection_that_ends_under_a_request_is_no_answer_that_could_not_come_again() -> None:
    """As of a balancer that is killed: it has taken the request, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve() -> None:
            for _ in range(2):
                connection, _ = listening.accept()
                connection.sendall(b"\0\0\0\x04\0\0\0\0\0")  # HTTP/2: settings, none
                got = b""
                while b"ModelInfer" not in got and b"pixelis" not in got:
                    got += connection.recv(65536)
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with PixelisClient(f"127.0.0.1:{port}", retries=1) as client, pytest.raises(Unavailable):
            client.ask(b"picture", "What is it?", timeout_s=5)
        thread.join()
