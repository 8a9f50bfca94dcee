"""The `rapidocr` package's own pipeline, with its own defaults, on one thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from python_backends.images import Pixels

ONE_THREAD = {
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    "Global.log_level": "error",
}


class Theirs:
    """Needs the package."""

    def __init__(self) -> None:
        from rapidocr import RapidOCR

        self._pipeline: Any = RapidOCR(params=ONE_THREAD)

    def __call__(self, pixels: Pixels) -> str:
        """What it reads on RGB `[height, width, 3]`: its lines in its order, between spaces."""
        found = self._pipeline(np.ascontiguousarray(pixels[..., ::-1]))
        return " ".join(found.txts or ())
