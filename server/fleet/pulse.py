"""Asks every replica now and then whether it takes requests: nginx alone learns it from requests that fail.

A process that hangs still lives, and a Triton that loads its models again refuses over gRPC with an answer that is a
success to nginx.
"""

from __future__ import annotations

import threading
from collections import Counter

from server.fleet.replica import Replica

EVERY_S = 0.5
ENOUGH = 2
"""Questions in a row without an answer, after which a replica gets no requests: a busy machine may miss one."""


class Pulse:
    """One thread a replica. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock, self._missed = threading.Lock(), Counter[int]()
        self._ends: dict[int, threading.Event] = {}

    def watch(self, replica: Replica) -> None:
        """From now on."""
        end = self._ends[replica.number] = threading.Event()
        threading.Thread(target=self._ask, args=(replica, end), name=f"pulse-{replica.number}", daemon=True).start()

    def forget(self, replica: Replica) -> None:
        """Not any more."""
        end = self._ends.pop(replica.number, None)
        if end is not None:
            end.set()
        with self._lock:
            self._missed.pop(replica.number, None)

    def felt(self, replica: Replica) -> bool:
        """Whether it answered one of the last questions."""
        with self._lock:
            return self._missed[replica.number] < ENOUGH

    def _ask(self, replica: Replica, end: threading.Event) -> None:
        while not end.wait(EVERY_S):
            alive = replica.alive()
            with self._lock:
                if not end.is_set():
                    self._missed[replica.number] = 0 if alive else self._missed[replica.number] + 1
