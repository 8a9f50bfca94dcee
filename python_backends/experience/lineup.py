"""The order in which experiences go when there are too many."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

Line = tuple[float, float, int, int]
"""Priority, creation, row, number: the order in which experiences go. The row is the same after every restart."""


class Lineup:
    """Whoever has most gives way first, and of its own the lowest: nobody's insertions push out those of another who
    has fewer.

    Args:
        current: whether a line still says what is.
    """

    def __init__(self, current: Callable[[Line], bool]) -> None:
        self._current = current
        self._heaps: dict[str, list[Line]] = {}
        self._counts: dict[str, int] = {}

    def come(self, tenant: str, line: Line) -> None:
        """A new experience."""
        self._counts[tenant] = self._counts.get(tenant, 0) + 1
        heapq.heappush(self._heaps.setdefault(tenant, []), line)

    def go(self, tenant: str) -> None:
        """One of a tenant's is there no more; its line is not current."""
        self._counts[tenant] -= 1
        if self._counts[tenant]:
            self._tidy(tenant)
        else:
            del self._counts[tenant], self._heaps[tenant]

    def moved(self, tenant: str, line: Line) -> None:
        """One has another priority or age; its line of before is not current."""
        heapq.heappush(self._heaps[tenant], line)
        self._tidy(tenant)

    def first(self) -> int | None:
        """The number of the one that goes first."""
        if not self._counts:
            return None
        most = max(self._counts.values())
        return min(self._lowest(tenant) for tenant, count in self._counts.items() if count == most)[3]

    def order(self, besides: frozenset[int]) -> Iterator[int]:
        """Numbers in the order in which they go, where those of `besides` are gone already."""
        left = {
            tenant: sorted({line for line in heap if self._current(line) and line[3] not in besides}, reverse=True)
            for tenant, heap in self._heaps.items()
        }
        while any(left.values()):
            most = max(map(len, left.values()))
            tenant = min((lines[-1], tenant) for tenant, lines in left.items() if len(lines) == most)[1]
            yield left[tenant].pop()[3]

    def _tidy(self, tenant: str) -> None:
        heap = self._heaps[tenant]
        if len(heap) > 2 * self._counts[tenant] + 64:
            self._heaps[tenant] = sorted({line for line in heap if self._current(line)})

    def _lowest(self, tenant: str) -> Line:
        heap = self._heaps[tenant]
        while not self._current(heap[0]):
            heapq.heappop(heap)
        return heap[0]
