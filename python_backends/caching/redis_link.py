"""A connection to Redis that never takes long and never raises."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from pixelis.cache_config import RedisTier as RedisConfig
from pixelis.errors import SetupError
from python_backends.caching.breaker import Breaker
from python_backends.caching.counts import TierCounts

T = TypeVar("T")
log = logging.getLogger(__name__)


class RedisLink:
    """Calls of one Redis, behind a circuit breaker. For any number of threads.

    Args:
        url: `redis://:PASSWORD@HOST:PORT/0`, or `rediss://` for TLS (`?ssl_ca_certs=FILE`: an authority of one's own).
        config: timeouts, and when it is left alone.

    Raises:
        SetupError: the package `redis` is missing, or the URL is none.
    """

    def __init__(self, url: str, config: RedisConfig) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ModuleNotFoundError as error:
            raise SetupError(
                "The cache in Redis needs the package `redis`, which is not installed.",
                mend="Install it: pip install 'pixelis-serving[caches]', or leave PIXELIS_CACHE__ENABLE_REDIS out.",
            ) from error
        self.config = config
        self.breaker = Breaker(config.failures, config.rest_s, config.longest_rest_s)
        self._refusals: Any = (redis.exceptions.ResponseError,)
        self._denied: Any = (redis.exceptions.AuthenticationError,)
        try:
            self._client: Any = redis.Redis.from_url(
                url,
                socket_connect_timeout=config.connect_timeout_ms / 1000,
                socket_timeout=config.read_timeout_ms / 1000,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            raise SetupError(
                "PIXELIS_CACHE__REDIS_URL is no URL of a Redis.",
                mend="Write redis://:PASSWORD@HOST:PORT/0, or rediss:// for TLS.",
            ) from None
        self._said = ""
        # The first contact takes longer than the others (names, modules): at load nobody waits for it.
        with contextlib.suppress(Exception):
            self._client.ping()

    def ask(self, work: Callable[[Any], T], counts: TierCounts) -> T | None:
        """What `work` gets of the client; none where Redis is left alone, or where it failed, which is counted."""
        if not self.breaker.may():
            return None
        try:
            found = work(self._client)
        except Exception as error:  # whatever a server that is no Redis makes of the client's parser, too
            counts.add("errors")
            self._failed(error)
            return None
        self.breaker.well()
        self._tell("")
        return found

    def _failed(self, error: Exception) -> None:
        refused = isinstance(error, self._refusals) and not isinstance(error, self._denied)
        if refused and not str(error).startswith("NOAUTH"):
            self.breaker.well()  # it lives and says no: full, or a script that it does not allow
        else:
            self.breaker.failed()
        self._tell(f"{type(error).__name__}: {error}")

    def _tell(self, said: str) -> None:
        """A line in the log when something changes."""
        if said != self._said:
            self._said = said
            log.warning("The cache in Redis %s", f"fails: {said}" if said else "is reached again.")

    def close(self) -> None:
        """Close the connections."""
        self._client.connection_pool.disconnect(inuse_connections=True)
