"""`Models` in this process: the artifacts that Triton serves, run without it, for tests, a dry run and evaluation."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import DeadlineExceeded, NotFound, PixelisError
from pixelis.schema import (
    Ballot,
    KnnCommand,
    KnnResult,
    Operation,
    OperationResult,
    PolicyEvent,
    Reward,
    RewardRequest,
    Sampling,
    Verdict,
)
from pixelis.settings import Settings
from python_backends.artifacts import artifact, versions
from python_backends.caching.caches import Caches
from python_backends.caching.codec import NumbersCodec
from python_backends.caching.origin import Origins
from python_backends.checkpoints import models_of
from python_backends.deadlines import LOOK_SECONDS
from python_backends.engine import Engine, load_engine
from python_backends.experience.serve import KnnRequest, execute, open_store
from python_backends.experience.store import ExperienceStore
from python_backends.images import DecodedImages
from python_backends.pipeline.embedding_cache import EmbeddingCaches
from python_backends.pipeline.models import NAMES, Floats
from python_backends.pipeline.neural import Neural, predict
from python_backends.pipeline.words import TextTokens
from python_backends.policy.request import PolicyRequest
from python_backends.policy.runtime import PolicyRuntime
from python_backends.reward.total import compute
from python_backends.text import normalise
from python_backends.visual_ops.features import EngineFeatures
from python_backends.visual_ops.ocr import EngineOcr
from python_backends.visual_ops.pair import PAIR
from python_backends.visual_ops.pictures import Pictures
from python_backends.visual_ops.planner import Planner
from python_backends.visual_ops.segmenter import EngineSegmenter
from python_backends.voting.vote import vote

T = TypeVar("T")


class LocalModels:
    """The artifacts of one repository, loaded when first used. See `models.Models`.

    Args:
        config: `repository`, `state`, limits and the thread budget. The experiences lie in its state directory, which
            a running `knn` must not share while this one writes.
        decoded: decoded pictures; none = a cache of its own.
    """

    def __init__(self, config: Settings, decoded: DecodedImages | None = None) -> None:
        self._config = config
        self._decoded = decoded or DecodedImages()
        self._loaded: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._most = config.batching.max_batch_size
        neural = Neural(self._one, TextTokens(artifact(config.repository, "embed_text")), self._most)
        caches, origins = Caches(config, "local"), Origins(config.repository)
        found = EmbeddingCaches.open(caches, config, origins).around(lambda _: neural)
        self._caches, self._origins = caches, origins
        self._steps = caches.open("reward", NumbersCodec(2), config.cache.reward)
        self.embed_image, self.embed_text, self.vision_tokens = found

    @property
    def _policy(self) -> PolicyRuntime:
        def load() -> PolicyRuntime:
            directory = artifact(self._config.repository, "policy")
            return PolicyRuntime(directory, self._config.threads.intra_op, self._config.decoding)

        return self._once("policy", load)

    @property
    def _ocr(self) -> EngineOcr:
        detector, recognizer = (artifact(self._config.repository, name) for name in ("ocr_detect", "ocr_recognize"))
        return self._once("ocr", lambda: EngineOcr(detector, recognizer, self._config.threads.intra_op))

    @property
    def _features(self) -> EngineFeatures:
        encoder = artifact(self._config.repository, "embed_image")
        return self._once("features", lambda: EngineFeatures(encoder, self._config.threads.intra_op))

    def _segmenter(self) -> EngineSegmenter | None:
        try:
            encoder, decoder = (artifact(self._config.repository, name) for name in PAIR)
        except NotFound:
            return None
        return self._once("segmenter", lambda: EngineSegmenter(encoder, decoder, self._config.threads.intra_op))

    @property
    def _store(self) -> ExperienceStore:
        return self._once("knn", lambda: open_store(self._config, _seeds(self._config.repository)))

    def _once(self, name: str, load: Callable[[], T]) -> T:
        """Load what is used for the first time, one thread at a time."""
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load()
            loaded: T = self._loaded[name]
            return loaded

    def close(self) -> None:
        """End the policy's thread and close the experiences, where they were opened."""
        for name in ("policy", "knn"):
            if name in self._loaded:
                self._loaded.pop(name).close()
        self._caches.close()

    def __enter__(self) -> LocalModels:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _one(self, model: str, inputs: dict[str, NDArray[np.generic]], output: str, deadline: float) -> Floats:
        if time.time() > deadline:
            raise DeadlineExceeded(f"`{model}` was not reached in time.", mend="Raise `timeout_s`.")
        threads = self._config.threads.intra_op
        engine: Engine = self._once(model, lambda: load_engine(artifact(self._config.repository, model), threads))
        return np.asarray(engine.run(inputs)[output], np.float32)

    def generate(
        self, prompt_ids: NDArray[np.int64], visual: Floats, grids: NDArray[np.int32], sampling: Sampling
    ) -> Iterator[PolicyEvent]:
        """One turn of the policy."""
        events: queue.SimpleQueue[PolicyEvent | PixelisError] = queue.SimpleQueue()
        self._policy.submit(PolicyRequest(prompt_ids, visual, grids, sampling), events.put)
        while True:
            try:
                event = events.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                event = PolicyEvent()
            if isinstance(event, PixelisError):
                raise event
            yield event
            if event.finish is not None:
                return

    def cancel(self, request_id: str) -> None:
        """End a turn."""
        self._policy.cancel(request_id)

    def operate(self, images: Sequence[bytes], operation: Operation, deadline: float) -> OperationResult:
        """A visual operation, looking as it is configured to."""
        pictures = Pictures(images, self._decoded, self._config.limits)
        planner = Planner(self._ocr, self._features, self._config.operations, remember=False, segmenter=self._segmenter)
        return planner.one(pictures, operation)

    def search(self, key: Floats, k: int, count: bool, deadline: float, tenant: str) -> KnnResult:
        """The nearest experiences."""
        found = self._store.search(key[np.newaxis], k, count, tenant)
        return KnnResult(neighbours=found.neighbours[0], reason=found.reason, count=found.count, epoch=found.epoch)

    def remember(self, asked: KnnCommand, key: Floats, deadline: float) -> str | None:
        """Note a request."""
        (reply,) = execute(self._store, [KnnRequest(key=key, command=asked)])
        if isinstance(reply, PixelisError):
            raise reply
        return reply.result.experience_id

    def feedback(self, experience_id: str, answer: str, deadline: float, tenant: str) -> None:
        """Count a success."""
        correct = normalise(self._store.get(experience_id, tenant).answer) == normalise(answer)
        self._store.feedback(experience_id, correct, tenant)

    def reward(self, request: RewardRequest, deadline: float) -> Reward:
        """The reward of a trajectory."""

        def dynamics(states: Floats, actions: Floats) -> Floats:
            return predict(self._one, states, actions, self._most, deadline)

        return compute(request, dynamics, cache=self._steps, origin=self._origins.of(["dynamics"]))

    def vote(self, ballot: Ballot, deadline: float) -> Verdict:
        """The verdict."""
        return vote(ballot, self._config.retrieval)

    def versions(self) -> dict[str, str]:
        """The versions that the repository holds."""
        return versions(self._config.repository, (*models_of(None), *NAMES))


def _seeds(repository: Path) -> Path | None:
    try:
        return artifact(repository, "knn")
    except PixelisError:
        return None  # an unseeded store is a cold start, which every result says
