"""`Models` of the plain baseline. See `python_backends.pipeline.models`."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from builder.sources.base import TorchSource
from builder.sources.checkpoint import checkpoint_directory
from builder.sources.dynamics import Dynamics
from builder.sources.embed_image import EmbedImage
from perf.plain.ocr import PlainOcr
from perf.plain.policy import PlainPolicy
from perf.plain.text import PlainText
from pixelis.errors import DeadlineExceeded
from pixelis.operations_config import Operations
from pixelis.schema import PolicyEvent, Reward, RewardRequest, Sampling
from pixelis.settings import Settings
from python_backends.images import DecodedImages
from python_backends.pipeline.bls import token_by_token
from python_backends.pipeline.local import LocalModels
from python_backends.pipeline.models import Floats, Views
from python_backends.pipeline.neural import predict
from python_backends.reward.total import compute


def plainly(config: Settings) -> Settings:
    """`config` without what the served pipeline is fast by: operations look in full, and nothing is remembered."""
    cache = config.cache.model_copy(update={"cache_size": 0})
    return config.model_copy(update={"operations": Operations.full(), "cache": cache})


class PlainModels(LocalModels):
    """The sources of the artifacts, in PyTorch, in this process; search, operations, reward and vote as they are.

    Operations look once, at full resolution, one after the other, and nothing is remembered.

    Args:
        config: `state` is where the experiences lie, `repository` whose seeds they are; the checkpoint.
        threads: intra-op threads of every model.
    """

    def __init__(self, config: Settings, threads: int) -> None:
        super().__init__(plainly(config))
        self._networks: dict[str, TorchSource] = {source.name: source for source in (EmbedImage(), Dynamics())}
        self._cancelled: set[str] = set()
        self._threads = threads
        text, self._plain = PlainText(), PlainPolicy(checkpoint_directory(config.checkpoint))
        self.embed_text = text.embed
        self.vision_tokens = self._plain.patches
        self._served = super().versions()
        self.use(threads)
        for source in self._networks.values():
            source.loaded  # noqa: B018  loaded now, not at the first request
        self._store  # noqa: B018
        self._ocr  # noqa: B018

    def use(self, threads: int) -> None:
        """From now on take `threads` intra-op threads; ONNX Runtime fixes them in a session, so OCR is opened again."""
        torch.set_num_threads(threads)
        self._threads = threads
        self.__dict__.pop("_ocr", None)

    def for_request(self, decoded: DecodedImages) -> PlainModels:
        """The same models, with the decoded pictures of one request."""
        one = copy.copy(self)
        one._decoded = decoded
        return one

    @cached_property
    def _ocr(self) -> PlainOcr:  # type: ignore[override]
        return PlainOcr(self._threads)

    @property
    def _features(self) -> Callable[[Views], Floats]:  # type: ignore[override]
        return lambda views: self._one("embed_image", {"IMAGE": views}, "FEATURES", math.inf)

    def _one(self, model: str, inputs: dict[str, NDArray[np.generic]], output: str, deadline: float) -> Floats:
        if time.time() > deadline:
            raise DeadlineExceeded(f"`{model}` was not reached in time.", mend="Raise `timeout_s`.")
        found: Floats = self._networks[model].reference(dict(inputs))[output].astype(np.float32, copy=False)
        return found

    def generate(
        self, prompt_ids: NDArray[np.int64], visual: Floats, grids: NDArray[np.int32], sampling: Sampling
    ) -> Iterator[PolicyEvent]:
        """One turn of the policy; `visual` holds patches, as `vision_tokens` gave them."""
        name = sampling.request_id
        try:
            event = self._plain.turn(prompt_ids, visual, grids, sampling, lambda: name in self._cancelled)
        finally:
            self._cancelled.discard(name)
        yield from token_by_token(event) if sampling.stream else (event,)

    def cancel(self, request_id: str) -> None:
        """End a turn at its next token."""
        self._cancelled.add(request_id)

    def reward(self, request: RewardRequest, deadline: float) -> Reward:
        """The reward of a trajectory; no step is remembered."""
        return compute(request, lambda states, actions: predict(self._one, states, actions, self._most, deadline))

    def versions(self) -> dict[str, str]:
        """The versions that the repository holds, read once."""
        return self._served
