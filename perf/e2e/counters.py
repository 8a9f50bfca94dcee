"""What Triton's own counters say of a time span: where requests waited and where they were worked on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Samples = Mapping[str, float]
"""`name{labels}` -> value, as `PixelisClient.metrics` reads them."""

_MODEL = re.compile(r'model="([^"]*)"')
_COUNTERS = {
    "nv_inference_request_success": "requests",
    "nv_inference_count": "inferences",
    "nv_inference_exec_count": "executions",
    "nv_inference_request_duration_us": "duration_us",
    "nv_inference_queue_duration_us": "queue_us",
    "nv_inference_compute_infer_duration_us": "compute_us",
}


class Counters:
    """Sums what happened to each model between pairs of readings."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, float]] = {}

    def add(self, before: Samples, after: Samples) -> None:
        """Add a span."""
        for sample, value in after.items():
            name = _COUNTERS.get(sample.partition("{")[0])
            found = _MODEL.search(sample)
            if name is None or found is None:
                continue
            sums = self._sums.setdefault(found[1], dict.fromkeys(_COUNTERS.values(), 0.0))
            sums[name] += value - before.get(sample, 0.0)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each model that was asked, the most worked on first; milliseconds are means over its requests."""
        asked = {model: sums for model, sums in self._sums.items() if sums["requests"] > 0}
        order = sorted(asked, key=lambda model: -asked[model]["duration_us"])
        return [{"model": model, **_means(asked[model])} for model in order]


def _means(sums: Mapping[str, float]) -> dict[str, Any]:
    requests = sums["requests"]
    return {
        "requests": int(requests),
        "mean_batch": round(sums["inferences"] / max(sums["executions"], 1.0), 2),
        "queue_ms": round(sums["queue_us"] / requests / 1e3, 3),
        "compute_ms": round(sums["compute_us"] / requests / 1e3, 3),
        "duration_ms": round(sums["duration_us"] / requests / 1e3, 3),
    }
