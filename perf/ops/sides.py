"""The two ways to the same answers: one operation after the other in full, and as they are served."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from perf.ops.task import Request
from pixelis.operations_config import FULL, Operations
from pixelis.schema import OperationGroup, OperationResult
from pixelis.settings import Settings
from python_backends.artifacts import artifact
from python_backends.caching import Cache
from python_backends.caching.origin import Origins
from python_backends.images import DecodedImages, decode
from python_backends.visual_ops.cached import CODEC, OperationCache
from python_backends.visual_ops.features import EngineFeatures
from python_backends.visual_ops.ocr import EngineOcr
from python_backends.visual_ops.operate import operate
from python_backends.visual_ops.pictures import Pictures
from python_backends.visual_ops.planner import Planner

LONG_S = 600.0


class Side(Protocol):
    """Answers requests."""

    name: str

    def __call__(self, requests: Sequence[Request]) -> list[list[OperationResult]]:
        """The results of each request's operations, in their order."""


class Models:
    """The built models in this process.

    Args:
        repository: where they lie.
        threads: threads of one run.
    """

    def __init__(self, repository: Path, threads: int) -> None:
        folders = [artifact(repository, name) for name in ("ocr_detect", "ocr_recognize", "embed_image")]
        self.ocr = EngineOcr(folders[0], folders[1], threads)
        self.features = EngineFeatures(folders[2], threads)


class Plain:
    """One operation after the other, each with its picture decoded anew, at full resolution, nothing remembered.

    Args:
        models: with all the threads that there are, in each run.
    """

    name = "plain"

    def __init__(self, models: Models) -> None:
        self._models = models

    def __call__(self, requests: Sequence[Request]) -> list[list[OperationResult]]:
        """See `Side`."""
        return [[self._one(request, i) for i in range(len(request.tasks))] for request in requests]

    def _one(self, request: Request, index: int) -> OperationResult:
        pictures = [decode(image) for image in request.images]
        operation = request.tasks[index].operation
        return operate(pictures, operation, self._models.ocr, self._models.features, FULL)


class Planned:
    """As `visual_ops` answers them: requests side by side, their operations as groups.

    Args:
        models: with one thread in each run.
        config: of limits, ladders and caches.
        threads: requests at once.
        name: of this side.
        operations: ladders; none = those configured.
        caching: whether results are kept.
    """

    def __init__(
        self,
        models: Models,
        config: Settings,
        threads: int,
        name: str = "planner",
        operations: Operations | None = None,
        caching: bool = True,
    ) -> None:
        self.name, self._threads, self._limits = name, threads, config.limits
        self._decoded = DecodedImages()
        kept = Cache("operation", CODEC, config.cache.operation)
        origins = Origins(config.repository)
        self.planner = Planner(
            models.ocr,
            models.features,
            operations or config.operations,
            cache=OperationCache(kept, origins, config.limits) if caching else None,
            side_by_side=1,  # requests are, already
        )

    def __call__(self, requests: Sequence[Request]) -> list[list[OperationResult]]:
        """See `Side`."""
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(self._one, requests))

    def _one(self, request: Request) -> list[OperationResult]:
        pictures = Pictures(request.images, self._decoded, self._limits)
        group = OperationGroup(operations=[task.operation for task in request.tasks])
        return self.planner.group(pictures, group, time.time() + LONG_S).results
