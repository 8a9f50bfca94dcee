"""A segmenter of the SAM kind, as artifacts that are made of real graphs of its signature."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from builder.candidate import Candidate
from builder.formats.onnx import OnnxFormat
from builder.sources.segmenter import SegmentDecoder, SegmentEncoder
from pixelis.errors import ServingError
from python_backends.visual_ops import rle
from python_backends.visual_ops.arguments import Rle
from python_backends.visual_ops.features import EngineFeatures
from python_backends.visual_ops.segment_object_at import segment_object_at
from python_backends.visual_ops.segmenter import EngineSegmenter, Floats, prepared, segment
from tests.visual_ops.segmenters import write_segmenter

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Both artifacts, as the builder makes them."""
    given = write_segmenter(tmp_path_factory.mktemp("segmenter"))
    made = []
    for source in (SegmentEncoder, SegmentDecoder):
        made.append(tmp_path_factory.mktemp(source.name))
        half = source(str(given / "encoder.onnx"), str(given / "decoder.onnx"))
        OnnxFormat().export(half, made[-1], Candidate(format="onnx"))
        OnnxFormat().optimise(made[-1], Candidate(format="onnx"))
    return tuple(made)


class Counted:
    """A segmenter that counts."""

    def __init__(self, inner: EngineSegmenter) -> None:
        self.inner, self.encoded, self.decoded = inner, 0, 0

    def encode(self, image: Floats) -> Floats:
        self.encoded += 1
        return self.inner.encode(image)

    def decode(self, embedding: Floats, points: Floats, labels: Floats, size: tuple[int, int]) -> tuple[Floats, Floats]:
        self.decoded += 1
        return self.inner.decode(embedding, points, labels, size)


@pytest.fixture
def segmenter(folders: tuple[Path, ...]) -> Counted:
    return Counted(EngineSegmenter(*folders))


def two_blocks() -> tuple[Pixels, NDArray[np.bool_], NDArray[np.bool_]]:
    image = np.full((300, 500, 3), (20, 60, 200), np.uint8)
    masks = np.zeros((2, 300, 500), np.bool_)
    masks[0, 60:160, 80:230], masks[1, 200:280, 300:440] = True, True
    image[masks[0]], image[masks[1]] = (230, 40, 40), (240, 230, 70)
    return image, masks[0], masks[1]


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_second_click_costs_the_decoder_alone(segmenter: Counted, features: EngineFeatures) -> None:
    image, first, second = two_blocks()
    memory: dict[str, Floats] = {}
    for point, truth in (((100, 100), first), ((400, 250), second)):
        found = segment_object_at(image, {"point": list(point)}, features, memory=memory, segmenter=segmenter)
        mask = rle.decode(Rle.model_validate(found["mask"]), (500, 300))
        assert found["method"] == "segmenter"
        assert iou(mask, truth) >= 0.97
    assert (segmenter.encoded, segmenter.decoded, len(memory)) == (1, 2, 1)
    segment(image[:, ::-1], (100, 100), 0.5, segmenter, memory)
    assert (segmenter.encoded, len(memory)) == (2, 2)


def test_clicks_at_once_on_a_new_image_encode_it_once(segmenter: Counted) -> None:
    image, first, second = two_blocks()
    memory: dict[str, Floats] = {}
    clicks = [(100.0, 100.0), (400.0, 250.0)] * 4
    with ThreadPoolExecutor(len(clicks)) as pool:
        found = list(pool.map(lambda click: segment(image, click, 0.5, segmenter, memory).mask, clicks))
    assert segmenter.encoded == 1
    assert min(iou(mask, truth) for mask, truth in zip(found, [first, second] * 4, strict=True)) >= 0.97


def test_a_higher_threshold_keeps_less(segmenter: Counted) -> None:
    ramp = np.repeat(np.tile(np.linspace(0, 255, 400).astype(np.uint8), (200, 1))[..., None], 3, axis=2)
    areas = [segment(ramp, (200, 100), threshold, segmenter).mask.sum() for threshold in (0.4, 0.5, 0.6)]
    assert areas[0] > areas[1] > areas[2] > 0


def test_the_image_is_scaled_normalised_and_padded() -> None:
    image = np.full((300, 600, 3), (123, 116, 104), np.uint8)
    square = prepared(image)
    assert square.shape == (1, 3, 1024, 1024)
    assert np.abs(square[:, :, :512]).max() < 0.02
    assert not square[:, :, 512:].any()


def test_a_warm_up_of_zeros_is_answered(segmenter: Counted) -> None:
    zeros = np.zeros((1, 2, 2), np.float32)
    masks, estimates = segmenter.inner.decode(np.zeros((1, 3, 256, 256), np.float32), zeros, zeros[..., 0], (0, 0))
    assert (masks.shape, estimates.shape) == ((1, 1, 1, 1), (1, 1))


def test_masks_of_another_size_are_an_error_that_says_so(segmenter: Counted) -> None:
    class Small(Counted):
        def decode(
            self, embedding: Floats, points: Floats, labels: Floats, size: tuple[int, int]
        ) -> tuple[Floats, Floats]:
            return super().decode(embedding, points, labels, (10, 10))

    with pytest.raises(ServingError, match=r"masks are \[1, 1, 10, 10\] for an image of 500x300.*export_onnx_model"):
        segment(two_blocks()[0], (100, 100), 0.5, Small(segmenter.inner))
