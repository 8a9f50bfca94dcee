"""Copying that leaves the memory to others most of the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

SHARE = 0.1
"""Of the time in which slices are copied. To copy without a pause would take the memory's whole breadth for a second,
in which each search takes twice as long."""
LONGEST_S = 0.1
"""Of a pause: a slice that took long because its process got no time is not made up for, and closing waits for one."""


def gently(slices: Iterable[Item], between: Callable[[], None] = lambda: None) -> Iterator[Item]:
    """The same slices, with pauses, `1 / SHARE - 1` times as long as it took to make and to use each of them.

    Args:
        slices: are made as they are asked for.
        between: called after each; what it raises ends the work.
    """
    begun = time.perf_counter()
    for one in slices:
        yield one
        taken = time.perf_counter() - begun
        between()
        time.sleep(min((1 / SHARE - 1) * taken, LONGEST_S))
        begun = time.perf_counter()
