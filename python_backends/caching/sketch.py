"""How often things were asked for lately, in little memory: a count-min sketch that ages.

Cormode and Muthukrishnan, "An improved data stream summary" (2005); halving after so many additions as in Einziger,
Friedman and Manes, "TinyLFU" (2017).
"""

from __future__ import annotations

import numpy as np

ROWS = 4
MOST = 15
PERIOD = 10
"""All counters are halved after so many additions for each of the entries."""


class Sketch:
    """Counts of up to 15, never too low before they age, rarely too high.

    Args:
        entries: about how many things are to be told apart.
    """

    def __init__(self, entries: int) -> None:
        self._width = 1 << max(6, (2 * entries - 1).bit_length())
        self._mask = self._width - 1
        self._table = bytearray(ROWS * self._width)
        self._period = PERIOD * max(entries, 32)
        self._added = 0

    def add(self, hashed: int) -> None:
        """Count one asking."""
        table, start, added = self._table, 0, False
        for _ in range(ROWS):
            at = start + (hashed & self._mask)
            if table[at] < MOST:
                table[at] += 1
                added = True
            hashed >>= 32
            start += self._width
        if added:
            self._added += 1
            if self._added >= self._period:
                self._age()

    def count(self, hashed: int) -> int:
        """About how often."""
        table, width, mask = self._table, self._width, self._mask
        return min(
            table[hashed & mask],
            table[width + (hashed >> 32 & mask)],
            table[2 * width + (hashed >> 64 & mask)],
            table[3 * width + (hashed >> 96 & mask)],
        )

    def _age(self) -> None:
        counters = np.frombuffer(self._table, np.uint8)
        np.right_shift(counters, 1, out=counters)
        self._added //= 2
