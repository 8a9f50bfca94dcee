"""Which number lies in which row of an index, and which rows are dead."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest

Rows = NDArray[np.int64]
FEW = 4
"""So many numbers are looked for one by one; sorting all of them would cost more."""


class RowTable:
    """Row -> number, eight bytes a row, and a bit that says whether it lives.

    Numbers that only grow, as the store hands them out, are found by bisection; others by looking through all.
    """

    def __init__(self, numbers: NDArray[np.int64] | None = None, alive: NDArray[np.bool_] | None = None) -> None:
        self._numbers = np.zeros(0, np.int64) if numbers is None else numbers
        self._count = len(self._numbers)
        self._alive = np.ones(self._count, np.bool_) if alive is None else alive
        self._grows = bool((np.diff(self._numbers) > 0).all())
        self.dead = int(self._count - self._alive.sum())

    def __len__(self) -> int:
        """Rows, dead ones included."""
        return self._count

    @property
    def numbers(self) -> NDArray[np.int64]:
        """`[rows]`."""
        return self._numbers[: self._count]

    @property
    def alive(self) -> NDArray[np.bool_]:
        """`[rows]`."""
        return self._alive[: self._count]

    def check(self, numbers: NDArray[np.int64]) -> None:
        """Raises `InvalidRequest` where a number is negative, comes twice, or was there before."""
        if len(numbers) == 0 or self._follow(numbers):
            return
        taken = len(np.unique(numbers)) < len(numbers) or bool(np.isin(numbers, self.numbers).any())
        if taken or numbers.min() < 0:
            raise InvalidRequest("A number is negative or was given out before.", mend="Count upwards from 0.")

    def append(self, numbers: NDArray[np.int64]) -> None:
        """New rows at the end; their numbers were checked."""
        grows = self._follow(numbers) or not len(numbers)
        end = self._count + len(numbers)
        if end > len(self._numbers):
            room = max(end, 2 * len(self._numbers), 64)
            self._numbers, self._alive = np.resize(self._numbers, room), np.resize(self._alive, room)
        self._numbers[self._count : end], self._alive[self._count : end] = numbers, True
        self._count, self._grows = end, self._grows and grows

    def rows(self, numbers: NDArray[np.int64]) -> Rows:
        """`[n]` rows of living numbers; -1 where there is none."""
        known = self.numbers
        if not self._count:
            return np.full(len(numbers), -1, np.int64)
        if self._grows:
            found = np.minimum(np.searchsorted(known, numbers), self._count - 1)
        elif len(numbers) <= FEW:
            found = np.array([np.argmax(known == number) for number in numbers], np.int64)
        else:
            order = np.argsort(known, kind="stable")
            found = order[np.minimum(np.searchsorted(known, numbers, sorter=order), self._count - 1)]
        return np.where((known[found] == numbers) & self.alive[found], found, -1).astype(np.int64)

    def kill(self, rows: Rows) -> None:
        """Mark living rows as dead."""
        self._alive[rows] = False
        self.dead += len(rows)

    def move_last_to(self, row: int) -> None:
        """The last row takes the place of `row`, and there is one row less."""
        self._count -= 1
        if row != self._count:
            self._numbers[row], self._alive[row] = self._numbers[self._count], self._alive[self._count]
            self._grows = False

    def _follow(self, numbers: NDArray[np.int64]) -> bool:
        """Whether they go on upwards from the last one."""
        last = self._numbers[self._count - 1] if self._count else -1
        return bool(self._grows and len(numbers) and numbers[0] > last and (np.diff(numbers) > 0).all())
