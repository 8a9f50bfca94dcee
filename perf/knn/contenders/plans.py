"""What is built of each library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import faiss

from perf.knn.contenders import hnswlib, on_gpu, ours, usearch
from perf.knn.contenders.contender import Plan
from pixelis.faiss_device import why_no_gpu
from pixelis.index_config import Storage
from python_backends.experience.tuning import Grid

LIBRARIES = (ours.EXACT, ours.LIBRARY, on_gpu.LIBRARY, hnswlib.LIBRARY, usearch.LIBRARY)

EF = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768]
PROBES = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128]
LISTS = [64, 256, 1024, 4096]
FULL = [Storage.FLOAT32]
MS = (16, 32)
DTYPES = ("f32", "bf16", "i8")
MANY = 500_000
"""Of more vectors only the smaller graphs are built: each takes many minutes."""

OURS: tuple[Grid, ...] = (
    Grid(kind="flat", pca=[32, 64, 128], refine=FULL, factors=[1, 2, 4, 8, 16, 32, 64]),
    Grid(kind="ivf_flat", built={"lists": LISTS}, searched={"probes": PROBES}),
    Grid(
        kind="ivf_pq",
        built={"lists": LISTS, "bits": [4], "fast_scan": [True]},
        searched={"probes": PROBES},
        subvector=[2],
        pca=[0, 64, 128],
        refine=FULL,
        factors=[4, 8, 16, 32],
    ),
    Grid(kind="hnsw", built={"m": list(MS), "ef_construction": [200]}, searched={"ef_search": EF}),
    Grid(
        kind="hnsw",
        built={"m": list(MS), "ef_construction": [200]},
        searched={"ef_search": EF},
        pca=[64, 128],
        refine=FULL,
        factors=[1, 2, 4, 8],
    ),
    Grid(kind="lsh", built={"bits": [512, 1024]}, refine=FULL, factors=[4, 16, 64]),
)
"""Less than the tuner tries: what a reader wants to see beside the others."""

QUICK: tuple[Grid, ...] = (
    Grid(kind="flat", pca=[32], refine=FULL, factors=[2, 8]),
    Grid(kind="ivf_flat", built={"lists": [64]}, searched={"probes": [2, 16]}),
    Grid(
        kind="hnsw",
        built={"m": [16], "ef_construction": [40]},
        searched={"ef_search": [16, 64]},
        pca=[32],
        refine=FULL,
        factors=[4],
    ),
)


def plans(count: int, width: int, libraries: Sequence[str] = LIBRARIES, quick: bool = False) -> Iterator[Plan]:
    """Exact search first, then ours, then the others that are asked for and installed.

    Args:
        count: vectors that will be stored.
        width: D.
        libraries: among `LIBRARIES`.
        quick: a few small ones, to see that everything runs.
    """
    if ours.EXACT in libraries:
        yield ours.exact()
    if ours.LIBRARY in libraries:
        grids = QUICK if quick else OURS
        yield from ours.ours([_smaller(grid) for grid in grids] if count > MANY else grids, count, width)
    if on_gpu.LIBRARY in libraries and installed(on_gpu.LIBRARY):
        yield from on_gpu.gpu_plans(cagra=hasattr(faiss, "GpuIndexCagra"))
    efs, construction = (EF[::4], 40) if quick else (EF, 200)
    few = quick or count > MANY
    if hnswlib.LIBRARY in libraries and installed(hnswlib.LIBRARY):
        yield from hnswlib.hnswlib_plans(MS[:1] if few else MS, efs, construction)
    if usearch.LIBRARY in libraries and installed(usearch.LIBRARY):
        yield from usearch.usearch_plans(MS[:1] if few else MS, efs, DTYPES[:1] if quick else DTYPES, construction)


def _smaller(grid: Grid) -> Grid:
    return grid.model_copy(update={"built": {**grid.built, "m": grid.built["m"][:1]}}) if "m" in grid.built else grid


def installed(library: str) -> bool:
    """Whether a library can be measured here."""
    return why_absent(library) is None


def why_absent(library: str) -> str | None:
    """Why a library cannot be measured here; none where it can."""
    if library == on_gpu.LIBRARY:
        return why_no_gpu()
    here = library in (ours.EXACT, ours.LIBRARY) or find_spec(library) is not None
    return None if here else "not installed"
