"""Another data set with fewer dimensions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from python_backends.experience.tuning import Split

Watch = Callable[[str], None]
Load = Callable[[Path, int, int, Watch], Split]
LEARN_FROM = 20_000


def projected(load: Load, width: int) -> Load:
    """What `load` gives, on the `width` directions of its largest second moments."""

    def loaded(state: Path, stored: int, queries: int, watch: Watch) -> Split:
        whole = load(state, stored, queries, watch)
        watch(f"PCA to {width} dimensions")
        some = whole.stored[:LEARN_FROM]
        leading = np.linalg.eigh((some.T @ some).astype(np.float64))[1][:, ::-1][:, :width].astype(np.float32)
        return Split(whole.stored @ leading, whole.queries @ leading)

    return loaded
