"""The pipeline on a real Triton, from the built repository: answers, streams, batches. Bad input is in test_bad_input.

Ports 18120 to 18122. `make test` builds the repository first; PIXELIS_REPOSITORY names another one.
"""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from clients.client import PixelisClient
from pixelis.schema import Event, KnnCommand, KnnResult, PipelineResult
from pixelis.settings import Settings
from python_backends.artifacts import artifact
from python_backends.pipeline.agent import Agent
from python_backends.pipeline.local import LocalModels
from python_backends.pipeline.memory import Voice
from server.embedded import EmbeddedTriton
from tests.triton.built import ask, configured, example, inputs, link_repository, stream, tensor, texts
from tests.triton.gateways import gateway, posted

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
    return link_repository(tmp_path_factory.mktemp("pipeline") / "repository")


@pytest.fixture(scope="module")
def triton(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    config = configured(18120, repository, tmp_path_factory.mktemp("state"))
    with EmbeddedTriton(config=config) as running:
        yield running


@pytest.fixture(scope="module")
def client(triton: EmbeddedTriton) -> Iterator[grpc.InferenceServerClient]:
    with grpc.InferenceServerClient(triton.grpc_url) as made:
        yield made


def comparable(result: PipelineResult) -> dict[str, Any]:
    found = result.model_dump(exclude={"request_id", "timings_ms"})
    for action in found["trajectory"]:
        del action["elapsed_ms"]
    for neighbour in found["provenance"]["neighbours"]:
        del neighbour["age_hours"]
    found["confidence"] = round(found["confidence"], 3)  # neighbours grow older, and count for less
    # A prompt whose beginning was read before is read in other pieces, and its sums round otherwise.
    found["provenance"]["agent_confidence"] = round(found["provenance"]["agent_confidence"], 5)
    found["reward"] = rounded(found["reward"])  # embeddings of before were made in batches of other sizes
    return found


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return {name: rounded(one) for name, one in value.items()} if isinstance(value, dict) else value


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
    for model in ("prepare", "reason", "recall"):
        runs, requests = (
            counts(triton, f"nv_inference_{name}")[model] - before[name][model] for name in ("exec_count", "count")
        )
        assert runs < requests, model
    steps = counts(triton, "pixelis_policy_steps_total")
    assert steps["policy"] > 0


def test_several_images_and_several_rows(client: grpc.InferenceServerClient) -> None:
    two = [texts("IMAGE", scene(3), scene(4)), *inputs(b"", QUESTIONS[1])[1:]]
    assert client.infer("pixelis", two, client_timeout=60).as_numpy("ANSWER").shape == (1, 1)
    rows = [
        tensor("IMAGE", np.array([[scene(3)], [scene(4)]], object)),
        tensor("QUESTION", np.array([[QUESTIONS[1].encode()]] * 2, object)),
        tensor("OPTIONS", np.array([[b"{}"]] * 2, object)),
    ]
    assert client.infer("pixelis", rows, client_timeout=60).as_numpy("ANSWER").shape == (2, 1)


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


def test_the_gateway_answers_as_triton_does(triton: EmbeddedTriton, tmp_path: Path) -> None:
    image, question = example(3), "How many blue shapes does the image show?"
    with PixelisClient(triton.grpc_url) as direct, gateway(18123, triton, tmp_path) as url:
        want = direct.ask(image, question, k=3, read_only=False, use_cache=False)
        said = {"image": base64.b64encode(image).decode(), "question": question, "k": 3}
        status, found = posted(url, "/infer", {**said, "use_cache": False})
        assert status == 200
        assert comparable(PipelineResult.model_validate(found))["answer"] == want.answer
        assert posted(url, "/health", None) == (200, {"live": True, "ready": True, "degraded": []})
        status, found = posted(url, "/batch_infer", {"requests": [said, {**said, "image": "AAAA"}, said]})
        assert [one["status"] for one in found["answers"]] == [200, 400, 200]
        assert found["answers"][1]["error"]["code"] == "invalid_image"
        assert {one["result"]["answer"] for one in found["answers"][::2]} == {want.answer}
        status, found = posted(url, "/feedback", {"request_id": want.request_id, "correct": True})
        assert (status, found["judgement"]["correct"]) == (200, True)
        part = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{said['image']}"}}
        first = {"role": "user", "content": [part, {"type": "text", "text": question}]}
        status, found = posted(url, "/v1/chat/completions", {"messages": [first]})
        assert (status, found["choices"][0]["message"]["content"]) == (200, want.answer)
        used = found["usage"]["prompt_tokens"]
        turns = [{"role": "system", "content": "Be brief."}, first, {"role": "assistant", "content": "4"}]
        status, found = posted(
            url, "/v1/chat/completions", {"messages": [*turns, {"role": "user", "content": "Sure?"}]}
        )
        assert (status, found["pixelis"]["provenance"]["neighbours"]) == (200, [])
        assert found["usage"]["prompt_tokens"] > used > 0
        assert posted(url, "/v1/models", None)[1]["data"][0]["id"] == "pixelis"
        hits = posted(url, "/stats", None)[1]["cached"]
        assert posted(url, "/infer", said)[1]["from_cache"]
        assert posted(url, "/stats", None)[1]["cached"]["hit"] == hits.get("hit", 0) + 1
