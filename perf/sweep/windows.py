"""Whether a measurement had settled: its requests in windows, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kruskal

from perf.sweep.stamps import Nanoseconds

WINDOWS = 4
LEAST = 5
"""Requests of a window; with fewer it is not judged."""
APART = 0.1
"""A share of their median that the windows' medians may lie from it, as perf_analyzer's own rule has it."""
CHANCE = 0.01
"""How often windows that are alike may be called different."""
PERCENTILES = (50, 90, 95, 99)


def figures(sent: Nanoseconds, answered: Nanoseconds) -> dict[str, Any]:
    """Latency, throughput, and whether latency was the same all along.

    Args:
        sent: in the order of sending.
        answered: of the same requests.

    Returns:
        `stable` is none where the requests are too few to say; `unstable_by` is how far a window's median lies from
        the others', as a share.
    """
    took = (answered - sent) / 1e6
    found: dict[str, Any] = {
        "requests": len(took),
        "throughput_per_s": round(_rate(sent, answered), 2),
        "mean_ms": round(float(took.mean()), 3),
        "std_ms": round(float(took.std()), 3),
    }
    found |= {f"p{q}_ms": round(float(np.percentile(took, q)), 3) for q in PERCENTILES}
    return {**found, **_settled(took)}


def _settled(took: NDArray[np.float64]) -> dict[str, Any]:
    """Windows of few requests lie apart by chance: what differs must be none (Kruskal & Wallis, JASA 1952)."""
    if len(took) < LEAST * WINDOWS:
        return {"stable": None, "unstable_by": None}
    parts = np.array_split(took, WINDOWS)
    medians = np.array([np.median(part) for part in parts])
    apart = float(np.max(np.abs(medians / np.median(medians) - 1)))
    alike = np.ptp(took) == 0 or float(kruskal(*parts).pvalue) >= CHANCE
    return {"stable": bool(alike or apart <= APART), "unstable_by": round(apart, 3)}


def _rate(sent: Nanoseconds, answered: Nanoseconds) -> float:
    """Answers a second, from the first request to the last answer."""
    return float(len(sent) / ((answered.max() - sent.min()) / 1e9))
