"""Sends a load to a system in the same process and notes when each token was there."""

from __future__ import annotations

import time
from collections import deque

from perf.policy.load import Answer, Load, Run
from perf.policy.systems.base import Piece, System
from pixelis.errors import DeadlineExceeded, PixelisError


def drive(system: System, load: Load) -> Run:
    """Every job, answered or failed; an arrival does not wait for what came before it."""
    before, began = system.counters(), time.process_time()
    answers = _Drive(system, load).run()
    cpu_s = time.process_time() - began
    return Run(answers=answers, cpu_s=cpu_s, before=before, after=system.counters())


class _Drive:
    def __init__(self, system: System, load: Load) -> None:
        self._system, self._load = system, load
        self._start = time.perf_counter()
        self._end = self._start + load.limit_s
        self._answers = [Answer(due=job.at) for job in load.jobs]
        self._prompts = [job.prompt for job in load.jobs]
        self._following = {job.after: number for number, job in enumerate(load.jobs) if job.after is not None}
        self._open: set[int] = set()
        self._lanes: dict[int, deque[int]] = {}
        self._coming = deque(range(len(load.jobs)))
        if load.concurrency is None:
            self._coming = deque(sorted(self._coming, key=lambda number: load.jobs[number].at))
        else:
            for number in self._coming:
                if load.jobs[number].after is None:
                    self._lanes.setdefault(load.jobs[number].lane, deque()).append(number)
            self._coming = deque()

    def run(self) -> list[Answer]:
        for lane in self._lanes:
            for _ in range((self._load.concurrency or 1) if lane == 0 else 1):
                self._next(lane)
        while self._open or self._coming:
            now = time.perf_counter()
            if now >= self._end:
                self._fail()
                break
            self._arrive(now)
            until = self._start + self._load.jobs[self._coming[0]].at if self._coming else self._end
            for piece in self._system.wait(min(until, self._end)):
                self._note(piece)
        return self._answers

    def _arrive(self, now: float) -> None:
        while self._coming and self._start + self._load.jobs[self._coming[0]].at <= now:
            self._submit(self._coming.popleft())

    def _next(self, lane: int) -> None:
        """The next job of a lane. Other lanes are company for lane 0: they end with it."""
        waiting = self._lanes.get(lane)
        if not waiting or (lane and not self._busy()):
            return
        number = waiting.popleft()
        self._answers[number].due = time.perf_counter() - self._start
        self._submit(number)

    def _busy(self) -> bool:
        return bool(self._lanes.get(0)) or any(self._load.jobs[number].lane == 0 for number in self._open)

    def _submit(self, number: int) -> None:
        self._open.add(number)
        try:
            self._system.submit(number, self._load.jobs[number].model_copy(update={"prompt": self._prompts[number]}))
        except PixelisError as error:
            self._over(number, error.wire())

    def _note(self, piece: Piece) -> None:
        answer = self._answers[piece.number]
        if piece.number not in self._open:
            return
        answer.tokens += piece.tokens
        answer.times += [piece.at - self._start] * len(piece.tokens)
        if piece.finish is not None or piece.error is not None:
            answer.finish = piece.finish
            self._over(piece.number, piece.error)

    def _over(self, number: int, error: str | None) -> None:
        self._answers[number].error = error
        self._open.discard(number)
        following = self._following.get(number)
        if following is not None:
            self._go_on(number, following)
        elif self._load.concurrency is not None:
            self._next(self._load.jobs[number].lane)

    def _go_on(self, number: int, following: int) -> None:
        """The next turn of a conversation; it cannot go on from a turn that failed."""
        answer = self._answers[number]
        self._answers[following].due = time.perf_counter() - self._start
        self._prompts[following] = [*self._prompts[number], *answer.tokens, *self._load.jobs[following].prompt]
        if answer.error is None:
            self._submit(following)
        else:
            self._over(following, answer.error)

    def _fail(self) -> None:
        late = DeadlineExceeded(f"Not over within {self._load.limit_s:g} s.").wire()
        for number in [*self._open, *self._coming]:
            self._answers[number].error = late
            self._system.forget(number)
