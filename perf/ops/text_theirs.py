"""The `rapidocr` package's own pipeline, with its own defaults, on so many threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from python_backends.images import Pixels


class Theirs:
    """Needs the package.

    Args:
        threads: threads of one run of a model.
    """

    def __init__(self, threads: int = 1) -> None:
        from rapidocr import RapidOCR

        given = {
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Global.log_level": "error",
        }
        self._pipeline: Any = RapidOCR(params=given)

    def __call__(self, pixels: Pixels) -> str:
        """What it reads on RGB `[height, width, 3]`: its lines in its order, between spaces."""
        found = self._pipeline(np.ascontiguousarray(pixels[..., ::-1]))
        return " ".join(found.txts or ())
