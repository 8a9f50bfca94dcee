"""Results of searches that were asked before, as long as nothing has changed since."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pixelis.cache_config import Cached
from pixelis.schema import Neighbour
from python_backends.caching.cache import Cache
from python_backends.caching.codec import JsonCodec
from python_backends.caching.key import Key
from python_backends.caching.keys import search_key
from python_backends.experience.apart import SHARED
from python_backends.experience.store import ExperienceStore, Found

Vectors = NDArray[np.float32]

MOST_OFF = 1e-5
"""Similarities of two keys that count as one differ by less."""
SHORTEST, LONGEST = 0.1, 10.0
"""Only keys of such a length are kept: of shorter ones, rounding would say too little of the direction."""


@dataclass(frozen=True)
class Searched:
    """What a search has found, and when, in seconds since the epoch."""

    at: float
    neighbours: list[Neighbour]


CODEC: JsonCodec[Searched] = JsonCodec(Searched)


class SearchCache:
    """`ExperienceStore.search` behind a cache. For any number of threads.

    An entry is a key, rounded, k and who asks, at one epoch of the store. The epoch grows with every insert, removal,
    feedback and counted retrieval before that is acknowledged, and no entry outlives its epoch: what was changed is
    always seen. A search that counts changes the store, so it is never answered from here. Within
    `ExperienceStore.together`, whose changes may yet be taken back, nothing is to be searched through it.

    Rounding is to steps of a power of two so fine that two keys which round to the same have, with any stored key (of
    length 1), similarities that differ by less than 1e-5: components differ by a step at most, keys of D components by
    `step * sqrt(D)`, and so does an inner product. Votes ask for 0.9999, a tenfold of that. It makes -0 and 0 one, and
    keys that differ in their last bits only; pictures that differ do not come near. Every store has entries of its own.

    Args:
        store: whose searches.
        cache: in memory alone.
        clock: seconds, for ages.
    """

    def __init__(self, store: ExperienceStore, cache: Cache[Searched], clock: Callable[[], float] = time.time) -> None:
        self._store, self._cache, self._clock = store, cache, clock
        self._lock, self._owner = threading.Lock(), secrets.token_bytes(16)
        self._epoch, self._counts = -1, dict[str, int]()

    @classmethod
    def of(cls, store: ExperienceStore, config: Cached | None = None) -> SearchCache:
        """One that nothing else looks after, within bounds of its own."""
        return cls(store, Cache("search", CODEC, config or Cached()))

    def search(self, keys: Vectors, ks: Sequence[int], counts: Sequence[bool], tenant: str = SHARED) -> Found:
        """See `ExperienceStore.search`; ages are those of now."""
        if not self._cache.on:
            return self._store.search(keys, ks, counts, tenant)
        epoch = self._store.epoch
        searches = list(zip(keys, ks, counts, strict=True))
        names = [None if counted else self._key(epoch, key, k, tenant) for key, k, counted in searches]
        count = self._turn(epoch, tenant)
        known = self._cache.find([name for name in names if name is not None])
        there = [None if name is None else known.get(name.name) for name in names]
        missing = [i for i, one in enumerate(there) if one is None]
        if not missing:
            return Found([self._aged(one) for one in there if one is not None], None, count, epoch)
        asked = self._store.search(keys[missing], [ks[i] for i in missing], [counts[i] for i in missing], tenant)
        if asked.reason is None and not any(counts):  # what counts changes what the others have found
            same = asked.epoch == epoch
            new = [names[i] if same else self._key(asked.epoch, keys[i], ks[i], tenant) for i in missing]
            self._keep(new, asked, tenant)
        fresh = dict(zip(missing, asked.neighbours, strict=True))
        rows = [fresh[i] if one is None else self._aged(one) for i, one in enumerate(there)]
        return replace(asked, neighbours=rows)

    def _key(self, epoch: int, key: Vectors, k: int, tenant: str) -> Key | None:
        """The same for all keys that round to the same; none of a key that is not kept."""
        if not SHORTEST <= float(np.linalg.norm(key)) <= LONGEST:
            return None
        steps = np.rint(key.astype(np.float64) * steps_per_unit(len(key))) + 0.0  # -0 becomes 0
        return search_key(self._owner, epoch, steps, k, tenant)

    def _keep(self, names: Sequence[Key | None], asked: Found, tenant: str) -> None:
        self._turn(asked.epoch, tenant, asked.count)
        now = self._clock()
        for name, neighbours in zip(names, asked.neighbours, strict=True):
            if name is not None:
                self._cache.put(name, Searched(now, neighbours))

    def _turn(self, epoch: int, tenant: str, count: int | None = None) -> int:
        """Forget what belongs to another epoch; how many experiences a tenant found when it first asked in this one."""
        with self._lock:
            if epoch != self._epoch:
                self._cache.memory.clear()
                self._epoch, self._counts = epoch, {}
            if count is not None:
                self._counts[tenant] = count
            return self._counts.get(tenant, 0)

    def _aged(self, one: Searched) -> list[Neighbour]:
        hours = (self._clock() - one.at) / 3600
        return [n.model_copy(update={"age_hours": n.age_hours + hours}) for n in one.neighbours]


def steps_per_unit(width: int) -> float:
    """The least power of two `s` for which `sqrt(width) / s < MOST_OFF`."""
    return float(2.0 ** np.ceil(np.log2(np.sqrt(width) / MOST_OFF) + 1e-9))
