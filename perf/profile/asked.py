"""Requests that were asked while spans were written."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from clients.client import PixelisClient
from perf.e2e.questions import Asked
from pixelis.errors import PixelisError, ServingError


@dataclass(frozen=True)
class Request:
    """One of them.

    Attributes:
        name: its request id.
        start: nanoseconds of the machine's monotonic clock, before it was sent.
        end: the same, when its answer was there.
        error: why it failed; empty where it was answered.
    """

    name: str
    start: int
    end: int
    error: str = ""

    @property
    def ms(self) -> float:
        """How long it took."""
        return (self.end - self.start) / 1e6


FAILING = 0.5
"""A share of failed requests from which on a profile says nothing."""


def ask_all(
    client: PixelisClient, questions: Sequence[Asked], at_once: int, advance: Callable[[], None] = lambda: None
) -> list[Request]:
    """Ask `questions`, `at_once` at a time, each under a name of its own.

    Raises:
        ServingError: half of them failed, or more.
    """
    prefix, numbers = secrets.token_hex(4), itertools.count()

    def one(asked: Asked) -> Request:
        name, start, error = f"profile-{prefix}-{next(numbers)}", time.monotonic_ns(), ""
        try:
            client.ask(list(asked.images), asked.question.text, asked.options, request_id=name)
        except PixelisError as failed:
            error = failed.wire()
        end = time.monotonic_ns()
        advance()
        return Request(name, start, end, error)

    with ThreadPoolExecutor(at_once) as pool:
        found = list(pool.map(one, questions))
    errors = sorted({request.error for request in found if request.error})
    if sum(1 for request in found if request.error) >= FAILING * len(found):
        raise ServingError(f"Half of the requests failed: {'; '.join(errors[:3])}", mend="Mend that first.")
    return found
