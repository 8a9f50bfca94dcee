"""The pipeline on a real Triton, from the built repository: answers, streams, batches, errors, and dead children.

Ports 18120 to 18122. `make test` builds the repository first; PIXELIS_REPOSITORY names another one.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import re
import shutil
import signal
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.grpc as grpc
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from pixelis.errors import PixelisError, from_wire
from pixelis.schema import Event, KnnCommand, KnnResult, PipelineResult
from pixelis.settings import Server, Settings, settings
from python_backends.artifacts import artifact
from python_backends.pipeline.agent import Agent
from python_backends.pipeline.local import LocalModels
from python_backends.pipeline.memory import Voice
from server.embedded import EmbeddedTriton
from tests.pipeline.conftest import png

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

QUESTIONS = ("What is written on the red label?", "What colour is the star?")


def scene(seed: int) -> bytes:
    """A held-out scene of the nano, encoded."""
    import cv2

    from builder.nano.render import render
    from builder.nano.scenes import make_scene

    pixels = cv2.cvtColor(render(make_scene("held_out", seed), (840, 840)), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", pixels)[1].tobytes())


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built repository, its big files linked: a test may touch every `model.py`."""
    built = settings().repository.absolute()
    try:
        artifact(built, "policy")
    except PixelisError as error:
        pytest.fail(f"{error} `make test` does.")
    copy = tmp_path_factory.mktemp("pipeline") / "repository"
    for path in built.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            to = copy / path.relative_to(built)
            to.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in (".py", ".pbtxt"):
                shutil.copyfile(path, to)
            else:
                to.symlink_to(path)
    return copy


@pytest.fixture(scope="module")
def triton(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    server = Server(http_port=18120, grpc_port=18121, metrics_port=18122, exit_timeout_s=2)
    config = Settings(state=tmp_path_factory.mktemp("state"), repository=repository, server=server)
    with EmbeddedTriton(config=config) as running:
        yield running


@pytest.fixture(scope="module")
def client(triton: EmbeddedTriton) -> Iterator[grpc.InferenceServerClient]:
    with grpc.InferenceServerClient(triton.grpc_url) as made:
        yield made


def tensor(name: str, array: NDArray[Any], dtype: str = "BYTES") -> grpc.InferInput:
    made = grpc.InferInput(name, list(array.shape), dtype)
    made.set_data_from_numpy(array)
    return made


def texts(name: str, *values: bytes, batched: bool = True) -> grpc.InferInput:
    array = np.array(values, object)
    return tensor(name, array[None] if batched else array)


def inputs(image: bytes, question: str, *, batched: bool = True, **options: Any) -> list[grpc.InferInput]:
    return [
        texts("IMAGE", image, batched=batched),
        texts("QUESTION", question.encode(), batched=batched),
        texts("OPTIONS", json.dumps(options).encode(), batched=batched),
    ]


def ask(client: grpc.InferenceServerClient, image: bytes, question: str, **options: Any) -> PipelineResult:
    answered = client.infer("pixelis", inputs(image, question, **options), client_timeout=120)
    return PipelineResult.model_validate_json(answered.as_numpy("RESULT")[0, 0])


def stream(
    triton: EmbeddedTriton, model: str, sent: list[grpc.InferInput], stop_after: int | None = None
) -> list[dict[str, Any]]:
    """The events of a decoupled model; with `stop_after` the client goes after that many."""
    answers: queue.Queue[Any] = queue.Queue()
    events: list[dict[str, Any]] = []
    with grpc.InferenceServerClient(triton.grpc_url) as client:
        client.start_stream(lambda result, error: answers.put(error or result))
        client.async_stream_infer(model, sent, enable_empty_final_response=True)
        while True:
            answer = answers.get(timeout=120)
            if isinstance(answer, Exception):
                raise answer
            response = answer.get_response()
            if len(response.outputs):
                events.append(json.loads(answer.as_numpy("EVENT")[0]))
            if response.parameters["triton_final_response"].bool_param:
                return events
            if stop_after is not None and len(events) >= stop_after:
                client.stop_stream(cancel_requests=True)
                return events


def comparable(result: PipelineResult) -> dict[str, Any]:
    found = result.model_dump(exclude={"request_id", "timings_ms"})
    for action in found["trajectory"]:
        del action["elapsed_ms"]
    for neighbour in found["provenance"]["neighbours"]:
        del neighbour["age_hours"]
    found["confidence"] = round(found["confidence"], 3)  # neighbours grow older, and count for less
    return found


def counts(triton: EmbeddedTriton, metric: str) -> dict[str, float]:
    """Sum of a metric per model."""
    with urllib.request.urlopen(triton.metrics_url, timeout=10) as response:
        page = response.read().decode()
    found: dict[str, float] = {}
    for labels, value in re.findall(rf"^{metric}{{(.*?)}} (\S+)$", page, re.MULTILINE):
        model = re.search(r'model="(\w+)"', labels)
        name = model[1] if model else ""
        found[name] = found.get(name, 0.0) + float(value)
    return found


def test_a_result_says_everything(client: grpc.InferenceServerClient) -> None:
    answered = client.infer("pixelis", inputs(scene(3), QUESTIONS[0]), request_id="mine", client_timeout=120)
    result = PipelineResult.model_validate_json(answered.as_numpy("RESULT")[0, 0])
    assert result.request_id == "mine"
    assert answered.as_numpy("ANSWER")[0, 0].decode() == result.answer
    assert answered.as_numpy("CONFIDENCE")[0, 0] == pytest.approx(result.confidence)
    assert 0 <= result.confidence <= 1
    assert result.trajectory[-1].type == "ANSWER"
    assert {"prepare", "recall", "reason", "finish", "total"} <= set(result.timings_ms)
    assert {"policy", "vision_encoder", "embed_text", "knn"} <= set(result.versions)
    assert result.provenance.reasons == []


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_agents_final_event_equals_the_ensembles_result(
    triton: EmbeddedTriton, client: grpc.InferenceServerClient, question: str
) -> None:
    events = [
        Event.model_validate(event) for event in stream(triton, "agent", inputs(scene(4), question, batched=False))
    ]
    assert events[-1].event == "answer"
    assert events[-1].result is not None
    assert any(event.event == "token" for event in events)
    assert comparable(events[-1].result) == comparable(ask(client, scene(4), question))


def test_the_artifacts_answer_the_same_without_triton(
    client: grpc.InferenceServerClient, repository: Path, tmp_path: Path
) -> None:
    config = Settings(repository=repository, state=tmp_path)
    with LocalModels(config) as models:
        agent = Agent.wire(models, Voice.load(artifact(repository, "policy")), config)
        *_, last = agent.run([scene(5)], QUESTIONS[0].encode(), b'{"k": 0}')
    assert last.result is not None
    served = comparable(ask(client, scene(5), QUESTIONS[0], k=0))
    local = comparable(last.result)
    reward, served_reward = local.pop("reward"), served.pop("reward")
    assert local == served
    assert reward["total"] == pytest.approx(served_reward["total"], abs=1e-5)


def test_the_agent_streams_over_http(triton: EmbeddedTriton) -> None:
    url = "data:image/jpeg;base64," + base64.b64encode(scene(3)).decode()
    body = json.dumps({"IMAGE": [url], "QUESTION": QUESTIONS[0], "OPTIONS": "{}"}).encode()
    request = urllib.request.Request(f"http://{triton.http_url}/v2/models/agent/generate_stream", body)
    with urllib.request.urlopen(request, timeout=60) as response:
        lines = [line[6:] for line in response.read().decode().splitlines() if line.startswith("data: ")]
    events = [Event.model_validate_json(json.loads(line)["EVENT"]) for line in lines]
    assert events[-1].event == "answer"
    assert events[0].event == "token"


def test_many_streams_at_once_each_end_with_their_own_answer(triton: EmbeddedTriton) -> None:
    asked = [inputs(scene(seed), question, batched=False) for seed in range(4) for question in QUESTIONS]

    def last(i: int) -> tuple[str, int]:
        event = Event.model_validate(stream(triton, "agent", asked[i % len(asked)])[-1])
        assert event.result is not None
        return event.result.provenance.agent_answer, len(event.result.trajectory)

    alone = [last(i) for i in range(len(asked))]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(last, range(96)))
    assert together == [alone[i % len(alone)] for i in range(96)]


def test_32_requests_at_once_run_as_batches_and_each_gets_its_own_answer(
    triton: EmbeddedTriton, client: grpc.InferenceServerClient
) -> None:
    asked = [(scene(seed), question) for seed in range(4) for question in QUESTIONS]
    alone = [comparable(ask(client, *one)) for one in asked]
    before = {name: counts(triton, f"nv_inference_{name}") for name in ("count", "exec_count")}
    with ThreadPoolExecutor(32) as pool:
        together = list(pool.map(lambda i: comparable(ask(client, *asked[i % len(asked)], timeout_s=120)), range(32)))
    for i, result in enumerate(together):
        want = alone[i % len(asked)]
        assert (result["answer"], result["trajectory"]) == (want["answer"], want["trajectory"])
    for model in ("prepare", "reason", "embed_image"):
        runs, requests = (
            counts(triton, f"nv_inference_{name}")[model] - before[name][model] for name in ("exec_count", "count")
        )
        assert runs < requests, model
    steps = counts(triton, "pixelis_policy_steps_total")
    assert steps["policy"] > 0


@pytest.mark.parametrize(
    ("image", "question", "options", "code"),
    [
        (b"no picture", "q", "{}", "invalid_image"),
        (b"", "q", "{}", "invalid_image"),
        (png()[:-40], "q", "{}", "invalid_image"),
        (b"https://example.org/cat.png", "q", "{}", "invalid_image"),
        (png(), "", "{}", "invalid_request"),
        (png(), "x" * 9000, "{}", "limit_exceeded"),
        (png(), "q", '{"colour": 1}', "invalid_request"),
        (png(), "q", '{"timeout_s": 0}', "invalid_request"),
        (png(), "q", "no json", "invalid_request"),
        (png(), "q", '{"temperature": 1}', "invalid_request"),
    ],
)
def test_each_bad_input_has_its_own_error_and_hurts_nobody_else(
    triton: EmbeddedTriton, client: grpc.InferenceServerClient, image: bytes, question: str, options: str, code: str
) -> None:
    sent = [texts("IMAGE", image), texts("QUESTION", question.encode()), texts("OPTIONS", options.encode())]
    with ThreadPoolExecutor(4) as pool:
        good = [pool.submit(ask, client, scene(3), QUESTIONS[1]) for _ in range(3)]
        with pytest.raises(InferenceServerException) as raised:
            client.infer("pixelis", sent, client_timeout=60)
        assert all(one.result().trajectory for one in good)
    assert from_wire(raised.value.message()).code == code
    plain = [texts("IMAGE", image, batched=False), texts("QUESTION", question.encode(), batched=False)]
    (event,) = stream(triton, "agent", [*plain, texts("OPTIONS", options.encode(), batched=False)])[-1:]
    assert (event["event"], event["code"]) == ("error", code)


def test_no_image_and_no_options(client: grpc.InferenceServerClient) -> None:
    none = tensor("IMAGE", np.zeros((1, 0), object))
    with pytest.raises(InferenceServerException, match="no image"):
        client.infer("pixelis", [none, *inputs(b"", "q")[1:]], client_timeout=60)
    answered = client.infer("pixelis", inputs(scene(3), QUESTIONS[1])[:2], client_timeout=60)
    assert answered.as_numpy("RESULT").shape == (1, 1)


def test_several_images_and_several_rows(client: grpc.InferenceServerClient) -> None:
    two = [texts("IMAGE", scene(3), scene(4)), *inputs(b"", QUESTIONS[1])[1:]]
    assert client.infer("pixelis", two, client_timeout=60).as_numpy("ANSWER").shape == (1, 1)
    rows = [
        tensor("IMAGE", np.array([[scene(3)], [scene(4)]], object)),
        tensor("QUESTION", np.array([[QUESTIONS[1].encode()]] * 2, object)),
        tensor("OPTIONS", np.array([[b"{}"]] * 2, object)),
    ]
    assert client.infer("pixelis", rows, client_timeout=60).as_numpy("ANSWER").shape == (2, 1)


def test_a_client_that_goes_is_noticed(triton: EmbeddedTriton) -> None:
    sent = inputs(scene(3), QUESTIONS[0], batched=False)
    for _ in range(5):
        stream(triton, "agent", sent, stop_after=1)
    end = time.time() + 10
    while not counts(triton, "pixelis_agent_cancelled_total") and time.time() < end:
        time.sleep(0.1)
    assert counts(triton, "pixelis_agent_cancelled_total").get("agent", 0) > 0
    assert stream(triton, "agent", sent)[-1]["event"] == "answer"


def test_the_policy_refuses_what_it_cannot_read_and_takes_cancels_for_nobody(triton: EmbeddedTriton) -> None:
    assert stream(triton, "policy", [texts("CANCEL", b"nobody", batched=False)]) == []
    with pytest.raises(InferenceServerException, match="invalid_request: "):
        stream(triton, "policy", [texts("SAMPLING", b"{}", batched=False)])
    ids = tensor("PROMPT_IDS", np.array([10**6], np.int64), "INT64")
    with pytest.raises(InferenceServerException, match="invalid_request: "):
        stream(triton, "policy", [ids, texts("SAMPLING", b'{"request_id": "a"}', batched=False)])


def test_experiences_are_inserted_found_and_counted(client: grpc.InferenceServerClient) -> None:
    key = np.zeros((1, 1664), np.float32)
    key[0, 7] = 1
    experience = {"experience_id": "", "question": "q", "answer": "a", "confidence": 0.9, "created_at": time.time()}
    command = KnnCommand.model_validate({"command": "insert", "experience": experience})
    sent = [tensor("KEY", key, "FP32"), texts("COMMAND", command.model_dump_json().encode())]
    inserted = KnnResult.model_validate_json(client.infer("knn", sent).as_numpy("RESULT")[0, 0])
    assert inserted.experience_id
    found = client.infer("knn", [tensor("KEY", key, "FP32"), tensor("K", np.array([[1]], np.int32), "INT32")])
    result = KnnResult.model_validate_json(found.as_numpy("RESULT")[0, 0])
    if result.reason is None:
        assert found.as_numpy("IDS")[0, 0].decode() == inserted.experience_id
        assert found.as_numpy("SCORES")[0, 0] == pytest.approx(1)
    else:
        assert result.reason == "cold_start"
        assert found.as_numpy("IDS").shape == (1, 0)
    with pytest.raises(InferenceServerException, match="invalid_request: "):
        client.infer("knn", [tensor("KEY", key[:, :5], "FP32")])


def stubs(triton: EmbeddedTriton, model: str) -> list[int]:
    """Processes of a model of this server."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if "triton_python_backend_stub" in line and str(triton.repository) in line and f" {model}_0_" in line:
            found.append(process.pid)
    return found


def kill(triton: EmbeddedTriton, model: str) -> None:
    pids = stubs(triton, model)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def repair(triton: EmbeddedTriton, client: grpc.InferenceServerClient, model: str) -> None:
    """Load again; a new modification time makes Triton do it without unloading first."""
    for shim in (triton.repository / model).glob("*/model.py"):
        shim.touch()
    client.load_model(model)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["knn", "embed_text", "reward", "visual_ops"])
def test_a_dead_helper_is_a_reason_and_no_failure(
    triton: EmbeddedTriton, client: grpc.InferenceServerClient, model: str
) -> None:
    kill(triton, model)
    try:
        started = time.time()
        result = ask(client, scene(3), QUESTIONS[0], timeout_s=10)
        assert time.time() - started < 11
        assert any(f"`{model}` is not up" in reason for reason in result.provenance.reasons)
        assert result.answer == result.provenance.agent_answer
    finally:
        repair(triton, client, model)
    assert ask(client, scene(3), QUESTIONS[0]).provenance.reasons == []


@pytest.mark.slow
@pytest.mark.parametrize("model", ["policy", "vision_encoder"])
def test_a_dead_policy_is_a_typed_error_in_time_and_its_callers_recover(
    triton: EmbeddedTriton, client: grpc.InferenceServerClient, model: str
) -> None:
    before = comparable(ask(client, scene(3), QUESTIONS[0]))

    def attempt(_: int) -> str:
        try:
            ask(client, scene(3), QUESTIONS[0], timeout_s=6)
        except InferenceServerException as error:
            return from_wire(error.message()).code
        return "answered"

    with ThreadPoolExecutor(8) as pool:
        started = time.time()
        under_way = [pool.submit(attempt, i) for i in range(8)]
        time.sleep(0.4)
        kill(triton, model)
        codes = {one.result() for one in under_way}
        assert time.time() - started < 12
    # Triton takes a second to find each request of a dead process's queue dead, so late ones may meet their deadline.
    assert codes <= {"answered", "unavailable", "deadline_exceeded"}
    assert attempt(0) in ("unavailable", "deadline_exceeded")
    event = stream(triton, "agent", inputs(scene(3), QUESTIONS[0], batched=False, timeout_s=6))[-1]
    assert event["event"] == "error"
    assert event["code"] in ("unavailable", "deadline_exceeded")
    repair(triton, client, model)
    assert comparable(ask(client, scene(3), QUESTIONS[0])) == before
