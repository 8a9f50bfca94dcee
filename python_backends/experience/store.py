"""The experiences: kept on disk (kept.py), learned (learning.py), and found."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import Unavailable
from python_backends.experience.admission import checked
from python_backends.experience.apart import SHARED
from python_backends.experience.entry import Entry
from python_backends.experience.found import COLD_START, Found, neighbour
from python_backends.experience.learning import Learning
from python_backends.experience.live import Recall
from python_backends.experience.replicas import Replica

__all__ = ["COLD_START", "ExperienceStore", "Found"]

log = logging.getLogger(__name__)


class ExperienceStore(Learning):
    """Insert, search, evict, persist. Safe to use from several threads. Arguments: see `Kept`."""

    _uncounted = 0

    def search(
        self,
        keys: NDArray[np.float32],
        ks: int | Sequence[int],
        count: bool | Sequence[bool] = False,
        tenant: str = SHARED,
    ) -> Found:
        """The nearest experiences of each key that a tenant finds, its own and the shared, in one pass over the index.

        Args:
            keys: `[n, D]`.
            ks: how many, for all or for each.
            count: whether being found counts as being retrieved, for all or for each; otherwise nothing changes.
                Where that cannot be written, the search is answered all the same. Only the tenant's own are counted.
            tenant: who asks.

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
            living = self.visible(tenant)
            if living < self._cold:
                return Found([[] for _ in each], COLD_START, living, self.epoch)
            now = time.time()
            hits = self._population.search(queries, each, tenant)
            found = [[neighbour(experience, score, now) for experience, score in row] for row in hits]
            ids = [
                e.experience_id for row, c in zip(hits, counted, strict=True) if c for e, _ in row if e.tenant == tenant
            ]
            if ids:
                self._count(ids)
            return Found(found, None, living, self.epoch)

    def visible(self, tenant: str = SHARED) -> int:
        """How many experiences a tenant finds."""
        with self._lock:
            return self._population.indexes.visible(tenant)

    @property
    def replica(self) -> Replica | None:
        """What keeps this store and those of other servers the same; none where there are no others."""
        return self._replica

    @property
    def recall(self) -> Recall:
        """How much the index of the shared ones finds of what it should, as estimated last."""
        return self._population.index.recall

    def stats_of(self, tenant: str) -> dict[str, Any]:
        """The counts of a tenant's own, measured now."""
        with self._lock:
            own = [one for one in self._population.living() if one.tenant == tenant]
            return {
                "count": len(own),
                "confirmed": sum(one.confirmed for one in own),
                "feedback_requests": self._asked.of(tenant),
                "cold": self.visible(tenant) < self._cold,
            }

    def stats(self) -> dict[str, Any]:
        """Counts and parameters of all tenants, all measured now."""
        with self._lock:
            return {
                "count": len(self),
                "confirmed": sum(e.confirmed for e in self._population.living()),
                "feedback_requests": len(self._asked),
                "indexed": len(self._population.indexes),
                "tenants": self._population.indexes.counts(),
                "capacity": self._capacity,
                "cold_start_threshold": self._cold,
                "cold": self.visible() < self._cold,
                "epoch": self.epoch,
                "snapshot": self._keeper.snapshot,
                "since_snapshot": self.epoch - self._keeper.snapshot,
                "uncounted": self._uncounted,
                "faults": [*self._said, *filter(None, [self._keeper.fault])],
                **({"replica": self._replica.status()} if self._replica else {}),
                "index": self._population.index.parameters(),
            }

    def tune(self) -> None:
        """Choose the index anew, in the background. Raises `InvalidRequest` where there is nothing to tune."""
        self._population.index.retune()

    def checked(self, key: NDArray[np.float32]) -> NDArray[np.float32]:
        """`key` as float32 `[D]`. Raises `InvalidRequest` where it does not fit."""
        return checked(key, self._width)

    def _count(self, ids: list[str]) -> None:
        """Experiences were retrieved. An answer without its count is better than none."""
        try:
            self._change(Entry({"op": "retrieved", "ids": ids}), durable=False)
        except Unavailable as error:
            self._uncounted += len(ids)
            log.debug("what was retrieved is not counted: %s", error)
