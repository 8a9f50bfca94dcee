"""What guided calls cost for one step of 16 rows: `python -m perf.guiding`, in microseconds."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from builder.sources.checkpoint import NANO
from perf.large_vocabulary import write_large
from python_backends.policy.calls.guide import CallGuide
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.conversation import tool_call
from python_backends.policy.grammar import CallGrammar
from python_backends.policy.tokenizer import PolicyTokenizer

ROWS = 16
STEPS = 400
ROOMY, TIGHT = 2048, 60
"""Tokens of a turn: so many that no call is near the end of its turn, and so few that every one is."""
CALLS = (
    tool_call("ZOOM_IN", {"region": [7, 14, 28.5, 35], "target_image": 1}),
    tool_call("SEGMENT_OBJECT_AT", {"point": [84, 91], "threshold": 0.5}),
    tool_call("READ_TEXT", {"region": [0.1, 0.2, 0.5, 0.9], "normalized": True}),
    tool_call("TEMPORAL_LOCALIZE", {"query": "the small red triangle leaves the picture"}),
)
NOISE = np.random.default_rng(0).standard_normal(1 << 20).astype(np.float32)

Step = Callable[[], tuple[NDArray[np.float32], int]]


class Rows:
    """Turns side by side; one that is over is followed by another.

    Args:
        directory: with a tokenizer, a config and a profile.
        limit: tokens of a turn.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        self._config = CheckpointConfig.load(directory)
        self._tokenizer = PolicyTokenizer(directory)
        self._grammar = CallGrammar(directory, self._config)
        self._limit = limit
        self._rng = np.random.default_rng(1)
        self._control = int(self._tokenizer.encode("<|im_start|>")[0])

    def fitting(self) -> Iterator[tuple[CallGuide, NDArray[np.float32], int]]:
        """Calls as a trained policy writes them, the likeliest token always being the right one."""
        row = NOISE[: self._config.vocabulary]
        while True:
            ids = self._tokenizer.encode(CALLS[int(self._rng.integers(len(CALLS)))]).tolist()
            guide = self._opened(ids[0])
            for token in ids[1:]:
                yield guide, row, token

    def refused(self) -> Iterator[tuple[CallGuide, NDArray[np.float32], int]]:
        """Calls of noise: the likeliest token is always one that may not come, the others are random."""
        opening = int(self._tokenizer.encode("<tool_call>")[0])
        while True:
            guide = self._opened(opening)
            while guide.inside:
                at = int(self._rng.integers(0, len(NOISE) - self._config.vocabulary))
                yield guide, NOISE[at : at + self._config.vocabulary], self._control

    def free(self) -> Iterator[tuple[CallGuide, NDArray[np.float32], int]]:
        """Text without a call."""
        row = NOISE[: self._config.vocabulary]
        words = self._tokenizer.encode("the red one is left of it").tolist()
        while True:
            guide = self._grammar.guide(self._config.end_ids, self._limit, 1)
            for _ in range(self._limit // len(words)):
                for token in words:
                    yield guide, row, token

    def _opened(self, opening: int) -> CallGuide:
        guide = self._grammar.guide(self._config.end_ids, self._limit, 1)
        if not guide.take(opening):
            raise AssertionError("there is no room for a call")
        return guide


def cost(rows: list[Iterator[tuple[CallGuide, NDArray[np.float32], int]]]) -> list[float]:
    """Microseconds of each step of all rows."""
    taken = []
    for _ in range(STEPS):
        work = [next(row) for row in rows]
        begun = time.perf_counter()
        for guide, logits, token in work:
            guide.choose(logits, token, -1.0)
        taken.append(1e6 * (time.perf_counter() - begun))
    return taken


def main() -> None:
    """Print a table: the median step, the mean with what is made on first sight, and the 99th percentile."""
    print("| vocabulary | rows | tokens left | median | mean | p99 |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as made:
        for name, directory in (("nano, 248", NANO), ("151 048", write_large(Path(made)))):
            for kind in ("free", "fitting", "refused"):
                for limit in (ROOMY, TIGHT):
                    rows = Rows(directory, limit if kind != "fitting" or limit == ROOMY else 300)
                    taken = cost([getattr(rows, kind)() for _ in range(ROWS)])
                    middle, late = statistics.median(taken), statistics.quantiles(taken, n=100)[-1]
                    print(f"| {name} | {kind} | {limit} | {middle:.0f} | {statistics.mean(taken):.0f} | {late:.0f} |")


if __name__ == "__main__":
    main()
