"""Our indexes on a GPU, where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from perf.knn.contenders.contender import Ids, Plan, Setting, Vectors
from pixelis.index_config import Flat, IndexConfig, IvfFlat
from python_backends.experience.indexes.gpu import GpuIndex

LIBRARY = "pixelis-gpu"
LISTS = 1024
PROBES = [1, 2, 4, 8, 16, 32, 64]


class OnGpu:
    """A `GpuIndex` as a contender."""

    def __init__(self, config: IndexConfig | None, vectors: Vectors) -> None:
        self._index, self._bytes, self._probes = GpuIndex(config, vectors), vectors.nbytes, 1

    def set(self, setting: Setting) -> None:
        """See `Contender.set`."""
        self._probes = setting.get("probes", 1)

    def search(self, queries: Vectors, k: int) -> Ids:
        """See `Contender.search`; the way to the GPU and back is part of it."""
        return self._index.search(queries, k, self._probes)

    def size_bytes(self) -> int:
        """See `Contender.size_bytes`: of the vectors alone."""
        return self._bytes


def gpu_plans(cagra: bool) -> Iterator[Plan]:
    """Flat and inverted lists; with `cagra` the graph of cuVS."""
    lists = IndexConfig(index=IvfFlat(lists=LISTS))
    kinds: list[tuple[str, IndexConfig | None, list[Setting]]] = [
        ("flat", IndexConfig(index=Flat()), [{}]),
        (lists.label, lists, [{"probes": probes} for probes in PROBES]),
    ]
    if cagra:
        kinds.append(("cagra", None, [{}]))
    for label, config, settings in kinds:
        yield Plan(LIBRARY, f"gpu {label}", f"pixelis gpu {label}", partial(_build, config), [settings])


def _build(config: IndexConfig | None, vectors: Vectors, threads: int) -> OnGpu:
    return OnGpu(config, vectors)
