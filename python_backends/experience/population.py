"""The living experiences in memory: by id, by priority, and by key. No disk, no lock."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pixelis.index_config import IndexConfig, Live
from pixelis.schema import Experience
from python_backends.experience.live import LiveIndex, Tuner
from python_backends.text import normalise

Hit = tuple[Experience, float]
Line = tuple[float, float, int, int]
"""Priority, creation, row, number: the order in which experiences go. The row is the same after every restart."""

TWINS = 10
"""So many of the nearest are looked at for one that says the same."""


class Population:
    """Experiences and their index, which change together or not at all.

    Every experience gets a number for the index, counted up and never used again, so that a number cannot come to
    mean another experience.

    Args:
        width: D of the keys.
        threads: of the index, for batches.
        config: of the index; none = exact.
        live: when the index is built again.
        tuner: chooses another index when there are many more.
    """

    def __init__(
        self,
        width: int,
        threads: int = 1,
        config: IndexConfig | None = None,
        live: Live | None = None,
        tuner: Tuner | None = None,
    ) -> None:
        self.index = LiveIndex(config or IndexConfig(), width, threads, live, tuner)
        self._by_id: dict[str, tuple[int, int]] = {}
        self._by_number: dict[int, Experience] = {}
        self._heap: list[Line] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, experience_id: str) -> bool:
        return experience_id in self._by_id

    def get(self, experience_id: str) -> Experience | None:
        """The living experience itself, not a copy; a change puts another in its place."""
        found = self._by_id.get(experience_id)
        return self._by_number[found[0]] if found else None

    def row(self, experience_id: str) -> int:
        """The row that a living experience was added with."""
        return self._by_id[experience_id][1]

    def whole(self, experience_id: str) -> tuple[Experience, int, NDArray[np.float32]]:
        """A living experience, its row and its key `[D]`."""
        number, row = self._by_id[experience_id]
        return self._by_number[number], row, self.index.vectors(np.array([number], np.int64))[0]

    def living(self) -> Iterable[Experience]:
        """All of them, in no order."""
        return self._by_number.values()

    def add(self, experiences: Sequence[Experience], keys: NDArray[np.float32], rows: Sequence[int]) -> None:
        """Put experiences in with their keys `[n, D]`; their ids are new. Of the same age, the lower row goes first."""
        numbers = np.arange(self._next, self._next + len(experiences), dtype=np.int64)
        self.index.add(numbers, keys)
        self._next += len(experiences)
        for experience, number, row in zip(experiences, numbers.tolist(), rows, strict=True):
            self._by_id[experience.experience_id] = (number, row)
            self._by_number[number] = experience
            heapq.heappush(self._heap, (experience.priority, experience.created_at, row, number))

    def remove(self, experience_id: str) -> None:
        """Take an experience out, its key included; an unknown id is ignored."""
        found = self._by_id.pop(experience_id, None)
        if found is not None:
            del self._by_number[found[0]]
            self.index.remove(np.array([found[0]], np.int64))

    def replace(self, experience: Experience) -> None:
        """Put another in the place of the living experience of the same id; the key stays."""
        number, row = self._by_id[experience.experience_id]
        before = self._by_number[number]
        self._by_number[number] = experience
        if (before.priority, before.created_at) != (experience.priority, experience.created_at):
            heapq.heappush(self._heap, (experience.priority, experience.created_at, row, number))
            if len(self._heap) > 2 * len(self) + 64:
                self._heap = sorted({line for line in self._heap if self._current(*line)})

    def like(self, key: NDArray[np.float32], similarity: float) -> list[str]:
        """Ids of all experiences at least so similar to `key` `[D]`, in no order; every one is compared."""
        found: list[Hit] = []
        k = 16
        while len(found) < len(self):
            (found,) = self._hits(*self.index.exact(key[np.newaxis], k), [k])
            if len(found) < k or found[-1][1] < similarity:
                break
            k *= 4
        return [experience.experience_id for experience, score in found if score >= similarity]

    def twin(self, key: NDArray[np.float32], answer: str, similarity: float) -> Experience | None:
        """The nearest experience of the same answer that is at least so similar to `key` `[D]`."""
        if not len(self):
            return None
        (found,) = self._hits(*self.index.search(key[np.newaxis], TWINS, noted=False), [TWINS])
        same = (e for e, score in found if score >= similarity and normalise(e.answer) == normalise(answer))
        return next(same, None)

    def lowest(self, count: int = 1, besides: frozenset[str] = frozenset()) -> list[Experience]:
        """Those that go first: lowest priority, then the oldest."""
        while self._heap and not self._current(*self._heap[0]):
            heapq.heappop(self._heap)
        if count < 1:
            return []
        if count == 1 and not besides and self._heap:
            return [self._by_number[self._heap[0][3]]]
        lines = {line for line in self._heap if self._current(*line)}
        order = (self._by_number[line[3]] for line in sorted(lines))
        return [one for one in order if one.experience_id not in besides][:count]

    def search(self, queries: NDArray[np.float32], ks: Sequence[int]) -> list[list[Hit]]:
        """Per query `[D]`, at most its k best, best first; one call of the index for all of them."""
        widest = min(max(ks, default=0), len(self))
        if widest == 0:
            return [[] for _ in ks]
        return self._hits(*self.index.search(queries, widest), ks)

    def _current(self, priority: float, created_at: float, _: int, number: int) -> bool:
        """Whether a line of the heap still says what is."""
        living = self._by_number.get(number)
        return living is not None and (living.priority, living.created_at) == (priority, created_at)

    def _hits(self, scores: NDArray[np.float32], numbers: NDArray[np.int64], ks: Sequence[int]) -> list[list[Hit]]:
        return [
            [(self._by_number[n], s) for n, s in zip(row[:k].tolist(), values[:k].tolist(), strict=True) if n >= 0]
            for row, values, k in zip(numbers, scores, ks, strict=True)
        ]

    def everything(self) -> tuple[list[Experience], list[int], NDArray[np.float32]]:
        """All experiences, lowest row first, their rows and their keys `[n, D]`."""
        held = sorted(self._by_id.values(), key=lambda one: one[1])
        numbers = np.array([number for number, _ in held], np.int64)
        return [self._by_number[n] for n, _ in held], [row for _, row in held], self.index.vectors(numbers)
