"""Results of searches that were asked before, as long as nothing has changed since."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from pixelis.schema import Neighbour
from python_backends.experience.store import ExperienceStore, Found

Vectors = NDArray[np.float32]

MOST_OFF = 1e-5
"""Similarities of two keys that count as one differ by less."""
SHORTEST, LONGEST = 0.1, 10.0
"""Only keys of such a length are kept: of shorter ones, rounding would say too little of the direction."""
NEIGHBOUR_BYTES, ENTRY_BYTES = 1400, 500
"""What one takes in memory, beside its texts."""


@dataclass(frozen=True)
class _Kept:
    name: bytes
    neighbours: list[Neighbour]
    at: float
    size: int


class SearchCache:
    """`ExperienceStore.search` behind a memory. What was used least recently goes first. For any number of threads.

    An entry is a key, rounded, and k, at one epoch of the store. The epoch grows with every insert, removal, feedback
    and counted retrieval before that is acknowledged, and no entry outlives its epoch: what was changed is always seen.
    A search that counts changes the store, so it is never answered from here. Within `ExperienceStore.together`, whose
    changes may yet be taken back, nothing is to be searched through it.

    Rounding is to steps of a power of two so fine that two keys which round to the same have, with any stored key (of
    length 1), similarities that differ by less than 1e-5: components differ by a step at most, keys of D components by
    `step * sqrt(D)`, and so does an inner product. Votes ask for 0.9999, a tenfold of that. It makes -0 and 0 one, and
    keys that differ in their last bits only; pictures that differ do not come near. An entry's name is 128 bits of a
    BLAKE2b that is keyed anew in every process.

    Args:
        store: whose searches.
        budget: bytes that may be held; 0 = nothing is.
        clock: seconds, for ages.

    Attributes:
        held: bytes that are.
    """

    def __init__(self, store: ExperienceStore, budget: int, clock: Callable[[], float] = time.time) -> None:
        self._store, self._budget, self._clock = store, budget, clock
        self._lock, self._secret = threading.Lock(), secrets.token_bytes(16)
        self._found: OrderedDict[bytes, _Kept] = OrderedDict()
        self._epoch, self._count = -1, 0
        self._hits = self._misses = 0
        self.held = 0

    def search(self, keys: Vectors, ks: Sequence[int], counts: Sequence[bool]) -> Found:
        """See `ExperienceStore.search`; ages are those of now."""
        if not self._budget:
            return self._store.search(keys, ks, counts)
        names = [None if counted else self._name(key, k) for key, k, counted in zip(keys, ks, counts, strict=True)]
        known, epoch, count = self._known(names)
        missing = [i for i in range(len(names)) if i not in known]
        if not missing:
            return Found([self._aged(known[i]) for i in range(len(names))], None, count, epoch)
        asked = self._store.search(keys[missing], [ks[i] for i in missing], [counts[i] for i in missing])
        if asked.reason is None and not any(counts):  # what counts changes what the others have found
            self._keep([names[i] for i in missing], asked)
        fresh = dict(zip(missing, asked.neighbours, strict=True))
        rows = [fresh[i] if i in fresh else self._aged(known[i]) for i in range(len(names))]
        return replace(asked, neighbours=rows)

    def counted(self) -> tuple[int, int]:
        """Searches that were found, and that were not, since the last time this was asked."""
        with self._lock:
            counts = self._hits, self._misses
            self._hits = self._misses = 0
        return counts

    def _name(self, key: Vectors, k: int) -> bytes | None:
        """16 bytes for all keys that round to the same; none of a key that is not kept."""
        if not SHORTEST <= float(np.linalg.norm(key)) <= LONGEST:
            return None
        steps = np.rint(key.astype(np.float64) * steps_per_unit(len(key))) + 0.0  # -0 becomes 0
        digest = blake2b(digest_size=16, key=self._secret)
        digest.update(k.to_bytes(8, "big", signed=True))
        digest.update(steps.data)
        return digest.digest()

    def _known(self, names: Sequence[bytes | None]) -> tuple[dict[int, _Kept], int, int]:
        """What there is for each position, at the epoch that the store has now; that epoch, and how many lived then."""
        epoch = self._store.epoch
        with self._lock:
            self._turn(epoch)
            known = {i: self._found[name] for i, name in enumerate(names) if name is not None and name in self._found}
            for i in known:
                self._found.move_to_end(known[i].name)
            self._hits += len(known)
            self._misses += sum(name is not None for name in names) - len(known)
            return known, epoch, self._count

    def _keep(self, names: Sequence[bytes | None], asked: Found) -> None:
        now = self._clock()
        with self._lock:
            self._turn(asked.epoch)
            self._count = asked.count
            for name, neighbours in zip(names, asked.neighbours, strict=True):
                if name is not None and name not in self._found:
                    size = ENTRY_BYTES + sum(NEIGHBOUR_BYTES + 4 * len(one.answer) for one in neighbours)
                    self._found[name] = _Kept(name, neighbours, now, size)
                    self.held += size
            while self.held > self._budget:
                self.held -= self._found.popitem(last=False)[1].size

    def _turn(self, epoch: int) -> None:
        """Forget what belongs to another epoch; the lock is held."""
        if epoch != self._epoch:
            self._found.clear()
            self._epoch, self.held = epoch, 0

    def _aged(self, kept: _Kept) -> list[Neighbour]:
        hours = (self._clock() - kept.at) / 3600
        return [one.model_copy(update={"age_hours": one.age_hours + hours}) for one in kept.neighbours]


def steps_per_unit(width: int) -> float:
    """The least power of two `s` for which `sqrt(width) / s < MOST_OFF`."""
    return float(2.0 ** np.ceil(np.log2(np.sqrt(width) / MOST_OFF) + 1e-9))
