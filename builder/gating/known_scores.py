"""What the fp32 reference scored on a task, remembered between processes.

Every form of a model is held against the same reference, and each is judged in a process of its own; the reference does
its tasks once. The key covers whatever the scores depend on: the source, the code that judges, and the libraries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from builder.gating.paired import Scores
from builder.model_spec import Kind
from builder.storing.key import builder_digest, libraries
from pixelis.array_file import read_array
from pixelis.draft import draft


class KnownScores:
    """Scores by task, in one file each.

    Args:
        directory: where they lie; none = they are not remembered.
        kind: of the model, for the libraries that enter the key.
        source_digest: of its source.
    """

    def __init__(self, directory: Path | None, kind: Kind, source_digest: str) -> None:
        self._directory = directory
        facts = [source_digest, builder_digest("onnx"), libraries(kind, "onnx")]
        self._digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def of(self, task: str, measure: Callable[[], Scores]) -> Scores:
        """The reference's scores on `task`: the remembered ones, else `measure()`, remembered.

        A file that cannot be read counts as none.
        """
        path = None if self._directory is None else self._directory / f"{self._digest[:32]}-{task}.npy"
        if path is None:
            return measure()
        try:
            return np.asarray(read_array(path), np.float64)
        except (OSError, ValueError):
            scores = measure()
        with draft(path) as beside, beside.open("wb") as file:
            np.save(file, scores, allow_pickle=False)
        return scores
