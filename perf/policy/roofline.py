"""How many tokens a second are to be had at most: what the arithmetic alone takes on this processor.

The roofline of Williams et al. (CACM 52-4, 2009), its compute side: floating-point operations of the requests over the
most that a processor does in a second, which a large product of matrices comes nearest to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perf.policy.load import Job

SIDE, TRIES = 2048, 7
PRODUCT = f"""
import time
import numpy as np
a = np.random.default_rng(0).random(({SIDE}, {SIDE}), np.float32)
taken = []
for _ in range({TRIES}):
    begun = time.perf_counter()
    a @ a
    taken.append(time.perf_counter() - begun)
print(2 * {SIDE} ** 3 / min(taken))
"""


@dataclass(frozen=True)
class Arithmetic:
    """Floating-point operations of a decoder's parts; a product and a sum are two.

    Attributes:
        layers: of a token in all layers' products with weights.
        head: of a token's logits.
        attended: of a token, for every token that it looks at.
    """

    layers: float
    head: float
    attended: float

    @classmethod
    def load(cls, checkpoint: Path) -> Arithmetic:
        """Of the decoder whose `config.json` lies in `checkpoint`."""
        config = json.loads((checkpoint / "config.json").read_text())
        text = {**config, **config.get("text_config", {})}
        hidden, inner, heads = text["hidden_size"], text["intermediate_size"], text["num_attention_heads"]
        width = text.get("head_dim") or hidden // heads
        weights = hidden * width * (2 * heads + 2 * text["num_key_value_heads"]) + 3 * hidden * inner
        depth = text["num_hidden_layers"]
        return cls(2.0 * depth * weights, 2.0 * hidden * text["vocab_size"], 4.0 * depth * heads * width)

    def of(self, jobs: Sequence[Job]) -> float:
        """Operations of reading the prompts and writing the answers, none of it shared."""
        total = 0.0
        for job in jobs:
            through = len(job.prompt) + job.tokens - 1  # the last token is written and not read
            total += through * self.layers + job.tokens * self.head + self.attended * through * (through + 1) / 2
        return total


def most_per_second(threads: int) -> float:
    """Floating-point operations a second of the best of some products in fp32, in a process on so many threads."""
    budget = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", PRODUCT], env={**os.environ, **budget}, capture_output=True, text=True, check=True
    )
    return float(done.stdout)
