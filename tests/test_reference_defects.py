"""What the reference implementation got wrong: a test for each, named after the defect.

What needs a real server is at the end; ports 18156 to 18158.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from builder.gate import judge
from builder.storing.manifest import Manifest
from pixelis.cache_config import Cached
from pixelis.errors import GateFailed, InvalidImage, InvalidRequest, NotFound
from pixelis.index_config import IndexConfig
from pixelis.schema import Action, KnnCommand, OperationName
from python_backends.caching import Cache
from python_backends.caching.codec import NumbersCodec
from python_backends.caching.origin import Origin
from python_backends.experience.indexes import open_index
from python_backends.experience.serve import KnnRequest, execute
from python_backends.reward.action import action_embedding
from python_backends.reward.curiosity import Step, measured, remembered, surprise
from server.doctor import examine
from server.embedded import EmbeddedTriton
from tests.builder.tiny import Linear, Wrong, linear_spec, write_weights
from tests.experience.conftest import Place, experience, key
from tests.experience.conftest import place as place
from tests.triton.built import asked, configured, link_repository

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("pixelis", "builder", "python_backends", "server", "clients", "perf")


# Experiences


def test_index_size_is_the_live_count_so_retrieval_runs(place: Place) -> None:
    store = place.open(cold=3)
    for i in range(5):
        assert store.stats()["indexed"] == len(store) == i
        assert (store.search(key(0)[None], 1).reason == "cold_start") == (i < 3)
        store.insert(experience(str(i)), key(i))
    assert [one.answer for one in store.search(key(4)[None], 1).neighbours[0]] == ["4"]


def test_ids_are_not_reused_after_eviction(place: Place) -> None:
    store = place.open(capacity=2)
    first = [store.insert(experience(str(i), confidence=0.9 - i / 10), key(i)) for i in range(5)]
    store.close()
    store = place.open(capacity=2)
    later = [store.insert(experience(str(i), confidence=0.1), key(i)) for i in range(5, 9)]
    assert len({*first, *later}) == 9
    assert not any(one.isdigit() for one in (*first, *later))  # no id is a position


def test_evicted_vectors_are_not_kept(place: Place) -> None:
    store = place.open(capacity=2)
    for i in range(6):
        store.insert(experience(str(i), confidence=0.9 - i / 10), key(i))
    assert store.stats()["indexed"] == len(store) == 2
    for evicted in range(4):
        assert str(evicted) not in {one.answer for one in store.search(key(evicted)[None], 9).neighbours[0]}


def test_recovery_rebuilds_the_index_and_not_only_the_log(place: Place) -> None:
    store = place.open(every=4)  # some of it is in a snapshot, some in the journal only
    ids = [store.insert(experience(str(i)), key(i)) for i in range(7)]
    store.delete(ids[2])  # and the store is never closed: it was killed
    again = place.open()
    assert (len(again), again.stats()["indexed"]) == (6, 6)
    for i in (0, 1, 3, 4, 5, 6):
        (found,) = again.search(key(i)[None], 1).neighbours[0]
        assert (found.experience_id, found.answer) == (ids[i], str(i))
        assert found.similarity == pytest.approx(1, abs=1e-6)


def test_no_lock_deadlocks(place: Place) -> None:
    store = place.open(capacity=5, every=3)  # inserts evict and write snapshots, all under the lock

    def work(seed: int) -> None:
        for i in range(10):
            made = store.insert(experience(str(i)), key(100 * seed + i))
            store.search(key(i)[None], 3, count=True)
            store.stats()
            try:
                store.feedback(made, True)
            except NotFound:
                continue  # another thread's insert has evicted it

    threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert store.stats()["indexed"] == 5


def test_the_index_is_on_the_right_metric_with_full_recall() -> None:
    """An inner product, also of vectors that are not of one length; nothing is tuned that could cost recall."""
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((200, 16)) * rng.uniform(0.2, 5, (200, 1))).astype(np.float32)
    queries = rng.standard_normal((20, 16)).astype(np.float32)
    index = open_index(IndexConfig(), 16)
    index.add(np.arange(200, dtype=np.int64), vectors)
    scores, found = index.search(queries, 10)
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    assert found.tolist() == exact.tolist()
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ vectors.T, exact, 1), rtol=1e-5)
    nearest = np.argsort(((queries[:, None] - vectors) ** 2).sum(2), axis=1)[:, :10]
    assert found.tolist() != nearest.tolist()  # the vectors are such that the Euclidean distance would be seen


def test_tuning_never_takes_a_setting_whose_recall_was_not_checked(place: Place) -> None:
    """There is nothing to tune yet: asked for it, the store says so and changes nothing."""
    store = place.open()
    before = store.stats()["index"]
    (refused,) = execute(store, [KnnRequest(command=KnnCommand(command="tune"))])
    assert isinstance(refused, InvalidRequest)
    assert store.stats()["index"] == before


def test_a_batch_drops_none_of_its_failures(place: Place) -> None:
    store = place.open()
    asked_for = [KnnRequest(key=key(1)), KnnRequest(), KnnRequest(key=key(2)), KnnRequest(key=np.zeros(3, np.float32))]
    replies = execute(store, asked_for)
    assert [isinstance(reply, InvalidRequest) for reply in replies] == [False, True, False, True]


# Rewards


def test_action_embeddings_are_not_random() -> None:
    action = {"type": "VISUAL_OPERATION", "operation": "ZOOM_IN", "arguments": {"region": [1, 2, 30, 40]}}
    code = (
        "import json, sys; from pixelis.schema import Action; "
        "from python_backends.reward.action import action_embedding; "
        "print(json.dumps(action_embedding(Action(**json.loads(sys.argv[1])), (100, 80)).tolist()))"
    )
    seen = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code, json.dumps(action)]
        seen.append(json.loads(subprocess.check_output(command, cwd=ROOT, env=environment)))
    assert seen[0] == seen[1] == action_embedding(Action.model_validate(action), (100, 80)).tolist()
    other = Action(type="VISUAL_OPERATION", operation=OperationName.ZOOM_IN, arguments={"region": [1, 2, 30, 41]})
    assert action_embedding(other, (100, 80)).tolist() != seen[0]


def still(states: np.ndarray, _: np.ndarray) -> np.ndarray:
    """A world in which nothing ever changes."""
    return states


def test_a_reward_key_holds_the_next_state() -> None:
    measure = remembered(Cache("reward", NumbersCodec(2), Cached()), Origin(), None)
    before, action = np.zeros((1, 8), np.float32), np.zeros((1, 16), np.float32)
    for value in (0.0, 1.0, 2.0, 1.0):
        after = np.full((1, 8), value, np.float32)
        assert measure(before, action, after, still) == measured(before, action, after, still)
        assert surprise(before, action, after, still) == [0.5 * value**2]


def test_states_that_differ_in_the_middle_only_do_not_collide() -> None:
    """A long tensor prints as its ends, with dots between: such a text is no key."""
    cache: Cache[Step] = Cache("reward", NumbersCodec(2), Cached())
    measure = remembered(cache, Origin(), None)
    before, action = np.zeros((2, 4096), np.float32), np.zeros((2, 16), np.float32)
    after = np.zeros((2, 4096), np.float32)
    after[1, 2048] = 64
    assert str(after[0]) == str(after[1])
    assert [curiosity for curiosity, _ in measure(before, action, after, still)] == [0.0, 0.5]
    assert [curiosity for curiosity, _ in measure(before, action, after, still)] == [0.0, 0.5]
    assert (cache.usage.hits, cache.usage.computed) == (2, 2)


# Artifacts


def test_validation_of_an_export_can_fail(tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "weights.npy")
    for source, passes in ((Linear(str(weights)), True), (Wrong(str(weights)), False)):
        folder = tmp_path / type(source).__name__
        folder.mkdir()
        source.export_onnx(folder)
        verdict = judge(source, folder, linear_spec("alpha", weights))
        assert verdict.passed is passes, verdict.reasons
        if not passes:
            assert any("SCORES" in reason for reason in verdict.reasons)
            with pytest.raises(GateFailed):
                verdict.demand("alpha")


def test_what_a_manifest_says_of_the_precision_is_what_runs() -> None:
    """An artifact that is said to be int8 holds int8 weights, one that is said to be fp32 holds none."""
    import onnx

    looked_at = 0
    for path in sorted((ROOT / "model_repository").glob("*/*/manifest.json")):
        graph, manifest = path.parent / "model.onnx", Manifest.read_file(path)
        if manifest.precision == "none" or not graph.exists():
            continue
        model = onnx.load(graph, load_external_data=False)
        large = [one for one in model.graph.initializer if np.prod(one.dims) >= 1024]
        kinds = {onnx.TensorProto.DataType.Name(one.data_type) for one in large}
        assert large, path
        assert bool(kinds & {"INT8", "UINT8"}) == (manifest.precision == "int8"), (path, kinds)
        assert ("FLOAT" in kinds) or manifest.precision != "fp32", (path, kinds)
        looked_at += 1
    assert looked_at >= 5


# Caches


def test_a_visual_operation_is_not_answered_from_another_image() -> None:
    from python_backends.images import DecodedImages
    from python_backends.visual_ops.zoom_in import zoom_in
    from tests.pipeline.conftest import png

    decoded = DecodedImages()
    arguments = {"region": [0, 0, 20, 20]}
    first, second = (zoom_in(decoded.get(png(seed=seed)), arguments) for seed in (1, 2))
    assert first["handle"] != second["handle"]
    assert zoom_in(decoded.get(png(seed=1)), arguments) == first


def test_nothing_is_pickled() -> None:
    """Neither into a cache nor anywhere else: no room imports a module that does, and none asks numpy to."""
    banned = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 100
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.split(".")[0] for name in names} & banned, path
            if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
                assert (node.arg, node.value.value) not in (("allow_pickle", True), ("weights_only", False)), path


# The server

SCENE, QUESTION, _ = asked()[1]


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    repository = link_repository(tmp_path_factory.mktemp("defects") / "repository")
    config = configured(18156, repository, tmp_path_factory.mktemp("state"), watchdog=False)
    with EmbeddedTriton(config=config) as running:
        yield running


@pytest.mark.triton
def test_a_batch_is_executed_as_one_call(triton: EmbeddedTriton) -> None:
    from clients.client import PixelisClient
    from server.control import Control

    control = Control(triton.grpc_url)
    view = np.ones((4, 224, 224, 3), np.uint8)
    before = executions(triton, "embed_image")
    assert control.infer("embed_image", {"IMAGE": view}, 30)["EMBEDDING"].shape[0] == 4
    ends = time.monotonic() + 5
    while executions(triton, "embed_image") == before and time.monotonic() < ends:
        time.sleep(0.05)  # Triton counts after it has answered
    assert executions(triton, "embed_image") == before + 1
    with PixelisClient(triton.grpc_url) as client, ThreadPoolExecutor(16) as pool:
        before, requests = executions(triton, "knn"), 64
        list(pool.map(lambda i: client.search(np.full(1664, i + 1.0)), range(requests)))
    assert executions(triton, "knn") - before < requests
    control.close()


def executions(triton: EmbeddedTriton, model: str) -> int:
    """How often a model has been called."""
    import tritonclient.grpc as grpc

    with grpc.InferenceServerClient(triton.grpc_url) as client:
        (statistics,) = client.get_inference_statistics(model).model_stats
    return int(statistics.execution_count)


@pytest.mark.triton
def test_an_answer_carries_its_own_request_id(triton: EmbeddedTriton) -> None:
    from clients.client import PixelisClient

    with PixelisClient(triton.grpc_url) as client, ThreadPoolExecutor(4) as pool:
        names = [f"request-{i}" for i in range(8)]
        results = list(pool.map(lambda name: client.ask(SCENE, QUESTION, request_id=name), names))
        assert [one.request_id for one in results] == names
        made = [client.ask(SCENE, QUESTION).request_id for _ in range(3)]
    assert len({*made, *names}) == 11


@pytest.mark.triton
def test_a_batch_says_what_failed_in_it(triton: EmbeddedTriton) -> None:
    from clients.client import PixelisClient

    def one(i: int) -> str:
        with PixelisClient(triton.grpc_url) as client:
            try:
                return client.ask(SCENE if i % 2 else b"no picture", QUESTION).answer
            except InvalidImage:
                return "refused"

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(8)))
    assert [answer == "refused" for answer in found] == [i % 2 == 0 for i in range(8)]


@pytest.mark.triton
def test_health_is_not_always_good(triton: EmbeddedTriton) -> None:
    """The last one: it kills a model, and nobody repairs it."""
    from tests.chaos.traffic import kill

    level = {finding.name: finding.level for finding in examine(triton.config)}
    assert level["models"] == "ok"
    kill(triton, "vote")
    said = [finding for finding in examine(triton.config) if finding.name == "models"]
    assert [(finding.level, "`vote` is dead" in finding.detail) for finding in said] == [("missing", True)]
    assert triton.ready()  # Triton itself goes on saying that all is well
