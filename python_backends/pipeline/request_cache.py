"""What the agent answered to the same request before.

Neighbours do not enter the prompt, so an outcome does not depend on what has been learned: recall and vote run again
on a hit, and a vote is never stale.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pixelis.schema import AgentOutcome, Options, PreparedRequest
from pixelis.settings import Settings
from python_backends.caching.cache import Cache
from python_backends.caching.codec import JsonCodec
from python_backends.caching.key import Key
from python_backends.caching.keys import request_key
from python_backends.caching.origin import Origins
from python_backends.checkpoints import models_of
from python_backends.pipeline.faults import ours
from python_backends.pipeline.shares import reasoning, share
from python_backends.visual_ops.pair import PAIR

CODEC: JsonCodec[AgentOutcome] = JsonCodec(AgentOutcome)

MODELS = ("visual_ops", "embed_image", "ocr_detect", "ocr_recognize")
"""All that take part in an outcome, beside the checkpoint's two, and a segmenter where one is configured."""

_PATIENCE = 0.5
"""The share of a request's time that it waits for another one of the same question: then it answers by itself."""


class RequestCache:
    """Outcomes by requests. For any number of threads.

    Only what comes out the same again: at temperature 0, or with a seed. A request with `use_cache: false` is not
    looked for and not kept, nor is one with `read_only: false`: what is learned from was lived through. An outcome that
    time cut off, or in which a model did not answer, is not kept.

    Args:
        cache: of outcomes.
        origins: of what the models make now.
        config: settings that an outcome depends on are read.
    """

    def __init__(self, cache: Cache[AgentOutcome], origins: Origins, config: Settings) -> None:
        self._cache, self._origins = cache, origins
        self._configuration = {
            "decoding": config.decoding.model_dump(mode="json"),
            "limits": config.limits.model_dump(mode="json"),
            "threads": config.threads.intra_op,
            "batch": config.batching.max_batch_size,
        }

    def get_or(self, request: PreparedRequest, reason: Callable[[], AgentOutcome]) -> AgentOutcome:
        """The outcome that is kept, or that of `reason`, which is called once for requests of the same question."""
        started, key = time.perf_counter(), self._key(request)
        if key is None:
            return reason()
        wait, whole = share(reasoning(request), _PATIENCE) - time.time(), list[AgentOutcome]()

        def bare() -> AgentOutcome:
            whole.append(reason())
            return _bare(whole[0])

        outcome, there = self._cache.get_or(key, bare, keep=lambda made: self._keeps(request, key, made), wait_s=wait)
        return _told(outcome, started) if there else whole[0]

    def find(self, request: PreparedRequest) -> AgentOutcome | None:
        """The outcome that is kept."""
        started, key = time.perf_counter(), self._key(request)
        found = None if key is None else self._cache.get(key)
        return None if found is None else _told(found, started)

    def noting(self, request: PreparedRequest) -> Callable[[AgentOutcome], None]:
        """To be called before a request is reasoned about; what it gives, afterwards, keeps the outcome."""
        key = self._key(request)

        def note(outcome: AgentOutcome) -> None:
            if key is not None and self._keeps(request, key, outcome):
                self._cache.put(key, _bare(outcome))

        return note

    def _key(self, request: PreparedRequest) -> Key | None:
        """None where the request is not to be answered from here, or where it is not certain which version answers."""
        if not self._cache.on or not eligible(request.options):
            return None
        checkpoint = models_of(request.options.model)
        origin = self._origins.of((*checkpoint, *MODELS, *self._origins.using(PAIR)), self._configuration)
        return None if origin is None else request_key(origin, request)

    def _keeps(self, request: PreparedRequest, key: Key, outcome: AgentOutcome) -> bool:
        """Whether an outcome is whole, and made by the versions of its key from beginning to end."""
        whole = outcome.finish != "timeout" and outcome.error is None and not any(map(ours, outcome.actions))
        return whole and self._key(request) == key


def eligible(options: Options) -> bool:
    """Whether a request's answer may come from a cache."""
    return options.use_cache and options.read_only and (options.temperature == 0 or options.seed is not None)


def _bare(outcome: AgentOutcome) -> AgentOutcome:
    """Without rows of encoders that the key does not name; they have caches of their own."""
    return outcome.model_copy(update={"states": None})


def _told(outcome: AgentOutcome, started: float) -> AgentOutcome:
    """As it is told this time: with the times of this request and not of the one that computed it."""
    took = round(1000 * (time.perf_counter() - started), 3)
    return outcome.model_copy(update={"from_cache": True, "elapsed_ms": took, "timings_ms": {"cache": took}})
