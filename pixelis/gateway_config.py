"""The gateway's configuration: what it takes, from whom, and how much at once."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Gateway(BaseModel):
    """REST before Triton. `pixelis gateway --help` says what its command line takes of these."""

    model_config = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=1, le=65535)
    triton: str | None = Field(None, description="host:port of Triton's gRPC; none = where `server` says it is")
    triton_metrics: str | None = Field(None, description="host:port of Triton's metrics; none = beside it")
    body_bytes: int = Field(64 * 2**20, ge=1024, description="of one request")
    header_bytes: int = Field(16 * 2**10, ge=1024, description="of one request's line and headers")
    header_timeout_s: float = Field(10.0, gt=0, description="a connection whose headers take longer is closed")
    body_timeout_s: float = Field(30.0, gt=0, description="a body that takes longer is refused")
    json_depth: int = Field(16, ge=4, description="objects and lists within each other")
    batch: int = Field(64, ge=1, description="members of one `/batch_infer`")
    in_flight: int = Field(32, ge=1, description="requests that Triton has from one worker at a time; more wait here")
    waiting: int = Field(256, ge=0, description="ordinary requests that may wait here; as many urgent ones more")
    connections: int = Field(2048, ge=1, description="open at a time; more are refused with 503")
    keys: Path | None = Field(None, description="JSON file of API keys; none = nobody needs one")
    requests_per_minute: float | None = Field(
        None, gt=0, description="of a caller without limits of its own: a key, or an address where there are no keys"
    )
    origins: list[str] = Field(default_factory=list, description="whose pages may call (CORS); none may by default")
    certificate: Path | None = Field(None, description="PEM file, for TLS")
    certificate_key: Path | None = Field(None, description="PEM file of its private key")
    drain_s: float = Field(30.0, ge=0, description="upon SIGTERM, requests have so long to end")
