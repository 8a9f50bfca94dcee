"""Where indexes of vectors can live: told by `pixelis doctor`, and by the indexes themselves."""

from __future__ import annotations

from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec

BUILDS = ("faiss-gpu-cuvs", "faiss-gpu-cu12", "faiss-gpu-cu11", "faiss-gpu", "faiss-cpu")


@lru_cache(maxsize=1)
def faiss_build() -> str:
    """The installed package and its version, as `faiss-cpu 1.15.1`; `faiss` alone where it came without a name."""
    for name in BUILDS:
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return "faiss"


def why_no_gpu() -> str | None:
    """Why no index can be on a GPU; none where one can."""
    if find_spec("faiss") is None:
        return "faiss is not installed."
    import faiss

    if not hasattr(faiss, "StandardGpuResources"):
        return f"{faiss_build()} is built without GPU indexes."
    if faiss.get_num_gpus() < 1:
        return f"{faiss_build()} finds no GPU."
    return None
