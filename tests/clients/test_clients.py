"""Both clients over both protocols against a real Triton: the same answers, streams, errors and concurrency."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clients import AsyncPixelisClient, PixelisClient
from clients.connection import Protocol
from pixelis.errors import (
    DeadlineExceeded,
    InvalidImage,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    ServingError,
    Unavailable,
)
from pixelis.schema import KnnCommand, Options
from server.embedded import EmbeddedTriton
from tests.clients.conftest import DEAD, picture

pytestmark = pytest.mark.triton

KINDS = ["token", "tool_call", "observation", "tool_call", "observation", "answer"]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_ask(client: PixelisClient) -> None:
    png, jpeg = picture(1), picture(2, "JPEG")
    result = client.ask([png, jpeg], "¿Qué pone?", k=3, timeout_s=9, request_id="mine")
    assert (result.answer, result.request_id, result.confidence) == ("¿Qué pone?", "mine", 0.75)
    assert result.provenance.reasons == [sha(png), sha(jpeg)]
    assert Options.model_validate_json(result.versions["options"]) == Options(k=3, timeout_s=9)


def test_pictures_may_be_bytes_paths_or_pil(client: PixelisClient, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(picture(3))
    for given in (picture(3), path, str(path)):
        assert client.ask(given, "?").provenance.reasons == [sha(picture(3))]
    buffer = io.BytesIO()
    Image.open(path).save(buffer, "PNG")
    assert client.ask(Image.open(path), "?").provenance.reasons == [sha(buffer.getvalue())]


def test_a_stream_ends_with_the_same_result(client: PixelisClient) -> None:
    images = [picture(4, "JPEG"), picture(5, "WEBP")]
    events = list(client.stream(images, "Wörter?", request_id="r", strategy="majority"))
    assert [event.event for event in events] == KINDS
    asked = client.ask(images, "Wörter?", request_id="r", strategy="majority")
    assert events[-1].result == asked


def test_events_arrive_one_by_one_and_closing_cancels(client: PixelisClient) -> None:
    name = "pixelis_test_cancelled_total"
    before = client.metrics().get(name, 0)
    events = client.stream(picture(), "forever")
    assert [next(events).text for _ in range(3)] == ["Looking. ", "x" * 9, "x" * 9]
    events.close()  # type: ignore[attr-defined]
    end = time.monotonic() + 5
    while client.metrics().get(name, 0) == before and time.monotonic() < end:
        time.sleep(0.05)
    assert client.metrics()[name] == before + 1


def test_ops(client: PixelisClient) -> None:
    found = client.ops([picture(1), picture(2)], "read_text", {"region": [0, 0, 9, 9]}, image_index=1)
    assert found.operation.value == "READ_TEXT"
    assert found.result == {"region": [0, 0, 9, 9], "digests": [sha(picture(1)), sha(picture(2))], "index": 1}
    assert "outside image bounds" in (client.ops(picture(), "SEGMENT_OBJECT_AT", {"bad": 1}).error or "")
    with pytest.raises(InvalidRequest, match="operation"):
        client.ops(picture(), "PAINT")
    with pytest.raises(InvalidRequest, match="not JSON"):
        client.ops(picture(), "ZOOM_IN", {"region": {1, 2}})


def test_knn(client: PixelisClient) -> None:
    found = client.search(np.eye(8)[2], k=2)
    assert found.neighbours[0].answer == "2"
    assert len(found.neighbours) == 2
    assert client.stats().stats["indexed"] == 4
    feedback = KnnCommand(command="feedback", experience_id=found.neighbours[0].experience_id, correct=True)
    assert client.knn(feedback).stats["correct"] is True
    assert client.search(np.eye(8)[2], k=0).neighbours == []
    with pytest.raises(InvalidRequest, match=r"shape \[3\]"):
        client.search([1.0, 2.0, 3.0])
    with pytest.raises(NotFound):
        client.knn(KnnCommand(command="delete", experience_id="nobody"))


def test_errors_come_back_as_they_went(client: PixelisClient) -> None:
    with pytest.raises(InvalidImage, match=r"not a picture\. Send JPEG"):
        client.ask(picture(), "refuse")
    with pytest.raises(Unavailable, match="`policy` is not up"):
        client.ask(picture(), "fail")
    with pytest.raises(ServingError, match="ZeroDivisionError") as caught:
        client.ask(picture(), "crash")
    assert "secret" not in str(caught.value)
    with pytest.raises(ServingError, match="not understood"):
        client.ask(picture(), "garbage")
    for question, kind in (("refuse", InvalidImage), ("fail", Unavailable)):
        events = client.stream(picture(), question)
        assert next(events).event == "token"
        with pytest.raises(kind):
            list(events)


def test_what_the_client_refuses_itself(client: PixelisClient, tmp_path: Path) -> None:
    for call in (client.ask, client.stream):
        with pytest.raises(InvalidRequest, match=r"unknown key `ks`.*Known keys"):
            call(picture(), "?", ks=3)
        with pytest.raises(InvalidRequest, match="timeout_s"):
            call(picture(), "?", timeout_s=0)
        with pytest.raises(InvalidRequest, match="no image"):
            call([], "?")
        with pytest.raises(InvalidImage, match=r"no\.png cannot be read"):
            call(tmp_path / "no.png", "?")


def test_deadlines(client: PixelisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.wire.MARGIN_S", -0.7)
    with pytest.raises(DeadlineExceeded, match="did not answer within"):
        client.ask(picture(), "sleep 1", timeout_s=1)
    with pytest.raises(DeadlineExceeded, match="did not answer within"):
        list(client.stream(picture(), "forever", timeout_s=1))


def test_readiness_and_metrics(client: PixelisClient) -> None:
    assert client.is_ready()
    assert client.is_ready("pixelis")
    assert not client.is_ready("nobody")
    assert client.metrics()['nv_inference_request_success{model="pixelis",version="1"}'] > 0


def test_nobody_there(protocol: Protocol) -> None:
    with PixelisClient(DEAD, protocol, metrics_url=DEAD) as client:
        assert not client.is_ready()
        for call in (lambda: client.ask(picture(), "?"), lambda: list(client.stream(picture(), "?")), client.metrics):
            with pytest.raises(Unavailable, match=r"No server answers at .*`pixelis serve`"):
                call()


def test_a_model_that_is_not_served(url: str, protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    from clients import wire

    call = wire.ask([picture()], "?", Options())
    monkeypatch.setattr(wire, "ask", lambda *_: wire.Call("nobody", call.inputs, 5, call.parse))
    with PixelisClient(url, protocol) as client, pytest.raises((NotFound, Unavailable), match="nobody"):
        client.ask(picture(), "?")


def test_large_pictures(client: PixelisClient, protocol: Protocol) -> None:
    large = picture(9, "PNG", (1600, 1200))
    assert len(large) > 5 * 2**20
    assert client.ask(large, "?").provenance.reasons == [sha(large)]
    if protocol == "http":
        with pytest.raises(LimitExceeded, match="Stream over gRPC"):
            list(client.stream(large, "?"))
    else:
        assert len(list(client.stream(large, "?"))) == len(KINDS)


def test_threads_share_a_client(client: PixelisClient) -> None:
    def one(i: int) -> tuple[str, list[str]]:
        result = client.ask(picture(i), f"question {i}")
        return result.answer, result.provenance.reasons

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(one, range(32)))
    assert found == [(f"question {i}", [sha(picture(i))]) for i in range(32)]


async def test_asyncio_says_the_same(url: str, protocol: Protocol) -> None:
    async with AsyncPixelisClient(url, protocol) as client:
        assert await client.is_ready()
        assert not await client.is_ready("nobody")
        asked = await asyncio.gather(*(client.ask(picture(i), f"question {i}", request_id="r") for i in range(32)))
        found = await client.ops(picture(), "ZOOM_IN", {"region": [1, 2, 3, 4]})
        nearest = await client.search(np.eye(8)[1], k=1)
        events = [event async for event in client.stream(picture(), "?")]
        stats = await client.stats()
    assert [result.answer for result in asked] == [f"question {i}" for i in range(32)]
    assert [result.provenance.reasons for result in asked] == [[sha(picture(i))] for i in range(32)]
    assert found.result["region"] == [1, 2, 3, 4]
    assert nearest.neighbours[0].answer == "1"
    assert [event.event for event in events] == KINDS
    assert stats.count == 4
    with PixelisClient(url, protocol) as client:
        assert client.ask(picture(3), "question 3", request_id="r") == asked[3]


async def test_asyncio_streams_interleave_and_cancel(url: str, protocol: Protocol) -> None:
    async with AsyncPixelisClient(url, protocol, metrics_url="127.0.0.1:18132") as client:
        name = "pixelis_test_cancelled_total"
        before = (await client.metrics()).get(name, 0)
        both = client.stream(picture(), "forever"), client.stream(picture(), "forever")
        for _ in range(3):
            for events in both:
                assert (await anext(events)).event == "token"
        for events in both:
            await events.aclose()  # type: ignore[attr-defined]
        for _ in range(100):
            if (await client.metrics()).get(name, 0) >= before + 2:
                break
            await asyncio.sleep(0.05)
        assert (await client.metrics())[name] == before + 2


async def test_asyncio_errors(url: str, protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncPixelisClient(url, protocol) as client:
        with pytest.raises(InvalidImage):
            await client.ask(picture(), "refuse")
        with pytest.raises(Unavailable, match="policy"):
            _ = [event async for event in client.stream(picture(), "fail")]
        monkeypatch.setattr("clients.wire.MARGIN_S", -0.7)
        with pytest.raises(DeadlineExceeded):
            await client.ask(picture(), "sleep 1", timeout_s=1)
        with pytest.raises(DeadlineExceeded):
            _ = [event async for event in client.stream(picture(), "forever", timeout_s=1)]
    async with AsyncPixelisClient(DEAD, protocol, metrics_url=DEAD) as client:
        assert not await client.is_ready()
        with pytest.raises(Unavailable, match="pixelis serve"):
            await client.ask(picture(), "?")
        with pytest.raises(Unavailable, match="pixelis serve"):
            _ = [event async for event in client.stream(picture(), "?")]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_port_of_the_other_protocol_is_told_apart_from_no_server(
    served: EmbeddedTriton, protocol: Protocol
) -> None:
    url = served.http_url if protocol == "grpc" else served.grpc_url
    with PixelisClient(url, protocol) as client, pytest.raises(Unavailable, match="does not speak"):
        client.ask(picture(), "?")


def test_the_port_of_the_other_protocol_from_asyncio(served: EmbeddedTriton) -> None:
    async def ask(url: str, protocol: Protocol) -> None:
        async with AsyncPixelisClient(url, protocol) as client:
            with pytest.raises(Unavailable, match="does not speak"):
                await client.ask(picture(), "?")

    asyncio.run(ask(served.http_url, "grpc"))
    asyncio.run(ask(served.grpc_url, "http"))
