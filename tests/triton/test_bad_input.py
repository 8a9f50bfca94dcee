"""Every kind of bad input, by every way into a real server: a typed error, and the next good request is answered.

Ports 18270 to 18272.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from clients.client import PixelisClient
from clients.tensors import text
from pixelis.errors import (
    InvalidImage,
    InvalidRequest,
    LimitExceeded,
    PixelisError,
    ServingError,
)
from pixelis.schema import OperationName, PipelineResult
from server import stubs
from server.embedded import EmbeddedTriton
from tests.pipeline.conftest import png
from tests.triton.built import asked, configured, link_repository, stream, tensor, texts
from tests.triton.test_pipeline import counts
from tests.triton.ways import WAYS, Asked, chunk, refused, unary
from tests.waiting import until

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

SCENE, QUESTION, _ = asked()[1]


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    repository = link_repository(tmp_path_factory.mktemp("bad-input") / "repository")
    with EmbeddedTriton(config=configured(18270, repository, tmp_path_factory.mktemp("state"))) as running:
        yield running


@pytest.fixture(scope="module")
def client(triton: EmbeddedTriton) -> Iterator[PixelisClient]:
    with PixelisClient(triton.grpc_url) as made:
        yield made


@pytest.fixture(scope="module")
def right(client: PixelisClient) -> PipelineResult:
    return client.ask(SCENE, QUESTION)


@pytest.fixture
def survives(triton: EmbeddedTriton, client: PixelisClient, right: PipelineResult) -> Iterator[None]:
    """Whatever a test sends: the same processes go on, and the next good request is answered as ever."""
    before = stubs.find(triton.server_id)
    yield
    after = client.ask(SCENE, QUESTION)
    assert (after.answer, after.provenance.reasons) == (right.answer, [])
    assert stubs.find(triton.server_id) == before


def told(error: PixelisError, kind: type[PixelisError], words: str) -> None:
    """The typed error with its reason, and nothing that only its author understands."""
    assert type(error) is kind, repr(error)
    assert words in str(error), str(error)
    assert "Traceback" not in str(error)
    assert len(str(error)) < 500


def flat(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return out.getvalue()


def declared(width: int, height: int, data: bytes = b"\0" * 64, *more: bytes) -> bytes:
    """A small file that says it is large."""
    head = chunk(b"IHDR", width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0")
    body = chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + body + chunk(b"IEND", b"")


def exploding() -> bytes:
    """A picture with a comment that is a few kilobytes small and 64 MiB large."""
    comment = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 2**26))
    return declared(8, 8, b"\0" * 200, comment)


IMAGES: dict[str, tuple[bytes, type[PixelisError], str]] = {
    "not an image": (b"no picture", InvalidImage, "not a picture that can be read. Send JPEG, PNG or WebP."),
    "empty": (b"", InvalidImage, "The image is empty"),
    "truncated PNG": (png()[:-40], InvalidImage, "damaged or cut short"),
    "truncated JPEG": (SCENE[:2000], InvalidImage, "damaged or cut short"),
    "only a header": (png()[:30], InvalidImage, "not a picture"),
    "80 megapixels": (flat(10_000, 8_000), LimitExceeded, "80000000 pixels; at most 50000000 are allowed"),
    "says 3.6 gigapixels": (declared(60_000, 60_000), LimitExceeded, "= 3600000000 pixels; at most 50000000"),
    "says 4 gigapixels in a line": (declared(2**31 - 1, 2), LimitExceeded, "pixels"),
    "21 MiB": (png() + b"\0" * (21 * 2**20), LimitExceeded, "at most 20971520 are allowed"),
    "a text that is SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", InvalidImage, "Send JPEG, PNG or WebP."),
}


@pytest.mark.usefixtures("survives")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", IMAGES)
def test_a_bad_image(triton: EmbeddedTriton, name: str, way: str) -> None:
    data, kind, words = IMAGES[name]
    if way == "stream http" and len(data) > 3 * 2**20:
        pytest.skip("Triton 2.51 may die of such a JSON body: our clients refuse to send it (tests/clients)")
    got = refused(triton, Asked([data]), way)
    assert got.status in (400, None)
    told(got.error, kind, words)
    assert "Image 0" in str(got.error)


def test_a_huge_picture_is_refused_before_it_is_decoded(triton: EmbeddedTriton, client: PixelisClient) -> None:
    client.ask(SCENE, QUESTION)
    stub = stubs.find(triton.server_id)["prepare"][0].pid
    before = peak(stub)
    for data in (flat(10_000, 8_000), declared(7_071, 7_072, b"\0" * 2**20)):
        refused(triton, Asked([data]), "grpc")
    assert peak(stub) - before < 64 * 2**20  # 80 megapixels are 240 MB


def peak(pid: int) -> int:
    """The most memory that a process has ever had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def test_a_comment_that_explodes_is_not_read(triton: EmbeddedTriton, client: PixelisClient) -> None:
    client.ask(SCENE, QUESTION)
    stub = stubs.find(triton.server_id)["prepare"][0].pid
    before = peak(stub)
    assert client.ask(exploding(), QUESTION).trajectory
    assert peak(stub) - before < 32 * 2**20


def test_a_picture_of_one_pixel_is_answered(client: PixelisClient) -> None:
    result = client.ask(png(1, 1), QUESTION)
    assert result.trajectory[-1].type == "ANSWER"
    *_, last = client.stream(png(1, 1), QUESTION)
    assert last.result is not None
    assert last.result.answer == result.answer
    zoomed = client.ops(png(1, 1), "ZOOM_IN", {"region": [0, 0, 1, 1]})
    assert (zoomed.error, zoomed.result["region"]) == (None, [0, 0, 1, 1])


@pytest.mark.usefixtures("survives")
@pytest.mark.parametrize("way", WAYS)
def test_too_few_and_too_many_frames(triton: EmbeddedTriton, way: str) -> None:
    if way != "stream http":  # an empty list has no type in JSON: Triton refuses it in its own words
        got = refused(triton, Asked([]), way)
        told(got.error, InvalidRequest, "has no image. Send 1 to 64.")
        assert got.status in (400, None)
    got = refused(triton, Asked([png(8, 8)] * 100), way)
    told(got.error, LimitExceeded, "has 100 images; at most 64 are allowed.")
    assert got.status in (400, None)


def test_frames_of_different_sizes(triton: EmbeddedTriton, client: PixelisClient, survives: None) -> None:
    pictures = [png(40, 20), png(20, 40)]
    assert client.ask(pictures, QUESTION, media="images").trajectory
    for way in WAYS:
        got = refused(triton, Asked(pictures, options=b'{"media": "video"}'), way)
        told(got.error, InvalidRequest, "size")


@pytest.mark.usefixtures("survives")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("question", "kind", "words"),
    [
        (b"", InvalidRequest, "The question is empty"),
        (b" \n\t ", InvalidRequest, "The question is empty"),
        (b"x" * 2**20, LimitExceeded, "has 1048576 bytes; at most 8192 are allowed"),
        (b"na\xefve \xff\xfe?", InvalidRequest, "not UTF-8"),
    ],
    ids=["empty", "blank", "1 MB", "not UTF-8"],
)
def test_a_bad_question(
    triton: EmbeddedTriton, question: bytes, kind: type[PixelisError], words: str, way: str
) -> None:
    got = refused(triton, Asked([png()], question), way)
    assert got.status in (400, None)
    told(got.error, kind, words)


OPTIONS = {
    "no json": "wrong at `JSON`",
    "[]": "wrong at `JSON`",
    '{"colour": 1}': "unknown key `colour`. Known keys: fps, history, k, max_operations",
    '{"timeout_s": 0}': "wrong at `timeout_s`",
    '{"timeout_s": 301}': "wrong at `timeout_s`",
    '{"timeout_s": "soon"}': "wrong at `timeout_s`",
    '{"max_operations": 0}': "wrong at `max_operations`",
    '{"max_operations": 51}': "wrong at `max_operations`",
    '{"temperature": 2.1}': "wrong at `temperature`",
    '{"temperature": NaN}': "wrong at",
    '{"top_p": 0}': "wrong at `top_p`",
    '{"k": -1}': "wrong at `k`",
    '{"k": 101}': "wrong at `k`",
    '{"priority": 11}': "wrong at `priority`",
    '{"strategy": "loudest"}': "wrong at `strategy`",
    '{"media": "radio"}': "wrong at `media`",
    '{"fps": 0}': "wrong at `fps`",
    '{"seed": -1}': "wrong at `seed`",
    '{"stop": "no list"}': "wrong at `stop`",
    '{"stop": [""]}': "wrong at `stop.0`",
}


@pytest.mark.usefixtures("survives")
@pytest.mark.parametrize("options", OPTIONS)
def test_bad_options(triton: EmbeddedTriton, options: str) -> None:
    for way in WAYS:
        got = refused(triton, Asked([png()], options=options.encode()), way)
        assert got.status in (400, None)
        told(got.error, InvalidRequest, OPTIONS[options])
        assert "Known keys: " in str(got.error)


@pytest.mark.usefixtures("survives")
@pytest.mark.parametrize("other", ['"top_p": 0.9', '"top_k": 5', '"min_p": 0.1'])
def test_options_that_contradict_each_other(triton: EmbeddedTriton, other: str) -> None:
    for way in WAYS:
        got = refused(triton, Asked([png()], options=f'{{"temperature": 0, {other}}}'.encode()), way)
        assert got.status in (400, None)
        told(got.error, InvalidRequest, f"`temperature` 0 and `{other[1:6]}` ")


@pytest.mark.usefixtures("survives")
@pytest.mark.parametrize("way", ["grpc", "http"])
def test_inputs_that_are_missing_or_of_another_shape(triton: EmbeddedTriton, way: str) -> None:
    image, question = text(png())[None], text(b"q")[None]
    for inputs in (
        {"IMAGE": image},
        {"QUESTION": question},
        {"IMAGE": image, "QUESTION": text(b"a", b"b")[None]},
        {"IMAGE": image, "QUESTION": np.ones((1, 1), np.float32)},
        {"IMAGE": image, "QUESTION": question, "COLOUR": question},
    ):
        got = unary(triton, "pixelis", inputs, way)
        assert got.status == 400, got
        assert type(got.error) is ServingError  # Triton's own words: it never reached us
        assert "pixelis" in str(got.error)


@pytest.mark.usefixtures("survives")
@pytest.mark.parametrize("way", ["grpc", "http"])
def test_a_page_that_the_text_detector_cannot_take(triton: EmbeddedTriton, way: str) -> None:
    got = unary(triton, "ocr_detect", {"IMAGE": np.zeros((1, 40, 33, 3), np.uint8)}, way)
    assert got.status == 400
    told(got.error, InvalidRequest, "IMAGE is 33x40. Its sides must be multiples of 32.")


OPERATIONS: list[tuple[str, dict[str, Any], str]] = [
    ("ZOOM_IN", {}, "region"),
    ("ZOOM_IN", {"region": [0, 0]}, "region"),
    ("ZOOM_IN", {"region": "left"}, "region"),
    ("ZOOM_IN", {"region": [0, 0, True, 5]}, "region"),
    ("ZOOM_IN", {"region": [900, 900, 950, 950]}, "does not overlap the image bounds (336x168)"),
    ("ZOOM_IN", {"region": [50, 50, 10, 10]}, "is empty. It is [x1, y1, x2, y2] with x1 < x2"),
    ("ZOOM_IN", {"center": [5, 5]}, "zoom_factor"),
    ("ZOOM_IN", {"center": [5, 5], "zoom_factor": 0}, "zoom_factor"),
    ("ZOOM_IN", {"center": [500, 5], "zoom_factor": 2}, "is outside image bounds (336x168)"),
    ("ZOOM_IN", {"region": [0, 0, 5, 5], "colour": "red"}, "colour"),
    ("ZOOM_IN", {"region": [0, 0, None, 5]}, "must be four finite numbers"),
    ("READ_TEXT", {"region": [400, 400, 500, 500]}, "does not overlap the image bounds (336x168)"),
    ("READ_TEXT", {"return_boxes": "perhaps"}, "return_boxes"),
    ("GET_PROPERTIES", {}, "mask"),
    ("GET_PROPERTIES", {"bbox": [0, 0, -5, 5]}, "is empty. It is [x1, y1, x2, y2] with x1 < x2"),
    ("GET_PROPERTIES", {"mask": {"size": [1, 1], "counts": "x"}}, "mask"),
    ("GET_PROPERTIES", {"mask": 3}, "mask"),
    ("SEGMENT_OBJECT_AT", {}, "point"),
    ("SEGMENT_OBJECT_AT", {"point": [500, 5]}, "is outside image bounds (336x168)"),
    ("SEGMENT_OBJECT_AT", {"point": [5, 5], "threshold": 3}, "threshold"),
    ("TRACK_OBJECT", {"init_bbox": [0, 0, 5, 5]}, "at least 2 frames"),
    ("TRACK_OBJECT", {"init_bbox": "here"}, "init_bbox"),
    ("TEMPORAL_LOCALIZE", {}, "query"),
]


@pytest.mark.usefixtures("survives")
@pytest.mark.parametrize(("name", "arguments", "words"), OPERATIONS)
def test_bad_arguments_of_an_operation(
    triton: EmbeddedTriton, name: str, arguments: dict[str, Any], words: str
) -> None:
    for url, protocol in ((triton.grpc_url, "grpc"), (triton.http_url, "http")):
        with PixelisClient(url, protocol) as client:  # type: ignore[arg-type]
            result = client.ops(png(), name, arguments)
        assert result.result == {}
        assert result.error is not None
        assert words in result.error, result.error


@pytest.mark.usefixtures("survives")
@pytest.mark.parametrize("way", ["grpc", "http"])
@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ('{"operation": "PAINT"}', "ZOOM_IN"),
        ("{}", "operation"),
        ("no json", "JSON"),
        ('{"operation": "ZOOM_IN", "arguments": [1]}', "arguments"),
        ('{"operation": "ZOOM_IN", "image_index": -1}', "image_index"),
        ('{"operation": "ZOOM_IN", "speed": 9}', "unknown key `speed`"),
    ],
)
def test_an_operation_that_is_none(triton: EmbeddedTriton, operation: str, words: str, way: str) -> None:
    inputs = {"IMAGE": text(png())[None], "OPERATION": text(operation)[None]}
    got = unary(triton, "visual_ops", inputs, way)
    assert got.status == 400
    told(got.error, InvalidRequest, words)


@pytest.mark.usefixtures("survives")
@pytest.mark.parametrize("way", ["grpc", "http"])
def test_bad_images_of_an_operation(triton: EmbeddedTriton, client: PixelisClient, way: str) -> None:
    zoom = text('{"operation": "ZOOM_IN", "arguments": {"region": [0, 0, 5, 5]}}')[None]
    for name, (data, kind, words) in IMAGES.items():
        got = unary(triton, "visual_ops", {"IMAGE": text(data)[None], "OPERATION": zoom}, way)
        assert got.status == 400, name
        told(got.error, kind, words)
    frames = text(*[png(8, 8)] * 100)[None]
    told(unary(triton, "visual_ops", {"IMAGE": frames, "OPERATION": zoom}, way).error, LimitExceeded, "100 images")
    beyond = client.ops(png(), "ZOOM_IN", {"region": [0, 0, 5, 5]}, image_index=3)
    assert "image_index 3 is out of range" in str(beyond.error)


def test_every_operation_has_bad_arguments_here() -> None:
    assert {name for name, _, _ in OPERATIONS} == {name.value for name in OperationName}


@pytest.mark.usefixtures("survives")
def test_one_bad_request_among_those_that_were_merged_fails_alone(
    triton: EmbeddedTriton, client: PixelisClient, right: PipelineResult
) -> None:
    before = {name: counts(triton, f"nv_inference_{name}")["prepare"] for name in ("count", "exec_count")}

    def one(i: int) -> str:
        try:
            if i % 4 == 1:
                client.ask(b"no picture", QUESTION, timeout_s=120)
            return client.ask(SCENE, QUESTION, timeout_s=120).answer
        except InvalidImage:
            return "refused"

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(one, range(16)))
    assert found == ["refused" if i % 4 == 1 else right.answer for i in range(16)]
    runs, requests = (
        counts(triton, f"nv_inference_{name}")["prepare"] - before[name] for name in ("exec_count", "count")
    )
    assert runs < requests


@pytest.mark.usefixtures("survives")
@pytest.mark.parametrize("way", ["grpc", "http"])
def test_a_clients_own_batch_fails_as_a_whole_and_says_which_member(triton: EmbeddedTriton, way: str) -> None:
    rows = {
        "IMAGE": np.array([[SCENE], [b"no picture"], [SCENE]], object),
        "QUESTION": np.array([[QUESTION.encode()]] * 3, object),
        "OPTIONS": np.array([[b"{}"]] * 3, object),
    }
    got = unary(triton, "pixelis", rows, way)
    assert got.status == 400
    told(got.error, InvalidImage, "Row 1 of the batch: Image 0: The bytes are not a picture")
    zoom = b'{"operation": "ZOOM_IN", "arguments": {"region": [0, 0, 5, 5]}}'
    rows = {"IMAGE": rows["IMAGE"], "OPERATION": np.array([[zoom]] * 3, object)}
    told(unary(triton, "visual_ops", rows, way).error, InvalidImage, "Row 1 of the batch: ")


@pytest.mark.usefixtures("survives")
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_client_that_goes_in_mid_stream_is_noticed(triton: EmbeddedTriton, protocol: str) -> None:
    before = counts(triton, "pixelis_agent_cancelled_total").get("agent", 0)

    def noticed() -> bool:
        """Some ask at once and go: of them the last has most to do still. One that had been answered isn't counted."""
        for _ in range(5):
            if protocol == "grpc":
                sent = [
                    texts("IMAGE", SCENE, batched=False),
                    texts("QUESTION", QUESTION.encode(), batched=False),
                    texts("OPTIONS", b'{"use_cache": false}', batched=False),
                ]
                stream(triton, "agent", sent, stop_after=1)
            else:
                leave(triton)
        return until(lambda: counts(triton, "pixelis_agent_cancelled_total").get("agent", 0) > before, 3)

    assert until(noticed, 60)


def leave(triton: EmbeddedTriton) -> None:
    """Ask over HTTP, read the first event, and go."""
    image = "data:image/jpeg;base64," + base64.b64encode(SCENE).decode()
    data = json.dumps({"IMAGE": [image], "QUESTION": QUESTION, "OPTIONS": '{"use_cache": false}'}).encode()
    connection = http.client.HTTPConnection(triton.http_url, timeout=60)
    connection.request("POST", "/v2/models/agent/generate_stream", data)
    assert connection.getresponse().readline().startswith(b"data: ")
    connection.close()


@pytest.mark.usefixtures("survives")
def test_the_policy_refuses_what_it_cannot_read_and_takes_cancels_for_nobody(triton: EmbeddedTriton) -> None:
    assert stream(triton, "policy", [texts("CANCEL", b"nobody", batched=False)]) == []
    with pytest.raises(InferenceServerException, match="invalid_request: "):
        stream(triton, "policy", [texts("SAMPLING", b"{}", batched=False)])
    ids = tensor("PROMPT_IDS", np.array([10**6], np.int64), "INT64")
    with pytest.raises(InferenceServerException, match="invalid_request: "):
        stream(triton, "policy", [ids, texts("SAMPLING", b'{"request_id": "a"}', batched=False)])


def test_without_options_there_are_defaults(triton: EmbeddedTriton, right: PipelineResult) -> None:
    import tritonclient.grpc as grpc

    with grpc.InferenceServerClient(triton.grpc_url) as plain:
        sent = [texts("IMAGE", SCENE), texts("QUESTION", QUESTION.encode())]
        answered = plain.infer("pixelis", sent, client_timeout=60)
    assert PipelineResult.model_validate_json(answered.as_numpy("RESULT")[0, 0]).answer == right.answer


def test_nothing_of_this_took_anything_down(triton: EmbeddedTriton) -> None:
    assert triton.running
    assert triton.health is not None
    assert {name: triton.health[name].repairs for name in stubs.find(triton.server_id)} == dict.fromkeys(
        stubs.find(triton.server_id), 0
    )
