"""Sends cases, several at once, and looks at the server now and then."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from perf.fuzz.case import Case
from perf.fuzz.judge import judged
from perf.fuzz.send import Answer, Sender

LOOK_EVERY = 50
"""Cases between two looks at the server."""
LEAVE_S = 5.0
"""So long what is under way is waited for where a run is broken off; the end of the server ends it."""


@dataclass
class Found:
    """What was found.

    Attributes:
        outcomes: (model, way, outcome) -> number of cases.
        seconds: of each answer, by model.
        faults: the case and what is wrong.
        restarts: what happened to the server, and the number of cases that had been answered.
        memory: MiB by process, at looks at a twentieth, a half and the end.
    """

    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    faults: list[tuple[Case, str]] = field(default_factory=list)
    restarts: list[tuple[int, str]] = field(default_factory=list)
    memory: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Eyes:
    """How a run looks at what it fuzzes.

    Attributes:
        fault: what has happened to the server since the last look; none where nothing has.
        memory: MiB by process.
        done: called once a case.
        told: called with a case and what is wrong with its answer.
    """

    fault: Callable[[], str | None]
    memory: Callable[[], dict[str, float]]
    done: Callable[[], None]
    told: Callable[[Case, str], None]


def fuzz(cases: Iterable[Case], total: int, send: Sender, eyes: Eyes, at_once: int) -> Found:
    """Send all cases. After a crash of the server the rest is sent where its watchdog brings it back.

    Args:
        cases: in their order.
        total: how many there are.
        send: sends one and waits.
        eyes: on the server.
        at_once: cases in flight.
    """
    found, marks = Found(), {max(total // 20, 1), max(total // 2, 1), total}
    recent: list[Case] = []
    with _Answers(cases, send, at_once) as answers:
        for number, (case, answer) in enumerate(answers, 1):
            _note(found, case, answer, eyes)
            recent = [*recent[-LOOK_EVERY - at_once :], case]
            if number % LOOK_EVERY == 0 or number == total or answer.status == 0:
                _look(found, number, recent, eyes)
            if number in marks:
                found.memory.append(eyes.memory())
            eyes.done()
    return found


def _note(found: Found, case: Case, answer: Answer, eyes: Eyes) -> None:
    outcome, fault = judged(case, answer)
    found.outcomes[case.model, case.way, outcome] += 1
    found.seconds.setdefault(case.model, []).append(answer.seconds)
    if fault is not None:
        found.faults.append((case, fault))
        eyes.told(case, fault)


def _look(found: Found, number: int, recent: list[Case], eyes: Eyes) -> None:
    """Where something has happened to the server, all cases since the last look may have done it."""
    fault = eyes.fault()
    if fault is not None:
        found.restarts.append((number, fault))
        for case in recent:
            eyes.told(case, f"{fault}; one of {len(recent)} cases")


class _Answers:
    """Threads that send, as an iterator over cases and their answers in the order in which they come."""

    def __init__(self, cases: Iterable[Case], send: Sender, at_once: int) -> None:
        self._cases, self._send = iter(cases), send
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._came: queue.Queue[tuple[Case, Answer] | BaseException | None] = queue.Queue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(at_once)]

    def __enter__(self) -> Iterator[tuple[Case, Answer]]:
        for thread in self._threads:
            thread.start()
        return self._iterate()

    def __exit__(self, *_: Any) -> None:
        self._ending.set()
        if any(thread.is_alive() for thread in self._threads):
            self._send.close()
        end = time.monotonic() + LEAVE_S
        for thread in self._threads:
            thread.join(timeout=max(end - time.monotonic(), 0))

    def _iterate(self) -> Iterator[tuple[Case, Answer]]:
        ended = 0
        while ended < len(self._threads):
            came = self._came.get()
            if isinstance(came, BaseException):
                raise came
            if came is None:
                ended += 1
            else:
                yield came

    def _work(self) -> None:
        try:
            while not self._ending.is_set():
                with self._lock:
                    case = next(self._cases, None)
                if case is None:
                    break
                self._came.put((case, self._send(case)))
        except BaseException as error:  # raised where the answers are read
            self._came.put(error)
        self._came.put(None)
