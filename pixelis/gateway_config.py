"""The gateway's configuration: what it takes, from whom, and how much at once."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.networks import IPvAnyNetwork

_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*(:[0-9]{1,5})?", re.IGNORECASE)
_LITERAL = re.compile(r"\[([0-9a-fA-F:.]+)\](:[0-9]{1,5})?")


class Gateway(BaseModel):
    """REST before Triton. `pixelis gateway --help` says what its command line takes of these."""

    model_config = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=1, le=65535)
    triton: str | None = Field(None, description="host:port of Triton's gRPC; none = where `server` says it is")
    triton_metrics: str | None = Field(None, description="host:port of Triton's metrics; none = beside it")
    canary: str | None = Field(None, description="host:port of a second Triton's gRPC; none = there is none")
    canary_share: float = Field(0.05, ge=0, le=1, description="of callers, whose questions go there")
    canary_file: Path | None = Field(
        None, description='`{"share": 0.2}`, which changes the share while it serves; none = in the state folder'
    )
    body_bytes: int = Field(64 * 2**20, ge=1024, description="of one request")
    header_bytes: int = Field(16 * 2**10, ge=1024, description="of one request's line and headers")
    header_timeout_s: float = Field(10.0, gt=0, description="a connection whose headers take longer is closed")
    body_timeout_s: float = Field(30.0, gt=0, description="a body that takes longer is refused")
    json_depth: int = Field(16, ge=4, description="objects and lists within each other")
    batch: int = Field(64, ge=1, description="members of one `/batch_infer`")
    workers: int = Field(1, ge=1, le=64, description="processes that serve; bounds are of all together")
    in_flight: int = Field(32, ge=1, description="requests that Triton has at a time; more wait here")
    waiting: int = Field(256, ge=0, description="ordinary requests that may wait here; as many urgent ones more")
    connections: int = Field(2048, ge=1, description="open at a time, divided among workers; more are refused with 503")
    keys: Path | None = Field(None, description="JSON file of API keys; none = nobody needs one")
    requests_per_minute: float | None = Field(
        None, gt=0, description="of a caller without limits of its own: a key, or an address where there are no keys"
    )
    trusted_proxies: list[IPvAnyNetwork] = Field(
        default_factory=list,
        description="networks of proxies such as 172.28.77.10/32, whose `X-Forwarded-For` says the caller's address; "
        "none by default: the address is the connection's",
    )
    origins: list[str] = Field(default_factory=list, description="whose pages may call (CORS); none may by default")
    certificate: Path | None = Field(None, description="PEM file, for TLS")
    certificate_key: Path | None = Field(None, description="PEM file of its private key")
    image_hosts: list[str] = Field(
        default_factory=list,
        description="whose images are fetched by address: names, `*.` before one for all below it, `:port` behind one "
        "for another than 80 and 443; none by default",
    )
    image_networks: list[IPvAnyNetwork] = Field(
        default_factory=list,
        description="networks such as 10.20.0.0/16 that those hosts may lead to beside public ones. Dangerous: whoever "
        "may ask can then have what is inside them asked",
    )
    image_timeout_s: float = Field(10.0, gt=0, description="of one fetched image, redirects included")
    image_fetches: int = Field(16, ge=1, description="images that are fetched at a time, by each worker")
    events_bytes: int = Field(
        16 * 2**20, ge=0, description="of the events of streamed requests that are kept for `/v1/events`; 0 = none is"
    )
    events_s: float = Field(300.0, ge=0, description="how long they are kept after a request's end")
    drain_s: float = Field(30.0, ge=0, description="upon SIGTERM, requests have so long to end")

    @field_validator("image_hosts")
    @classmethod
    def _hosts(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            literal = _LITERAL.fullmatch(host)
            if literal is not None:
                ip_address(literal[1])
            elif not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is no host, such as `images.example.org` or `*.example.org:8443`")
        return hosts
