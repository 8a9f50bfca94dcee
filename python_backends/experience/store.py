"""The experiences: a population in memory that is on disk before a change is acknowledged."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import NotFound, Unavailable
from pixelis.index_config import IndexConfig
from pixelis.schema import Experience, Judgement
from pixelis.settings import Retrieval
from python_backends.experience import chosen
from python_backends.experience import ruling as rulings
from python_backends.experience.admission import checked, complete, plain, storable
from python_backends.experience.asked import Asked, AskedRequests
from python_backends.experience.entry import Entry
from python_backends.experience.found import COLD_START, Found, neighbour
from python_backends.experience.identifier import ulid
from python_backends.experience.indexes import FaissIndex
from python_backends.experience.keeper import Keeper
from python_backends.experience.key import WIDTH
from python_backends.experience.lease import Presence
from python_backends.experience.ledger import Ledger
from python_backends.experience.live import Recall, Tuner
from python_backends.experience.memory import Memory
from python_backends.experience.opening import open_directory
from python_backends.experience.population import Population
from python_backends.experience.tuning.choice import Limits
from python_backends.experience.tuning.retune import retuner

__all__ = ["COLD_START", "ExperienceStore", "Found"]

log = logging.getLogger(__name__)


class ExperienceStore:
    """Insert, search, evict, persist. Safe to use from several threads.

    Args:
        directory: where the experiences are kept; made when absent.
        config: capacity, thresholds and the index are read.
        seeds: a version folder whose experiences fill an empty directory; none = start empty.
        width: D of the keys.
        threads: of the index, for batches.
        snapshot_every: changes after which another snapshot is taken.
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
        try:
            opened = open_directory(directory, self._empty, width, seeds, ulid())
        except BaseException:
            self._presence.close()
            raise
        self._memory, self._said = opened.memory, opened.said
        self._ledger = Ledger(opened.database, opened.memory)
        self._keeper = Keeper(directory, self.epoch, opened.snapshot or 0, snapshot_every, self._trim)
        if opened.snapshot is None:
            self.snapshot()
        self._shrink()

    @property
    def epoch(self) -> int:
        """The number of the last change."""
        return self._memory.sequence

    @property
    def _population(self) -> Population:
        return self._memory.population

    @property
    def _asked(self) -> AskedRequests:
        return self._memory.asked

    def __len__(self) -> int:
        return len(self._population)

    def insert(self, experience: Experience, key: NDArray[np.float32]) -> str:
        """Add an experience; where the store is full, the lowest priority (then the oldest) goes.

        Priority is computed here, the learning rate where it is absent; an empty id gets a ULID. What is as good as
        there already (`duplicate_similarity`, and the same answer) is not added: the one that is there counts one more.

        Args:
            experience: its `created_at` counts for its age.
            key: `[D]`, of length 1.

        Returns:
            Its id, or that of the one that it repeats, once that is on disk.

        Raises:
            InvalidRequest: the key does not fit or has a side missing, or the id is taken.
            Unavailable: it could not be written.
        """
        key = storable(key, self._width)
        added = complete(experience)
        with self._lock:
            taken = added.experience_id in self._population
            twin = None if taken else self._population.twin(key, added.answer, self._alike)
            if twin is not None:
                self._change(Entry({"op": "again", "id": twin.experience_id, "created_at": added.created_at}))
                return twin.experience_id
            record = {"op": "insert", "experience": plain(added), "capacity": self._capacity}
            self._change(Entry(record, key))
        return added.experience_id

    def asked(
        self, request_id: str, experience: Experience, key: NDArray[np.float32], answer: str, retrieved: Sequence[str],
        learn: bool,
    ) -> str | None:  # fmt: skip
        """Note a request, so that `judge` finds it; with `learn` insert its experience too, in the same record.

        Args:
            request_id: the caller's; a request of the same id is forgotten.
            experience: as the request made it; gets an id of its own where its is taken.
            key: `[D]`, of length 1.
            answer: what the caller was given.
            retrieved: ids of the neighbours that were found and that no reference has judged.
            learn: whether the experience is worth keeping.

        Returns:
            The id of the experience, where it was inserted, or of the one that it repeats.

        Raises:
            InvalidRequest: the key does not fit or has a side missing.
            Unavailable: it could not be written.
        """
        key = storable(key, self._width)
        with self._lock:
            added = complete(experience.model_copy(update={"experience_id": self._free_id(request_id)}))
            twin = self._population.twin(key, added.answer, self._alike) if learn else None
            lives = (twin or added).experience_id if learn else None
            asked = Asked(
                request_id=request_id, experience=added, answer=answer, retrieved=list(retrieved), experience_id=lives
            )
            again = twin is not None
            record = {"op": "asked", "asked": plain(asked), "again": again, "capacity": self._capacity}
            self._change(Entry(record, key))
        return lives

    def judge(self, request_id: str, correct: bool | None, answer: str | None) -> Judgement:
        """Feedback on a request; what it means is said in `ruling.py`.

        Raises:
            InvalidRequest: not one of `correct` and `answer`.
            NotFound: the request was not asked with `read_only: false`, or too many were since.
            Unavailable: it could not be written.
        """
        with self._lock:
            found = self._asked.get(request_id)
            if found is None:
                raise NotFound(
                    f"There is no request {request_id!r} that takes feedback.",
                    mend="Ask with `read_only: false`; of those, the newest are remembered.",
                )
            asked, key = found
            verdict = rulings.verdict(asked, correct, answer)
            if verdict == (asked.correct, asked.right):
                return rulings.judgement(asked, [])
            ruling = rulings.rule(asked, *verdict, self._population.get, self._free_id(request_id))
            replaced = self._judged(ruling, key)
            return rulings.judgement(ruling.asked, replaced)

    def delete(self, experience_id: str) -> None:
        """Remove an experience, its key included. Raises `NotFound`."""
        with self._lock:
            self._change(Entry({"op": "delete", "id": experience_id}))

    def feedback(self, experience_id: str, correct: bool) -> Experience:
        """Record whether an experience's answer was right; returns a copy of it. Raises `NotFound`."""
        with self._lock:
            self._known(experience_id)
            if correct:
                self._change(Entry({"op": "success", "id": experience_id}))
            return self._known(experience_id).model_copy()

    def get(self, experience_id: str) -> Experience:
        """A copy of one experience. Raises `NotFound`."""
        with self._lock:
            return self._known(experience_id).model_copy()

    def search(self, keys: NDArray[np.float32], ks: int | Sequence[int], count: bool | Sequence[bool] = False) -> Found:
        """The nearest experiences of each key, in one pass over the index.

        Args:
            keys: `[n, D]`.
            ks: how many, for all or for each.
            count: whether being found counts as being retrieved, for all or for each; otherwise nothing changes.
                Where that cannot be written, the search is answered all the same.

        Returns:
            Nothing with reason `cold_start` below the threshold; similarity is the inner product.

        Raises:
            InvalidRequest: a key that does not fit.
        """
        n = len(keys)
        queries = np.stack([self.checked(key) for key in keys]) if n else np.zeros((0, self._width), np.float32)
        each = [ks] * n if isinstance(ks, int) else list(ks)
        counted = [count] * n if isinstance(count, bool) else list(count)
        with self._lock:
            if len(self) < self._cold:
                return Found([[] for _ in each], COLD_START, len(self), self.epoch)
            now = time.time()
            hits = self._population.search(queries, each)
            found = [[neighbour(experience, score, now) for experience, score in row] for row in hits]
            ids = [e.experience_id for row, c in zip(hits, counted, strict=True) if c for e, _ in row]
            if ids:
                self._count(ids)
            return Found(found, None, len(self), self.epoch)

    @property
    def recall(self) -> Recall:
        """How much the index finds of what it should, as estimated last."""
        return self._population.index.recall

    def stats(self) -> dict[str, Any]:
        """Counts and parameters, all measured now."""
        with self._lock:
            return {
                "count": len(self),
                "confirmed": sum(e.confirmed for e in self._population.living()),
                "feedback_requests": len(self._asked),
                "indexed": len(self._population.index),
                "capacity": self._capacity,
                "cold_start_threshold": self._cold,
                "cold": len(self) < self._cold,
                "epoch": self.epoch,
                "snapshot": self._keeper.snapshot,
                "since_snapshot": self.epoch - self._keeper.snapshot,
                "faults": [*self._said, *filter(None, [self._keeper.fault])],
                "index": self._population.index.parameters(),
            }

    def tune(self) -> None:
        """Choose the index anew, in the background. Raises `InvalidRequest` where there is nothing to tune."""
        self._population.index.retune()

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

    def close(self) -> None:
        """Close the files; everything acknowledged is on disk already."""
        self._keeper.close()
        self._population.index.close()
        with self._lock:
            self._ledger.database.close()
            self._presence.close()

    def checked(self, key: NDArray[np.float32]) -> NDArray[np.float32]:
        """`key` as float32 `[D]`. Raises `InvalidRequest` where it does not fit."""
        return checked(key, self._width)

    def _empty(self) -> Memory:
        """Nothing, with the index that is configured or was chosen."""
        config = self._config
        tuner = self._tuner(config) if config.retune and config.index is None else None
        index = config.index or chosen.read(self._directory)
        population = Population(self._width, self._threads, index, config.live, tuner)
        return Memory(population, AskedRequests(config.feedback_requests))

    def _tuner(self, config: Retrieval) -> Tuner:
        """Chooses, and remembers what it chose for the next start."""
        choose = retuner(Limits(recall=config.recall))

        def tune(base: FaissIndex, queries: NDArray[np.float32], between: Callable[[], None]) -> IndexConfig | None:
            found = choose(base, queries, between)
            if found is not None:
                chosen.write(self._directory, found)
            return found

        return tune

    def _judged(self, ruling: rulings.Ruling, key: NDArray[np.float32]) -> list[str]:
        """Write a ruling; the ids of the experiences that its own takes the place of."""
        made = ruling.experience
        replaced: list[str] = []
        if made is not None and made.confirmed:
            replaced = [i for i in self._population.like(key, self._same) if i != made.experience_id]
        record = {
            "op": "judged",
            "asked": plain(ruling.asked),
            "experience": plain(made) if made is not None else None,
            "credited": ruling.credited,
            "uncredited": ruling.uncredited,
            "removed": replaced,
            "capacity": self._capacity,
        }
        self._change(Entry(record, key if made is not None else None))
        return replaced

    def _free_id(self, request_id: str) -> str:
        """The request's own id, as long as no experience has it."""
        return ulid() if request_id in self._population else request_id

    def _known(self, experience_id: str) -> Experience:
        found = self._population.get(experience_id)
        if found is None:
            raise NotFound(f"There is no experience {experience_id!r}.", mend="It was deleted, evicted or never there.")
        return found

    def _change(self, entry: Entry, durable: bool = True) -> None:
        """Make a change: what is in memory is on disk."""
        self._ledger.put(entry, durable)
        self._keeper.changed(self.epoch)

    def _count(self, ids: list[str]) -> None:
        """Experiences were retrieved. A count that is lost is better than an answer."""
        try:
            self._change(Entry({"op": "retrieved", "ids": ids}), durable=False)
        except Unavailable as error:
            log.warning("what was retrieved is not counted: %s", error)

    def _trim(self, upto: int, orphans: list[int]) -> None:
        with self._lock, self._ledger.database.writing():
            self._ledger.database.trim(upto, orphans)

    def _shrink(self) -> None:
        """A capacity that was lowered between two starts."""
        with self.together():
            for lowest in self._population.lowest(max(len(self) - self._capacity, 0)):
                self._change(Entry({"op": "delete", "id": lowest.experience_id}))
