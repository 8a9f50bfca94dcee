"""The ensemble's steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pixelis.errors import PixelisError
from pixelis.schema import AgentOutcome, PreparedRequest, RecallOutcome
from pixelis.settings import settings
from python_backends.adapter import Model, SideBySideModel, UnaryModel
from python_backends.artifacts import artifact
from python_backends.channel.listener import Listener
from python_backends.images import DecodedImages
from python_backends.metrics import Metrics
from python_backends.pipeline.bls import TritonModels
from python_backends.pipeline.encoded import unwrap
from python_backends.pipeline.finish import Finisher
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.prepare import Preparer
from python_backends.pipeline.reason import Reasoner, outcome_of
from python_backends.pipeline.recall import recall
from python_backends.pipeline.vision_cache import VisionCache, vision_bytes
from python_backends.pipeline.words import TextTokens
from python_backends.policy.profile import Profile
from python_backends.rows import Row, Tensors, json_text, text

GRACE_SECONDS = 1.0
"""How long after a request's deadline its step is waited for: it ends by itself, with the better message."""


def siblings(model: Model, listener: Listener | None = None) -> TritonModels:
    """The other models of the repository, by BLS.

    Args:
        model: that calls them.
        listener: hears the tokens of turns that are streamed.
    """
    tokens, config = TextTokens(artifact(model.repository, "embed_text")), settings()
    most, kept = config.batching.max_batch_size, vision_bytes(config.cache)
    return TritonModels(model.caller, model.repository, tokens, most, listener, kept)


def report_vision(metrics: Metrics, cache: VisionCache) -> None:
    """Count what the cache of visual tokens has found and not found."""
    hits, misses = cache.counted()
    for name, views in (("hits", hits), ("misses", misses)):
        if views:
            metrics.count(f"pixelis_vision_cache_{name}_total", views)
    if misses:
        metrics.gauge("pixelis_vision_cache_bytes", cache.held)


class Timed(SideBySideModel):
    """A step whose requests say themselves how long they may take."""

    def until(self, row: Row) -> float:
        """A little after the request's own deadline."""
        return row.parsed("REQUEST", PreparedRequest).deadline + GRACE_SECONDS


class Prepare(UnaryModel):
    """Limits, decoding, views."""

    def setup(self) -> None:
        """Read the checkpoint's view size."""
        profile = Profile.load(artifact(self.repository, "policy"))
        self._prepare = Preparer(profile, settings().limits, DecodedImages())

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
        prepared = self._prepare(row.strings("IMAGE"), row.string("QUESTION"), options, row.request_id)
        return {
            "REQUEST": json_text(prepared.request),
            "VIEWS": prepared.views,
            "RETRIEVAL_VIEW": prepared.retrieval_view,
        }


class Recall(UnaryModel):
    """Retrieval key and neighbours; one call of each encoder for the whole batch."""

    def setup(self) -> None:
        """Read the text encoder's tokenizer."""
        self._models = siblings(self)

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
        voice = Voice.load(artifact(self.repository, "policy"))
        self._models = siblings(self)
        self._reasoner = Reasoner(self._models, voice, DecodedImages())

    def one(self, row: Row) -> Tensors:
        """`IMAGE`, `REQUEST`, `VIEWS` -> `OUTCOME`."""
        request = row.parsed("REQUEST", PreparedRequest)
        images = unwrap(row.strings("IMAGE"), settings().limits)
        outcome = outcome_of(self._reasoner.run(images, request, row.array("VIEWS")))
        report_vision(self.metrics, self._models.vision_tokens)
        return {"OUTCOME": json_text(outcome)}


class Finish(Timed):
    """Reward, vote, learning, result."""

    def setup(self) -> None:
        """Read the checkpoint's profile."""
        profile = Profile.load(artifact(self.repository, "policy"))
        self._finish = Finisher(siblings(self), profile, DecodedImages(), settings().retrieval)

    def one(self, row: Row) -> Tensors:
        """`IMAGE`, `REQUEST`, `NEIGHBOURS`, `KEY`, `OUTCOME` -> `ANSWER`, `CONFIDENCE`, `RESULT`."""
        request = row.parsed("REQUEST", PreparedRequest)
        images = unwrap(row.strings("IMAGE"), settings().limits)
        recalled = row.parsed("NEIGHBOURS", RecallOutcome)
        outcome = row.parsed("OUTCOME", AgentOutcome)
        result = self._finish(images, request, recalled, row.array("KEY"), outcome)
        return {
            "ANSWER": text(result.answer),
            "CONFIDENCE": np.array([result.confidence], np.float32),
            "RESULT": json_text(result),
        }
