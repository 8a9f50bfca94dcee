"""Tokens as they come, clients that go, and time that runs out, on a real Triton with long turns. Ports 18170 to 18172.

The policy is the built one with its end tokens taken away: it answers as always, and then goes on until `max_tokens`.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as grpc

from clients.client import PixelisClient
from pixelis.errors import DeadlineExceeded, Unavailable
from pixelis.schema import Event, PipelineResult
from python_backends.artifacts import artifact
from python_backends.channel.folder import FOLDER
from server.embedded import EmbeddedTriton
from tests.marked import long
from tests.triton.built import configured, example, inputs, link_repository, metric
from tests.triton.endless import make_endless
from tests.triton.test_pipeline import scene
from tests.waiting import until

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

PORT = 18170
QUESTION = "How many blue shapes does the image show?"
LONG = {"k": 0, "max_tokens": 800, "max_operations": 1}
LONGEST = {"k": 0, "max_tokens": 1900}
WAYS = ("grpc", "http")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    linked = link_repository(tmp_path_factory.mktemp("streaming") / "repository")
    make_endless(linked)
    return linked


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the socket of an agent that was killed."""
    found = tmp_path_factory.mktemp("state")
    (found / FOLDER).mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(found / FOLDER / "dead"))
    return found


@pytest.fixture(scope="module")
def triton(repository: Path, state: Path) -> Iterator[EmbeddedTriton]:
    with EmbeddedTriton(config=configured(PORT, repository, state, watchdog=False)) as running:
        yield running
    assert list((state / FOLDER).iterdir()) == []  # and the agent has removed its own


@pytest.fixture(scope="module")
def clients(triton: EmbeddedTriton) -> Iterator[dict[str, PixelisClient]]:
    metrics = f"{triton.ports.host}:{triton.ports.metrics}"
    with (
        PixelisClient(triton.grpc_url, "grpc", metrics) as rpc,
        PixelisClient(triton.http_url, "http", metrics) as http,
    ):
        yield {"grpc": rpc, "http": http}


@dataclass
class Heard:
    """What came of the last turn of a stream, and when, in seconds since that turn could begin."""

    times: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    end: float = 0.0
    last: Event | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def result(self) -> PipelineResult:
        assert self.last is not None
        assert self.last.result is not None, self.last
        return self.last.result


def hear(client: PixelisClient, image: bytes, **options: Any) -> Heard:
    heard, began = Heard(), time.perf_counter()
    for event in client.stream(image, QUESTION, **{"use_cache": False, **options}):
        if event.event == "observation":
            heard, began = Heard(), time.perf_counter()
        heard.end = time.perf_counter() - began
        if event.event == "token":
            heard.times.append(heard.end)
            heard.texts.append(event.text)
        heard.last = event
    return heard


@pytest.mark.parametrize("way", WAYS)
def test_tokens_come_long_before_the_end_of_their_turn(clients: dict[str, PixelisClient], way: str) -> None:
    image = example(1)
    hear(clients[way], image, k=0, max_tokens=8)  # the first request of all is slower
    heard = hear(clients[way], image, **LONG)
    assert heard.result.timings_ms["reason.policy"] > 100, "the turn is too short to show anything"
    assert heard.times[0] < 0.4 * heard.end
    halfway = next(i for i in range(len(heard.texts)) if len("".join(heard.texts[: i + 1])) > len(heard.text) / 2)
    assert heard.times[halfway] < 0.8 * heard.end
    assert heard.text.strip() == heard.result.answer
    whole = clients["grpc"].ask(image, QUESTION, use_cache=False, **LONG)
    assert whole.answer == heard.result.answer
    print(f"{way}: first token after {heard.times[0]:.3f} s, end after {heard.end:.3f} s, {len(heard.texts)} events")


def test_many_streams_at_once_do_not_lock_up_and_each_hears_its_own_tokens(clients: dict[str, PixelisClient]) -> None:
    options = {"k": 0, "max_tokens": 64, "timeout_s": 60}
    alone = [hear(clients["grpc"], example(number), **options) for number in range(1, 5)]
    assert len({one.text for one in alone}) > 1, "all pictures are answered alike: nothing would show a mistake"

    def reader(which: int) -> list[Heard]:
        client = clients[WAYS[which % 2]]
        return [hear(client, example(1 + (which + i) % 4), **options) for i in range(20)]

    with ThreadPoolExecutor(8) as pool:
        heard = list(pool.map(reader, range(8)))
    for which, of_one in enumerate(heard):
        for i, one in enumerate(of_one):
            want = alone[(which + i) % 4]
            assert (one.text, one.result.answer) == (want.text, want.result.answer)
            assert one.text.startswith(one.result.answer)
    firsts = sorted(one.times[0] / one.end for of_one in heard for one in of_one)
    print(f"160 requests, 8 at once: the first token after {firsts[80]:.2f} of the time to the end (median)")


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_goes_frees_its_row_at_once(clients: dict[str, PixelisClient], way: str) -> None:
    client = clients[way]
    before = cancelled(client)
    with contextlib.closing(client.stream(example(1), QUESTION, use_cache=False, **LONGEST)) as events:
        in_turn = 0
        while in_turn < 60:  # a turn that would go on for long
            in_turn = in_turn + 1 if next(events).event == "token" else 0
    gone = time.perf_counter()
    assert until(lambda: cancelled(client) == before + 1 and busy(client) == (0, 0), 2)
    print(f"{way}: counted as cancelled {time.perf_counter() - gone:.3f} s after the client had gone")


def test_clients_that_go_before_their_first_token_free_their_rows_and_places(
    triton: EmbeddedTriton, clients: dict[str, PixelisClient]
) -> None:
    client, count = clients["grpc"], 24  # 16 have rows
    before = metric(client, "pixelis_agent_cancelled_total")
    open_streams = [grpc.InferenceServerClient(triton.grpc_url) for _ in range(count)]
    for i, one in enumerate(open_streams):
        one.start_stream(lambda result, error: None)
        one.async_stream_infer("agent", inputs(example(1 + i % 4), QUESTION, batched=False, timeout_s=60, **LONGEST))
    assert until(lambda: busy(client) == (16, count - 16), 20), busy(client)
    gone = time.perf_counter()
    for one in open_streams:
        one.stop_stream(cancel_requests=True)

    def all_gone() -> bool:  # counted by the agent: one that is between two turns has none to be cancelled
        return metric(client, "pixelis_agent_cancelled_total") == before + count and busy(client) == (0, 0)

    assert until(all_gone, 5), busy(client)
    print(f"{count} clients gone: no row is held {time.perf_counter() - gone:.3f} s after the first of them")
    for one in open_streams:
        one.close()


def cancelled(client: PixelisClient) -> float:
    return metric(client, "pixelis_policy_turns_total", finish="cancelled")


def busy(client: PixelisClient) -> tuple[float, float]:
    """Sequences that hold a row, and that wait for one."""
    return metric(client, "pixelis_policy_active_sequences"), metric(client, "pixelis_policy_waiting_sequences")


@pytest.mark.parametrize("way", ["grpc", long("http")])
def test_clients_that_do_not_read_hold_up_nobody(clients: dict[str, PixelisClient], way: str) -> None:
    client, count = clients[way], 6
    want = hear(clients["grpc"], example(1), **LONG).result.answer
    ended = metric(client, "pixelis_policy_turns_total")
    with contextlib.ExitStack() as open_streams:
        for _ in range(count):
            events = open_streams.enter_context(
                contextlib.closing(client.stream(example(1), QUESTION, use_cache=False, **LONGEST))
            )
            assert next(events).event == "token"  # and no other one is read
        assert hear(clients["grpc"], example(1), **LONG).result.answer == want
        assert until(lambda: metric(client, "pixelis_policy_turns_total") >= ended + count + 1, 20)
        assert until(lambda: busy(client) == (0, 0), 20), busy(client)
        assert [event.event for event in events][-1] == "answer"  # it was kept for whoever reads late


def test_time_that_runs_out_ends_a_request_with_what_it_has(clients: dict[str, PixelisClient]) -> None:
    client, options, count = clients["grpc"], {**LONGEST, "timeout_s": 1}, 12

    def one(number: int) -> Heard | PipelineResult | None:
        image = example(1 + number // 2 % 4)
        try:
            return (
                hear(client, image, **options)
                if number % 2
                else client.ask(image, QUESTION, **{"use_cache": False, **options})
            )
        except DeadlineExceeded:  # nothing that could be an answer came in time
            return None

    hear(client, example(1), k=0, max_tokens=8)
    began = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        found = [answered for answered in pool.map(one, range(count)) if answered is not None]
    took = time.perf_counter() - began
    assert took < 4
    assert found
    for answered in found:
        result = answered.result if isinstance(answered, Heard) else answered
        assert result.answer or len(result.trajectory) > 1
        assert result.confidence == 0.0
        told = [reason for reason in result.provenance.reasons if reason.startswith("reason: deadline_exceeded: ")]
        assert len(told) == 1, result.provenance.reasons
        assert result.trajectory[-1].type == "ANSWER"
        if isinstance(answered, Heard):
            assert answered.text.startswith(result.answer)
    print(f"{count} requests with 1 s each ended after {took:.2f} s")


def test_a_second_question_on_the_same_image_runs_no_encoder(clients: dict[str, PixelisClient]) -> None:
    client, image = clients["grpc"], scene(11)

    def views() -> tuple[float, float]:
        encoded = metric(client, "nv_inference_count", model="vision_encoder")
        time.sleep(2.2)  # the caches report every second
        return encoded, metric(client, "pixelis_cache_hits_total", model="agent", cache="vision", tier="memory")

    before = views()
    hear(client, image, k=0, max_tokens=8)
    first = views()
    hear(client, image, k=0, max_tokens=9)
    second = views()
    assert (first[0] - before[0], first[1] - before[1]) == (1, 0)
    assert (second[0] - first[0], second[1] - first[1]) == (0, 1)


def test_the_channel_is_private_and_what_the_dead_left_is_gone(triton: EmbeddedTriton, state: Path) -> None:
    folder = state / FOLDER
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (name,) = (path.name for path in folder.iterdir())
    assert re.fullmatch("[0-9a-f]{32}", name)


def test_an_encoder_that_lies_there_and_is_not_loaded_spoils_no_cache(
    clients: dict[str, PixelisClient], repository: Path
) -> None:
    client, image = clients["grpc"], scene(12)
    served = artifact(repository, "vision_encoder")
    newer = served.with_name(str(int(served.name) + 1))
    shutil.copytree(served, newer, symlinks=True)
    try:
        for _ in range(2):
            before = metric(client, "nv_inference_count", model="vision_encoder")
            heard = hear(client, image, k=0, max_tokens=8)
            assert metric(client, "nv_inference_count", model="vision_encoder") == before + 1  # and nothing was kept
    finally:
        shutil.rmtree(newer)
    assert hear(client, image, k=0, max_tokens=8).text == heard.text


@pytest.fixture(scope="module")
def small(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """Two rows, two requests that may wait for one, and no place for a channel. Ports 18173 to 18175."""
    state = tmp_path_factory.mktemp("small")
    (state / FOLDER).write_text("in the way")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELIS_DECODING__SLOTS", "2")
        patch.setenv("PIXELIS_DECODING__MAX_WAITING", "2")
        with EmbeddedTriton(config=configured(PORT + 3, repository, state, watchdog=False)) as running:
            yield running


def test_without_a_channel_a_turn_comes_whole(small: EmbeddedTriton, clients: dict[str, PixelisClient]) -> None:
    want = hear(clients["grpc"], example(1), **LONG)
    with PixelisClient(small.grpc_url) as client:
        hear(client, example(1), k=0, max_tokens=8)
        heard = hear(client, example(1), **LONG)
    assert heard.result.answer == want.result.answer == heard.text.strip()
    assert heard.times[0] > 0.5 * heard.end  # all of it at the end
    assert small.log.read_text().count("there is no channel from the policy") == 1


def test_more_requests_than_may_wait_are_told_when_to_come_again(small: EmbeddedTriton) -> None:
    options, count = {**LONG, "timeout_s": 60}, 16

    with PixelisClient(small.grpc_url) as rpc, PixelisClient(small.http_url, "http") as http:

        def one(number: int) -> PipelineResult | Unavailable:
            client, image = (rpc, http)[number % 2], example(1)
            try:
                if number % 4 < 2:
                    return client.ask(image, QUESTION, **{"use_cache": False, **options})
                *_, last = client.stream(image, QUESTION, **{"use_cache": False, **options})
                assert last.result is not None
                return last.result
            except Unavailable as error:
                return error

        with ThreadPoolExecutor(count) as pool:
            found = list(pool.map(one, range(count)))
    refused = [one for one in found if isinstance(one, Unavailable)]
    answered = [one for one in found if isinstance(one, PipelineResult)]
    assert len(answered) >= 4  # two rows and two places
    assert len({one.answer for one in answered}) == 1
    assert len(refused) > 0
    for error in refused:
        assert "requests wait for the policy" in str(error)
        assert error.retry_after_s is not None
