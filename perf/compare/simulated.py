"""How often the test is right, on differences that are known: pairs drawn from those of a real A = A."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perf.compare.latency import Latency, Sequential


def simulated(ratios: Sequence[float], factor: float, pairs: int, alpha: float, seeds: int) -> list[Latency]:
    """What the test shows, seed by seed.

    Args:
        ratios: of pairs of two sides that are the same. Which of a pair is called B is drawn anew, so that they are the
            same in what is drawn too.
        factor: by which B takes longer than A.
        pairs: of a run, at most.
        alpha: of the test.
        seeds: runs.
    """
    logs, test = np.log(np.asarray(ratios, np.float64)), Sequential(pairs, alpha)
    found = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        drawn = rng.choice(logs, pairs) * rng.choice((-1.0, 1.0), pairs)
        found.append(test.run(np.exp(drawn) * factor))
    return found
