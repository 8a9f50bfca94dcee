"""A profile's spans for other tools: OTLP as JSON, which OpenTelemetry's collector, Jaeger and Tempo take.

Names as in https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: ids in hexadecimal, times as text.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from perf.profile.tree import OUTSIDE, Node

INTERNAL, CLIENT = 1, 3
"""SpanKind."""


def otlp(trees: Sequence[Node]) -> dict[str, Any]:
    """An ExportTraceServiceRequest: a trace a request, a resource a model.

    Args:
        trees: on the machine's monotonic clock, which is told as the time of day by what both say now.
    """
    shift = time.time_ns() - time.monotonic_ns()
    spans: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for tree in trees:
        _add(tree, secrets.token_hex(16), "", shift, spans)
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [_attribute("service.name", f"pixelis.{model}")]},
                "scopeSpans": [{"scope": {"name": "pixelis"}, "spans": found}],
            }
            for model, found in spans.items()
        ]
    }


def _add(node: Node, trace: str, parent: str, shift: int, spans: defaultdict[str, list[dict[str, Any]]]) -> None:
    identity = secrets.token_hex(8)
    known = {"queued_ns": node.queued, "thread": node.thread, **({} if node.cpu is None else {"cpu_ns": node.cpu})}
    told = {name: value for name, value in node.notes.items() if isinstance(value, str | int | float)}
    spans[_model(node)].append(
        {
            "traceId": trace,
            "spanId": identity,
            **({"parentSpanId": parent} if parent else {}),
            "name": "request" if node.component == OUTSIDE else node.component,
            "kind": CLIENT if node.kind in ("call", "request") else INTERNAL,
            "startTimeUnixNano": str(node.start + shift),
            "endTimeUnixNano": str(node.end + shift),
            "attributes": [_attribute(f"pixelis.{name}", value) for name, value in {**known, **told}.items()],
        }
    )
    for child in node.children:
        _add(child, trace, identity, shift, spans)


def _model(node: Node) -> str:
    """Whose process it was; of a call, which its sender made, whom it called."""
    return "client" if node.component == OUTSIDE else node.component.removeprefix("→ ").partition(":")[0]


def _attribute(key: str, value: str | int | float) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    return {"key": key, "value": {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}}
