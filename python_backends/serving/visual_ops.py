"""Visual operations on encoded images; text is read by the served OCR models."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixelis.schema import Operation
from pixelis.settings import settings
from python_backends.adapter import Caller, UnaryModel
from python_backends.artifacts import artifact
from python_backends.deadlines import run_all
from python_backends.images import DecodedImages
from python_backends.pipeline.encoded import unwrap
from python_backends.rows import Row, Tensors, json_text
from python_backends.serving.services import BLS_SECONDS
from python_backends.visual_ops.ocr import load_characters
from python_backends.visual_ops.operate import operate


def _soon() -> float:
    return time.time() + BLS_SECONDS


class ServedOcr:
    """The OCR models by BLS. See `visual_ops.ocr.Ocr`.

    Args:
        caller: carries the calls.
        characters: what class indexes stand for.
    """

    def __init__(self, caller: Caller, characters: list[str]) -> None:
        self._caller = caller
        self._characters = characters

    @property
    def characters(self) -> list[str]:
        """What class indexes stand for."""
        return self._characters

    def detect(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One picture `[H, W, 3]` -> probability of text `[H, W]`."""
        found: NDArray[np.float32] = self._caller.one("ocr_detect", {"IMAGE": image[None]}, "MAP", _soon())[0]
        return found

    def recognize(
        self, lines: NDArray[np.uint8], widths: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Lines `[n, 48, W, 3]` and their true widths `[n]` -> class indexes and probabilities `[n, T]`."""
        inputs: Tensors = {"LINE": lines, "WIDTH": widths[:, None].astype(np.int32)}
        found = self._caller.call("ocr_recognize", inputs, ["INDEX", "PROBABILITY"], _soon())
        return found["INDEX"], found["PROBABILITY"]


class VisualOps(UnaryModel):
    """`IMAGE`, `OPERATION` -> `RESULT`."""

    def setup(self) -> None:
        """Read the recogniser's characters."""
        self._ocr = ServedOcr(self.caller, load_characters(artifact(self.repository, "ocr_recognize")))
        self._decoded = DecodedImages()

    def answer(self, rows: Sequence[Row]) -> Sequence[Tensors | BaseException]:
        """The operations of a batch, side by side, so that their calls of the OCR models batch."""
        until = time.time() + 4 * BLS_SECONDS
        return run_all([lambda row=row: self._one(row) for row in rows], [until] * len(rows), "visual_ops")  # type: ignore[misc]

    def _one(self, row: Row) -> Tensors:
        operation = row.parsed("OPERATION", Operation)
        images = unwrap(row.strings("IMAGE"), settings().limits)
        return {"RESULT": json_text(operate([self._decoded.get(image) for image in images], operation, self._ocr))}
