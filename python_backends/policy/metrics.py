"""What the scheduler counts."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Turn:
    """One request that ended.

    Attributes:
        ended: monotonic seconds.
        urgent: its class.
        queue_s: seconds until it got a row.
        first_s: seconds until its first token; none if there was none.
        token_s: mean seconds between its tokens; none below two.
    """

    ended: float
    urgent: bool
    queue_s: float
    first_s: float | None
    token_s: float | None


@dataclass
class PolicyMetrics:
    """Counters since the start, and gauges of now. Written by the decoding thread alone, read by any.

    Attributes:
        steps: decode steps.
        batch_sizes: decode steps by the number of sequences in them.
        tokens: generated tokens.
        masked_tokens: those of them where the grammar did not allow what was chosen first.
        prefills: prefill calls, a chunk being one.
        prefill_tokens: prompt tokens read.
        padded_tokens: places of prefill batches that held padding.
        prefix_lookups: prompts that were looked up among what was read before.
        prefix_tokens: tokens of them.
        prefix_found: those of them that were there, hence not read again.
        prefix_evicted: blocks of `prefix_cache.BLOCK` tokens that had to go.
        drafted: tokens that speculation proposed.
        accepted: those of them that were right.
        preemptions: sequences that lost their row to an urgent one.
        refused: requests that found the queue full.
        recut: prompts that vLLM reads as other tokens than they came in (where it decodes).
        admitted: sequences that got a row.
        finished: sequences that ended, by reason (`stop`, `length`, `cancelled`, `deadline`, `error`).
        queue_wait_s: seconds between arrival and row, summed over `admitted`.
        queue_wait_max_s: the longest of them.
        step_s: seconds in decode steps, the scheduler's own work included.
        graph_s: the part of it inside the graph.
        grammar_s: the part of it that the grammar took.
        prefill_s: seconds in prefill calls.
        active: sequences that hold a row now.
        waiting: sequences in the queue now.
        cached_tokens: tokens in the rows now.
        prefix_bytes: bytes of keys and values kept for prompts to come.
        turns: the last requests that ended, oldest first; a reader takes them out.
    """

    steps: int = 0
    batch_sizes: Counter[int] = field(default_factory=Counter)
    tokens: int = 0
    masked_tokens: int = 0
    prefills: int = 0
    prefill_tokens: int = 0
    padded_tokens: int = 0
    prefix_lookups: int = 0
    prefix_tokens: int = 0
    prefix_found: int = 0
    prefix_evicted: int = 0
    drafted: int = 0
    accepted: int = 0
    preemptions: int = 0
    refused: int = 0
    recut: int = 0
    admitted: int = 0
    finished: Counter[str] = field(default_factory=Counter)
    queue_wait_s: float = 0.0
    queue_wait_max_s: float = 0.0
    step_s: float = 0.0
    graph_s: float = 0.0
    grammar_s: float = 0.0
    prefill_s: float = 0.0
    active: int = 0
    waiting: int = 0
    cached_tokens: int = 0
    prefix_bytes: int = 0
    turns: deque[Turn] = field(default_factory=lambda: deque(maxlen=4096))

    def snapshot(self) -> dict[str, Any]:
        """All of it but `turns` as plain data."""
        plain = dict(vars(self))
        del plain["turns"]
        plain["batch_sizes"] = dict(sorted(self.batch_sizes.copy().items()))
        plain["finished"] = dict(self.finished.copy())
        return plain

    def waited(self, seconds: float) -> None:
        """A sequence got its row after `seconds` in the queue."""
        self.admitted += 1
        self.queue_wait_s += seconds
        self.queue_wait_max_s = max(self.queue_wait_max_s, seconds)

    def clearing_s(self, waiting: int) -> float:
        """About how many seconds until `waiting` requests have been answered, as things went lately."""
        ended = list(self.turns)[-64:]
        if len(ended) < 2 or ended[-1].ended <= ended[0].ended:
            return 1.0
        return max(0.1, waiting * (ended[-1].ended - ended[0].ended) / (len(ended) - 1))
