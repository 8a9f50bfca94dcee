"""The experiences: a population in memory that is on disk before a change is acknowledged."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from pixelis.errors import InvalidRequest, NotFound, SetupError, Unavailable
from pixelis.index_config import IndexConfig
from pixelis.schema import Experience, Judgement, Neighbour
from pixelis.settings import Retrieval
from python_backends.experience import chosen
from python_backends.experience import ruling as rulings
from python_backends.experience import snapshot as snapshots
from python_backends.experience.asked import Asked, AskedRequests
from python_backends.experience.identifier import ulid
from python_backends.experience.indexes import FaissIndex
from python_backends.experience.journal import Journal, Record
from python_backends.experience.key import WIDTH
from python_backends.experience.lease import Lease
from python_backends.experience.live import Recall, Tuner
from python_backends.experience.population import Population
from python_backends.experience.priority import learning_rate, priority
from python_backends.experience.records import apply
from python_backends.experience.seeds import read_seeds
from python_backends.experience.tuning.choice import Limits
from python_backends.experience.tuning.retune import retuner

log = logging.getLogger(__name__)

COLD_START = "cold_start"


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        neighbours: one list a query, best first.
        reason: why nothing was searched, if so.
        count: living experiences.
        epoch: grows with every change of what a search can return.
    """

    neighbours: list[list[Neighbour]]
    reason: str | None
    count: int
    epoch: int


class ExperienceStore:
    """Insert, search, evict, persist. Safe to use from several threads.

    Args:
        directory: where the experiences are kept; made when absent.
        config: capacity, thresholds and the index are read.
        seeds: a version folder whose experiences fill an empty directory; none = start empty.
        width: D of the keys.
        threads: of the index, for batches.
        snapshot_every: journal records after which a new generation is written.

    Raises:
        SetupError: what lies in the directory cannot be read or has another width.
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
    ) -> None:
        config = config or Retrieval()
        self._directory, self._width, self._snapshot_every = directory, width, snapshot_every
        self._capacity, self._cold = config.capacity, config.cold_start_threshold
        self._lock = threading.RLock()  # methods call each other: with a plain lock they would wait for themselves
        self._population = Population(
            width,
            threads,
            config.index or chosen.read(directory),
            config.live,
            self._tuner(config) if config.retune and config.index is None else None,
        )
        self._asked, self._same = AskedRequests(config.feedback_requests), config.confirmed_similarity
        self._alike = config.duplicate_similarity
        self._lease = Lease(directory)
        with self._lease.taken():
            self._generation, self._journal, self.epoch = self._open(seeds)
        self._shrink()

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
        key = self._storable(key)
        added = _complete(experience)
        with self._lock:
            if added.experience_id in self._population:
                raise InvalidRequest(f"Experience {added.experience_id} exists.", mend="Leave the id empty to get one.")
            twin = self._population.twin(key, added.answer, self._alike)
            if twin is not None:
                self._change({"op": "again", "id": twin.experience_id, "created_at": added.created_at})
                return twin.experience_id
            self._change({"op": "insert", "experience": _plain(added), "evicted": self._evicted()}, key)
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
        key = self._storable(key)
        with self._lock:
            added = _complete(experience.model_copy(update={"experience_id": self._free_id(request_id)}))
            twin = self._population.twin(key, added.answer, self._alike) if learn else None
            lives = (twin or added).experience_id if learn else None
            asked = Asked(
                request_id=request_id, experience=added, answer=answer, retrieved=list(retrieved), experience_id=lives
            )
            evicted = self._evicted() if learn and twin is None else None
            record = {"op": "asked", "asked": _plain(asked), "evicted": evicted, "again": twin is not None}
            self._change(record, key)
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
            self._known(experience_id)
            self._change({"op": "delete", "id": experience_id})

    def feedback(self, experience_id: str, correct: bool) -> Experience:
        """Record whether an experience's answer was right; returns a copy of it. Raises `NotFound`."""
        with self._lock:
            self._known(experience_id)
            if correct:
                self._change({"op": "success", "id": experience_id})
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
            found = [[_neighbour(experience, score, now) for experience, score in row] for row in hits]
            ids = [e.experience_id for row, c in zip(hits, counted, strict=True) if c for e, _ in row]
            if ids:
                self._change({"op": "retrieved", "ids": ids}, durable=False)
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
                "generation": self._generation,
                "journal_records": self._journal.records,
                "index": self._population.index.parameters(),
            }

    def tune(self) -> None:
        """Choose the index anew, in the background. Raises `InvalidRequest` where there is nothing to tune."""
        self._population.index.retune()

    def snapshot(self) -> int:
        """Write a new generation and start an empty journal; its number. Raises `Unavailable`."""
        with self._lock, self._lease.held():
            try:
                self._rotate()
            except OSError as error:
                raise Unavailable(f"No snapshot was written: {error.strerror}.", mend="Free some disk.") from error
            return self._generation

    def close(self) -> None:
        """Close the journal; everything acknowledged is on disk already."""
        self._population.index.close()
        with self._lock:
            self._journal.close()

    def checked(self, key: NDArray[np.float32]) -> NDArray[np.float32]:
        """`key` as float32 `[D]`. Raises `InvalidRequest` where it does not fit."""
        if key.shape != (self._width,):
            raise InvalidRequest(f"The key has shape {list(key.shape)}.", mend=f"It must be [{self._width}].")
        key = np.ascontiguousarray(key, np.float32)
        if not np.isfinite(key).all():
            raise InvalidRequest("The key holds a value that is not a finite number.", mend="Send finite float32s.")
        if not key.any():
            raise InvalidRequest("The key is zero: it has no direction to compare.", mend="Send an embedding.")
        return key

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
        grows = made is not None and made.experience_id not in self._population and not replaced
        record: Record = {
            "op": "judged",
            "asked": _plain(ruling.asked),
            "experience": _plain(made) if made is not None else None,
            "credited": ruling.credited,
            "uncredited": ruling.uncredited,
            "removed": [*replaced, *filter(None, [self._evicted() if grows else None])],
        }
        self._change(record, key if made is not None else None)
        return replaced

    def _storable(self, key: NDArray[np.float32]) -> NDArray[np.float32]:
        key = self.checked(key)
        if abs(float(np.linalg.norm(key)) - 1) > 1e-2:
            raise InvalidRequest(
                "A key must have length 1 to be stored.", mend="A key with one side missing is for queries only."
            )
        return key

    def _free_id(self, request_id: str) -> str:
        """The request's own id, as long as no experience has it."""
        return ulid() if request_id in self._population else request_id

    def _evicted(self) -> str | None:
        """Who goes when one more comes."""
        lowest = self._population.lowest() if len(self) >= self._capacity else None
        return lowest.experience_id if lowest else None

    def _known(self, experience_id: str) -> Experience:
        found = self._population.get(experience_id)
        if found is None:
            raise NotFound(f"There is no experience {experience_id!r}.", mend="It was deleted, evicted or never there.")
        return found

    def _change(self, record: Record, key: NDArray[np.float32] | None = None, durable: bool = True) -> None:
        """Write a record, then apply it: what is in memory is on disk."""
        with self._lease.held():
            self._journal.append(record, key, durable)
            apply(self._population, self._asked, record, key)
            self.epoch += 1
            if self._journal.records >= self._snapshot_every:
                self._try_rotate()

    def _open(self, seeds: Path | None) -> tuple[int, Journal, int]:
        """Load the newest generation and its journal, or make the first one from the seeds."""
        found = snapshots.generations(self._directory)
        if not found:
            experiences, keys = read_seeds(seeds, self._width) if seeds else ([], np.zeros((0, self._width)))
            first = snapshots.Snapshot(experiences, keys.astype(np.float32), 0)
            found = [(1, snapshots.write(self._directory, 1, first, self._width))]
            log.info("imported %d seed experiences", len(experiences))
        number, path = found[-1]
        loaded = snapshots.read(path, self._width)
        self._population.add(loaded.experiences, loaded.keys)
        self._asked.extend(loaded.asked, loaded.asked_keys)
        journal = Journal(path, self._width)
        entries = journal.replay()
        try:
            for record, key in entries:
                apply(self._population, self._asked, record, key)
        except (KeyError, ValidationError, NotFound) as error:
            raise SetupError(f"The journal in {path} does not fit its snapshot: {error}.") from error
        return number, journal, loaded.epoch + len(entries)

    def _try_rotate(self) -> None:
        """A snapshot that is due; without it the journal only grows longer."""
        try:
            self._rotate()
        except OSError as error:
            log.error("no snapshot of the experiences was written, the journal goes on: %s", error)

    def _rotate(self) -> None:
        experiences, keys = self._population.everything()
        number = self._generation + 1
        state = snapshots.Snapshot(experiences, keys, self.epoch, *self._asked.everything(self._width))
        path = snapshots.write(self._directory, number, state, self._width)
        self._journal.close()
        self._generation, self._journal = number, Journal(path, self._width)
        self._journal.replay()

    def _shrink(self) -> None:
        """A capacity that was lowered between two starts."""
        while len(self) > self._capacity and (lowest := self._population.lowest()) is not None:
            self._change({"op": "delete", "id": lowest.experience_id})


def _plain(made: Experience | Asked) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(made.model_dump_json())
    return plain


def _complete(experience: Experience) -> Experience:
    """With its id, priority and learning rate; proven to survive the way to disk and back."""
    try:
        sound = Experience.model_validate_json(experience.model_dump_json())
    except (ValidationError, PydanticSerializationError) as error:
        raise InvalidRequest(f"The experience cannot be written as JSON: {error}.") from None
    sound.experience_id = sound.experience_id or ulid()
    sound.priority = priority(sound.confidence, sound.reward)
    if sound.learning_rate is None:
        sound.learning_rate = learning_rate(sound.confidence)
    return sound


def _neighbour(experience: Experience, similarity: float, now: float) -> Neighbour:
    return Neighbour(
        experience_id=experience.experience_id,
        answer=experience.answer,
        similarity=similarity,
        confidence=experience.confidence,
        priority=experience.priority,
        age_hours=(now - experience.created_at) / 3600,
        retrieval_count=experience.retrieval_count,
        success_count=experience.success_count,
        occurrences=experience.occurrences,
        confirmed=experience.confirmed,
    )
