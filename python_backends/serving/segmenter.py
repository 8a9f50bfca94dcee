"""The configured segmenter by BLS, where there is one."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pixelis.errors import ServingError
from python_backends.adapter import Caller
from python_backends.caching.origin import Origins
from python_backends.rows import Tensors
from python_backends.serving.services import BLS_SECONDS
from python_backends.visual_ops.pair import PAIR, is_one
from python_backends.visual_ops.segmenter import Segmenter, TwoModels

SECONDS = 3 * BLS_SECONDS
"""For one run: a large encoder takes many on a CPU."""


class ServedSegmenter:
    """Which segmenter answers now. For any number of threads.

    None does where the repository holds none, nor before the server has first loaded both of its models: until then
    SEGMENT_OBJECT_AT is answered without one, as before. From then on it alone answers. A model of it that does not is
    an error that may be retried, as with every other model: nobody gets a mask by other means than the configured ones
    without a word. Calls name the versions that belong together, so that while both are replaced no embedding of the
    one segmenter goes to the decoder of the other.

    Args:
        caller: carries the calls.
        repository: the models'.
        origins: know which versions the server has loaded.
    """

    def __init__(self, caller: Caller, repository: Path, origins: Origins) -> None:
        self._caller, self._repository, self._origins = caller, repository, origins
        self._lock = threading.Lock()
        self._versions: dict[str, str] = {}

    def __call__(self) -> Segmenter | None:
        """The segmenter, if one answers.

        Raises:
            ServingError: what is loaded are halves of two segmenters.
        """
        if not self._origins.using(PAIR):
            with self._lock:
                self._versions = {}
            return None
        origin = self._origins.of(PAIR)
        with self._lock:
            if origin is not None and dict(origin.versions) != self._versions:
                if not is_one(self._repository):
                    raise ServingError(
                        f"{' and '.join(PAIR)} were made of different segmenters.",
                        mend="Publish both again with `pixelis build --segmenter DIR` and load them.",
                    )
                self._versions = dict(origin.versions)
            return TwoModels(partial(self._call, versions=dict(self._versions)))

    def _call(self, model: str, inputs: Tensors, outputs: Sequence[str], versions: dict[str, str]) -> Tensors:
        return self._caller.call(model, inputs, outputs, time.time() + SECONDS, int(versions[model]))
