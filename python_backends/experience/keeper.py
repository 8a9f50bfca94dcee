"""What is done beside the writes: the write-ahead log goes into the database, a snapshot is taken when one is due."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from python_backends.experience.database import FILE, connect, reader
from python_backends.experience.database.reads import orphans
from python_backends.experience.snapshot import snapshots, write

log = logging.getLogger(__name__)

CHECKPOINT_EVERY = 200
"""Changes."""

SHARE = 4
"""A snapshot is due when a quarter of what it would hold has changed: it costs as much as all of that."""

NICE = 10
"""The writes come first."""

Trim = Callable[[int, list[int]], None]


class Keeper:
    """A thread that sleeps until enough has changed.

    Args:
        directory: of the database.
        sequence: of the last change.
        snapshot: sequence of the newest snapshot.
        every: changes after which another one is taken, at least.
        trim: forgets the log up to a sequence, and some keys.
        count: how many experiences there are.
    """

    def __init__(
        self, directory: Path, sequence: int, snapshot: int, every: int, trim: Trim, count: Callable[[], int]
    ) -> None:
        self._directory, self._every, self._trim, self._count = directory, every, trim, count
        self.snapshot, self.fault = snapshot, ""
        self._last = self._checkpointed = sequence
        self._writing = threading.Lock()
        self._due, self._closed = threading.Event(), False
        self._thread: threading.Thread | None = None

    def changed(self, sequence: int) -> None:
        """Something was committed; never waits."""
        self._last = sequence
        if sequence - self._checkpointed >= CHECKPOINT_EVERY or self._snapshot_due:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="experience-keeper", daemon=True)
                self._thread.start()
            self._due.set()

    def take_snapshot(self) -> int:
        """Take one now, and forget the log behind the older one; its sequence.

        Raises:
            OSError, sqlite3.Error: it could not be written.
        """
        with self._writing:
            self.snapshot, _ = write(self._directory)
            oldest = snapshots(self._directory)[0][0]
            with reader(self._directory / FILE) as connection:
                needless = orphans(connection, oldest)
            self._trim(oldest, needless)
            return self.snapshot

    def close(self) -> None:
        """Wait for what is being done."""
        self._closed = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)  # of this thread alone, on Linux
        while not self._closed:
            self._due.wait()
            self._due.clear()
            if self._closed:
                return
            try:
                self._keep()
                self.fault = ""
            except Exception as error:  # a thread that dies would take no further snapshot
                log.error("no snapshot of the experiences was written, the log goes on: %s", error)
                self.fault = str(error)

    def _keep(self) -> None:
        if self._last - self._checkpointed >= CHECKPOINT_EVERY:
            self._checkpointed = self._last
            connection = connect(self._directory / FILE)
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            finally:
                connection.close()
        if self._snapshot_due:
            self.take_snapshot()

    @property
    def _snapshot_due(self) -> bool:
        return self._last - self.snapshot >= max(self._every, self._count() // SHARE)
