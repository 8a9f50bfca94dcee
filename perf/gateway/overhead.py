"""The same requests straight to Triton and through the gateway, one after the other and many at once, in turns."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.client import PixelisClient
from perf.gateway.scene import QUESTION, Scene, body
from pixelis.errors import ServingError
from pixelis.schema import Claim

MOST_MS = 2.0
"""Of the gateway's own time at the median."""
LEAST_SHARE = 70.0
"""Per cent of the throughput of Triton's own gRPC."""
AT_ONCE = 16

RESAMPLES = 2000

Ask = Callable[[int], None]
Times = NDArray[np.float64]
Pictures = Sequence[bytes]


class Rest:
    """Asks the gateway, one connection each.

    Args:
        url: `host:port`.
        bodies: of requests.
    """

    def __init__(self, url: str, bodies: Sequence[bytes]) -> None:
        self._bodies = bodies
        self._connection = http.client.HTTPConnection(url, timeout=120)

    def __call__(self, number: int) -> None:
        """One request. Raises `ServingError` where it is not answered."""
        said = self._bodies[number % len(self._bodies)]
        self._connection.request("POST", "/infer", said, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        data = response.read()
        if response.status != 200:
            raise ServingError(f"The gateway answered with {response.status}: {data[:200]!r}.")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def overhead(scene: Scene, cached: Pictures, fresh: Pictures, rounds: int) -> tuple[list[dict[str, Any]], list[Claim]]:
    """Rows and claims of latency: answers of a cache, and of the whole path.

    Args:
        scene: what is running.
        cached: pictures that are asked about again and again.
        fresh: pictures that nobody asked about.
        rounds: turns of each way.
    """
    rows, claims = [], []
    for path, pictures, options in (
        ("cache hit", cached, {}),
        ("full path", fresh, {"use_cache": False, "k": 0, "max_operations": 1}),
    ):
        direct, through = _in_turns(scene, pictures, options, rounds)
        added = 1e3 * (float(np.median(through)) - float(np.median(direct)))
        low, high = _interval(1e3 * np.array(direct), 1e3 * np.array(through))
        for way, times in (("gRPC", direct), ("gateway", through)):
            first, middle, third = 1e3 * np.percentile(times, (25, 50, 75))
            row = {"p50_ms": middle, "p25_ms": first, "p75_ms": third}
            rows.append({"row": "latency", "path": path, "way": way, **{k: round(float(v), 3) for k, v in row.items()}})
        rows.append({"row": "added", "path": path, "p50_ms": round(added, 3), "low": low, "high": high})
        said = f"what the gateway adds at the median to a question about a JPEG of 100 KB, {path}"
        claims.append(Claim(claim=said, target=MOST_MS, measured=round(added, 3), unit="ms", met=added <= MOST_MS))
    return rows, claims


def _interval(direct: Times, through: Times) -> tuple[float, float]:
    """95 % of the difference of medians: bootstrap of turns, percentiles (Efron & Tibshirani, 1993, ch. 13)."""
    drawn = np.random.default_rng(0).integers(0, len(direct), (RESAMPLES, len(direct)))
    found = np.median(through[drawn], axis=1) - np.median(direct[drawn], axis=1)
    low, high = np.percentile(found, (2.5, 97.5))
    return round(float(low), 3), round(float(high), 3)


def _in_turns(
    scene: Scene, pictures: Pictures, options: dict[str, Any], rounds: int
) -> tuple[list[float], list[float]]:
    rest = Rest(scene.gateway, [body(image, options) for image in pictures])
    with PixelisClient(scene.grpc) as client:

        def direct(number: int) -> None:
            client.ask(pictures[number % len(pictures)], QUESTION, **options)

        ways: tuple[tuple[Ask, list[float]], ...] = ((direct, []), (rest, []))
        for ask, _ in ways:  # whatever is warm is warm for both
            for number in range(len(pictures)):
                ask(number)
        for number in range(rounds):
            for ask, times in ways if number % 2 else ways[::-1]:
                start = time.perf_counter()
                ask(number)
                times.append(time.perf_counter() - start)
    rest.close()
    return ways[0][1], ways[1][1]


def throughput(scene: Scene, cached: Pictures, seconds: float, rounds: int) -> tuple[list[dict[str, Any]], list[Claim]]:
    """Rows and the claim of answers a second with 16 at once, each way for `seconds`, `rounds` times in turns."""
    bodies = [body(image, {}) for image in cached]
    rates: dict[str, list[float]] = {"gRPC": [], "gateway": []}
    with PixelisClient(scene.grpc) as client:

        def direct() -> Ask:
            return lambda number: _dropped(client.ask(cached[number % len(cached)], QUESTION))

        for number in range(rounds):
            ways: list[tuple[str, Callable[[], Ask]]] = [
                ("gRPC", direct),
                ("gateway", lambda: Rest(scene.gateway, bodies)),
            ]
            for name, made in ways if number % 2 else ways[::-1]:
                rates[name].append(_rate(made, seconds))
    rows = [
        {
            "row": "throughput",
            "way": name,
            "at_once": AT_ONCE,
            "answers_per_s": round(float(np.median(found)), 1),
            "least": round(min(found), 1),
            "most": round(max(found), 1),
        }
        for name, found in rates.items()
    ]
    share = 100 * float(np.median(rates["gateway"])) / float(np.median(rates["gRPC"]))
    said = f"answers a second through the gateway, of those of Triton's gRPC, {AT_ONCE} at once"
    return rows, [Claim(claim=said, target=LEAST_SHARE, measured=round(share, 1), unit="%", met=share >= LEAST_SHARE)]


def _rate(made: Callable[[], Ask], seconds: float) -> float:
    end = time.perf_counter() + seconds

    def work(_: int) -> int:
        ask, done = made(), 0
        while time.perf_counter() < end:
            ask(done)
            done += 1
        return done

    start = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        total = sum(pool.map(work, range(AT_ONCE)))
    return total / (time.perf_counter() - start)


def _dropped(_: Any) -> None:
    return None
