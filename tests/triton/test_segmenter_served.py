"""A configured segmenter on a real Triton, and one that is taken away while it serves. Ports 18203 to 18205."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import tritonclient.grpc as grpc
from numpy.typing import NDArray

from builder.segmenting.attach import attach, detach
from builder.store import Store
from clients import masks, wire
from clients.client import PixelisClient
from pixelis.schema import Operation, OperationName
from pixelis.settings import Settings
from python_backends.pipeline.local import LocalModels
from python_backends.visual_ops.pair import PAIR
from server.embedded import EmbeddedTriton
from server.loading import load_newest, targets
from tests.triton.built import configured, link_repository
from tests.visual_ops.segmenters import write_segmenter
from tests.visual_ops.test_segmenter import iou, two_blocks

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

POINTS = ([100, 100], [400, 250])


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root = tmp_path_factory.mktemp("segmenter")
    (root / "sam").mkdir()
    repository = link_repository(root / "repository")
    attach(write_segmenter(root / "sam"), repository=repository, state=root / "state")
    return configured(18203, repository, root / "state", watchdog=False)


@pytest.fixture(scope="module")
def triton(config: Settings) -> Iterator[EmbeddedTriton]:
    """`visual_ops` and what it calls."""
    with EmbeddedTriton(config=config, models=["visual_ops"]) as running:
        yield running


def png(pixels: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes())


def answered(triton: EmbeddedTriton) -> tuple[int, ...]:
    """How often each half ran, by Triton's own statistics."""
    with grpc.InferenceServerClient(triton.grpc_url) as raw:
        found = [raw.get_inference_statistics(name, as_json=True)["model_stats"][0] for name in PAIR]
    return tuple(int(one.get("execution_count", 0)) for one in found)


def test_a_second_click_costs_the_decoder_alone(triton: EmbeddedTriton, config: Settings) -> None:
    image, *truths = two_blocks()
    with PixelisClient(triton.grpc_url) as client, LocalModels(config) as local:
        for clicks, (point, truth) in enumerate(zip(POINTS, truths, strict=True), 1):
            found = client.ops(png(image), "SEGMENT_OBJECT_AT", {"point": point})
            assert (found.error, found.result["method"]) == (None, "segmenter")
            mask = masks.decode(found.result["mask"], (image.shape[1], image.shape[0]))
            assert mask is not None
            assert iou(mask, truth) >= 0.97
            assert answered(triton) == (1, clicks)
            here = local.operate([png(image)], wire.operation("SEGMENT_OBJECT_AT", {"point": point}), 0.0)
            assert found.result == here.result
        client.ops(png(image), "SEGMENT_OBJECT_AT", {"point": POINTS[0]})
        assert answered(triton) == (1, 2)  # the result itself was kept


def test_clicks_of_a_group_wait_for_one_embedding(triton: EmbeddedTriton) -> None:
    image, before = two_blocks()[0][:, ::-1].copy(), answered(triton)
    clicks = [
        Operation(operation=OperationName.SEGMENT_OBJECT_AT, arguments={"point": [x, y]})
        for x, y in ((400, 100), (350, 80), (100, 250), (120, 220))
    ]
    with PixelisClient(triton.grpc_url) as client:
        found = client.group([png(image)], clicks)
    assert [one.result["method"] for one in found.results] == ["segmenter"] * 4
    assert answered(triton) == (before[0] + 1, before[1] + 4)


def test_a_large_photograph_gets_a_mask_of_its_size(triton: EmbeddedTriton) -> None:
    image, truth, _ = two_blocks()
    large = np.asarray(cv2.resize(image, (4000, 2400), interpolation=cv2.INTER_NEAREST), np.uint8)
    with PixelisClient(triton.grpc_url) as client:
        found = client.ops(png(large), "SEGMENT_OBJECT_AT", {"point": [800, 800]})
    assert found.error is None
    mask = masks.decode(found.result["mask"], (4000, 2400))
    assert mask is not None
    assert mask.shape == (2400, 4000)
    assert iou(mask[::8, ::8], truth) >= 0.97


def test_other_versions_take_over_and_one_that_is_gone_is_asked_no_more(
    triton: EmbeddedTriton, config: Settings
) -> None:
    image = png(two_blocks()[0][::-1].copy())

    def click() -> str:
        with PixelisClient(triton.grpc_url) as own:
            found = own.ops(image, "SEGMENT_OBJECT_AT", {"point": [100, 200]})
        assert found.error is None
        return str(found.result["method"])

    assert click() == "segmenter"
    store = Store(config.repository, config.state)
    for name in PAIR:  # the same again, as other versions
        store.rollback(name, 2)
    assert click() == "segmenter"  # by the versions that are loaded
    for target in targets(config):
        load_newest(target, PAIR, 60)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: click(), range(4))) == ["segmenter"] * 4
    with grpc.InferenceServerClient(triton.grpc_url) as raw:
        assert [raw.is_model_ready(name, "3") for name in PAIR] == [True, True]
    assert answered(triton) == (1, 1)  # nothing of the older one was taken for its own
    detach(repository=config.repository, state=config.state)
    assert click() == "flat_region"
    attach(config.state.parent / "sam", repository=config.repository, state=config.state)
    assert click() == "flat_region"  # it is there, and not loaded yet
    for target in targets(config):
        load_newest(target, PAIR, 60)
    assert click() == "segmenter"
