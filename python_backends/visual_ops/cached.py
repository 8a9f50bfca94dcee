"""Operations that were run before on the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pixelis.operations_config import Ladder
from pixelis.schema import Operation, OperationResult
from pixelis.settings import Limits
from python_backends.caching.cache import Cache
from python_backends.caching.codec import JsonCodec
from python_backends.caching.key import Key
from python_backends.caching.keys import operation_key
from python_backends.caching.origin import Origin, Origins
from python_backends.visual_ops.pair import PAIR

CODEC: JsonCodec[OperationResult] = JsonCodec(OperationResult)

MODELS = ("visual_ops", "embed_image", "ocr_detect", "ocr_recognize")
"""All that take part in a result, beside a segmenter where one is configured."""


class OperationCache:
    """Results by pictures and operation. For any number of threads. What was refused is not kept.

    What was looked at in full answers for a look at whatever resolution; the other way round it does not.

    Args:
        cache: of results.
        origins: of what the models make now.
        limits: of pictures; other ones may refuse what was taken before.
    """

    def __init__(self, cache: Cache[OperationResult], origins: Origins, limits: Limits) -> None:
        self._cache, self._origins, self._limits = cache, origins, limits.model_dump(mode="json")

    def origin(self) -> Origin | None:
        """What results are made by now, if that is certain."""
        return self._origins.of((*MODELS, *self._origins.using(PAIR)), self._limits)

    def get_or(
        self,
        pictures: Sequence[str],
        operation: Operation,
        ladder: Ladder,
        run: Callable[[], OperationResult],
        wait_s: float,
    ) -> tuple[OperationResult, bool]:
        """What is kept, or what `run` finds; others that want the same at this moment wait for it, `wait_s` at most.

        Args:
            pictures: digests of what the operation looks at.
            operation: in its canonical spelling.
            ladder: how it looks.
            run: computes it.
            wait_s: for others.

        Returns:
            The result, its `elapsed_ms` 0 where it was there; and whether it was.
        """
        origin = self.origin() if self._cache.on else None
        if origin is None:
            return run(), False
        full = self._key(origin, pictures, operation.model_copy(update={"resolution": "full"}), None)
        if operation.resolution == "adaptive":
            known = self._cache.peek(full)
            if known is not None:
                return known.model_copy(update={"elapsed_ms": 0.0}), True
            key = self._key(origin, pictures, operation, ladder)
        else:
            key = full
        result, there = self._cache.get_or(
            key, run, keep=lambda made: made.error is None and self.origin() == origin, wait_s=wait_s
        )
        return (result.model_copy(update={"elapsed_ms": 0.0}) if there else result), there

    @staticmethod
    def _key(origin: Origin, pictures: Sequence[str], operation: Operation, ladder: Ladder | None) -> Key:
        return operation_key(origin, pictures, operation, None if ladder is None else ladder.model_dump(mode="json"))
