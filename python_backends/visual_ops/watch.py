"""What is told of operations: their time, where results came from, how hard they looked, what they left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pixelis.schema import Operation, OperationResult
from python_backends.metrics import Metrics


class Watch(Protocol):
    """Is told what a planner does."""

    def operated(self, result: OperationResult, outcome: str, seconds: float) -> None:
        """An operation was answered: `hit`, `miss` or `contained` (in a region read before), in so many seconds."""

    def left_out(self, operations: Sequence[Operation]) -> None:
        """Operations of a group were not begun."""


class Unwatched:
    """Tells nobody."""

    def operated(self, result: OperationResult, outcome: str, seconds: float) -> None:
        """See `Watch`."""

    def left_out(self, operations: Sequence[Operation]) -> None:
        """See `Watch`."""


class MetricsWatch:
    """Tells Triton.

    | metric | labels | what |
    |---|---|---|
    | pixelis_operation_seconds | operation | time of one operation, with what it waited for models |
    | pixelis_operation_total | operation, outcome | hit, miss, contained, refused |
    | pixelis_operation_looks_total | operation, resolution | the share of full resolution at which it answered |
    | pixelis_operation_skipped_total | operation | answers for which something was left out, and operations not begun |
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def operated(self, result: OperationResult, outcome: str, seconds: float) -> None:
        """See `Watch`."""
        name = result.operation.value
        self._metrics.observe("pixelis_operation_seconds", seconds, operation=name)
        self._metrics.count(
            "pixelis_operation_total", operation=name, outcome="refused" if result.error is not None else outcome
        )
        if result.looks and outcome == "miss":
            self._metrics.count("pixelis_operation_looks_total", operation=name, resolution=f"{result.resolution:g}")
        if result.skipped:
            self._metrics.count("pixelis_operation_skipped_total", operation=name)

    def left_out(self, operations: Sequence[Operation]) -> None:
        """See `Watch`."""
        for operation in operations:
            self._metrics.count("pixelis_operation_skipped_total", operation=operation.operation.value)
