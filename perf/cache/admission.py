"""Which entries stay: the hit rate of each policy under Zipf traffic, beside what no cache of the size can beat."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from perf.cache.traffic import DISTINCT, ROOM, outcome, request, zipf
from pixelis.cache_config import Cached
from pixelis.schema import Claim
from python_backends.caching import Cache
from python_backends.caching.keys import request_key
from python_backends.caching.origin import Origin
from python_backends.pipeline.request_cache import CODEC

POLICIES: tuple[Literal["lru", "tinylfu"], ...] = ("lru", "tinylfu")
ENTRY_BYTES = 2048
"""Enough for every outcome of `traffic.py`, so that `ROOM` of them fit whatever the policy."""


def admission(count: int) -> tuple[list[dict[str, Any]], list[Claim]]:
    """Rows and claims of `count` askings, of which the second half counts."""
    asked = zipf(count)
    counted = asked[count // 2 :]
    rates = {policy: _rate(policy, asked) for policy in POLICIES}
    best = {number for number, _ in Counter(counted).most_common(ROOM)}
    static = sum(number in best for number in counted) / len(counted)
    optimum = belady(asked, ROOM, count // 2)
    rows: list[dict[str, Any]] = [
        {"row": "zipf", "policy": policy, "askings": len(counted), "distinct": DISTINCT, "room": ROOM, "hit_rate": rate}
        for policy, rate in (*rates.items(), ("best static content", static), ("offline optimum (Belady)", optimum))
    ]
    for row in rows:
        row["hit_rate"] = round(row["hit_rate"], 4)
    return rows, [
        _claim("Zipf(1.0): TinyLFU above LRU of the same size", 3.0, 100 * (rates["tinylfu"] - rates["lru"]), True),
        _claim("Zipf(1.0): TinyLFU below the best static content", 3.0, 100 * (static - rates["tinylfu"]), False),
    ]


def _rate(policy: Literal["lru", "tinylfu"], asked: Sequence[int]) -> float:
    cache = Cache("request", CODEC, Cached(entries=ROOM, bytes=ROOM * ENTRY_BYTES, policy=policy))
    keys = [request_key(Origin(), request(number)) for number in range(DISTINCT)]
    hits = 0
    for place, number in enumerate(asked):
        found = cache.get(keys[number])
        if found is None:
            cache.put(keys[number], outcome(number))
        elif place >= len(asked) // 2:
            hits += 1
    return hits / (len(asked) - len(asked) // 2)


def belady(asked: Sequence[int], room: int, start: int) -> float:
    """The hit rate from `start` on of whoever knows what comes: out goes what is asked for again last, or never.

    Belady, "A study of replacement algorithms for a virtual-storage computer" (1966); what comes in may be what goes.
    """
    following, last = [len(asked)] * len(asked), dict[int, int]()
    for place in range(len(asked) - 1, -1, -1):
        following[place] = last.get(asked[place], len(asked) + place)
        last[asked[place]] = place
    held: dict[int, int] = {}
    queue: list[tuple[int, int]] = []
    hits = 0
    for place, number in enumerate(asked):
        hits += number in held and place >= start
        held[number] = following[place]
        heapq.heappush(queue, (-following[place], number))
        while len(held) > room:
            after, candidate = heapq.heappop(queue)
            if held.get(candidate) == -after:
                del held[candidate]
    return hits / (len(asked) - start)


def _claim(text: str, target: float, measured: float, more: bool) -> Claim:
    met = measured >= target if more else measured <= target
    return Claim(claim=text, target=target, measured=round(measured, 2), unit="points", met=met)
