"""What the server adds: the same searches in a process, and through a real Triton, asked by the real perf_analyzer."""

from __future__ import annotations

import base64
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from perf.environment import environment
from perf.knn.data import Dataset
from perf.knn.sweep import WARM, K
from perf.perf_analyzer import obtain
from perf.ports import free_ports
from perf.sweep.load import Load
from perf.sweep.run import sweep
from pixelis.cache_config import Cached
from pixelis.errors import Unavailable
from pixelis.index_config import IndexConfig
from pixelis.schema import Experience
from pixelis.settings import Retrieval, settings
from python_backends.experience import ExperienceStore, KnnReply, KnnRequest, execute
from python_backends.experience.search_cache import SearchCache
from server.control import Control
from server.embedded import EmbeddedTriton

Vectors = NDArray[np.float32]
Watch = Callable[[str], None]

DEFAULT = 10_000
"""The default capacity."""
REQUESTS = 2000
ASKED = 64
"""Different queries, in turn."""
LEVELS = [1, 4]
READY_S = 120.0
CACHE = Cached()
NONE = Cached(bytes=0)


def served(data: Dataset, config: IndexConfig, watch: Watch) -> list[dict[str, Any]]:
    """A row for the default capacity, compared one by one, one for the same with results remembered, one for all.

    Raises:
        SetupError: `knn` is not built, or perf_analyzer is not to be had.
    """
    stored, queries = data.split.stored, data.split.queries[:ASKED]
    rows = []
    for count, chosen, cache in ((DEFAULT, None, NONE), (DEFAULT, None, CACHE), (len(stored), config, NONE)):
        if count <= len(stored):
            retrieval = Retrieval(capacity=count, cold_start_threshold=0, retune=False, index=chosen)
            watch(f"served: {count} experiences{', remembered' if cache is CACHE else ''}")
            rows.append({"remembered": cache is CACHE, **_served(stored[:count], queries, retrieval, cache)})
    return rows


def _served(stored: Vectors, queries: Vectors, retrieval: Retrieval, cached: Cached) -> dict[str, Any]:
    tool = obtain(settings().state)
    with tempfile.TemporaryDirectory(prefix="pixelis-knn-") as folder:
        state = Path(folder)
        label, before = _in_process(state, stored, queries, retrieval, cached)
        with _triton(state, retrieval, cached) as url:
            _settled(url, len(stored) if retrieval.index is not None else 0)
            rows = sweep(tool, Load("knn", "grpc", url, REQUESTS), _requests(queries), LEVELS, lambda: None, 1)
        _, after = _in_process(state, stored, queries, retrieval, cached)
    one, many = rows
    times = np.concatenate([before, after])
    alone = float(np.median(times)) * 1e3
    return {
        "vectors": len(stored),
        "index": label,
        "process_p50_ms": round(alone, 3),
        "process_p99_ms": round(float(np.percentile(times, 99)) * 1e3, 3),
        "triton_p50_ms": one["p50_ms"],
        "triton_p99_ms": one["p99_ms"],
        "server_adds_ms": round(one["p50_ms"] - alone, 3),
        "triton_per_s": one["throughput_per_s"],
        f"triton_per_s_{LEVELS[1]}_at_once": many["throughput_per_s"],
        "mean_batch": many.get("mean_batch"),
    }


def _in_process(
    state: Path, stored: Vectors, queries: Vectors, retrieval: Retrieval, cached: Cached
) -> tuple[str, NDArray[np.float64]]:
    """Make the experiences that are served, where there are none, and search them as the model `knn` does; seconds."""
    seeds = state / "seeds"
    seeds.mkdir(exist_ok=True)
    lines = (
        Experience(experience_id=f"e{i}", question="?", answer=str(i % 7), confidence=0.9, created_at=0.0)
        for i in range(len(stored))
    )
    (seeds / "experiences.jsonl").write_text("\n".join(line.model_dump_json() for line in lines))
    np.save(seeds / "keys.npy", stored)
    store = ExperienceStore(state / "experiences", retrieval, seeds)
    cache = SearchCache.of(store, cached)
    if retrieval.index is not None:
        _await_base(lambda: store.stats()["index"], len(stored))
    times = np.empty(REQUESTS + WARM)
    for i in range(len(times)):
        start = time.perf_counter()
        (reply,) = execute(store, [KnnRequest(queries[i % len(queries)], K)], cache)
        times[i] = time.perf_counter() - start
        if not isinstance(reply, KnnReply):
            raise reply
    label = store.stats()["index"]["label"]
    store.close()
    return label, times[WARM:]


@contextmanager
def _triton(state: Path, retrieval: Retrieval, cached: Cached) -> Iterator[str]:
    """A server of `knn` alone, on the experiences in `state`; its gRPC address."""
    config = settings().model_copy(
        update={"state": state, "repository": settings().repository.absolute(), "server": free_ports()}
    )
    triton = EmbeddedTriton(config=config)
    with environment({**_variables(retrieval), "PIXELIS_CACHE__SEARCH__BYTES": str(cached.bytes)}):
        triton.start(["knn"])
    try:
        yield triton.grpc_url
    finally:
        triton.stop()


def _variables(retrieval: Retrieval) -> dict[str, str]:
    """The settings that are not the default, as the model's process reads them."""
    chosen = {name: getattr(retrieval, name) for name in retrieval.model_fields_set}
    return {
        f"PIXELIS_RETRIEVAL__{name.upper()}": value.model_dump_json() if isinstance(value, BaseModel) else str(value)
        for name, value in chosen.items()
        if value is not None
    }


def _settled(url: str, base: int) -> None:
    """Wait until the index that the server builds in the background answers."""
    control = Control(url)

    def index() -> dict[str, Any]:
        command = np.array([[b'{"command": "stats"}']], object)
        (result,) = control.infer("knn", {"COMMAND": command}, 10.0)["RESULT"].ravel()
        found: dict[str, Any] = json.loads(result)["stats"]["index"]
        return found

    try:
        _await_base(index, base)
    finally:
        control.close()


def _await_base(index: Callable[[], dict[str, Any]], base: int) -> None:
    """Wait until all of `base` vectors are in the trained index, and its recall was estimated.

    Raises:
        Unavailable: that took too long; it says why building failed, if it did.
    """
    end = time.monotonic() + READY_S
    while True:
        found = index()
        if not base or (found["base"] >= base and found["recall"]["count"] >= base):
            return
        if time.monotonic() > end:
            why = f": {found['fault']}" if found["fault"] else ""
            raise Unavailable(f"The index was not built within {READY_S:.0f} s{why}.", mend="Take fewer: --count.")
        time.sleep(0.1)


def _requests(queries: Sequence[Vectors] | Vectors) -> dict[str, Any]:
    """The JSON object for `--input-data`."""
    return {
        "data": [
            {
                "KEY": {"b64": base64.b64encode(np.ascontiguousarray(key).tobytes()).decode(), "shape": [len(key)]},
                "K": {"content": [K], "shape": [1]},
            }
            for key in queries
        ]
    }
