"""The policy in vLLM, on a real Triton whose vLLM backend is a twin (`tests/vllm`). Ports 18650 to 18655.

The twin's engine is transformers, with its own vision tower and image processor: equal tokens say that prompts,
pictures, sampling and grammar came through whole.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc

from clients.client import PixelisClient
from pixelis.errors import InvalidRequest, LimitExceeded, PixelisError, Unavailable, from_wire
from pixelis.schema import Event, PolicyEvent, Sampling
from pixelis.settings import Settings, Vllm, settings
from python_backends.artifacts import artifact
from python_backends.engine import load_engine
from python_backends.policy import conversation
from python_backends.policy.profile import Profile
from python_backends.policy.request import PolicyRequest
from python_backends.policy.runtime import PolicyRuntime
from python_backends.policy.tokenizer import PolicyTokenizer
from python_backends.policy.vllm.pixels import to_tokens
from server import stubs
from server.embedded import EmbeddedTriton
from tests.marked import long
from tests.triton.built import ask, asked, configured, example, inputs, link_repository, metric, stream, tensor, texts
from tests.vllm import scene
from tests.waiting import until

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

GRPC, BLS = 18650, 18653
GRID, TOKENS = (1, 12, 12), 36
QUESTIONS = ("What is written on the blue label?", "How many blue shapes does the image show?", "Where is the star?")
PACE_S = 0.02


@dataclass(frozen=True)
class Running:
    """A server, and what its twin was asked."""

    triton: EmbeddedTriton
    folder: Path

    @property
    def noted(self) -> list[dict[str, Any]]:
        """Of requests, and not of the watchdog's."""
        return [line for line in scene.asked(self.folder) if "Are you there?" not in line["prompt"]]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vllm")
    return scene.write(link_repository(root / "repository"), root / "state")


def started(
    repository: Path, port: int, state: Path, carrier: str, models: list[str] | None
) -> tuple[EmbeddedTriton, Settings]:
    config = configured(port, repository, state, watchdog=False)
    config = config.model_copy(update={"vllm": Vllm(carrier=carrier, address=f"127.0.0.1:{port + 1}")})  # type: ignore[arg-type]
    return EmbeddedTriton(repository, models=models, config=config), config


@pytest.fixture(scope="module")
def whole(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All models; turns go by gRPC."""
    folder = scene.exchange(repository, PACE_S)
    triton, _ = started(repository, GRPC, tmp_path_factory.mktemp("state"), "grpc", None)
    with triton:
        yield Running(triton, folder)


@pytest.fixture(scope="module")
def by_bls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The policy and its twin alone; turns go by BLS."""
    root = tmp_path_factory.mktemp("bls")
    folder = scene.exchange(scene.write(root / "repository", root / "state"), PACE_S)
    triton, _ = started(root / "repository", BLS, root / "served", "bls", ["policy"])
    with triton:
        yield Running(triton, folder)


@pytest.fixture(params=["grpc", "bls"])
def server(request: pytest.FixtureRequest) -> Running:
    """Both ways to vLLM."""
    found: Running = request.getfixturevalue({"grpc": "whole", "bls": "by_bls"}[request.param])
    return found


def views(count: int) -> np.ndarray:
    """The nano's views of the documentation's pictures."""
    import cv2

    found = []
    for number in range(1, count + 1):
        picture = cv2.imdecode(np.frombuffer(example(number), np.uint8), cv2.IMREAD_COLOR)
        found.append(cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), (168, 168), interpolation=cv2.INTER_AREA))
    return np.stack(found)


def prompt(question: str, images: int) -> np.ndarray:
    folder = artifact(settings().repository, "policy")
    opening = conversation.opening(Profile.load(folder), question, images)
    return PolicyTokenizer(folder).encode(opening, [TOKENS] * images)


def row(ids: np.ndarray, visual: np.ndarray | None, images: int, sampling: Sampling) -> list[grpc.InferInput]:
    grids = np.array(GRID * images, np.int32)
    sent = [tensor("PROMPT_IDS", ids, "INT64"), texts("SAMPLING", sampling.model_dump_json().encode(), batched=False)]
    if visual is not None:
        sent += [tensor("VISUAL", visual, "FP32"), tensor("GRIDS", grids, "INT32")]
    return sent


def turn(server: Running, ids: np.ndarray, pictures: np.ndarray, **sampling: Any) -> list[PolicyEvent]:
    """Events of one turn of `policy`; an error is raised."""
    said = Sampling(**{"request_id": str(time.monotonic_ns()), "max_tokens": 40, **sampling})
    visual = to_tokens(pictures, 28).reshape(-1, 28 * 28 * 3)
    try:
        events = stream(server.triton, "policy", row(ids, visual, len(pictures), said))
    except Exception as error:
        raise from_wire(str(error)) from error
    return [PolicyEvent.model_validate(event) for event in events]


def together(events: list[PolicyEvent]) -> tuple[list[int], list[float]]:
    return [t for event in events for t in event.tokens], [p for event in events for p in event.logprobs]


@pytest.fixture(scope="module")
def ours() -> Iterator[Callable[..., PolicyEvent]]:
    """The same turn, decoded by our own runtime from our own artifacts."""
    repository = settings().repository
    encoder = load_engine(artifact(repository, "vision_encoder"), 1)
    with PolicyRuntime(artifact(repository, "policy")) as runtime:

        def answer(ids: np.ndarray, pictures: np.ndarray, **sampling: Any) -> PolicyEvent:
            visual = encoder.run({"VIEW": pictures})["TOKENS"].astype(np.float32)
            said = Sampling(**{"request_id": "ours", "max_tokens": 40, "stream": False, **sampling})
            grids = np.array(GRID * len(pictures), np.int32)
            heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
            runtime.submit(PolicyRequest(ids, visual.reshape(-1, visual.shape[-1]), grids, said), heard.put)
            event = heard.get(timeout=30)
            if isinstance(event, PixelisError):
                raise event
            assert isinstance(event, PolicyEvent)
            return event

        yield answer
    encoder.close()


@pytest.mark.parametrize("guided", [False, True], ids=["free", "guided"])
@pytest.mark.parametrize("images", [1, long(2)])
def test_the_likeliest_tokens_are_those_of_our_own_runtime(
    server: Running, ours: Callable[..., PolicyEvent], images: int, guided: bool
) -> None:
    for question in QUESTIONS:
        ids, pictures = prompt(question, images), views(images)
        wanted = ours(ids, pictures, grammar=guided)
        tokens, logprobs = together(turn(server, ids, pictures, grammar=guided))
        assert tokens == wanted.tokens
        if not guided:  # vLLM's are behind the grammar's mask
            np.testing.assert_allclose(logprobs, wanted.logprobs, atol=2e-3)


def test_with_a_penalty_too(server: Running, ours: Callable[..., PolicyEvent]) -> None:
    ids, pictures = prompt(QUESTIONS[0], 1), views(1)
    wanted = ours(ids, pictures, repetition_penalty=1.3)
    assert together(turn(server, ids, pictures, repetition_penalty=1.3))[0] == wanted.tokens


def test_a_stop_text_ends_it_where_ours_ends(server: Running, ours: Callable[..., PolicyEvent]) -> None:
    ids, pictures = prompt(QUESTIONS[0], 1), views(1)
    wanted = ours(ids, pictures, stop=['"region"'])
    events = turn(server, ids, pictures, stop=['"region"'])
    last = events[-1]
    assert (together(events)[0], last.stop, last.text_length) == (wanted.tokens, wanted.stop, wanted.text_length)
    assert wanted.stop


def test_draws_are_the_seeds(server: Running) -> None:
    ids, pictures = prompt(QUESTIONS[0], 1), views(1)
    drawn = [together(turn(server, ids, pictures, temperature=2, seed=seed))[0] for seed in (1, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1]
    assert len({tuple(one) for one in drawn}) > 1


def test_what_was_asked_is_what_vllm_is_asked(server: Running) -> None:
    ids, pictures = prompt(QUESTIONS[0], 2), views(2)
    chosen = {"temperature": 0.7, "top_p": 0.9, "top_k": 7, "min_p": 0.05, "repetition_penalty": 1.1, "seed": 11}
    turn(server, ids, pictures, max_tokens=4, stop=["!"], **chosen)
    line = server.noted[-1]
    assert {name: line["parameters"][name] for name in chosen} == chosen
    assert (line["parameters"]["max_tokens"], line["parameters"]["stop"]) == (4, ["!"])
    assert line["images"] == [[168, 168], [168, 168]]
    assert line["prompt"].count("<|image_pad|>") == 2


def test_tokens_come_as_they_are_written(whole: Running) -> None:
    events = turn(whole, prompt(QUESTIONS[0], 1), views(1))
    assert len(events) > 5
    assert all(len(event.tokens) == 1 for event in events[:-1])
    assert [event.finish for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1].finish == "stop"
    assert whole.noted[-1]["stream"] is True


def test_by_bls_a_turn_is_one_message(by_bls: Running) -> None:
    (only,) = turn(by_bls, prompt(QUESTIONS[0], 1), views(1))
    assert only.finish == "stop"
    assert by_bls.noted[-1]["stream"] is False


def test_turns_side_by_side(server: Running, ours: Callable[..., PolicyEvent]) -> None:
    prompts = [prompt(question, 1) for question in QUESTIONS * 2]
    pictures = views(1)
    with ThreadPoolExecutor(len(prompts)) as pool:
        answers = list(pool.map(lambda ids: together(turn(server, ids, pictures))[0], prompts))
    assert answers == [ours(ids, pictures).tokens for ids in prompts]


def endless(server: Running, request_id: str, stop_after: int | None = None) -> list[dict[str, Any]]:
    said = Sampling(request_id=request_id, max_tokens=300, ignore_end=True)
    sent = row(prompt(QUESTIONS[1], 1), to_tokens(views(1), 28).reshape(-1, 2352), 1, said)
    return stream(server.triton, "policy", sent, stop_after)


def cancel(server: Running, request_id: str) -> None:
    assert stream(server.triton, "policy", [texts("CANCEL", request_id.encode(), batched=False)]) == []


def test_a_cancel_by_message_reaches_vllm(whole: Running) -> None:
    before = len(whole.noted)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(endless, whole, "to-be-cancelled")
        time.sleep(1.0)
        cancel(whole, "to-be-cancelled")
        events = running.result(10)
    assert events[-1]["finish"] == "cancelled"
    assert 0 < sum(len(event["tokens"]) for event in events) < 300
    assert until(lambda: len(whole.noted) > before and whole.noted[-1]["cancelled"], 10)


def test_by_bls_it_ends_for_the_caller(by_bls: Running) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(endless, by_bls, "to-be-cancelled")
        time.sleep(0.5)
        asked_at = time.monotonic()
        cancel(by_bls, "to-be-cancelled")
        events = running.result(10)
    assert time.monotonic() - asked_at < 2
    assert [event["finish"] for event in events] == ["cancelled"]
    (only,) = turn(by_bls, prompt(QUESTIONS[0], 1), views(1))  # and the next one is answered
    assert only.finish == "stop"


def test_a_caller_that_goes_cancels_too(whole: Running) -> None:
    before = len(whole.noted)
    endless(whole, "left", stop_after=3)
    assert until(lambda: len(whole.noted) > before and whole.noted[-1]["cancelled"], 10)
    assert whole.noted[-1]["tokens"] < 300


def test_a_deadline_ends_it_with_what_there_is(whole: Running) -> None:
    soon = time.time() + 1.5
    events = turn(whole, prompt(QUESTIONS[1], 1), views(1), max_tokens=300, ignore_end=True, deadline=soon)
    assert events[-1].finish == "deadline"
    assert 0 < len(together(events)[0]) < 300


def test_what_is_no_request_is_told_in_our_words(server: Running) -> None:
    right, pictures = prompt(QUESTIONS[0], 1), views(1)
    with pytest.raises(InvalidRequest, match="image tokens"):
        turn(server, right[:10], pictures)
    with pytest.raises(LimitExceeded, match="at most 2047"):
        turn(server, np.full(2048, 10), pictures)
    visual = to_tokens(pictures, 28).reshape(-1, 2352) + 0.5
    with pytest.raises(Exception, match="no pixels"):
        stream(server.triton, "policy", row(right, visual, 1, Sampling(request_id="wrong")))


def test_the_pipeline_answers_with_it(whole: Running) -> None:
    with grpc.InferenceServerClient(whole.triton.grpc_url) as client:
        for image, question, answer in asked()[:4]:
            found = ask(client, image, question)
            if not question.startswith(("Find", "Point", "Where")):
                assert found.answer == answer
            assert found.trajectory
            assert found.versions["policy"] > "1"


def test_the_agent_streams_it(whole: Running) -> None:
    sent = inputs(example(1), QUESTIONS[0], batched=False)
    events = [Event.model_validate(event) for event in stream(whole.triton, "agent", sent)]
    kinds = [event.event for event in events]
    assert kinds[-1] == "answer"
    assert "tool_call" in kinds
    written = "".join(event.text for event in events if event.event == "token")
    assert "<tool_call>" in written
    assert kinds.index("tool_call") > kinds.index("token")


def test_what_is_counted(whole: Running) -> None:
    turn(whole, prompt(QUESTIONS[0], 1), views(1))
    metrics = f"{whole.triton.ports.host}:{whole.triton.ports.metrics}"
    with PixelisClient(whole.triton.grpc_url, "grpc", metrics) as client:
        assert until(lambda: metric(client, "pixelis_policy_turns_total", finish="stop") > 0)
        assert metric(client, "pixelis_policy_tokens_total") > 0
        assert metric(client, "pixelis_policy_recut_prompts_total") == 0
    assert json.dumps(whole.noted[-1])


def test_a_vllm_that_has_died_is_said_to_be_down(server: Running) -> None:
    """The last test of both servers: nobody brings the twin back."""
    for stub in stubs.find(server.triton.server_id)["policy_vllm"]:
        os.kill(stub.pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="policy_vllm"):
        turn(server, prompt(QUESTIONS[0], 1), views(1), deadline=time.time() + 20)
