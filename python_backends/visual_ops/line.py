"""Work that stands in a line: some at once, in order, until what was found is enough."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from pixelis.schema import OperationResult
from python_backends.deadlines import Job
from python_backends.visual_ops.certainty import certainty


class Line:
    """The operations of one group.

    Args:
        enough: certainty from which on nothing more is begun; none = all of it is done.
    """

    def __init__(self, enough: float | None) -> None:
        self._enough = enough
        self._lock = threading.Lock()
        self._over = False

    def run(
        self, work: Sequence[Sequence[int]], run: Callable[[int], OperationResult], at_once: int, deadline: float
    ) -> dict[int, OperationResult]:
        """The results by place; what was not begun has none.

        Args:
            work: lists of places that share one result; the first of each is run.
            run: must not raise what is the fault of one operation.
            at_once: how many run side by side.
            deadline: seconds since the epoch.

        Raises:
            DeadlineExceeded: it was not all done in time.
        """
        left, found = deque(work), dict[int, OperationResult]()

        def take() -> None:
            while (places := self._next(left)) is not None:
                result = run(places[0])
                sure = certainty(result)
                with self._lock:
                    found.update((place, result) for place in places)
                    self._over |= self._enough is not None and sure is not None and sure >= self._enough

        jobs = [Job(take, "visual_ops") for _ in range(min(at_once, len(work)))]
        for job in jobs:
            job.result(deadline)
        return found

    def _next(self, left: deque[Sequence[int]]) -> Sequence[int] | None:
        with self._lock:
            return left.popleft() if left and not self._over else None
