"""Two checkpoints on one server whose memory holds one of them: both answer, and as each does alone."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from clients.aio import AsyncPixelisClient
from clients.client import PixelisClient
from perf.repositories import republished
from pixelis.errors import InvalidRequest
from pixelis.schema import Event, Options, PipelineResult
from pixelis.settings import Settings
from python_backends.artifacts import latest
from python_backends.checkpoints import PAIR, models_of
from python_backends.pipeline.agent import Agent
from python_backends.pipeline.local import LocalModels
from python_backends.pipeline.memory import Voice
from server.embedded import EmbeddedTriton
from tests.triton.built import configured, example, link_repository, metric
from tests.waiting import until

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

BUDGET = 640 * 2**20
"""The nano takes 64 MiB of keys and values, 256 of prompts, and two processes: one fits, two do not."""
QUESTION = "What colour is the star?"
OPTIONS = Options(k=0, max_operations=3, max_tokens=96, use_cache=False, timeout_s=200)
ON_DEMAND = 'parameters { key: "load" value { string_value: "on demand" } }\n'


def publish_twin(repository: Path) -> None:
    """The default checkpoint once more as `twin`, its embeddings a little off: it answers, and is less sure."""
    for model, twin in zip(PAIR, models_of("twin"), strict=True):
        shutil.rmtree(repository / twin, ignore_errors=True)
        shutil.copytree(repository / model, repository / twin, symlinks=True)
        config = repository / twin / "config.pbtxt"
        config.write_text(config.read_text().replace(f'name: "{model}"', f'name: "{twin}"', 1) + ON_DEMAND)
    table = latest(repository, "policy.twin") / "embed_tokens.npy"
    values = np.load(table)
    table.unlink()
    noise = np.random.default_rng(0).normal(size=values.shape)
    np.save(table, (values * (1 + 0.05 * noise)).astype(values.dtype))
    for twin in models_of("twin"):
        republished(latest(repository, twin))


def only_twin(repository: Path, to: Path) -> Path:
    """A repository that holds the twin alone, as its default checkpoint."""
    shutil.copytree(repository, to, symlinks=True)
    for model, twin in zip(PAIR, models_of("twin"), strict=True):
        shutil.rmtree(to / model)
        (to / twin).rename(to / model)
        republished(latest(to, model))
    return to


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = link_repository(tmp_path_factory.mktemp("residency") / "repository")
    publish_twin(made)
    return made


@pytest.fixture(scope="module")
def triton(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    state = tmp_path_factory.mktemp("state")
    config = configured(18260, repository, state, model_memory_bytes=BUDGET, watchdog_interval_s=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELIS_SERVER__MODEL_MEMORY_BYTES", str(BUDGET))
        with EmbeddedTriton(config=config) as running:
            yield running


@pytest.fixture(scope="module")
def client(triton: EmbeddedTriton) -> Iterator[PixelisClient]:
    with PixelisClient(triton.grpc_url, metrics_url=f"{triton.ports.host}:{triton.ports.metrics}") as made:
        yield made


def alone(repository: Path, state: Path) -> Event:
    """What the default checkpoint of a repository answers where there is no other."""
    config = Settings(repository=repository, state=state)
    with LocalModels(config) as models:
        agent = Agent.wire(models, Voice.load(latest(repository, "policy")), config)
        *_, last = agent.run([example(3)], QUESTION.encode(), OPTIONS.model_dump_json().encode())
    return last


def said(result: PipelineResult) -> tuple[str, float, list[str]]:
    steps = [f"{action.type} {action.arguments} {action.text}" for action in result.trajectory]
    return result.answer, round(result.provenance.agent_confidence, 4), steps


def test_both_answer_at_once_each_as_it_does_alone(
    triton: EmbeddedTriton, client: PixelisClient, repository: Path, tmp_path: Path
) -> None:
    def ask(model: str | None) -> PipelineResult:
        return client.ask(example(3), QUESTION, OPTIONS, model=model)

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(ask, [None, "twin"] * 3))
        events = list(client.stream(example(3), QUESTION, OPTIONS, model="twin"))
    found.append(events[-1].result or found[0])
    assert triton.ready(), "also while models come and go"
    own = alone(repository, tmp_path / "one").result
    other = alone(only_twin(repository, tmp_path / "only"), tmp_path / "two").result
    assert own is not None
    assert other is not None
    assert said(own) != said(other)
    assert [said(result) for result in found] == [said(own), said(other)] * 3 + [said(other)]
    assert {"policy", "vision_encoder"} <= found[0].versions.keys()
    assert {"policy.twin", "vision_encoder.twin"} <= found[1].versions.keys()
    assert "policy" not in found[1].versions


def test_what_was_unloaded_is_not_taken_for_dead(triton: EmbeddedTriton, client: PixelisClient) -> None:
    """The watchdog leaves it, its probes load nothing, and what was loaded on demand is watched."""
    assert metric(client, "pixelis_residency_loads_total", model="twin") >= 1
    assert metric(client, "pixelis_residency_unloads_total", model="default") >= 1
    loads = metric(client, "pixelis_residency_loads_total")
    health = triton.health
    assert health is not None
    client.ask(example(3), QUESTION, OPTIONS, model="twin")
    assert until(lambda: health["policy.twin"].state == "healthy")
    before = metric(client, "nv_inference_request_success", model="reason")
    assert until(lambda: metric(client, "nv_inference_request_success", model="reason") >= before + 2, 30)
    assert metric(client, "pixelis_residency_loads_total") <= loads + 1
    assert [health[name].repairs for name in ("policy", "vision_encoder", "policy.twin", "reason")] == [0, 0, 0, 0]
    assert 0 < metric(client, "pixelis_residency_resident_bytes") <= BUDGET


def test_an_unknown_name_is_refused_with_those_that_there_are(client: PixelisClient) -> None:
    with pytest.raises(InvalidRequest, match=r"no checkpoint 'other'.*twin"):
        client.ask(example(3), QUESTION, model="other")


def test_clients_know_the_names(triton: EmbeddedTriton, client: PixelisClient) -> None:
    assert client.checkpoints() == ["twin"]
    with PixelisClient(triton.http_url, "http") as over_http:
        assert over_http.checkpoints() == ["twin"]

    async def names() -> list[str]:
        async with AsyncPixelisClient(triton.grpc_url) as asking:
            return await asking.checkpoints()

    assert asyncio.run(names()) == ["twin"]
