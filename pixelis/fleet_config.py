"""Several replicas behind one balancer on one machine: `pixelis up`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr

STEP = 10
"""Ports that lie between two replicas."""


class Fleet(BaseModel):
    """What `pixelis up` starts, and where."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field("127.0.0.1", description="what the balancer listens on; all behind it is on loopback")
    replicas: int = Field(2, ge=1, le=64)
    processors: int | None = Field(
        None,
        ge=1,
        description="that each replica is bound to, its own while they last; none = it is not bound",
    )
    port: int = Field(8080, ge=1, le=65535, description="REST, of the balancer")
    grpc_port: int = Field(8001, ge=1, le=65535, description="Triton's gRPC, of the balancer; inference alone")
    base_port: int = Field(
        18100, ge=1, le=64000, description="of what is behind it: Redis and Prometheus, then ten ports a replica"
    )
    cache_url: SecretStr | None = Field(
        None, description="redis://:PASSWORD@HOST:PORT/0 of shared caches elsewhere; none = one is started"
    )
    log_url: SecretStr | None = Field(None, description="the same of the log of experiences")
    prometheus: bool = Field(True, description="watch it all, where Prometheus is installed")
    drain_s: float = Field(30.0, ge=0, description="open requests have so long to end before a replica is restarted")
    ready_timeout_s: float = Field(300.0, gt=0, description="of a replica that starts")
