"""PP-OCR as RapidOCR runs it: the package's untouched ONNX graphs in ONNX Runtime, numpy before and after.

There are no PyTorch weights of PP-OCR in any package, so ONNX Runtime is what an engineer would take here too.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from builder.sources.ocr import OcrSource
from builder.sources.ocr_detect import OcrDetect
from builder.sources.ocr_recognize import OcrRecognize
from python_backends.visual_ops.ocr import Lines, Maps


class PlainOcr:
    """See `python_backends.visual_ops.ocr.Ocr`.

    Args:
        threads: threads of one run.
    """

    def __init__(self, threads: int) -> None:
        self._detect, self._recognize = OcrDetect(), OcrRecognize()
        self._detector, self._recognizer = (_session(source, threads) for source in (self._detect, self._recognize))

    @cached_property
    def characters(self) -> list[str]:
        """What each class index stands for; index 0 is the CTC blank."""
        return self._recognize.characters()

    def detect(self, image: NDArray[np.uint8]) -> Maps:
        """One picture -> probability of text `[H, W]`."""
        found: Maps = _run(self._detector, _normalised(self._detect, image[None]))[0, 0]
        return found

    def recognize(self, lines: Lines, widths: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Lines of letters -> class indexes and probabilities `[n, T]`; what lies right of a line's width is zero."""
        pixels = _normalised(self._recognize, lines)
        for row, width in zip(pixels, widths, strict=True):
            row[:, :, int(width) :] = 0.0
        classes = _run(self._recognizer, pixels)
        return classes.argmax(2).astype(np.int32), classes.max(2)


def _session(source: OcrSource, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(source.files()[0]), options, providers=["CPUExecutionProvider"])


def _run(session: Any, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    answer: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    return answer


def _normalised(source: OcrSource, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 RGB `[B, H, W, 3]` -> `(x / 255 - mean) / std`, BGR, `[B, 3, H, W]`."""
    std = np.array(source.std, np.float32)
    scaled = images[..., ::-1] * (1 / (255 * std)) - np.array(source.mean, np.float32) / std
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)
