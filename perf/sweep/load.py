"""What a sweep sends, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Protocol = Literal["grpc", "http"]
Arrivals = Literal["closed", "poisson", "constant"]
Memory = Literal["none", "system"]


@dataclass(frozen=True)
class Load:
    """What to send where.

    Attributes:
        model: its name.
        protocol: of the inference requests.
        url: `host:port`.
        requests: to measure at each level; as many more as there are workers are sent first and not counted, because a
            worker's first request opens its connection.
        arrivals: `closed`: each of so many workers sends its next request when the last one is answered; `poisson` or
            `constant`: so many requests a second are sent, whether or not the last ones are answered.
        memory: `system`: inputs and outputs go through shared memory.
        streaming: by gRPC streams, for a decoupled model; a request ends with its last response.
        timeout_s: for one level.
    """

    model: str
    protocol: Protocol
    url: str
    requests: int
    arrivals: Arrivals = "closed"
    memory: Memory = "none"
    streaming: bool = False
    timeout_s: float = 900.0

    def arguments(self, level: float) -> list[str]:
        """Of perf_analyzer, for `level` workers or requests a second."""
        said = ["-m", self.model, "-i", self.protocol, "-u", self.url]
        if self.arrivals == "closed":
            said += ["--concurrency-range", f"{level:g}:{level:g}:1"]
        else:
            said += ["--request-rate-range", f"{level:g}:{level:g}:1", "--request-distribution", self.arrivals]
            said += ["--max-threads", str(MOST_IN_FLIGHT)]
        said += ["--request-count", str(self.requests + self.warm(level)), "--shared-memory", self.memory]
        return [*said, "--streaming"] if self.streaming else said

    def warm(self, level: float) -> int:
        """Requests that are sent first and not counted."""
        return int(level) if self.arrivals == "closed" else max(1, int(level))


MOST_IN_FLIGHT = 16
"""Threads of an open loop; each has any number of requests in flight where the protocol lets it."""
