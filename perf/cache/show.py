"""The measurement for people."""

from __future__ import annotations

from perf.tables import print_measurement
from pixelis.schema import Measurement

TITLES = {
    "latency": "Look-ups, decoding included (us)",
    "zipf": "Hit rate under Zipf(1.0)",
    "repeats": "Traffic of which most was asked before",
    "reward": "Reward of a trajectory, in a process",
    "served": "Through Triton",
    "soak": "Mixed load while Redis is killed",
}


def show(measured: Measurement) -> None:
    """Print tables and claims on stdout."""
    print_measurement(measured, TITLES)
