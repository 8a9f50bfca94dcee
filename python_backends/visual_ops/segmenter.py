"""A segmenter of the SAM kind, where one is configured: a heavy encoder once an image, a light decoder each click.

Names and transforms are those of segment_anything's ONNX export (Kirillov et al., "Segment Anything", ICCV 2023), which
MobileSAM and others follow: the longer side is scaled to 1024, pixels are normalised by ImageNet's mean and deviation,
and the rest of the square is zeros. The decoder crops and enlarges its masks to `orig_im_size` itself. As artifacts
both have this project's names (`builder/sources/segmenter.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelis.errors import ServingError
from python_backends.engine import Tensors, load_engine
from python_backends.images import Pixels
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.pair import DECODER, ENCODER
from python_backends.visual_ops.region_score import Cut
from python_backends.visual_ops.rle import Mask
from python_backends.visual_ops.views import pixel_digest

METHOD = "segmenter"
SIDE = 1024
MASK_SIDE = 256
"""Of the low-resolution mask that a decoder can start from; none is given."""
MEAN = (123.675, 116.28, 103.53)
DEVIATION = (58.395, 57.12, 57.375)
FOREGROUND, PADDING = 1.0, -1.0
"""Labels of points. A padding point says that there is no box."""
NEUTRAL = 0.5
STEEPEST = 10.0
"""Logit of a mask's pixel that a threshold of 1 asks for; 0 at `NEUTRAL`."""

Floats = NDArray[np.float32]

_ENCODING = tuple(threading.Lock() for _ in range(16))
"""By image: clicks at once on a new one wait for its embedding, and make one. Two images may share a lock."""


class Segmenter(Protocol):
    """Both models, wherever they run. Methods raise `ServingError` when a model does not answer."""

    def encode(self, image: Floats) -> Floats:
        """An image `[1, 3, 1024, 1024]` -> its embedding `[1, channels, height, width]`."""

    def decode(self, embedding: Floats, points: Floats, labels: Floats, size: tuple[int, int]) -> tuple[Floats, Floats]:
        """Logits of masks `[1, n, height, width]` and their estimated intersection over union `[1, n]`.

        Args:
            embedding: from `encode`.
            points: `[1, k, 2]`, (x, y) in the scaled image.
            labels: `[1, k]`.
            size: (height, width) of the original.
        """


def no_segmenter() -> Segmenter | None:
    """None: SEGMENT_OBJECT_AT answers by other means."""
    return None


class TwoModels:
    """Both models by a call that names them. See `Segmenter`.

    Args:
        call: (model, inputs, names of outputs) -> outputs.
    """

    def __init__(self, call: Callable[[str, Tensors, Sequence[str]], Tensors]) -> None:
        self._call = call

    def encode(self, image: Floats) -> Floats:
        """See `Segmenter`."""
        return np.asarray(self._call(ENCODER, {"IMAGE": image}, ["EMBEDDING"])["EMBEDDING"], np.float32)

    def decode(self, embedding: Floats, points: Floats, labels: Floats, size: tuple[int, int]) -> tuple[Floats, Floats]:
        """See `Segmenter`; of several masks the decoder gives the one with the best estimate."""
        asked: Tensors = {
            "EMBEDDING": embedding,
            "POINTS": points,
            "LABELS": labels,
            "SIZE": np.array([size], np.float32),
        }
        found = self._call(DECODER, asked, ["MASKS", "SCORES"])
        return np.asarray(found["MASKS"], np.float32), np.asarray(found["SCORES"], np.float32)


class EngineSegmenter(TwoModels):
    """Both models in this process.

    Args:
        encoder: folder of the encoder's artifact.
        decoder: folder of the decoder's.
        threads: threads of one run.
    """

    def __init__(self, encoder: Path, decoder: Path, threads: int = 1) -> None:
        engines = {ENCODER: load_engine(encoder, threads), DECODER: load_engine(decoder, threads)}
        super().__init__(lambda model, inputs, outputs: engines[model].run(inputs))


def segment(
    image: Pixels,
    point: tuple[float, float],
    threshold: float,
    segmenter: Segmenter,
    memory: MutableMapping[str, Floats] | None = None,
) -> Cut:
    """The mask with the best estimate at a point; its window is the whole image.

    Args:
        image: `[height, width, 3]` RGB.
        point: (x, y) inside the image, in pixels.
        threshold: 0-1; higher keeps less, 0.5 is the segmenter's own border.
        segmenter: the models.
        memory: embeddings by the image's digest; whoever gives one bounds it (4 MB an entry with SAM).

    Raises:
        ServingError: a model did not answer, or with masks of another size.
    """
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    points = np.array([[[point[0] * scale, point[1] * scale], [0, 0]]], np.float32)
    labels = np.array([[FOREGROUND, PADDING]], np.float32)
    masks, estimates = segmenter.decode(_embedding(image, segmenter, memory), points, labels, (height, width))
    if masks.ndim != 4 or masks.shape[2:] != (height, width) or estimates.shape[-1] != masks.shape[1]:
        raise ServingError(
            f"The segmenter's masks are {list(masks.shape)} for an image of {width}x{height}.",
            mend="Export the decoder as segment_anything's export_onnx_model.py does.",
        )
    best = int(estimates[0].argmax())
    mask: Mask = np.asarray(masks[0, best] > 2 * (threshold - NEUTRAL) * STEEPEST, np.bool_)
    whole: Region = (0, 0, width, height)
    return Cut(mask, whole, float(np.clip(estimates[0, best], 0, 1)), METHOD)


def _embedding(image: Pixels, segmenter: Segmenter, memory: MutableMapping[str, Floats] | None) -> Floats:
    if memory is None:
        return segmenter.encode(prepared(image))
    name = f"{METHOD}:{pixel_digest(image)}"
    known = memory.get(name)
    if known is None:
        with _ENCODING[hash(name) % len(_ENCODING)]:
            known = memory.get(name)
            if known is None:
                known = memory[name] = segmenter.encode(prepared(image))
    return known


def prepared(image: Pixels) -> Floats:
    """An image as the encoder takes it, `[1, 3, 1024, 1024]`: scaled, normalised, zeros on the right and below."""
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5)))
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    square = np.zeros((SIDE, SIDE, 3), np.float32)
    square[: size[1], : size[0]] = (scaled.astype(np.float32) - MEAN) / DEVIATION
    return np.ascontiguousarray(square.transpose(2, 0, 1)[None])
