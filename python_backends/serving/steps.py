"""The ensemble's steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from pixelis.errors import PixelisError
from pixelis.schema import AgentOutcome, Options, PreparedRequest, RecallOutcome
from pixelis.settings import settings
from python_backends.adapter import Model, SideBySideModel, UnaryModel
from python_backends.artifacts import artifact
from python_backends.caching.caches import Caches
from python_backends.caching.origin import Origins
from python_backends.channel.listener import Listener
from python_backends.checkpoints import OfCheckpoint, models_of
from python_backends.images import DecodedImages
from python_backends.pipeline.bls import TritonModels
from python_backends.pipeline.embedding_cache import EmbeddingCaches
from python_backends.pipeline.encoded import unwrap
from python_backends.pipeline.finish import Finisher
from python_backends.pipeline.looks import KeptLooks
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.prepare import Preparer
from python_backends.pipeline.reason import Reasoner, outcome_of
from python_backends.pipeline.recall import recall
from python_backends.pipeline.request_cache import CODEC, RequestCache
from python_backends.pipeline.words import TextTokens
from python_backends.policy.profile import Profile
from python_backends.residency.leases import Leases
from python_backends.rows import Row, Tensors, json_text, text

T = TypeVar("T")

GRACE_SECONDS = 1.0
"""How long after a request's deadline its step is waited for: it ends by itself, with the better message."""


class Kept:
    """The caches of a step's process. Call `start` when all are open, `close` at the end.

    Args:
        model: whose process this is.

    Attributes:
        caches: opens them.
        origins: of what the siblings make now.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.caches = Caches(settings(), model.instance)
        self.origins = Origins(model.repository, model.caller.ready)
        budget = settings().server.model_memory_bytes is not None
        self._leases = Leases(model.caller, model.caller.ready, budget)

    def siblings(self, listener: Listener | None = None) -> TritonModels:
        """The other models of the repository, by BLS, behind the caches of embeddings.

        Args:
            listener: hears the tokens of turns that are streamed.
        """
        model, config = self._model, settings()
        tokens = TextTokens(self.origins.reads("embed_text", artifact(model.repository, "embed_text")))
        kept = EmbeddingCaches.open(self.caches, config, self.origins)
        return TritonModels(model.caller, model.repository, tokens, config.batching.max_batch_size, listener, kept)

    def each(self, make: Callable[[str | None, Path], T]) -> OfCheckpoint[T]:
        """What is made of each checkpoint's policy, of the version that answers; the default one's is made now.

        Args:
            make: of a checkpoint's name and the folder of its policy, which is noted as read.
        """

        def noted(name: str | None, folder: Path) -> T:
            return make(name, self.origins.reads(models_of(name)[0], folder))

        return of_checkpoint(self._model, noted)

    def lease(self, checkpoint: str | None) -> Callable[[PreparedRequest], AbstractContextManager[bool]]:
        """Keeps a checkpoint in memory for a request. See `Leases.of`."""
        return partial(self._leases.of, checkpoint)

    def requests(self) -> RequestCache:
        """What the agent answered before."""
        config = settings()
        # `visual_ops` reads the same when it starts, which is when this process does.
        self.origins.reads("ocr_recognize", artifact(self._model.repository, "ocr_recognize"))
        return RequestCache(self.caches.open("request", CODEC, config.cache.request), self.origins, config)

    def start(self) -> None:
        """Warm what is open, and begin to report."""
        self.caches.start(self._model.metrics, self.origins.still)

    def close(self) -> None:
        """Keep what is in memory."""
        self.caches.close()


def of_checkpoint(model: Model, make: Callable[[str | None, Path], T]) -> OfCheckpoint[T]:
    """As `Kept.each`, for a process without caches."""
    made = OfCheckpoint(model.repository, make, model.caller.ready)
    made()  # what is wrong with the default checkpoint shows when the server starts
    return made


class Timed(SideBySideModel):
    """A step whose requests say themselves how long they may take."""

    def until(self, row: Row) -> float:
        """A little after the request's own deadline."""
        return row.parsed("REQUEST", PreparedRequest).deadline + GRACE_SECONDS


class Prepare(UnaryModel):
    """Limits, decoding, views."""

    def setup(self) -> None:
        """Read the checkpoint's view size."""
        config, decoded = settings(), DecodedImages()

        def preparer(_: str | None, folder: Path) -> Preparer:
            return Preparer(Profile.load(folder), config.limits, decoded, KeptLooks.of(config.cache))

        self._prepare = of_checkpoint(self, preparer)

    def answer(self, rows: Sequence[Row]) -> Sequence[Tensors | BaseException]:
        """`IMAGE`, `QUESTION`, `OPTIONS` -> `REQUEST`, `VIEWS`, `RETRIEVAL_VIEW`."""
        answers: list[Tensors | BaseException] = []
        for row in rows:
            try:
                answers.append(self._one(row))
            except PixelisError as error:
                answers.append(error)
        return answers

    def _one(self, row: Row) -> Tensors:
        options = row.string("OPTIONS") if "OPTIONS" in row else None
        prepare = self._prepare(Options.parse(options).model)
        prepared = prepare(row.strings("IMAGE"), row.string("QUESTION"), options, row.request_id)
        return {
            "REQUEST": json_text(prepared.request),
            "VIEWS": prepared.views,
            "RETRIEVAL_VIEW": prepared.retrieval_view,
        }


class Recall(UnaryModel):
    """Retrieval key and neighbours; one call of each encoder for the whole batch."""

    def setup(self) -> None:
        """Read the text encoder's tokenizer."""
        self._kept = Kept(self)
        self._models = self._kept.siblings()
        self._kept.start()

    def finalize(self) -> None:
        """Keep what is in memory."""
        self._kept.close()

    def answer(self, rows: Sequence[Row]) -> Sequence[Tensors | BaseException]:
        """`REQUEST`, `RETRIEVAL_VIEW` -> `NEIGHBOURS`, `KEY`."""
        requests = [row.parsed("REQUEST", PreparedRequest) for row in rows]
        views = np.stack([row.array("RETRIEVAL_VIEW") for row in rows])
        found = recall(self._models, requests, views)
        return [{"NEIGHBOURS": json_text(one.outcome), "KEY": one.key} for one in found]


class Reason(Timed):
    """The agent loop."""

    def setup(self) -> None:
        """Read the checkpoint's tokenizer and profile."""
        self._kept = Kept(self)
        models, decoded, ahead = self._kept.siblings(), DecodedImages(), settings().retrieval.embed_ahead
        self._reasoner = self._kept.each(
            lambda name, at: Reasoner(models.of(name), Voice.load(at), decoded, self._kept.lease(name), ahead=ahead)
        )
        self._requests = self._kept.requests()
        self._kept.start()

    def finalize(self) -> None:
        """Keep what is in memory."""
        self._kept.close()

    def one(self, row: Row) -> Tensors:
        """`IMAGE`, `REQUEST`, `VIEWS` -> `OUTCOME`."""
        request = row.parsed("REQUEST", PreparedRequest)
        images = unwrap(row.strings("IMAGE"), settings().limits, request.options.media)
        views = row.array("VIEWS")
        reasoner = self._reasoner(request.options.model)
        outcome = self._requests.get_or(request, lambda: outcome_of(reasoner.run(images, request, views)))
        if outcome.from_cache:
            outcome = reasoner.embedded(images, request, outcome)
        return {"OUTCOME": json_text(outcome)}


class Finish(Timed):
    """Reward, vote, learning, result."""

    def setup(self) -> None:
        """Read the checkpoint's profile."""
        self._kept = Kept(self)
        models, decoded, retrieval = self._kept.siblings(), DecodedImages(), settings().retrieval
        self._finish = self._kept.each(lambda name, at: Finisher(models.of(name), Profile.load(at), decoded, retrieval))
        self._kept.start()

    def finalize(self) -> None:
        """Keep what is in memory."""
        self._kept.close()

    def one(self, row: Row) -> Tensors:
        """`IMAGE`, `REQUEST`, `NEIGHBOURS`, `KEY`, `OUTCOME` -> `ANSWER`, `CONFIDENCE`, `RESULT`."""
        request = row.parsed("REQUEST", PreparedRequest)
        images = unwrap(row.strings("IMAGE"), settings().limits, request.options.media)
        recalled = row.parsed("NEIGHBOURS", RecallOutcome)
        outcome = row.parsed("OUTCOME", AgentOutcome)
        finish = self._finish(request.options.model)
        result = finish(images, request, recalled, row.array("KEY"), outcome)
        return {
            "ANSWER": text(result.answer),
            "CONFIDENCE": np.array([result.confidence], np.float32),
            "RESULT": json_text(result),
        }
