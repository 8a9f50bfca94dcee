"""The living experiences in memory: by id, by priority, and by key, tenants apart. No disk, no lock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pixelis.index_config import IndexConfig, Live
from pixelis.schema import Experience
from python_backends.experience.apart import SHARED, Apart
from python_backends.experience.lineup import Line, Lineup
from python_backends.experience.live import LiveIndex, Tuner
from python_backends.text import normalise

Hit = tuple[Experience, float]

TWINS = 10
"""So many of the nearest are looked at for one that says the same."""


class Population:
    """Experiences and their indexes, which change together or not at all.

    Every experience gets a number for the index, counted up and never used again, so that a number cannot come to
    mean another experience.

    Args:
        width: D of the keys.
        threads: of the index, for batches.
        config: of the index; none = exact.
        live: when the index is built again.
        tuner: chooses another index of the shared ones when there are many more.

    Attributes:
        width: D of the keys.
    """

    def __init__(
        self,
        width: int,
        threads: int = 1,
        config: IndexConfig | None = None,
        live: Live | None = None,
        tuner: Tuner | None = None,
    ) -> None:
        chosen = config or IndexConfig()
        shared = LiveIndex(chosen, width, threads, live, tuner)
        self.indexes = Apart(shared, lambda: LiveIndex(chosen, width, threads, live))
        self._by_id: dict[str, tuple[int, int]] = {}
        self._by_number: dict[int, Experience] = {}
        self._lineup = Lineup(self._current)
        self._next, self.width = 0, width

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

    @property
    def index(self) -> LiveIndex:
        """That of the shared ones."""
        return self.indexes.shared

    def whole(self, experience_id: str) -> tuple[Experience, int, NDArray[np.float32]]:
        """A living experience, its row and its key `[D]`."""
        number, row = self._by_id[experience_id]
        experience = self._by_number[number]
        return experience, row, self.indexes.vectors(experience.tenant, np.array([number], np.int64))[0]

    def living(self) -> Iterable[Experience]:
        """All of them, in no order."""
        return self._by_number.values()

    def add(self, experiences: Sequence[Experience], keys: NDArray[np.float32], rows: Sequence[int]) -> None:
        """Put experiences in with their keys `[n, D]`; their ids are new. Of the same age, the lower row goes first."""
        numbers = np.arange(self._next, self._next + len(experiences), dtype=np.int64)
        for tenant, places in _by_tenant(experiences).items():
            self.indexes.add(tenant, numbers[places], keys[places])
        self._next += len(experiences)
        for experience, number, row in zip(experiences, numbers.tolist(), rows, strict=True):
            self._by_id[experience.experience_id] = (number, row)
            self._by_number[number] = experience
            self._lineup.come(experience.tenant, _line(experience, row, number))

    def remove(self, experience_id: str) -> None:
        """Take an experience out, its key included; an unknown id is ignored."""
        found = self._by_id.pop(experience_id, None)
        if found is not None:
            tenant = self._by_number.pop(found[0]).tenant
            self.indexes.remove(tenant, np.array([found[0]], np.int64))
            self._lineup.go(tenant)

    def replace(self, experience: Experience) -> None:
        """Put another in the place of the living experience of the same id and tenant; the key stays."""
        number, row = self._by_id[experience.experience_id]
        before = self._by_number[number]
        self._by_number[number] = experience
        if (before.priority, before.created_at) != (experience.priority, experience.created_at):
            self._lineup.moved(experience.tenant, _line(experience, row, number))

    def like(self, key: NDArray[np.float32], similarity: float, tenant: str = SHARED) -> list[str]:
        """Ids of a tenant's own at least so similar to `key` `[D]`, in no order; every one is compared."""
        found: list[Hit] = []
        k = 16
        while len(found) < self.owned(tenant):
            (found,) = self._hits(*self.indexes.own(tenant).exact(key[np.newaxis], k), [k])
            if len(found) < k or found[-1][1] < similarity:
                break
            k *= 4
        return [experience.experience_id for experience, score in found if score >= similarity]

    def twin(self, key: NDArray[np.float32], answer: str, similarity: float, tenant: str = SHARED) -> Experience | None:
        """The nearest of a tenant's own of the same answer that is at least so similar to `key` `[D]`."""
        if not self.owned(tenant):
            return None
        own = self.indexes.own(tenant)
        (found,) = self._hits(*own.search(key[np.newaxis], TWINS, noted=False), [TWINS])
        same = (e for e, score in found if score >= similarity and normalise(e.answer) == normalise(answer))
        return next(same, None)

    def lowest(self, count: int = 1, besides: frozenset[str] = frozenset()) -> list[Experience]:
        """Those that go first, see `Lineup`: lowest priority, then the oldest, of whoever has most."""
        if count < 1:
            return []
        if count == 1 and not besides:
            first = self._lineup.first()
            return [] if first is None else [self._by_number[first]]
        gone = frozenset(self._by_id[one][0] for one in besides if one in self._by_id)
        return [self._by_number[number] for number in islice(self._lineup.order(gone), count)]

    def owned(self, tenant: str) -> int:
        """How many are a tenant's own; of `SHARED`, how many are shared."""
        return len(self.index) if tenant == SHARED else self.indexes.counts().get(tenant, 0)

    def search(self, queries: NDArray[np.float32], ks: Sequence[int], tenant: str = SHARED) -> list[list[Hit]]:
        """Per query `[D]`, at most its k best of those that a tenant finds, best first; one pass for all of them."""
        widest = min(max(ks, default=0), self.indexes.visible(tenant))
        if widest == 0:
            return [[] for _ in ks]
        return self._hits(*self.indexes.search(tenant, queries, widest), ks)

    def _current(self, line: Line) -> bool:
        """Whether a line still says what is."""
        priority, created_at, _, number = line
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
        living = [self._by_number[n] for n, _ in held]
        keys = np.empty((len(held), self.width), np.float32)
        for tenant, places in _by_tenant(living).items():
            keys[places] = self.indexes.vectors(tenant, numbers[places])
        return living, [row for _, row in held], keys


def _line(experience: Experience, row: int, number: int) -> Line:
    return experience.priority, experience.created_at, row, number


def _by_tenant(experiences: Sequence[Experience]) -> dict[str, list[int] | slice]:
    """Tenant -> the places of its own, in order; where there is one alone, all of them, which copies nothing."""
    found: dict[str, list[int]] = {}
    for place, experience in enumerate(experiences):
        found.setdefault(experience.tenant, []).append(place)
    return {tenant: slice(None) for tenant in found} if len(found) == 1 else {**found}
