"""What the driver needs of a system."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perf.policy.load import Job


@dataclass(frozen=True)
class Piece:
    """Something that a system has to say of a request.

    Attributes:
        number: the request's.
        at: when it was there, `time.perf_counter()`.
        finish: why the request is over; none = it is not, unless there is an error.
    """

    number: int
    tokens: list[int]
    at: float
    finish: str | None = None
    error: str | None = None


class System(ABC):
    """Takes requests and works them off. For one thread."""

    @abstractmethod
    def submit(self, number: int, job: Job) -> None:
        """Queue a request.

        Raises:
            PixelisError: it is not taken.
        """

    @abstractmethod
    def wait(self, until: float) -> list[Piece]:
        """What there is to say, once there is something, or nothing at the time `until` (`time.perf_counter()`).

        A system without a thread of its own works in here, and may come back later than `until`.
        """

    def forget(self, number: int) -> None:  # noqa: B027 - most systems have nothing to do
        """Nobody waits for the request any more."""

    def counters(self) -> dict[str, Any]:
        """The system's own, since its start."""
        return {}

    def close(self) -> None:  # noqa: B027
        """End what was started."""


class BatchSystem(System):
    """Takes what waits, at most `batch` requests, and decodes it to the end before it takes more: static batching.

    With `batch` 1 it serves one request at a time.
    """

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._queue: deque[tuple[int, Job]] = deque()

    def submit(self, number: int, job: Job) -> None:
        """Queue a request."""
        self._queue.append((number, job))

    def wait(self, until: float) -> list[Piece]:
        """One batch from prompt to end, or sleep."""
        if not self._queue:
            time.sleep(max(until - time.perf_counter(), 0.0))
            return []
        taken = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
        most = max(job.tokens for _, job in taken)
        tokens, times = self.generate([job.prompt for _, job in taken], most)
        pieces = []
        for (number, job), row in zip(taken, tokens, strict=True):
            steps = list(zip(row, times, strict=True))[: job.tokens]
            pieces += [Piece(number, [token], at) for token, at in steps[:-1]]
            token, at = steps[-1]
            pieces.append(Piece(number, [token], at, finish="length"))
        return pieces

    @abstractmethod
    def generate(self, prompts: Sequence[Sequence[int]], count: int) -> tuple[list[list[int]], list[float]]:
        """`count` tokens for each prompt, greedily, end tokens ignored; and the time of each step."""
