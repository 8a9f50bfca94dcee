"""Which alerts a fleet's Prometheus has seen reason for: pending ones too, as faults are shorter than patience is."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import requests

from perf.chaos.fleet import Running
from perf.meanwhile import meanwhile
from pixelis.errors import PixelisError

EVERY_S = 1.0


@contextlib.contextmanager
def listening(fleet: Running) -> Iterator[set[str]]:
    """Names of alerts, while it lasts; none where nothing is watched."""
    found: set[str] = set()
    url = _prometheus(fleet)
    if url is None:
        yield found
        return
    before = _named(url)

    def work(over: threading.Event) -> None:
        while not over.wait(EVERY_S):
            found.update(_named(url) - before)

    with meanwhile(work, name="alarms"):
        yield found


def _prometheus(fleet: Running) -> str | None:
    with contextlib.suppress(PixelisError):
        url: str | None = fleet.ordered("status")["endpoints"].get("prometheus")
        return url
    return None


def _named(url: str) -> set[str]:
    try:
        alerts = requests.get(f"{url}/api/v1/alerts", timeout=5).json()["data"]["alerts"]
        return {str(one["labels"]["alertname"]) for one in alerts}
    except (requests.RequestException, ValueError, KeyError):
        return set()
