"""The operations that need the served image encoder, and videos, on a real Triton. Ports 18200 to 18202."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import skimage.data
import tritonclient.grpc as grpc
from numpy.typing import NDArray

from clients import masks
from clients.client import PixelisClient
from perf.fuzz.bench import Plan
from perf.fuzz.bench import run as fuzzed
from perf.fuzz.case import case
from pixelis.errors import InvalidImage, InvalidRequest
from pixelis.schema import Operation, OperationName
from python_backends.pipeline.local import LocalModels
from server.embedded import EmbeddedTriton
from tests.triton.built import configured, link_repository
from tests.visual_ops.clips import clip, overlap, visible
from tests.visual_ops.test_temporal_localize import sign

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

COIN = (212, 192, 24)


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    repository = link_repository(tmp_path_factory.mktemp("visual-ops") / "repository")
    with EmbeddedTriton(config=configured(18200, repository, tmp_path_factory.mktemp("state"))) as running:
        yield running


@pytest.fixture(scope="module")
def client(triton: EmbeddedTriton) -> Iterator[PixelisClient]:
    with PixelisClient(triton.grpc_url) as made:
        yield made


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """RGB pixels, encoded."""
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes())


@pytest.fixture(scope="module")
def coins() -> bytes:
    return jpeg(np.repeat(skimage.data.coins()[..., None], 3, axis=2))


def test_an_object_is_segmented_by_served_features(client: PixelisClient, triton: EmbeddedTriton, coins: bytes) -> None:
    x, y, radius = COIN
    found = client.ops(coins, "SEGMENT_OBJECT_AT", {"point": [x, y]})
    assert found.error is None
    assert found.result["method"] == "features+grabcut"
    height, width = skimage.data.coins().shape
    mask = masks.decode(found.result["mask"], (width, height))
    assert mask is not None
    rows, columns = np.indices(mask.shape)
    truth = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    assert (mask & truth).sum() / (mask | truth).sum() > 0.85


def test_the_served_operation_equals_the_local_one(client: PixelisClient, triton: EmbeddedTriton, coins: bytes) -> None:
    from clients import wire

    asked = wire.operation("SEGMENT_OBJECT_AT", {"point": [300, 264]})
    with LocalModels(triton.config) as local:
        here = local.operate([coins], asked, 0.0)
    assert client.ops(coins, "SEGMENT_OBJECT_AT", {"point": [300, 264]}).result == here.result


def test_a_point_outside_is_an_error_in_the_result(client: PixelisClient, coins: bytes) -> None:
    found = client.ops(coins, "SEGMENT_OBJECT_AT", {"point": [1500, 60]})
    assert found.error == "Point (1500, 60) is outside image bounds (384x303)"
    assert found.result == {}


def test_a_shape_is_tracked_out_of_the_picture(client: PixelisClient) -> None:
    made = clip(1001)
    frames = [jpeg(frame) for frame in made.frames]
    found = client.ops(frames, "TRACK_OBJECT", {"init_bbox": list(made.boxes[0]), "fps": 8.0}).result
    assert found["left_by"] == made.side
    seen = [overlap(a, b) for a, b in zip(found["boxes"], made.boxes, strict=True) if a and visible(b) > 0.5]
    assert len(seen) >= 2
    assert min(seen) > 0.85


def test_words_and_examples_are_found_in_time(client: PixelisClient) -> None:
    frames = [jpeg(sign(text)) for text in ("", "", "Platform 3", "Platform 3", "Kitchen")]
    words = client.ops(frames, "TEMPORAL_LOCALIZE", {"query": "platform 3", "fps": 2.0})
    assert words.error is None
    assert [(span["start"], span["end"]) for span in words.result["segments"]] == [(2, 4)]
    looks = client.ops(frames, "TEMPORAL_LOCALIZE", {"query": {"bbox": [30, 40, 290, 110], "frame": 2}}).result
    assert looks["scores"][2] == pytest.approx(1, abs=0.01)
    assert max(looks["scores"][:2]) < 0.5
    refused = client.ops(frames, "TEMPORAL_LOCALIZE", {"query": ["a", "list"]}).error
    assert refused is not None
    assert "words to be read in the frames, or an example" in refused


def test_operations_at_once_each_get_their_own_result(
    client: PixelisClient, triton: EmbeddedTriton, coins: bytes
) -> None:
    made = clip(1003)
    frames = [jpeg(frame) for frame in made.frames]
    calls = [
        (coins, "SEGMENT_OBJECT_AT", {"point": [212, 192]}),
        (frames, "TRACK_OBJECT", {"init_bbox": list(made.boxes[0])}),
        (coins, "ZOOM_IN", {"region": [0, 0, 50, 50]}),
        (coins, "SEGMENT_OBJECT_AT", {"point": [5000, 5]}),
        (frames, "TEMPORAL_LOCALIZE", {"query": {"bbox": list(made.boxes[0])}}),
        (coins, "GET_PROPERTIES", {"bbox": [180, 160, 240, 220]}),
    ] * 2
    alone = [client.ops(images, name, arguments) for images, name, arguments in calls[:6]] * 2

    def run(call: tuple[bytes | list[bytes], str, dict[str, object]]) -> object:
        with PixelisClient(triton.grpc_url) as own:
            found = own.ops(call[0], call[1], call[2])
        return found.result, found.error

    with ThreadPoolExecutor(len(calls)) as pool:
        together = list(pool.map(run, calls))
    assert together == [(found.result, found.error) for found in alone]


def test_only_what_is_asked_for_comes_back(triton: EmbeddedTriton) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
    given = grpc.InferInput("IMAGE", [1, 224, 224, 3], "UINT8")
    given.set_data_from_numpy(image)
    with grpc.InferenceServerClient(triton.grpc_url) as raw:
        one = raw.infer("embed_image", [given], outputs=[grpc.InferRequestedOutput("EMBEDDING")])
        both = raw.infer("embed_image", [given])
    assert one.as_numpy("FEATURES") is None
    assert np.array_equal(one.as_numpy("EMBEDDING"), both.as_numpy("EMBEDDING"))
    cells = both.as_numpy("FEATURES")
    assert cells.shape == (1, 14, 14, 384)
    assert np.linalg.norm(cells, axis=-1) == pytest.approx(1, abs=1e-3)


def test_a_video_goes_the_whole_way(client: PixelisClient) -> None:
    made = clip(1001)
    frames = [jpeg(frame) for frame in made.frames]
    asked = {"media": "video", "fps": 8.0}
    found = client.ask(frames, "Which side does the circle leave by?", **asked)
    assert found.provenance.reasons == []
    assert found.answer
    tracks = [action for action in found.trajectory if action.operation == "TRACK_OBJECT" and action.error is None]
    assert all(len(track.result["boxes"]) == len(frames) and track.result["fps"] == 8 for track in tracks)
    events = list(client.stream(frames, "Which side does the circle leave by?", **asked))
    assert events[-1].result is not None
    assert events[-1].result.answer == found.answer


def test_frames_of_different_sizes_are_no_video(client: PixelisClient, coins: bytes) -> None:
    other = jpeg(np.zeros((100, 100, 3), np.uint8))
    with pytest.raises(InvalidRequest, match=r"different sizes: 100x100, 384x303"):
        client.ask([coins, other], "Which side does the circle leave by?", media="video")
    assert client.ask([coins, other], "What colour is the circle?").answer


def test_a_group_is_answered_in_order_and_what_it_shares_is_computed_once(client: PixelisClient, coins: bytes) -> None:
    page = np.full((300, 640, 3), 255, np.uint8)
    for row, words in enumerate(("harbour kitchen", "violet station")):
        cv2.putText(page, words, (20, 90 + 130 * row), cv2.FONT_HERSHEY_SIMPLEX, 2, (0, 0, 0), 3)
    images = [coins, jpeg(page)]
    whole, part, wrong, click = (
        Operation(operation=OperationName.READ_TEXT, image_index=1),
        Operation(operation=OperationName.READ_TEXT, arguments={"region": [0, 160, 640, 300]}, image_index=1),
        Operation(operation=OperationName.READ_TEXT, arguments={"region": [9, 9, 1, 1]}, image_index=1),
        Operation(operation=OperationName.SEGMENT_OBJECT_AT, arguments={"point": list(COIN[:2])}),
    )
    found = client.group(images, [part, whole, wrong, click])
    assert [one.result.get("text") for one in found.results[:2]] == [
        "violet station",
        "harbour kitchen\nviolet station",
    ]
    assert found.results[0].skipped
    assert found.results[2].error is not None
    assert found.results[3].result["bbox"]
    assert client.ops(images, "READ_TEXT", {"region": [0, 160, 640, 300]}, image_index=1).result["text"] == (
        "violet station"
    )
    ended = client.group(images, [whole] * 3 + [click] * 3, enough=0.0)
    assert [one.error for one in ended.results] == [None] * 6
    with pytest.raises(InvalidRequest, match="operations"):
        client.group(images, [])


def test_odd_requests_do_no_harm(triton: EmbeddedTriton, tmp_path: Path) -> None:
    plan = Plan(cases=80, seed=4, at_once=4, folder=tmp_path, replay=None, quiet=True, command="")
    found = fuzzed(triton, plan, (case(plan.seed, number) for number in range(plan.cases)), plan.cases)
    assert [why for _, why in found.faults] == []
    assert found.restarts == []
    assert found.outcomes.total() == 80
    assert list(tmp_path.iterdir()) == []


def test_an_animation_is_tracked_and_answered_as_a_video(client: PixelisClient) -> None:
    made = clip(1001)
    changes = [i == 0 or not np.array_equal(frame, made.frames[i - 1]) for i, frame in enumerate(made.frames)]
    frames = [PIL.Image.fromarray(frame) for frame, new in zip(made.frames, changes, strict=True) if new]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    moving, arguments = file.getvalue(), {"init_bbox": list(made.boxes[0]), "fps": 8.0}
    found = client.ops(moving, "TRACK_OBJECT", arguments)
    assert found.error is None
    assert (found.result["left_by"], len(found.result["boxes"])) == (made.side, len(frames))
    assert client.ops(list(frames), "TRACK_OBJECT", arguments).result == found.result
    with pytest.raises(InvalidImage, match=r"animated.*TRACK_OBJECT"):
        client.ops(moving, "READ_TEXT")
    answered = client.ask(moving, "Which side does the circle leave by?", media="video", fps=8.0)
    assert answered.provenance.reasons == []
    tracks = [action for action in answered.trajectory if action.operation == "TRACK_OBJECT" and action.error is None]
    assert all(len(track.result["boxes"]) == len(frames) for track in tracks)
    with pytest.raises(InvalidImage, match=r"Image 0: The image is animated.*`media` is `video`"):
        client.ask(moving, "Which side does the circle leave by?")
