"""What keeps requests waiting that could be mended, and what mending it would give: each by a replay of the trees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from perf.profile.forms import Quicker
from perf.profile.replay import Saving, replayed
from perf.profile.tree import OUTSIDE, Node

SEVERITIES = ((0.2, "critical"), (0.1, "high"), (0.03, "medium"), (0.0, "low"))
"""By the share of a request that it takes."""
LEAST = 0.005
"""Of a request; what gives less is not told."""
EXAMPLES = 3
GRAPHS = ("run", "step")
"""Parts of a model that are its graph's."""
USUAL = 10
"""The percentile of its ways that all of them could be like; to models, those of the model with the shortest ones."""


@dataclass(frozen=True)
class Cause:
    """Something that could be mended.

    Attributes:
        component: see `Node`.
        kind: `stalled`, `queued`, `way` (there and back, beyond the usual) or `form` (a quicker one is known).
        saving: what mending it takes away.
        suggestion: what to do.
    """

    component: str
    kind: str
    saving: Saving
    suggestion: str


def bottlenecks(trees: Sequence[Node], forms: Mapping[str, Quicker] = MappingProxyType({})) -> list[dict[str, Any]]:
    """A row for each, the one that gives the most first.

    Args:
        trees: of requests.
        forms: in which models would be quicker.

    `gain_ms` is what a request would be shorter by, on average, and `p50_after_ms` what the median would be.
    """
    took = np.array([tree.end - tree.start for tree in trees]) / 1e6
    rows = []
    for cause in causes(trees, forms):
        after = np.array([replayed(tree, cause.saving) for tree in trees]) / 1e6
        gain = float(np.mean(took - after))
        share = gain / float(np.mean(took))
        if share < LEAST:
            continue
        rows.append(
            {
                "row": "bottleneck",
                "component": cause.component,
                "kind": cause.kind,
                "severity": next(name for least, name in SEVERITIES if share >= least),
                "gain_ms": round(gain, 3),
                "share": round(share, 4),
                "p50_ms": round(float(np.median(took)), 3),
                "p50_after_ms": round(float(np.median(after)), 3),
                "suggestion": cause.suggestion,
                "spans": _examples(trees, cause),
            }
        )
    return sorted(rows, key=lambda row: -row["gain_ms"])


def causes(trees: Sequence[Node], forms: Mapping[str, Quicker]) -> Iterable[Cause]:
    """All that the trees show, whether or not it gives anything."""
    nodes: defaultdict[str, list[Node]] = defaultdict(list)
    for tree in trees:
        for node in tree.walk():
            nodes[node.component].append(node)
    ways = {name: _usual(its) for name, its in nodes.items() if its[0].kind == "call"}
    shortest = min(ways.values(), default=0.0)
    for component, its in nodes.items():
        if any(node.stalled for node in its):
            yield Cause(component, "stalled", _stalled(component), STALLED.format(component))
        if any(node.own_queued for node in its):
            yield Cause(component, "queued", _queued(component), QUEUED.format(component))
        if component == OUTSIDE or its[0].kind in ("call", "turn"):
            usual = _usual(its) if component == OUTSIDE else shortest
            yield Cause(component, "way", _beyond(component, usual), _way(component, usual / 1e6))
        model, _, part = component.partition(": ")
        if part in GRAPHS and model in forms:
            yield Cause(component, "form", _quicker(component, forms[model].ratio), _form(model, forms[model]))


STALLED = (
    "`{}` sleeps there, or waits for a lock, a file or another machine: py-spy dump --pid of its process in such a "
    "moment shows the line."
)
QUEUED = (
    "`{}` was ready and had no processor: more cores, fewer threads (threads.intra_op, threads.total), or fewer "
    "requests at once (sweep --concurrency shows how many are worth while)."
)


def _usual(nodes: Sequence[Node]) -> float:
    return float(np.percentile([node.own for node in nodes], USUAL))


def _form(model: str, quicker: Quicker) -> str:
    return (
        f"`{model}` is served as {quicker.served}; {quicker.form} passed its gate and takes {quicker.ratio:.2f} of the "
        f"time on this machine: pixelis build {model} --optimize latency."
    )


def _way(component: str, usual_ms: float) -> str:
    if component == OUTSIDE:
        return f"At its best it is {usual_ms:.1f} ms: fewer bytes (smaller images, more compression), a nearer client."
    model = component.removeprefix("→ ")
    return (
        f"A model's way there and back takes {usual_ms:.1f} ms at its best; beyond that a request of `{model}` waits "
        "for company or its turn (batching.max_wait_time_ms, batching.max_batch_size), or its tensors are copied."
    )


def _stalled(component: str) -> Saving:
    return lambda node: node.stalled if node.component == component else 0.0


def _queued(component: str) -> Saving:
    return lambda node: node.own_queued if node.component == component else 0.0


def _beyond(component: str, usual: float) -> Saving:
    return lambda node: max(0.0, node.own - usual) if node.component == component else 0.0


def _quicker(component: str, ratio: float) -> Saving:
    def saving(node: Node) -> float:
        if node.component != component:
            return 0.0
        graph = node.notes["graph_s"] * 1e9 if "graph_s" in node.notes else node.own_cpu or 0
        return float(min(graph, node.own) * (1 - ratio))

    return saving


def _examples(trees: Sequence[Node], cause: Cause) -> list[dict[str, Any]]:
    """The spans in which it takes the most."""
    found = [
        {
            "request": number,
            "at_ms": round((node.start - tree.start) / 1e6, 3),
            "ms": round((node.end - node.start) / 1e6, 3),
            "saved_ms": round(cause.saving(node) / 1e6, 3),
        }
        for number, tree in enumerate(trees)
        for node in tree.walk()
        if cause.saving(node) > 0
    ]
    return sorted(found, key=lambda one: -float(one["saved_ms"]))[:EXAMPLES]
