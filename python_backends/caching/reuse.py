"""Reuse distance: how many other things were asked for between two askings of the same.

Who has room for `n` entries hits, under LRU, exactly the askings whose distance is below `n`: the histogram says what
more memory would bring. Sampled by hash as in Waldspurger et al., "Efficient MRC Construction with SHARDS" (FAST 2015):
of many things only a share is followed, and distances are scaled up by it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

FOLLOWED = 2048
_SPACE = 1 << 24


class ReuseDistance:
    """Distances as powers of two. Not for several threads.

    Args:
        most: things that are followed at a time.
    """

    def __init__(self, most: int = FOLLOWED) -> None:
        self._most, self._threshold, self._time = most, _SPACE, 0
        self._last: dict[int, int] = {}
        self._times: list[int] = []
        self._found: Counter[int] = Counter()

    def asked(self, hashed: int) -> None:
        """Something was asked for."""
        if hashed % _SPACE >= self._threshold:
            return
        self._time += 1
        last = self._last.get(hashed)
        if last is not None:
            at = bisect_left(self._times, last)
            scale = _SPACE / self._threshold
            self._found[int((len(self._times) - at - 1) * scale).bit_length()] += scale  # type: ignore[assignment]
            del self._times[at]
        self._last[hashed] = self._time
        self._times.append(self._time)
        if len(self._last) > self._most:
            self._halve()

    def histogram(self) -> dict[str, int]:
        """`"0"`, `"1"`, `"2-3"`, `"4-7"` ... -> about how many askings came back at that distance."""
        return {_range(bits): round(count) for bits, count in sorted(self._found.items())}

    def _halve(self) -> None:
        self._threshold //= 2
        self._last = {one: at for one, at in self._last.items() if one % _SPACE < self._threshold}
        self._times = sorted(self._last.values())


def _range(bits: int) -> str:
    low, high = (1 << bits) >> 1, (1 << bits) - 1
    return str(high) if low >= high else f"{low}-{high}"
