"""A population in memory that is on disk before a change is acknowledged: opened, changed, copied, closed."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixelis.errors import NotFound, SetupError, Unavailable
from pixelis.schema import Experience
from pixelis.settings import Retrieval
from python_backends.experience.admission import plain
from python_backends.experience.apart import SHARED
from python_backends.experience.asked import AskedRequests
from python_backends.experience.database import FILE, reader
from python_backends.experience.database.reads import orphans
from python_backends.experience.empty import empty
from python_backends.experience.entry import Entry
from python_backends.experience.identifier import ulid
from python_backends.experience.keeper import Keeper
from python_backends.experience.key import WIDTH
from python_backends.experience.lease import Presence
from python_backends.experience.ledger import Ledger
from python_backends.experience.memory import Memory
from python_backends.experience.opening import open_directory
from python_backends.experience.population import Population
from python_backends.experience.replicas import Replica, Stream
from python_backends.experience.seeds import read_seeds
from python_backends.experience.verify import Verified, verify_directory

log = logging.getLogger(__name__)


class Kept:
    """The experiences of a directory. Safe to use from several threads.

    Args:
        directory: where the experiences are kept; made when absent.
        config: capacity, thresholds and the index are read.
        seeds: a version folder whose experiences fill an empty directory; none = start empty.
        width: D of the keys.
        threads: of the index, for batches.
        snapshot_every: changes after which another snapshot is taken, or a quarter of the experiences if that is more.
        alone: whether nobody else may have the directory open.

    Raises:
        SetupError: what lies in the directory cannot be read or has another width.
        Unavailable: somebody else has it open who does not allow that.
    """

    def __init__(
        self,
        directory: Path,
        config: Retrieval | None = None,
        seeds: Path | None = None,
        *,
        width: int = WIDTH,
        threads: int = 1,
        snapshot_every: int = 1000,
        alone: bool = False,
    ) -> None:
        config = config or Retrieval()
        self._directory, self._width, self._config, self._threads = directory, width, config, threads
        self._capacity, self._cold = config.capacity, config.cold_start_threshold
        self._same, self._alike = config.confirmed_similarity, config.duplicate_similarity
        self._lock = threading.RLock()  # methods call each other: with a plain lock they would wait for themselves
        self._presence = Presence(directory, alone)
        self._replica: Replica | None = None
        try:
            shared = Stream(config.replicas) if config.replicas.url else None
            opened = open_directory(directory, self._empty, width, None if shared else seeds, ulid())
        except BaseException:
            self._presence.close()
            raise
        self._memory, self._said = opened.memory, opened.said
        self._ledger = Ledger(opened.database, opened.memory)
        self._keeper = Keeper(directory, self.epoch, opened.snapshot or 0, snapshot_every, self._trim, self.__len__)
        if opened.snapshot is None:
            self._first_snapshot()
        self._replica = self._shared(shared, seeds) if shared else None
        self._shrink()

    def _first_snapshot(self) -> None:
        """One to begin with; without it the log alone says what came."""
        try:
            self.snapshot()
        except Unavailable as error:
            log.error("%s", error)
            self._said.append(str(error))

    def _shared(self, stream: Stream, seeds: Path | None) -> Replica:
        """This store as one of several."""

        def first() -> list[Entry]:
            if seeds is None:
                return []
            experiences, keys = read_seeds(seeds, self._width)
            records = ({"op": "insert", "experience": plain(one), "capacity": self._capacity} for one in experiences)
            return [Entry(record, key) for record, key in zip(records, keys, strict=True)]

        try:
            replica = Replica(stream, self._ledger, self._lock, self._keeper.changed, first)
        except SetupError:
            self.close()
            raise
        replica.start()
        return replica

    def __len__(self) -> int:
        return len(self._population)

    @property
    def epoch(self) -> int:
        """The number of the last change."""
        return self._memory.sequence

    @property
    def width(self) -> int:
        """D of the keys."""
        return self._width

    @property
    def _population(self) -> Population:
        return self._memory.population

    @property
    def _asked(self) -> AskedRequests:
        return self._memory.asked

    def holds(self, experience_id: str) -> bool:
        """Whether an experience of this id lives."""
        with self._lock:
            return experience_id in self._population

    def get(self, experience_id: str, tenant: str = SHARED) -> Experience:
        """A copy of one experience of a tenant's own. Raises `NotFound`."""
        with self._lock:
            return self._known(experience_id, tenant).model_copy()

    def snapshot(self) -> int:
        """Take a snapshot, and forget the log behind the one before; the number of its last change.

        Raises:
            Unavailable: it could not be written, or another process has taken over.
        """
        with self._lock, self._ledger.database.writing(durable=False):
            pass  # whoever may not write takes no snapshot either
        try:
            return self._keeper.take_snapshot()
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise Unavailable(f"No snapshot was written: {reason}.", mend="Free some disk.") from error

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write all changes within it at once; other threads wait meanwhile.

        Raises:
            Unavailable: they could not be written; nothing has changed.
        """
        with self._lock:
            with self._ledger.together():
                yield
            self._keeper.changed(self.epoch)

    def verify(self) -> Verified:
        """Whether index, memory, database and snapshots say the same; nobody is answered meanwhile."""
        with self._lock:
            return verify_directory(self._directory, self._empty, self._memory)

    def compact(self) -> None:
        """Take a snapshot, forget the log up to it, and give free pages of the database back.

        Raises:
            Unavailable: it could not be written, or another process has taken over.
        """
        upto = self.snapshot()
        with self._lock:
            with reader(self._directory / FILE) as connection:
                needless = orphans(connection, upto)
            self._trim(upto, needless)
            self._ledger.database.vacuum()

    def close(self) -> None:
        """Close the files; everything acknowledged is on disk already."""
        if self._replica is not None:
            self._replica.close()
        self._keeper.close()
        self._population.indexes.close()
        with self._lock:
            self._ledger.database.close()
            self._presence.close()

    def _known(self, experience_id: str, tenant: str) -> Experience:
        found = self._population.get(experience_id)
        if found is None or found.tenant != tenant:  # of another's, not even that it is there is said
            raise NotFound(f"There is no experience {experience_id!r}.", mend="It was deleted, evicted or never there.")
        return found

    def _change(self, entry: Entry, durable: bool = True) -> None:
        """Make a change: what is in memory is on disk."""
        (self._replica or self._ledger).put(entry, durable)
        self._keeper.changed(self.epoch)

    def _trim(self, upto: int, orphans: list[int]) -> None:
        with self._lock, self._ledger.database.writing():
            self._ledger.database.trim(upto, orphans)

    def _shrink(self) -> None:
        """A capacity that was lowered between two starts."""
        try:
            with self.together():
                for lowest in self._population.lowest(max(len(self) - self._capacity, 0)):
                    self._change(Entry({"op": "delete", "id": lowest.experience_id}))
        except Unavailable as error:
            log.error("there are more experiences than the capacity: %s", error)

    def _empty(self) -> Memory:
        return empty(self._directory, self._config, self._width, self._threads)
