"""Prometheus text to numbers."""

from __future__ import annotations

from clients.rest import get
from pixelis.errors import ServingError


def read_metrics(url: str) -> dict[str, float]:
    """The samples at `host:port`. Raises `Unavailable`, `DeadlineExceeded`, `ServingError`."""
    status, data, _ = get(url, "GET", "/metrics")
    if status != 200:
        raise ServingError(f"{url}/metrics answered with HTTP {status}.", mend="Are metrics switched on?")
    return parse(data.decode(errors="replace"))


def parse(text: str) -> dict[str, float]:
    """`name{labels}` -> value, of Prometheus' text format. Raises `ServingError` where it is not that."""
    lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    try:
        return {name: float(value) for name, _, value in lines}
    except ValueError:
        raise ServingError("The metrics are not in Prometheus' text format.", mend="Is it another server?") from None
