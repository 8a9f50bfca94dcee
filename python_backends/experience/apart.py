"""An index of the shared experiences, and one for each tenant's own.

A vector is in the index of whoever it belongs to and in no other, so that no search, however approximate, can reach
a foreign one; and each index finds its own k, so that nothing is missed for being filtered away afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from python_backends.experience.live import LiveIndex
from python_backends.experience.live.segments import best

Numbers = NDArray[np.int64]
Vectors = NDArray[np.float32]
Found = tuple[Vectors, Numbers]

SHARED = ""
"""The tenant that is nobody: what it has, everybody finds."""


class Apart:
    """Indexes by tenant. No lock.

    Args:
        shared: of the shared experiences.
        make: an empty one of a tenant's own, made when it gets its first experience, and gone with its last.
    """

    def __init__(self, shared: LiveIndex, make: Callable[[], LiveIndex]) -> None:
        self.shared, self._make = shared, make
        self._own: dict[str, LiveIndex] = {}

    def __len__(self) -> int:
        return sum(map(len, self.all()))

    def all(self) -> Iterator[LiveIndex]:
        """Every index, the shared one first."""
        yield self.shared
        yield from self._own.values()

    def counts(self) -> dict[str, int]:
        """Tenant -> its own, of those who have some."""
        return {tenant: len(index) for tenant, index in self._own.items()}

    def visible(self, tenant: str) -> int:
        """How many a tenant can find."""
        return sum(map(len, self._of(tenant)))

    def add(self, tenant: str, numbers: Numbers, keys: Vectors) -> None:
        """Put keys `[n, D]` in under `[n]` numbers that were used in none of the indexes."""
        if tenant != SHARED and tenant not in self._own:
            self._own[tenant] = self._make()
        self.own(tenant).add(numbers, keys)

    def remove(self, tenant: str, numbers: Numbers) -> None:
        """Take keys out of a tenant's own."""
        self.own(tenant).remove(numbers)
        if tenant != SHARED and not len(self._own[tenant]):
            self._own.pop(tenant).close(wait=False)

    def own(self, tenant: str) -> LiveIndex:
        """The index of a tenant's own; it has some. Of `SHARED`, that of the shared ones."""
        return self.shared if tenant == SHARED else self._own[tenant]

    def search(self, tenant: str, queries: Vectors, k: int) -> Found:
        """The k best of a tenant's own and of the shared ones: `[n, k]` similarities and numbers, -1 where fewer."""
        indexes = self._of(tenant)
        found = [index.search(queries, k, noted=index is self.shared) for index in indexes if len(index)]
        return best(found or [self.shared.search(queries, k)], k)

    def vectors(self, tenant: str, numbers: Numbers) -> Vectors:
        """Keys `[n, D]` of a tenant's own. Raises `NotFound`."""
        return self.own(tenant).vectors(numbers)

    def close(self) -> None:
        """Give up what is being built."""
        for index in self.all():
            index.close()

    def _of(self, tenant: str) -> list[LiveIndex]:
        """The indexes in which a tenant finds something."""
        return [self.shared, self._own[tenant]] if tenant in self._own else [self.shared]
