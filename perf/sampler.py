"""What drawing the tokens of one step costs: `python -m perf.sampler`, in microseconds beside the greedy choice."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from pixelis.schema import Sampling
from python_backends.policy.sampling import greedy, sample
from python_backends.policy.sampling_plan import Plan

VOCABULARIES = {248: 200, 151_936: 20}
"""The nano's and Qwen2.5's, and how often each step is timed."""
ROWS = (1, 16)
PROMPT = 400
SPREAD = 3.0
"""Standard deviation of the random logits."""
SETTINGS: tuple[dict[str, Any], ...] = (
    {"temperature": 1.0},
    {"temperature": 0.7, "top_k": 50},
    {"temperature": 0.7, "top_p": 0.9},
    {"temperature": 0.7, "min_p": 0.05},
    {"temperature": 0.7, "top_k": 50, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.1},
)


def cost(vocabulary: int, rows: int, settings: dict[str, Any] | None, times: int) -> float:
    """Median microseconds of one step, the greedy choice included; `settings` none: that alone."""
    rng = np.random.default_rng(0)
    logits = (SPREAD * rng.standard_normal((rows, vocabulary))).astype(np.float32)
    prompt = rng.integers(0, vocabulary, PROMPT)
    chosen = [] if settings is None else [Sampling(request_id="a", seed=row, **settings) for row in range(rows)]
    plans = [Plan.of(one, prompt) for one in chosen] or [None] * rows
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        tokens, logprobs = greedy(logits)
        sample(logits, plans, tokens, logprobs)
        taken.append(time.perf_counter() - begun)
        for plan, token in zip(plans, tokens.tolist(), strict=True):
            if plan is not None:
                plan.took(token)
    return 1e6 * statistics.median(taken)


def main() -> None:
    """Print a table."""
    print("| | " + " | ".join(f"{rows} x {size}" for size in VOCABULARIES for rows in ROWS) + " |")
    print("|---|" + "---|" * len(VOCABULARIES) * len(ROWS))
    for settings in (None, *SETTINGS):
        found = [cost(size, rows, settings, times) for size, times in VOCABULARIES.items() for rows in ROWS]
        name = ", ".join(f"{key} {value:g}" for key, value in (settings or {}).items()) or "greedy"
        print(f"| {name} | " + " | ".join(f"{one:.0f}" for one in found) + " |")


if __name__ == "__main__":
    main()
