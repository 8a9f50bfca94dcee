"""Traffic of which four in five requests were asked before: how many of those that may hit do."""

from __future__ import annotations

from typing import Any

import numpy as np

from perf.cache.traffic import outcome, repeating, request
from pixelis.cache_config import Cached
from pixelis.schema import Claim, Options
from python_backends.caching import Cache
from python_backends.caching.keys import request_key
from python_backends.caching.origin import Origin
from python_backends.pipeline.request_cache import CODEC, eligible

SHARE, DRAWN = 0.8, 0.02
"""Requests that were asked before; and those with a temperature and no seed, which never come from a cache."""


def repeats(count: int) -> tuple[list[dict[str, Any]], list[Claim]]:
    """Rows and claims of `count` requests, with the default settings."""
    cache = Cache("request", CODEC, Cached(bytes=16 * 2**20))
    rng, seen = np.random.default_rng(1), set[int]()
    may = hits = repeated = 0
    for number in repeating(count, SHARE):
        options = Options(temperature=0.7) if rng.random() < DRAWN else Options()
        repeated += number in seen
        if not eligible(options):
            continue
        may += number in seen
        _, there = cache.get_or(request_key(Origin(), request(number, options)), lambda n=number: outcome(n))  # type: ignore[misc]
        hits += there
        seen.add(number)
    row = {"row": "repeats", "requests": count, "repeated": repeated, "eligible_repeats": may, "hits": hits}
    return [row], [
        _claim(f"{count} requests, {100 * SHARE:.0f} % asked before: eligible repeats that hit", 98.0, hits / may),
        _claim("the same: hits of all requests", 78.0, hits / count),
    ]


def _claim(text: str, target: float, share: float) -> Claim:
    measured = round(100 * share, 2)
    return Claim(claim=text, target=target, measured=measured, unit="%", met=measured >= target)
