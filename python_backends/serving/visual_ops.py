"""Visual operations on encoded images, with the served OCR models, image encoder and, where there is one, segmenter."""

from __future__ import annotations

import time

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelis.schema import Operation
from pixelis.settings import settings
from python_backends.adapter import Caller, SideBySideModel
from python_backends.artifacts import artifact
from python_backends.caching.caches import Caches
from python_backends.caching.origin import Origins
from python_backends.images import DecodedImages
from python_backends.pipeline.encoded import unwrap
from python_backends.rows import Row, Tensors, json_text
from python_backends.serving.segmenter import ServedSegmenter
from python_backends.serving.services import BLS_SECONDS
from python_backends.visual_ops.asked import media, parsed
from python_backends.visual_ops.cached import CODEC, OperationCache
from python_backends.visual_ops.ocr import load_characters
from python_backends.visual_ops.pictures import Pictures
from python_backends.visual_ops.planner import Planner
from python_backends.visual_ops.watch import MetricsWatch


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


class ServedFeatures:
    """The image encoder by BLS. See `visual_ops.features.Features`.

    Args:
        caller: carries the calls.
        most: the model's `max_batch_size`.
    """

    def __init__(self, caller: Caller, most: int) -> None:
        self._caller = caller
        self._most = most

    def __call__(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Views `[n, 224, 224, 3]` -> `[n, 14, 14, width]`, at most `most` a call."""
        parts = [views[i : i + self._most] for i in range(0, len(views), self._most)]
        return np.concatenate([self._caller.one("embed_image", {"IMAGE": part}, "FEATURES", _soon()) for part in parts])


class VisualOps(SideBySideModel):
    """`IMAGE`, `OPERATION` -> `RESULT`."""

    def setup(self) -> None:
        """Read the recogniser's characters; OpenCV gets the thread budget of one model."""
        cv2.setNumThreads(self.threads)
        origins, self._caches = Origins(self.repository, self.caller.ready), Caches(settings(), self.instance)
        recognizer = origins.reads("ocr_recognize", artifact(self.repository, "ocr_recognize"))
        config = settings()
        kept = self._caches.open("operation", CODEC, config.cache.operation)
        self._decoded = DecodedImages()
        self._planner = Planner(
            ocr=ServedOcr(self.caller, load_characters(recognizer)),
            features=ServedFeatures(self.caller, config.batching.max_batch_size),
            operations=config.operations,
            cache=OperationCache(kept, origins, config.limits),
            watch=MetricsWatch(self.metrics),
            side_by_side=config.batching.max_batch_size,
            remember=kept.on,  # who keeps no results means to have them made
            segmenter=ServedSegmenter(self.caller, self.repository, origins),
        )
        self._caches.tell(self._forget)
        self._caches.start(self.metrics, origins.still)

    def _forget(self, prefix: str | None) -> None:
        if prefix in (None, "operation"):
            self._planner.forget()

    def finalize(self) -> None:
        """Keep what is in memory."""
        self._caches.close()

    def until(self, row: Row) -> float:
        """Long enough for one that calls its children several times; whoever calls has a deadline of their own."""
        return time.time() + 4 * BLS_SECONDS

    def one(self, row: Row) -> Tensors:
        """One operation, or a group. Those of a batch run side by side, so that their calls of the models batch."""
        limits = settings().limits
        asked = parsed(row.string("OPERATION"))
        encoded = unwrap(row.strings("IMAGE"), limits, media(asked))
        pictures = Pictures(encoded, self._decoded, limits)
        if isinstance(asked, Operation):
            return {"RESULT": json_text(self._planner.one(pictures, asked))}
        return {"RESULT": json_text(self._planner.group(pictures, asked, self.until(row)))}
