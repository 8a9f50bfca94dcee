"""1 to 1 000 replicas under a mix of requests: how busy each shared part is, and how long one waits before it.

Every part is looked at by itself, as if there were enough of the others: so its row says how many replicas one of it is
good for. Requests come at random (Poisson), as many a second as keep every replica busy for `busy` of its time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perf.scale.costs import Costs
from perf.scale.log_model import LogModel
from perf.scale.mixes import APPLYING, BALANCER, CACHE, GATEWAY, LOG, Load, Mix
from perf.scale.queueing import Times, mean_wait, poisson, waits

REPLICAS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000)
JOBS = 50_000
"""Requests of a run before one server."""
READINGS = 30_000
"""Of a run of the log: changes times followers, about."""
LATE_S = 0.010
"""A wait that is noticed."""
MOST_CLIENTS = 10_000
"""Redis' `maxclients`, unless it is told otherwise."""


@dataclass(frozen=True)
class Seen:
    """A part under a load: share of its time that it must work, and what one waits before it."""

    load: float
    p50_s: float | None = None
    p99_s: float | None = None
    lag_p99_s: float | None = None


def balancer(load: Load) -> Seen | None:
    """One nginx worker."""
    each = load.costs.balancer
    return None if each is None else _before_one(load.per_second, np.full(JOBS, each))


def gateway(load: Load) -> Seen:
    """One process of the gateway."""
    return _before_one(load.per_second, drawn(load.each(lambda one: one.gateway)))


def cache(load: Load) -> Seen:
    """The Redis of the caches: every command for itself."""
    total = sum(count for count, _ in load.commands)
    return _before_one(load.per_second * total, drawn(load.commands))


def log(load: Load) -> Seen | None:
    """The Redis of the log, and every other replica behind it; none where nothing is learned."""
    rate, followers = load.changes, load.replicas - 1
    if rate <= 0:
        return None
    demand = load.demand(LOG)
    if load.costs.log.least(rate, followers) >= 1 or rate * load.costs.log.apply >= 1:
        return Seen(demand)
    changes = int(min(2000, max(40, READINGS / max(followers, 1))))
    found = LogModel(load.costs.log, followers).run(rate, changes)
    lag = float(np.percentile(found.lags, 99)) if len(found.lags) else None
    middle, late = (float(np.percentile(found.appends, p)) for p in (50, 99))
    return Seen(demand, middle, late, lag)


def applying(load: Load) -> Seen | None:
    """A core of every replica, which applies what all others learn."""
    return None if load.changes <= 0 else Seen(load.demand(APPLYING))


PARTS: dict[str, Callable[[Load], Seen | None]] = {
    BALANCER: balancer,
    GATEWAY: gateway,
    CACHE: cache,
    LOG: log,
    APPLYING: applying,
}


def drawn(kinds: Sequence[tuple[float, float]], seed: int = 1) -> Times:
    """Service times of a mix of (share, seconds)."""
    shares, seconds = (np.array(column) for column in zip(*kinds, strict=True))
    return np.asarray(np.random.default_rng(seed).choice(seconds, JOBS, p=shares / shares.sum()), np.float64)


def _before_one(rate: float, services: Times) -> Seen:
    demand = rate * float(services.mean())
    if demand >= 1:
        return Seen(demand)
    found = waits(poisson(rate, len(services), np.random.default_rng(2)), services)
    return Seen(demand, float(np.percentile(found, 50)), float(np.percentile(found, 99)))


def simulated(costs: Costs, mixes: Sequence[Mix], busy: float, network_bits: float) -> list[dict[str, Any]]:
    """Rows: a line for each part, mix and number of replicas; and where each part ends."""
    rows: list[dict[str, Any]] = []
    for mix in mixes:
        loads = [Load.of(costs, mix, count, busy) for count in REPLICAS]
        for part, look in PARTS.items():
            seen = [(load, found) for load in loads if (found := look(load)) is not None]
            if not seen:
                continue
            rows += [_line(part, load, found) for load, found in seen]
            full = _first(lambda count, part=part, mix=mix: Load.of(costs, mix, count, busy).demand(part) >= 1)  # type: ignore[misc]
            late = [load.replicas for load, one in seen if one.p99_s is None or one.p99_s > LATE_S]
            end = {"full_at": full, "late_at": late[0] if late and part != APPLYING else None}
            rows.append({"row": "saturation", "mix": mix.name, "part": part, **end})
        rows += [{"row": "saturation", "mix": mix.name, **one} for one in _limits(costs, mix, busy, network_bits)]
    return rows


def _line(part: str, load: Load, seen: Seen) -> dict[str, Any]:
    line = {"row": "grid", "mix": load.mix.name, "part": part, "replicas": load.replicas}
    line |= {"per_second": round(load.per_second, 1), "load": round(seen.load, 4)}
    for name, value in (("p50", seen.p50_s), ("p99", seen.p99_s), ("lag_p99", seen.lag_p99_s)):
        line[f"{name}_ms"] = None if value is None else round(1e3 * value, 3)
    return line


def _first(reached: Callable[[int], bool], most: int = 100_000) -> int | None:
    """The least number for which it is so, where it stays so; none up to `most`."""
    if not reached(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _limits(costs: Costs, mix: Mix, busy: float, network_bits: float) -> list[dict[str, Any]]:
    """What else ends: connections, and the log's way out."""
    found: list[dict[str, Any]] = []
    for part, each in (("cache: connections", costs.cache_connections), ("log: connections", costs.log_connections)):
        found.append({"part": part, "full_at": MOST_CLIENTS // max(each, 1), "each": each})

    def out(count: int) -> float:
        return 8 * Load.of(costs, mix, count, busy).changes * (count - 1) * costs.sent_bytes

    if mix.learning:
        found.append({"part": "log: network", "full_at": _first(lambda count: out(count) >= network_bits)})
    return found


def formula_error(costs: Costs, mix: Mix, busy: float) -> tuple[int, float]:
    """Where the cache's Redis works for half of its time: replicas, and by how much of itself the simulated mean wait
    is off the formula of Pollaczek and Khinchine."""
    count = _first(lambda n: Load.of(costs, mix, n, busy).demand(CACHE) >= 0.5) or 1
    load = Load.of(costs, mix, count, busy)
    services, rate = drawn(load.commands), load.per_second * sum(number for number, _ in load.commands)
    found = waits(poisson(rate, len(services), np.random.default_rng(3)), services)
    return count, float(found.mean()) / mean_wait(rate, services) - 1
