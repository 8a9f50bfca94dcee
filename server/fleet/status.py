"""What a fleet is doing, as data."""

from __future__ import annotations

import time
from typing import Any

from server.fleet.fleet import Fleet
from server.fleet.part import Part
from server.fleet.replica import Replica


def status(fleet: Fleet) -> dict[str, Any]:
    """Endpoints, parts and replicas."""
    config, places = fleet.config.fleet, fleet.places
    watching = fleet.watcher.part is not None
    endpoints = {"rest": f"http://{config.host}:{config.port}", "grpc": f"{config.host}:{config.grpc_port}"}
    if watching:
        endpoints["prometheus"] = f"http://127.0.0.1:{places.prometheus_port}"
    serving = fleet.serving
    return {
        "endpoints": endpoints,
        "logs": str(places.folder("logs").absolute()),
        "replicas": [_replica(one, one in serving) for one in fleet.replicas.values()],
        "parts": [_part(part) for part in fleet.parts],
    }


def _replica(replica: Replica, serving: bool) -> dict[str, Any]:
    return {
        "replica": replica.number,
        "gets_requests": serving,
        "gateway": replica.gateway_url,
        "grpc": replica.grpc_url,
        "http": f"127.0.0.1:{replica.http}",
        "metrics": f"127.0.0.1:{replica.metrics}",
        "state": str(replica.state),
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "part": part.name,
        "state": part.state,
        "pid": part.pid,
        "for_s": round(time.monotonic() - part.since, 1),
        "restarts": part.restarts,
        "log": str(part.log),
    }
