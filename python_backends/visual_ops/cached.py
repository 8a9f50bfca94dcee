"""Operations that were run before on the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pixelis.schema import Operation, OperationResult
from pixelis.settings import Limits
from python_backends.caching.cache import Cache
from python_backends.caching.codec import JsonCodec
from python_backends.caching.keys import operation_key
from python_backends.caching.origin import Origins

CODEC: JsonCodec[OperationResult] = JsonCodec(OperationResult)

MODELS = ("visual_ops", "embed_image", "ocr_detect", "ocr_recognize")
"""All that take part in a result."""


class OperationCache:
    """Results by pictures and operation. For any number of threads. What was refused is not kept.

    Args:
        cache: of results.
        origins: of what the models make now.
        limits: of pictures; other ones may refuse what was taken before.
    """

    def __init__(self, cache: Cache[OperationResult], origins: Origins, limits: Limits) -> None:
        self._cache, self._origins, self._limits = cache, origins, limits.model_dump(mode="json")

    def get_or(
        self, images: Sequence[bytes], operation: Operation, run: Callable[[], OperationResult], wait_s: float
    ) -> OperationResult:
        """What is kept, or what `run` finds; others that want the same at this moment wait for it, `wait_s` at most."""
        origin = self._origins.of(MODELS, self._limits) if self._cache.on else None
        if origin is None:
            return run()
        key = operation_key(origin, images, operation)
        result, there = self._cache.get_or(
            key,
            run,
            keep=lambda made: made.error is None and self._origins.of(MODELS, self._limits) == origin,
            wait_s=wait_s,
        )
        return result.model_copy(update={"elapsed_ms": 0.0}) if there else result
