"""The replicas' log in Redis: entries in the one order that all of them apply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pixelis.errors import SetupError, Unavailable
from pixelis.settings import Replicas
from python_backends.experience.entry import Entry
from python_backends.experience.replicas import checks
from python_backends.experience.replicas.wire import FOUNDED, Streamed, decode, encode

BATCH = 500
"""Entries of one reading."""

_APPEND = """
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return redis.error_reply('GAP') end
local id = redis.call('XADD', KEYS[1], '*', 'record', ARGV[2], 'key', ARGV[3], 'digest', ARGV[4])
return redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], id)
"""
"""Append only where what this replica has applied last is still there; and what is new up to the own entry."""


class Stream:
    """A connection that is made when it is needed.

    Args:
        config: URL, name and timeouts.

    Raises:
        SetupError: the package `redis` is missing, or the URL is none.
    """

    def __init__(self, config: Replicas) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ModuleNotFoundError as error:
            raise SetupError(
                "Replicas need the package `redis`, which is not installed.",
                mend="Install it: pip install 'pixelis-serving[replicas]'.",
            ) from error
        self._errors = redis.exceptions
        self._name = config.stream
        self._wait_ms = int(min(500, config.read_timeout_s * 500))
        try:
            self._client: Any = redis.Redis.from_url(
                config.url.get_secret_value() if config.url else "",
                socket_connect_timeout=config.connect_timeout_s,
                socket_timeout=config.read_timeout_s,
                retry=Retry(NoBackoff(), 0),  # an entry that was sent once must not be sent again
            )
        except ValueError:
            raise SetupError(
                "PIXELIS_RETRIEVAL__REPLICAS__URL is no URL of a Redis.",
                mend="Write redis://:PASSWORD@HOST:PORT/0, or rediss:// for TLS.",
            ) from None

    def first(self, seeds: Sequence[Entry]) -> Streamed:
        """The first entry; a stream that is not there is founded, with `seeds` behind it.

        Raises:
            Unavailable: Redis is not reached, or the beginning of the stream is gone.
        """
        with self._reached():
            with self._client.pipeline() as pipeline:
                pipeline.watch(self._name)
                if not pipeline.exists(self._name):
                    pipeline.multi()
                    for entry in (FOUNDED, *seeds):
                        pipeline.xadd(self._name, encode(entry))
                    with suppress(self._errors.WatchError):  # another replica was quicker
                        pipeline.execute()
            found = self._decoded(self._client.xrange(self._name, count=1))
        if not found or found[0].entry.record != FOUNDED.record:
            raise Unavailable(
                "The replicas' log has lost its beginning, so that a new replica cannot read it.",
                mend="Copy the newest .snapshot of another replica into its empty directory.",
            )
        return found[0]

    def append(self, entry: Entry, position: str) -> list[Streamed]:
        """Add an entry; everything behind `position` up to it, oldest first.

        Raises:
            Unavailable: Redis is not reached (then it may have the entry all the same), or refuses, or entries behind
                `position` may be gone.
        """
        fields = encode(entry)
        with self._reached():
            try:
                found = self._client.eval(
                    _APPEND, 1, self._name, position, fields[b"record"], fields[b"key"], fields[b"digest"]
                )
            except self._errors.ResponseError as error:
                if "GAP" in str(error):
                    raise _gap(position) from None
                raise
        return self._decoded([(one, dict(zip(flat[::2], flat[1::2], strict=True))) for one, flat in found])

    def after(self, position: str) -> list[Streamed]:
        """What is behind `position`, oldest first, `BATCH` at most.

        Raises:
            Unavailable: Redis is not reached, or entries behind `position` may be gone.
        """
        with self._reached(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.xrange(self._name, f"({position}", count=BATCH)
            pipeline.xrange(self._name, position, position)  # trimmed from the front: if it is there, so was the rest
            found, last = pipeline.execute()
        if not last:
            raise _gap(position)
        return self._decoded(found)

    def wait(self, position: str) -> None:
        """Until there is something behind `position`, half a second at most. Raises `Unavailable`."""
        with self._reached():
            self._client.xread({self._name: position}, count=1, block=self._wait_ms)

    def warnings(self) -> list[str]:
        """What Redis should be set to otherwise. Raises `Unavailable`."""
        with self._reached():
            return checks.warnings(self._client)

    def close(self) -> None:
        """Close the connections; a thread that waits in another call gets `Unavailable`."""
        self._client.connection_pool.disconnect(inuse_connections=True)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except self._errors.ResponseError as error:
            raise Unavailable(
                f"Redis refuses the replicas' log: {error}.",
                mend="Give that Redis more memory, or the rights that are missing; searches go on meanwhile.",
            ) from error
        except self._errors.RedisError as error:
            raise Unavailable(
                f"The replicas' log in Redis is not reached: {error}.",
                mend="Start that Redis, or mend PIXELIS_RETRIEVAL__REPLICAS__URL; searches go on meanwhile.",
            ) from error

    def _decoded(self, found: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[Streamed]:
        return [decode(position, fields) for position, fields in found]


def _gap(position: str) -> Unavailable:
    return Unavailable(
        f"The replicas' log does not hold entry {position} any more: it was trimmed or lost.",
        mend="Restore Redis from a copy; or move this directory away and start with the newest .snapshot of another "
        "replica in an empty one.",
    )
