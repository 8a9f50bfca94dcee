"""Client processes: `python -m perf.scale.clients KIND URL SECONDS ...`; each prints what it did as one JSON object.

cache    asks a Redis as a replica's cache does, again as soon as it is answered
append   writes changes into the log, so many a second, or as fast as it goes
follow   reads the log as a replica does, without applying
apply    is a replica's store
post     sends bodies over HTTP
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

WRITES = 10
"""Of the cache, one command in so many."""


def main() -> None:
    """Wait for a line on standard input, do it, print, and end."""
    parser = argparse.ArgumentParser(prog="python -m perf.scale.clients")
    parser.add_argument("kind", choices=sorted(_KINDS))
    parser.add_argument("url")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--rate", type=float, default=0.0, help="a second; 0 = as fast as it goes")
    parser.add_argument("--bytes", type=int, default=4096)
    said = parser.parse_args()
    begin = _KINDS[said.kind](said)
    print("ready", flush=True)
    sys.stdin.readline()
    started, before = time.monotonic(), time.process_time()
    found = begin()
    found |= {"seconds": time.monotonic() - started, "cpu_s": time.process_time() - before}
    print(json.dumps(found), flush=True)


def _cache(said: argparse.Namespace) -> Any:
    from pixelis.cache_config import RedisTier as Config
    from python_backends.caching.key import Key
    from python_backends.caching.redis_link import RedisLink
    from python_backends.caching.redis_tier import RedisTier

    tier = RedisTier(RedisLink(said.url, Config()), "scale", None)
    keys, value = [Key.of("scale", {}, number=number) for number in range(64)], bytes(said.bytes)
    tier.put_many({key.name: value for key in keys})

    def work() -> dict[str, Any]:
        times: list[float] = []
        end = time.monotonic() + said.seconds
        while (now := time.monotonic()) < end:
            number = len(times)
            if number % WRITES:
                tier.get_many([keys[number % 64]])
            else:
                tier.put_many({keys[number % 64].name: value})
            times.append(time.monotonic() - now)
        return {"count": len(times), "failed": tier.counts.snapshot()["errors"], **_percentiles(times)}

    return work


def _append(said: argparse.Namespace) -> Any:
    stream = _stream(said.url)
    position, number = stream.first([]).position, 0

    def work() -> dict[str, Any]:
        nonlocal position, number
        times, start = [], time.monotonic()
        while (now := time.monotonic()) < start + said.seconds:
            position = stream.append(entry(number), position)[-1].position
            number += 1
            times.append(time.monotonic() - now)
            if said.rate:
                time.sleep(max(0.0, start + number / said.rate - time.monotonic()))
        return {"count": number, **_percentiles(times)}

    return work


def _follow(said: argparse.Namespace) -> Any:
    stream = _stream(said.url)
    position = stream.first([]).position

    def work() -> dict[str, Any]:
        nonlocal position
        seen, end = 0, time.monotonic() + said.seconds
        while time.monotonic() < end:  # as `Replica._run`
            stream.wait(position)
            while found := stream.after(position):
                position = found[-1].position
                seen += len(found)
        return {"count": seen}

    return work


def _apply(said: argparse.Namespace) -> Any:
    from pixelis.settings import Replicas, Retrieval
    from python_backends.experience import ExperienceStore

    folder = tempfile.TemporaryDirectory(prefix="pixelis-apply-")
    shared = Replicas.model_validate({"url": said.url, "read_timeout_s": 5.0})
    config = Retrieval(cold_start_threshold=0, replicas=shared)
    store = ExperienceStore(Path(folder.name), config, None)

    def work() -> dict[str, Any]:
        before = len(store)
        time.sleep(said.seconds)
        found = {"count": len(store) - before}
        store.close()
        folder.cleanup()
        return found

    return work


def _post(said: argparse.Namespace) -> Any:
    connection = http.client.HTTPConnection(said.url, timeout=30)
    body = bytes(said.bytes)

    def work() -> dict[str, Any]:
        times, end = [], time.monotonic() + said.seconds
        while (now := time.monotonic()) < end:
            connection.request("POST", "/infer", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200 or len(answer.read()) < 2:
                raise SystemExit(f"The answer was {answer.status}.")
            times.append(time.monotonic() - now)
        return {"count": len(times), **_percentiles(times)}

    return work


_KINDS = {"cache": _cache, "append": _append, "follow": _follow, "apply": _apply, "post": _post}


def entry(number: int) -> Any:
    """A change as a learning request makes it: an insertion, with its key."""
    from python_backends.experience.entry import Entry

    key = np.random.default_rng(number).standard_normal(1664).astype(np.float32)
    record = {"op": "insert", "experience": {"question": "What colour is it?", "answer": "red", "number": number}}
    return Entry({**record, "filler": "x" * 600}, key / np.linalg.norm(key))


def _stream(url: str) -> Any:
    from pixelis.settings import Replicas
    from python_backends.experience.replicas.stream import Stream

    return Stream(Replicas.model_validate({"url": url, "read_timeout_s": 5.0}))


def _percentiles(times: list[float]) -> dict[str, float]:
    return {f"p{p}_ms": round(1e3 * float(np.percentile(times, p)), 4) for p in (50, 99)} if times else {}


if __name__ == "__main__":
    main()
