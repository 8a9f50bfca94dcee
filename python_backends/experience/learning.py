"""How experiences come, are judged and go."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import NotFound
from pixelis.schema import Experience, Judgement
from python_backends.experience import ruling as rulings
from python_backends.experience.admission import complete, plain, storable
from python_backends.experience.apart import SHARED
from python_backends.experience.asked import Asked
from python_backends.experience.entry import Entry
from python_backends.experience.identifier import ulid
from python_backends.experience.kept import Kept

log = logging.getLogger(__name__)


class Learning(Kept):
    """Insert, judge, evict."""

    def insert(self, experience: Experience, key: NDArray[np.float32], merge: bool = True) -> str:
        """Add an experience; where the store is full, the lowest priority (then the oldest) goes.

        Priority is computed here, the learning rate where it is absent; an empty id gets a ULID. What is as good as
        there already (`duplicate_similarity`, and the same answer) is not added: the one that is there counts one more.

        Args:
            experience: its `created_at` counts for its age; its tenant's it becomes.
            key: `[D]`, of length 1.
            merge: whether it is counted only, where it is as good as there.

        Returns:
            Its id, or that of the one that it repeats, once that is on disk.

        Raises:
            InvalidRequest: the key does not fit or has a side missing, or the id is taken.
            Unavailable: it could not be written.
        """
        key = storable(key, self._width)
        added = complete(experience)
        with self._lock:
            merge = merge and added.experience_id not in self._population
            twin = self._population.twin(key, added.answer, self._alike, added.tenant) if merge else None
            if twin is not None:
                try:
                    self._change(Entry({"op": "again", "id": twin.experience_id, "created_at": added.created_at}))
                    return twin.experience_id
                except NotFound:
                    log.info("another replica has just removed %s", twin.experience_id)
            record = {"op": "insert", "experience": plain(added), "capacity": self._capacity}
            self._change(Entry(record, key))
        return added.experience_id

    def asked(
        self, request_id: str, experience: Experience, key: NDArray[np.float32], answer: str, retrieved: Sequence[str],
        learn: bool,
    ) -> str | None:  # fmt: skip
        """Note a request, so that `judge` finds it; with `learn` insert its experience too, in the same record.

        Args:
            request_id: the caller's; a request of the same id and tenant is forgotten.
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
            added = complete(
                experience.model_copy(update={"experience_id": self._free_id(request_id, experience.tenant)})
            )
            twin = self._population.twin(key, added.answer, self._alike, added.tenant) if learn else None
            asked = Asked(request_id=request_id, experience=added, answer=answer, retrieved=list(retrieved))
            try:
                return self._noted(asked, key, learn, twin)
            except NotFound:
                log.info("another replica has just removed what request %s repeats", request_id)
                return self._noted(asked, key, learn, None)

    def judge(self, request_id: str, correct: bool | None, answer: str | None, tenant: str = SHARED) -> Judgement:
        """Feedback on a tenant's own request; what it means is said in `ruling.py`.

        Raises:
            InvalidRequest: not one of `correct` and `answer`.
            NotFound: the request was not asked with `read_only: false`, or too many were since.
            Unavailable: it could not be written.
        """
        with self._lock:
            found = self._asked.get((tenant, request_id))
            if found is None:
                raise NotFound(
                    f"There is no request {request_id!r} that takes feedback.",
                    mend="Ask with `read_only: false`; of those, the newest are remembered.",
                )
            asked, key = found
            verdict = rulings.verdict(asked, correct, answer)

            def living(experience_id: str) -> Experience | None:
                one = self._population.get(experience_id)
                return one if one is not None and one.tenant == tenant else None

            if verdict == (asked.correct, asked.right):
                return rulings.judgement(asked, [], living)
            lives = asked.experience_id
            if lives is not None and lives in self._population and living(lives) is None:
                asked = asked.model_copy(update={"experience_id": None})  # gone, and the id given to another's
            ruling = rulings.rule(asked, *verdict, living, self._free_id(request_id, tenant))
            replaced = self._judged(ruling, key)
            return rulings.judgement(ruling.asked, replaced, living)

    def delete(self, experience_id: str, tenant: str = SHARED) -> None:
        """Remove an experience of a tenant's own, its key included. Raises `NotFound`."""
        with self._lock:
            self._known(experience_id, tenant)
            self._change(Entry({"op": "delete", "id": experience_id}))

    def feedback(self, experience_id: str, correct: bool, tenant: str = SHARED) -> Experience:
        """Record whether the answer of a tenant's own was right; returns a copy of it. Raises `NotFound`."""
        with self._lock:
            self._known(experience_id, tenant)
            if correct:
                self._change(Entry({"op": "success", "id": experience_id}))
            return self._known(experience_id, tenant).model_copy()

    def _noted(self, asked: Asked, key: NDArray[np.float32], learn: bool, twin: Experience | None) -> str | None:
        """Write a request, and the experience that it made or repeats; the id of that."""
        lives = (twin or asked.experience).experience_id if learn else None
        noted = plain(asked.model_copy(update={"experience_id": lives}))
        record = {"op": "asked", "asked": noted, "again": twin is not None, "capacity": self._capacity}
        self._change(Entry(record, key))
        return lives

    def _judged(self, ruling: rulings.Ruling, key: NDArray[np.float32]) -> list[str]:
        """Write a ruling; the ids of the experiences that its own takes the place of."""
        made = ruling.experience
        replaced: list[str] = []
        if made is not None and made.confirmed:
            replaced = [i for i in self._population.like(key, self._same, made.tenant) if i != made.experience_id]
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

    def _free_id(self, request_id: str, tenant: str) -> str:
        """The request's own id, while no experience has it; another for a tenant, who could tell others' ids by it."""
        return ulid() if tenant != SHARED or request_id in self._population else request_id
