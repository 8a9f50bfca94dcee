"""Requests that go on whatever happens, each with what became of it."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from clients.client import PixelisClient
from clients.wire import MARGIN_S
from perf.meanwhile import meanwhile
from pixelis.errors import DeadlineExceeded, PixelisError, Unavailable
from pixelis.schema import Action, PipelineResult
from server import stubs
from server.embedded import EmbeddedTriton
from tests.triton.built import asked

CONCURRENCY = 4


@dataclass(frozen=True)
class Outcome:
    """What became of one request.

    Attributes:
        question: its number.
        way: `grpc`, `http`, `stream grpc` or `stream http`.
        began: on the monotonic clock.
        seconds: how long it took.
        result: the answer; or
        error: what came instead.
    """

    question: int
    way: str
    began: float
    seconds: float
    result: PipelineResult | None = None
    error: Exception | None = None


class Traffic:
    """Asks the documentation's questions, `CONCURRENCY` at a time: three through `pixelis`, one through `agent`.

    Args:
        triton: whom.
        timeout_s: of every request.
    """

    def __init__(self, triton: EmbeddedTriton, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._grpc = PixelisClient(triton.grpc_url)
        self._http = PixelisClient(triton.http_url, "http")
        self._questions = asked()
        self.outcomes: list[Outcome] = []

    def once(self, question: int, way: str = "grpc") -> Outcome:
        """One request."""
        client = self._http if way.endswith("http") else self._grpc
        picture, words, _ = self._questions[question % len(self._questions)]
        began = time.monotonic()
        try:
            if way.startswith("stream"):
                *_, last = client.stream(picture, words, timeout_s=self._timeout_s)
                result = last.result
            else:
                result = client.ask(picture, words, timeout_s=self._timeout_s)
            return Outcome(question % len(self._questions), way, began, time.monotonic() - began, result)
        except PixelisError as error:
            return Outcome(question % len(self._questions), way, began, time.monotonic() - began, error=error)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """While it lasts, requests are under way; on leaving, every one of them has ended."""
        before = len(self.outcomes)
        ways = itertools.cycle(("grpc", "http", "grpc", "stream grpc", "grpc", "http", "http", "stream http"))
        numbers = itertools.count()

        def work(over: threading.Event) -> None:
            while not over.is_set():
                self.outcomes.append(self.once(next(numbers), next(ways)))

        with meanwhile(*[work] * CONCURRENCY, name="traffic"):
            yield
        assert len(self.outcomes) > before

    def close(self) -> None:
        self._grpc.close()
        self._http.close()


def kill(triton: EmbeddedTriton, model: str) -> float:
    """Kill a model's processes; when that was."""
    found = stubs.find(triton.server_id)[model]
    assert found
    for stub in found:
        os.kill(stub.pid, signal.SIGKILL)
    return time.monotonic()


def judge(outcome: Outcome, right: list[Any], timeout_s: float) -> None:
    """In time; and the right answer, or one that says what it was done without, or an error that says why."""
    assert outcome.seconds < timeout_s + MARGIN_S + 1, outcome
    if outcome.error is not None:
        assert isinstance(outcome.error, (Unavailable, DeadlineExceeded)), outcome
        assert str(outcome.error)
        return
    assert outcome.result is not None, outcome
    assert told(outcome.result) == right[outcome.question] or outcome.result.provenance.reasons, outcome


def baseline(traffic: Traffic) -> list[Any]:
    """What each question is answered while nothing is broken."""
    found = [traffic.once(number) for number in range(len(asked()))]
    assert [one.error for one in found] == [None] * len(found)
    assert all(one.result is not None and one.result.provenance.reasons == [] for one in found)
    return [told(one.result) for one in found if one.result is not None]


def told(result: PipelineResult) -> tuple[str, list[Action]]:
    """What must be the same whenever the same is asked and nothing was done without."""
    steps = [action.model_copy(update={"elapsed_ms": 0.0}) for action in result.trajectory]
    return result.answer, steps
