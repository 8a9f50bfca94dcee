"""The built repository, and how tests of a real server talk to it."""

from __future__ import annotations

import json
import queue
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc
from numpy.typing import NDArray

from clients.client import PixelisClient
from pixelis.errors import NotFound, PixelisError
from pixelis.schema import Experience, KnnCommand, PipelineResult
from pixelis.settings import Server, Settings, settings
from python_backends.artifacts import artifact
from server.embedded import EmbeddedTriton

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def example(number: int) -> bytes:
    """One of the pictures of the documentation, 1 to 4."""
    return (EXAMPLES / f"scene-{number}.jpg").read_bytes()


def asked() -> list[tuple[bytes, str, str]]:
    """Picture, question and right answer of the documentation's examples; not the clip."""
    lines = [one for one in json.loads((EXAMPLES / "questions.json").read_text()) if one["file"].endswith(".jpg")]
    return [((EXAMPLES / line["file"]).read_bytes(), line["question"], line["answer"]) for line in lines]


def link_repository(copy: Path) -> Path:
    """The built repository, its big files linked: a test may touch every `model.py`."""
    built = settings().repository.absolute()
    try:
        artifact(built, "policy")
    except PixelisError as error:
        pytest.fail(f"{error} `make test` does.")
    for path in built.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            to = copy / path.relative_to(built)
            to.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in (".py", ".pbtxt"):
                shutil.copyfile(path, to)
            else:
                to.symlink_to(path)
    return copy


def configured(port: int, repository: Path, state: Path, **server: Any) -> Settings:
    """Settings of a server on `port` and the two after it."""
    ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    return Settings(state=state, repository=repository, server=Server(**ports, exit_timeout_s=2, **server))


def tensor(name: str, array: NDArray[Any], dtype: str = "BYTES") -> grpc.InferInput:
    made = grpc.InferInput(name, list(array.shape), dtype)
    made.set_data_from_numpy(array)
    return made


def texts(name: str, *values: bytes, batched: bool = True) -> grpc.InferInput:
    array = np.array(values, object)
    return tensor(name, array[None] if batched else array)


def inputs(image: bytes, question: str, *, batched: bool = True, **options: Any) -> list[grpc.InferInput]:
    """A request that the models answer and no cache, unless `use_cache` says otherwise."""
    return [
        texts("IMAGE", image, batched=batched),
        texts("QUESTION", question.encode(), batched=batched),
        texts("OPTIONS", json.dumps({"use_cache": False, **options}).encode(), batched=batched),
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


def inserted(triton: EmbeddedTriton) -> str:
    """The id under which `knn` says that it remembers one more experience."""
    experience = Experience(experience_id="", question="q", answer="a", confidence=0.9, created_at=time.time())
    key = np.random.default_rng().standard_normal(1664).astype(np.float32)
    with PixelisClient(triton.grpc_url) as client:
        made = client.knn(KnnCommand(command="insert", experience=experience), key / np.linalg.norm(key))
    assert made.experience_id
    return made.experience_id


def known(triton: EmbeddedTriton, experience_id: str) -> bool:
    """Whether `knn` remembers an experience."""
    with PixelisClient(triton.grpc_url) as client:
        try:
            client.knn(KnnCommand(command="feedback", experience_id=experience_id, correct=True))
        except NotFound:
            return False
    return True


def metric(client: PixelisClient, name: str, **labels: str) -> float:
    """Sum over all labels but those given."""
    wanted = {f'{key}="{value}"' for key, value in labels.items()}
    found = [(key, value) for key, value in client.metrics().items() if key.startswith(name + "{")]
    return sum(value for key, value in found if wanted <= set(re.findall(r'\w+="[^"]*"', key)))
