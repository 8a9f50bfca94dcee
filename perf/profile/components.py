"""What each component took of the requests, on their critical paths and beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perf.profile.path import critical_path
from perf.profile.tree import Node

PERCENTILES = (50, 90, 95, 99)


@dataclass
class _Sum:
    walls: list[float] = field(default_factory=list)
    own: float = 0.0
    critical: float = 0.0
    cpu: float = 0.0
    queued: float = 0.0
    stalled: float = 0.0


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """`p50_ms` and so on, of milliseconds."""
    return {f"p{one}_ms": round(float(np.percentile(values, one)), 3) for one in PERCENTILES}


def components(trees: Sequence[Node]) -> list[dict[str, Any]]:
    """A row for each, those with the most on critical paths first.

    `p50_ms` and so on are of a call, with its children; the other milliseconds are its own time, a request's mean.
    """
    sums: defaultdict[str, _Sum] = defaultdict(_Sum)
    for tree in trees:
        for node in tree.walk():
            one = sums[node.component]
            one.walls.append((node.end - node.start) / 1e6)
            one.own += node.own / 1e6
            one.cpu += (node.own_cpu or 0) / 1e6
            one.queued += node.own_queued / 1e6
            one.stalled += node.stalled / 1e6
        for stretch in critical_path(tree):
            sums[stretch.node.component].critical += (stretch.end - stretch.start) / 1e6
    return [
        {
            "row": "component",
            "component": name,
            "calls": round(len(one.walls) / len(trees), 2),
            **percentiles(one.walls),
            "critical_ms": round(one.critical / len(trees), 3),
            "own_ms": round(one.own / len(trees), 3),
            "cpu_ms": round(one.cpu / len(trees), 3),
            "queued_ms": round(one.queued / len(trees), 3),
            "stalled_ms": round(one.stalled / len(trees), 3),
        }
        for name, one in sorted(sums.items(), key=lambda item: -item[1].critical)
    ]
