"""Settings of the caches: one section a cached thing, and the tiers that they share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

MIB = 2**20


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Cached(_Section):
    """How one thing is cached, in each process that does."""

    entries: int = Field(2000, ge=0, description="in memory, at most; 0 = this thing is not cached at all")
    bytes: int = Field(8 * MIB, ge=0, description="in memory, at most; 0 = this thing is not cached at all")
    policy: Literal["tinylfu", "lru"] = Field("tinylfu", description="which entries stay when memory is full")
    ttl_s: float | None = Field(
        None, gt=0, description="entries are used for so long; none = as long as they are there"
    )
    redis: bool = Field(True, description="also in Redis, where that is switched on")
    disk_bytes: int = Field(0, ge=0, description="also on disk, in so many bytes; 0 = no")


class RedisTier(_Section):
    """How Redis is spoken to. Whatever takes longer is a miss."""

    connect_timeout_ms: int = Field(50, ge=1, le=50)
    read_timeout_ms: int = Field(50, ge=1, le=50)
    namespace: str = Field("pixelis", pattern="^[a-z0-9-]+$", description="all keys begin with it")
    value_bytes: int = Field(4 * MIB, ge=1, description="larger values stay out of Redis")
    ttl_s: float = Field(86_400.0, gt=0, description="of things that have no `ttl_s` of their own")
    failures: int = Field(2, ge=1, description="so many in a row, and it is left alone for a while")
    rest_s: float = Field(0.5, gt=0, description="the first while; each that follows is twice as long")
    longest_rest_s: float = Field(8.0, gt=0)
    lock_s: float = Field(2.0, gt=0.1, description="how long a replica that died keeps the others from computing")


class Cache(_Section):
    """Bounds of the in-process caches, and which tiers are shared."""

    cache_size: int = Field(1000, ge=0, description="decoded pictures in each process; 0 = nothing at all is cached")
    cache_bytes: int = Field(
        64 * MIB, ge=0, description="byte budget beside that, of each process that looks at pictures"
    )
    shared_bytes: int = Field(
        64 * MIB, ge=0, description="of decoded pictures that each process leaves in /dev/shm for the others; 0 = none"
    )
    enable_redis: bool = False
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="redis://:PASSWORD@HOST:PORT/0, or rediss:// for TLS"
    )
    redis: RedisTier = Field(default_factory=RedisTier)
    snapshot: bool = Field(True, description="what is in memory when a server ends is there when it starts again")
    request: Cached = Field(Cached(bytes=16 * MIB), description="what the agent answered")
    reward: Cached = Field(Cached(entries=8192, bytes=4 * MIB, redis=False), description="a step's curiosity")
    image: Cached = Field(Cached(bytes=16 * MIB), description="embeddings of views")
    text: Cached = Field(Cached(bytes=8 * MIB), description="embeddings of texts")
    vision: Cached = Field(
        Cached(bytes=64 * MIB, redis=False), description="visual tokens of views, as the policy takes them"
    )
    search: Cached = Field(Cached(redis=False), description="neighbours of keys, until any experience changes")
    operation: Cached = Field(Cached(bytes=16 * MIB), description="results of visual operations")
