"""`python -m perf.knn.loaded INDEX QUERIES`: what a process grows by when it loads an index, and how fast it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import psutil

from perf.knn.contenders.ours import Ours
from perf.knn.sweep import singly
from pixelis.index_config import IndexConfig
from python_backends.experience.indexes import open_index, read_index

MIB = 2**20


def main(path: Path, queries: Path) -> None:
    """Print one JSON object: `memory_mib` after a thousand searches, `p50_ms`, `p99_ms`."""
    asked = np.load(queries)
    small = open_index(IndexConfig(), asked.shape[1])
    small.add(np.arange(len(asked)), asked)
    singly(Ours(small), asked[:50])  # what FAISS and numpy themselves take
    before = psutil.Process().memory_info().rss
    index = Ours(read_index(path))
    times = singly(index, asked)
    grown = psutil.Process().memory_info().rss - before
    said = {"memory_mib": grown / MIB, "p50_ms": np.median(times) * 1e3, "p99_ms": np.percentile(times, 99) * 1e3}
    print(json.dumps({name: round(float(value), 4) for name, value in said.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
