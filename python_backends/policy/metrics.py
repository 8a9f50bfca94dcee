"""What the scheduler counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class PolicyMetrics:
    """Counters since the start, and gauges of now. Written by the decoding thread alone, read by any.

    Attributes:
        steps: decode steps.
        batch_sizes: decode steps by the number of sequences in them.
        tokens: generated tokens.
        masked_tokens: those of them where the grammar did not allow the likeliest one.
        prefills: prefill calls.
        prefill_tokens: prompt tokens read.
        padded_tokens: places of prefill batches that held padding.
        admitted: sequences that got a row.
        finished: sequences that ended, by reason (`stop`, `length`, `cancelled`, `deadline`, `error`).
        queue_wait_s: seconds between arrival and prefill, summed over `admitted`.
        queue_wait_max_s: the longest of them.
        step_s: seconds in decode steps, the scheduler's own work included.
        graph_s: the part of it inside the graph.
        active: sequences that hold a row now.
        waiting: sequences in the queue now.
    """

    steps: int = 0
    batch_sizes: Counter[int] = field(default_factory=Counter)
    tokens: int = 0
    masked_tokens: int = 0
    prefills: int = 0
    prefill_tokens: int = 0
    padded_tokens: int = 0
    admitted: int = 0
    finished: Counter[str] = field(default_factory=Counter)
    queue_wait_s: float = 0.0
    queue_wait_max_s: float = 0.0
    step_s: float = 0.0
    graph_s: float = 0.0
    active: int = 0
    waiting: int = 0

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data."""
        plain = dict(vars(self))
        plain["batch_sizes"] = dict(sorted(self.batch_sizes.copy().items()))
        plain["finished"] = dict(self.finished.copy())
        return plain

    def waited(self, seconds: float) -> None:
        """A sequence got its row after `seconds` in the queue."""
        self.admitted += 1
        self.queue_wait_s += seconds
        self.queue_wait_max_s = max(self.queue_wait_max_s, seconds)
