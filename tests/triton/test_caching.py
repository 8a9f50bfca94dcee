"""Caches through the server, with a real Redis: repeats are found, nothing stale is."""

from __future__ import annotations

import itertools
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from builder.storing.rollback import rollback
from clients.client import PixelisClient
from perf.repositories import republished
from pixelis.schema import Experience, PipelineResult
from python_backends.artifacts import latest
from python_backends.caching.caches import FOLDER
from python_backends.caching.orders import Order, give
from python_backends.policy.profile import Profile
from server.embedded import EmbeddedTriton
from server.loading import load_newest, targets
from tests.redis_server import Server, running
from tests.triton.built import configured, example, link_repository, metric
from tests.waiting import until

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

QUESTION, OTHER = "What is written on the red label?", "What colour is the star?"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture(scope="module")
def triton(redis: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    repository = link_repository(tmp_path_factory.mktemp("caching") / "repository")
    config = configured(18280, repository, tmp_path_factory.mktemp("state"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELIS_CACHE__ENABLE_REDIS", "true")
        patch.setenv("PIXELIS_CACHE__REDIS_URL", redis.url)
        patch.setenv("PIXELIS_RETRIEVAL__COLD_START_THRESHOLD", "0")
        patch.setenv("PIXELIS_RETRIEVAL__LEARN_CONFIDENCE", "0")  # whatever is answered is learned
        with EmbeddedTriton(config=config) as running:
            yield running


@pytest.fixture(scope="module")
def client(triton: EmbeddedTriton) -> Iterator[PixelisClient]:
    with PixelisClient(triton.grpc_url, metrics_url=f"{triton.ports.host}:{triton.ports.metrics}") as made:
        yield made


def same(result: PipelineResult) -> dict[str, Any]:
    return result.model_dump(include={"answer", "trajectory"})


def did(result: PipelineResult) -> list[dict[str, Any]]:
    """The answer and what was done for it, without how long it took: an operation out of its cache took no time."""
    return [{"answer": result.answer}, *(action.model_dump(exclude={"elapsed_ms"}) for action in result.trajectory)]


def kept(client: PixelisClient, picture: bytes, **options: Any) -> PipelineResult:
    """The answer from the cache. What both processes of `reason` share may be late on a busy machine, and is a miss."""
    for _ in range(20):
        found = client.ask(picture, QUESTION, **options)
        if found.from_cache:
            break
        time.sleep(0.1)
    return found


def test_a_repeat_comes_from_the_cache_with_its_own_id(client: PixelisClient) -> None:
    first = client.ask(example(1), QUESTION, request_id="one")
    for name in ("two", "three", "four"):  # whichever process of `reason` answers
        again = kept(client, example(1), request_id=name)
        assert (again.from_cache, again.request_id) == (True, name)
        assert same(again) == same(first)
    assert not first.from_cache
    *_, last = client.stream(example(1), QUESTION)
    assert last.result is not None
    assert last.result.from_cache, "the agent shares what the ensemble keeps"
    for other in ({"use_cache": False}, {"read_only": False}, {"temperature": 0.4}):
        assert not client.ask(example(1), QUESTION, **other).from_cache


def test_what_one_process_has_answered_the_other_one_finds_in_redis(client: PixelisClient) -> None:
    """Also on a busy machine, where any one look may be late: without Redis there would be no such hit ever."""

    def hits() -> float:
        return metric(client, "pixelis_cache_hits_total", model="reason", cache="request", tier="redis")

    before, numbers = hits(), itertools.count()

    def found() -> bool:
        question = f"{OTHER} {next(numbers)}"
        for _ in range(4):
            client.ask(example(2), question)
        return hits() > before

    assert until(found, 30)


def test_equal_requests_at_once_are_computed_once(client: PixelisClient) -> None:
    def computed() -> float:
        time.sleep(2.2)  # the caches report every second
        return metric(client, "pixelis_cache_computed_total", model="reason", cache="request")

    before = computed()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: client.ask(example(2), QUESTION, timeout_s=60), range(16)))
    assert len({result.answer for result in found}) == 1
    assert sum(not result.from_cache for result in found) == 1
    assert computed() - before == 1


def test_a_vote_counts_what_was_inserted_although_the_answer_is_cached(client: PixelisClient) -> None:
    asked = {"image": example(3), "question": QUESTION}
    first = client.ask(asked["image"], asked["question"], k=5)
    assert kept(client, asked["image"], k=5).from_cache
    learned = client.ask(asked["image"], asked["question"], read_only=False, k=5)
    seen = kept(client, asked["image"], k=5)
    assert seen.from_cache
    assert learned.provenance.learned in {one.experience_id for one in seen.provenance.neighbours}
    given = Experience(experience_id="", question=QUESTION, answer="zebra", confidence=1.0, created_at=time.time())
    client.feedback(learned.request_id, answer=given.answer)
    after = kept(client, asked["image"], k=5)
    assert after.from_cache
    assert after.provenance.agent_answer == first.provenance.agent_answer
    assert after.answer == "zebra", "a human's word decides at the very next request"


def published(triton: EmbeddedTriton, model: str, **texts: str) -> int:
    """The newest version's files under the next number, some with another text; not loaded."""
    newest = latest(triton.repository, model)
    draft, version = newest.with_name("draft"), int(newest.name) + 1
    shutil.copytree(newest, draft, symlinks=True)
    for name, text in texts.items():
        path = draft / f"{name}.json"
        path.unlink()
        path.write_text(text)
    draft.rename(newest.with_name(str(version)))
    republished(newest.with_name(str(version)))
    return version


def load(triton: EmbeddedTriton, model: str, version: int) -> None:
    (loaded,) = load_newest(targets(triton.config)[0], [model], 60)
    assert loaded.version == str(version)


@pytest.mark.parametrize("model", ["vision_encoder", "policy"])
def test_a_new_version_is_a_miss(triton: EmbeddedTriton, client: PixelisClient, model: str) -> None:
    client.ask(example(4), QUESTION)
    assert kept(client, example(4)).from_cache
    check_that_it_is_a_miss(triton, client, model, published(triton, model))


def test_a_rollback_is_a_miss(triton: EmbeddedTriton, client: PixelisClient) -> None:
    """The artifact is one that answered before, its number is new."""
    newest = int(latest(triton.repository, "embed_image").name)
    load(triton, "embed_image", published(triton, "embed_image"))
    client.ask(example(4), QUESTION)
    assert kept(client, example(4)).from_cache
    done = rollback("embed_image", newest, repository=triton.repository, state=triton.config.state)
    check_that_it_is_a_miss(triton, client, "embed_image", done.version)


def check_that_it_is_a_miss(triton: EmbeddedTriton, client: PixelisClient, model: str, version: int) -> None:
    """A version that lies there and isn't loaded yet, and once it is loaded: both are."""
    unloaded = client.ask(example(4), QUESTION)
    load(triton, model, version)
    first, second = client.ask(example(4), QUESTION), client.ask(example(4), QUESTION)
    assert (unloaded.from_cache, first.from_cache, second.from_cache) == (False, False, True)
    assert same(first) == same(second)


def test_a_new_version_with_another_profile_is_talked_to_by_that(triton: EmbeddedTriton, client: PixelisClient) -> None:
    """Every step reads it when it is loaded, without being started again; until then the older one's answers stand."""
    profile = Profile.load(latest(triton.repository, "policy"))
    assert profile.calibration is not None
    doubtful = profile.calibration.model_copy(update={"bias": profile.calibration.bias - 3})
    other = profile.model_copy(update={"calibration": doubtful})
    old = client.ask(example(3), OTHER)
    version = published(triton, "policy", pixelis=other.model_dump_json())
    waiting = client.ask(example(3), OTHER)
    assert waiting.provenance.agent_confidence == pytest.approx(old.provenance.agent_confidence, abs=1e-4)
    load(triton, "policy", version)
    new, again = client.ask(example(3), OTHER), client.ask(example(3), OTHER)
    assert (new.from_cache, again.from_cache) == (False, True)
    assert again.provenance.agent_confidence == new.provenance.agent_confidence < old.provenance.agent_confidence


@pytest.mark.parametrize("trouble", [signal.SIGSTOP, signal.SIGKILL])
def test_a_redis_that_hangs_or_dies_fails_no_request(
    client: PixelisClient, redis: Server, trouble: signal.Signals
) -> None:
    def errors() -> float:
        return metric(client, "pixelis_cache_errors_total", model="reason", tier="redis")

    question, before = f"What is there to see after signal {trouble.value}?", errors()
    client.ask(example(1), question)
    redis.signal(trouble)
    started = time.monotonic()
    for _ in range(4):
        client.ask(example(1), question)
    assert not client.ask(example(1), f"{question} And now?").from_cache
    assert time.monotonic() - started < 10
    assert until(lambda: errors() > before, 5), "the caches report every second"
    if trouble == signal.SIGSTOP:
        redis.signal(signal.SIGCONT)
    else:
        redis.stop()
        redis.start()
    names = len(redis.client.keys("pixelis:request:*"))
    assert until(lambda: kept_again(client, redis, names), 20), "it is used again"


def kept_again(client: PixelisClient, redis: Server, names: int) -> bool:
    """Whether a new answer comes to lie in Redis."""
    client.ask(example(1), f"What is there to see at {time.monotonic()}?")
    return len(redis.client.keys("pixelis:request:*")) > names


def test_operators_make_it_forget(triton: EmbeddedTriton, client: PixelisClient, redis: Server) -> None:
    # Redis was killed just now: until its links are closed again each process of `reason` has its own memory alone.
    assert until(lambda: client.ask(example(1), OTHER).from_cache)
    redis.client.flushall()
    give(triton.config.state / FOLDER, Order(prefix="request"))
    time.sleep(2.2)
    assert not client.ask(example(1), OTHER).from_cache


def test_what_was_kept_is_there_after_a_restart_unless_a_setting_that_matters_is_another(
    triton: EmbeddedTriton, client: PixelisClient, redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.ask(example(2), OTHER)
    for _ in range(4):
        assert client.ask(example(2), OTHER).from_cache
    triton.stop()
    redis.client.flushall()  # what is found from now on was in memory
    kept = {path.name for path in Path(triton.config.state / FOLDER / "memory").iterdir()}
    assert any(name.endswith("-request.snapshot") for name in kept), kept
    with EmbeddedTriton(config=triton.config):
        # Of the two processes of `reason` one may never have been asked: what was read is seen in the metrics.
        assert until(
            lambda: metric(client, "pixelis_cache_entries", model="reason", cache="request", tier="memory") > 0
        )
        # The process that had none may have answered anew, out of what the operations kept, and hold that from now on.
        *_, warm = (client.ask(example(2), OTHER) for _ in range(4))
        assert warm.from_cache
        assert did(warm) == did(first)
    monkeypatch.setenv("PIXELIS_LIMITS__FRAMES", "63")
    with EmbeddedTriton(config=triton.config):
        assert not client.ask(example(2), OTHER).from_cache
        assert client.ask(example(2), OTHER).from_cache
