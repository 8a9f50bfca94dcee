"""A lock that is given in the order in which it was asked for."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class FairLock:
    """As `threading.Lock`, in a `with` statement; whoever waits longest is next.

    Python's own lock is anybody's when it is given back: a thread that takes it again and again, with moments between,
    can overtake one that waits, because waking takes longer than those moments.
    """

    def __init__(self) -> None:
        self._door = threading.Lock()
        self._held = False
        self._queue: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._door:
            if not self._held:
                self._held = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._queue.append(turn)
        try:
            turn.acquire()  # until it is handed over, still held
        except BaseException:  # an interrupt: what is handed over to nobody would be held for good
            self._leave(turn)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hand_over()

    @property
    def waiting(self) -> int:
        """How many threads wait for it."""
        return len(self._queue)

    def _hand_over(self) -> None:
        with self._door:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._held = False

    def _leave(self, turn: threading.Lock) -> None:
        with self._door:
            queued = turn in self._queue
            if queued:
                self._queue.remove(turn)
        if not queued:
            self._hand_over()
