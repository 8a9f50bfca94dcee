"""A closed loop: each of N workers sends its next question when the last one is answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perf.e2e.questions import Asked
from pixelis.errors import PixelisError
from pixelis.schema import PipelineResult

Ask = Callable[[Asked], PipelineResult]
"""Sends a question and waits for its answer; raises `PixelisError`."""


@dataclass(frozen=True)
class Answered:
    """One request.

    Attributes:
        asked: the question.
        began: a `time.perf_counter` reading.
        ended: the same.
        result: the answer; none where it failed.
        error: why it failed.
    """

    asked: Asked
    began: float
    ended: float
    result: PipelineResult | None
    error: str | None = None

    @property
    def ms(self) -> float:
        """From sending to having the answer, in milliseconds."""
        return 1e3 * (self.ended - self.began)


@dataclass(frozen=True)
class Block:
    """What one side did at one concurrency in one round."""

    answered: tuple[Answered, ...]

    @property
    def latencies(self) -> list[float]:
        """Milliseconds of the requests that were answered."""
        return [one.ms for one in self.answered if one.result is not None]

    @property
    def throughput(self) -> float:
        """Answers a second, from the first request to the last answer."""
        seconds = max(one.ended for one in self.answered) - min(one.began for one in self.answered)
        return len(self.latencies) / seconds


def closed_loop(ask: Ask, asked: Sequence[Asked], concurrency: int) -> Block:
    """Send all of `asked`, `concurrency` at once. A failed one is kept with its reason.

    The threads are daemons, so that Ctrl-C need not wait for an answer.
    """
    answered: dict[int, Answered] = {}
    faults: list[BaseException] = []
    left, lock, stop = iter(range(len(asked))), threading.Lock(), threading.Event()

    def work() -> None:
        while not stop.is_set():
            with lock:
                index = next(left, None)
            if index is None:
                return
            try:
                answered[index] = _once(ask, asked[index])
            except BaseException as fault:  # a fault of ours and no failed request: raised again below
                faults.append(fault)
                stop.set()

    threads = [threading.Thread(target=work, name="load", daemon=True) for _ in range(concurrency)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)  # a signal is handled between two waits
    finally:
        stop.set()
    if faults:
        raise faults[0]
    return Block(tuple(answered[index] for index in range(len(asked))))


def _once(ask: Ask, asked: Asked) -> Answered:
    began = time.perf_counter()
    try:
        result = ask(asked)
    except PixelisError as error:
        return Answered(asked, began, time.perf_counter(), None, f"{error.code}: {error}")
    return Answered(asked, began, time.perf_counter(), result)
