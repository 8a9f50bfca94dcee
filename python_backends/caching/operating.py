"""What operators do with the caches from outside the server: look, and make them forget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pixelis.cache_config import Cached
from pixelis.errors import Unavailable
from pixelis.json_text import loads
from pixelis.settings import Settings
from python_backends.caching.caches import FOLDER
from python_backends.caching.disk_tier import DiskTier
from python_backends.caching.orders import Order, give
from python_backends.caching.redis_link import RedisLink
from python_backends.caching.redis_tier import RedisTier
from python_backends.caching.report import FOLDER as STATS
from python_backends.caching.tier import Tier

THINGS = ("request", "reward", "image", "text", "vision", "search", "operation")


def stats(config: Settings) -> dict[str, Any]:
    """What each process last wrote, and what the shared tiers hold.

    Raises:
        SetupError: a tier that is switched on lacks its package, or the URL of Redis is none.
    """
    processes = {}
    for path in sorted((config.state / FOLDER / STATS).glob("*.json")):
        try:
            processes[path.stem] = loads(path.read_bytes())
        except (OSError, ValueError):
            continue  # it is being replaced at this moment
    shared = []
    for thing, tier in _shared(config):
        entries, size = tier.held()
        errors = tier.counts.snapshot()["errors"]
        shared.append({"cache": thing, "tier": tier.label, "entries": entries, "bytes": size, "errors": errors})
    return {"processes": processes, "shared": shared}


def clear(config: Settings, order: Order) -> dict[str, int]:
    """Remove what is meant from the shared tiers, and tell every process of the server; how many entries, by tier.

    A process carries an order out within about a second; the shared tiers go first, so that nothing moves up again.

    Raises:
        SetupError: as `stats`.
        Unavailable: a tier failed; the processes are told all the same.
        OSError: the order cannot be written.
    """
    gone, failed = dict[str, int](), set[str]()
    for _, tier in _shared(config):
        gone[tier.label] = gone.get(tier.label, 0) + tier.clear(order.prefix, order.version)
        if tier.counts.snapshot()["errors"]:
            failed.add(tier.label)
    give(config.state / FOLDER, order)
    if failed:
        raise Unavailable(
            f"What is cached in these tiers may still be there: {', '.join(sorted(failed))}.",
            mend="Mend them (the server's log says what is wrong) and clear again; every process has been told.",
        )
    return gone


def _shared(config: Settings) -> Iterator[tuple[str, Tier]]:
    """The tiers outside processes of every thing that has them."""
    cache = config.cache
    link = RedisLink(cache.redis_url.get_secret_value(), cache.redis) if cache.enable_redis else None
    for thing in THINGS:
        section: Cached = getattr(cache, thing)
        if thing == "search":
            continue  # of one process alone
        if link is not None and section.redis:
            yield thing, RedisTier(link, thing, section.ttl_s)
        if section.disk_bytes:
            yield thing, DiskTier(config.state / FOLDER / "disk" / thing, section.disk_bytes, section.ttl_s)
