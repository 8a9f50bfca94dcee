"""One tiered cache for everything that is kept: memory, then Redis, then disk.

    keys.py       a key builder for each cached thing        codec.py     a value <-> bytes
    cache.py      the tiers as one; who computes a miss      envelope.py  bytes that show when they are not whole
    memory.py     tier 1: a policy (lru.py, tinylfu.py)      redis_tier.py, disk_tier.py   tiers 2 and 3
    flights.py    one computation in a process               locks.py     one computation among replicas
    usage.py      what is asked for, and how often           report.py    metrics, and what operators read

Values are bytes everywhere but at the caller, so that nobody can change what is kept. A tier that fails is a miss and a
counted error; it never fails a request.
"""

from __future__ import annotations

from python_backends.caching.cache import Cache
from python_backends.caching.key import Key

__all__ = ["Cache", "Key"]
