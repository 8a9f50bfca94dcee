"""One of several stores that apply the same log.

A change goes into the log first, and comes back with whatever others wrote before it; all of that is applied in the
log's order, and only then the change is acknowledged. So all replicas agree on every id and every eviction. A thread
reads what others write meanwhile. While Redis is away, or has lost entries, changes fail with the reason, and searches
go on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from pixelis.errors import PixelisError, RequestError, SetupError, Unavailable
from python_backends.experience.entry import Entry
from python_backends.experience.ledger import Ledger
from python_backends.experience.replicas.stream import Stream
from python_backends.experience.replicas.wire import Streamed, order

log = logging.getLogger(__name__)

AGAIN_S = 0.25
"""Between two attempts to reach Redis."""

Lock = Any
"""`threading.RLock()`, which has no type of its own before Python 3.13."""


class Replica:
    """Writes and reads the log for one store.

    Args:
        stream: the log.
        ledger: of the store.
        lock: of the store; taken for what changes it.
        changed: told the number of the last change after every commit.
        seeds: makes the entries that a new log begins with.

    Raises:
        SetupError: the store holds experiences that never were in the log.
    """

    def __init__(
        self,
        stream: Stream,
        ledger: Ledger,
        lock: Lock,
        changed: Callable[[int], None],
        seeds: Callable[[], Sequence[Entry]],
    ) -> None:
        self._stream, self._ledger, self._memory = stream, ledger, ledger.memory
        self._lock, self._changed, self._seeds = lock, changed, seeds
        if not self._memory.position and len(self._memory.population):
            raise SetupError(
                "This directory holds experiences that are not in the replicas' log.",
                mend="Export them (pixelis experience export FILE), move the directory away, then import FILE.",
            )
        self.fault, self.warnings, self._checked = "it was not reached yet", list[str](), False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="experience-replica", daemon=True)

    def start(self) -> None:
        """Apply what there is, where Redis is reached; and go on with what comes."""
        try:
            self._catch_up()
        except PixelisError as error:
            self._fail(error)
        self._thread.start()

    def put(self, entry: Entry, durable: bool = True) -> None:
        """Make a change, in the order of the log; the store's lock is held. See `Ledger.put`.

        Raises:
            Unavailable: Redis is away or has lost entries, or the change could not be written here. In the second case,
                and where Redis went while it was asked, the change may come about later.
        """
        if self.fault:
            raise Unavailable(f"Nothing can be learned now: {self.fault}")
        try:
            found = self._stream.append(entry, self._memory.position)
        except PixelisError as error:
            self._fail(error)
            raise Unavailable(f"Nothing can be learned now: {error}") from error
        try:
            refused = self._apply(found, durable)
        except SetupError as error:  # what another replica wrote is not understood here
            self._fail(error)
            raise Unavailable(f"Nothing can be learned now: {error}") from error
        except Unavailable as error:
            mend = "It is in the replicas' log, and comes about when it can be written here: do not send it again."
            raise Unavailable(error.message, mend=f"{error.mend or ''} {mend}".strip()) from error
        own = refused.get(found[-1].position)
        if own is not None:
            raise own

    def status(self) -> dict[str, Any]:
        """Where this replica stands."""
        return {"position": self._memory.position, "fault": self.fault or None, "warnings": self.warnings}

    @property
    def reached(self) -> bool:
        """Whether changes are taken: Redis is there, and has all that is not applied here yet."""
        return not self.fault

    @property
    def written_s(self) -> float:
        """When what was applied last came into the log: seconds since the epoch, by Redis' clock; 0 = nothing was."""
        return max(0, order(self._memory.position)[0]) / 1e3

    def close(self) -> None:
        """End the thread; the store's lock must not be held."""
        self._closed.set()
        self._stream.close()
        if self._thread.ident is not None:
            self._thread.join()
        self._stream.close()  # what the thread has opened since

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                if self._memory.position:
                    self._stream.wait(self._memory.position)
                self._catch_up()
            except Exception as error:  # a thread that dies would never see another entry
                if not self._closed.is_set():
                    self._fail(error)
                self._closed.wait(AGAIN_S)

    def _catch_up(self) -> None:
        """Apply all that is behind what was applied last."""
        if not self._memory.position:
            self._join()
        if not self._checked:
            self.warnings = self._stream.warnings()
            self._checked = True
            for text in self.warnings:
                log.warning("%s", text)
        while found := self._stream.after(self._memory.position):
            with self._lock:
                self._apply(found)
        if self.fault:
            log.info("the replicas' log is reached")
        self.fault = ""

    def _join(self) -> None:
        """Begin with the first entry of the log; where there is no log, make one."""
        first = self._stream.first(self._seeds())
        with self._lock, self._ledger.together():
            self._ledger.database.set("stream", first.position)
            self._memory.position = first.position

    def _apply(self, found: Sequence[Streamed], durable: bool = True) -> dict[str, RequestError]:
        """Apply entries in their order, those not yet applied; the ones that all replicas refuse, and why."""
        refused: dict[str, RequestError] = {}
        with self._ledger.together(durable):
            for position, entry in found:
                if order(position) <= order(self._memory.position):
                    continue
                try:
                    self._ledger.put(entry, durable, position)
                except RequestError as error:
                    refused[position] = error
                self._memory.position = position
        self._changed(self._memory.sequence)
        return refused

    def _fail(self, error: Exception) -> None:
        self._checked = False  # whoever comes back may be set otherwise
        if str(error) != self.fault:
            log.error("the replicas' log: %s", error)
            self.fault = str(error)
