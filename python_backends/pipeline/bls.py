"""`Models` by BLS: the siblings inside the same Triton, each call with its deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from pixelis.errors import PixelisError, ServingError
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
from python_backends.artifacts import ANY_VERSION, versions
from python_backends.channel.listener import Listener
from python_backends.checkpoints import models_of
from python_backends.deadlines import Bell, Job
from python_backends.pipeline.arrivals import Arrivals
from python_backends.pipeline.embedding_cache import EmbeddingCaches
from python_backends.pipeline.models import NAMES, Floats, Views
from python_backends.pipeline.neural import Neural
from python_backends.pipeline.words import TextTokens
from python_backends.rows import Tensors, json_text, text

M = TypeVar("M", bound=BaseModel)

_CANCEL_SECONDS = 5.0
_LATE_SECONDS = 0.25
"""How long after a turn's deadline its end is waited for: the policy ends it by itself, with what it has."""


class Transport(Protocol):
    """What carries the calls: `adapter.Caller` inside Triton."""

    def call(
        self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float, version: int = ANY_VERSION
    ) -> Tensors:
        """One answer."""

    def stream(
        self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float, bell: Bell[Tensors] | None = None
    ) -> Iterator[Tensors]:
        """Many answers; `bell.idle` where there is none and the bell rings, or none for a while."""


class TritonModels:
    """The sibling models of one repository. See `models.Models`.

    Args:
        transport: carries the calls.
        repository: the model repository, for tokenizers and versions.
        tokens: `embed_text`'s tokenizer.
        most: the siblings' `max_batch_size`.
        listener: hears the tokens of turns that are to be streamed; none = they come with the end of their turn.
        kept: where embeddings of what was seen before are; none = nowhere.
        checkpoint: whose policy and vision encoder are asked; none = the default one's.
    """

    def __init__(
        self,
        transport: Transport,
        repository: Path,
        tokens: TextTokens,
        most: int,
        listener: Listener | None = None,
        kept: EmbeddingCaches | None = None,
        checkpoint: str | None = None,
    ) -> None:
        self._transport = transport
        self._repository = repository
        self._listener = listener
        self._policy, self._encoder = models_of(checkpoint)
        self._of: Callable[[str | None], TritonModels] = partial(
            TritonModels, transport, repository, tokens, most, listener, kept
        )

        def neural(version: str | None) -> Neural:
            call = partial(self._one, version=ANY_VERSION if version is None else int(version))
            return Neural(call, tokens, most, self._encoder)

        found = neural(None) if kept is None else kept.around(neural, self._encoder)
        self.embed_image: Callable[[Views, float], Floats] = found.embed_image
        self.embed_text: Callable[[Sequence[str], float], Floats] = found.embed_text
        self.vision_tokens: Callable[[Views, float], Floats] = found.vision_tokens

    def of(self, checkpoint: str | None) -> TritonModels:
        """The same models with another checkpoint's two; none = the default one's."""
        return self._of(checkpoint)

    def _one(
        self,
        model: str,
        inputs: dict[str, NDArray[Any]],
        output: str,
        deadline: float,
        version: int = ANY_VERSION,
    ) -> Floats:
        found: Floats = self._transport.call(model, inputs, [output], deadline, version)[output]
        return found

    def _json(self, model: str, inputs: Tensors, answer: type[M], deadline: float) -> M:
        """Call a model that takes and gives JSON, one row."""
        rows = {name: array[np.newaxis] for name, array in inputs.items()}
        found = self._transport.call(model, rows, ["RESULT"], deadline)["RESULT"]
        return _parsed(answer, found, model)

    def generate(
        self, prompt_ids: NDArray[np.int64], visual: Floats, grids: NDArray[np.int32], sampling: Sampling
    ) -> Iterator[PolicyEvent]:
        """One turn of the policy.

        A turn crosses Triton as one message; its tokens, where they are wanted, come before it by the channel. Triton
        2.51 locks up for good where several BLS streams of more than one message run in a process: a reader that
        wakes holds its stream's lock and wants the interpreter's, a caller that begins a stream holds that one and
        wants the lock of all streams, and the thread that delivers holds this one and wants the reader's.
        """
        listener = self._listener if sampling.stream else None
        turn = sampling.model_copy(update={"stream": False, "channel": listener and listener.name})
        inputs: Tensors = {
            "PROMPT_IDS": prompt_ids,
            "VISUAL": visual,
            "GRIDS": grids,
            "SAMPLING": json_text(turn),
        }
        deadline = time.time() + 3600.0 if sampling.deadline is None else sampling.deadline + _LATE_SECONDS
        bell: Bell[Tensors] = Bell({})
        arrivals = Arrivals(bell.ring)
        with listener.hear(turn.request_id, arrivals.take) if listener else nullcontext():
            for answer in self._transport.stream(self._policy, inputs, ["EVENT"], deadline, bell):
                if not answer:
                    yield arrivals.news()
                    continue
                event = arrivals.rest(_parsed(PolicyEvent, answer["EVENT"], self._policy))
                yield from token_by_token(event) if sampling.stream else (event,)

    def cancel(self, request_id: str) -> None:
        """Send the policy a cancel and do not wait for it."""

        def send() -> None:
            deadline = time.time() + _CANCEL_SECONDS
            try:
                for _ in self._transport.stream(self._policy, {"CANCEL": text(request_id)}, ["EVENT"], deadline):
                    pass
            except PixelisError:
                return  # a policy that cannot take a cancel is not answering the turn either

        Job(send, "cancel")

    def operate(self, images: Sequence[bytes], operation: Operation, deadline: float) -> OperationResult:
        """A visual operation, by `visual_ops`."""
        inputs: Tensors = {"IMAGE": text(*images), "OPERATION": json_text(operation)}
        return self._json("visual_ops", inputs, OperationResult, deadline)

    def search(self, key: Floats, k: int, count: bool, deadline: float, tenant: str) -> KnnResult:
        """The nearest experiences, by `knn`."""
        inputs: Tensors = {"KEY": key, "K": np.array([k], np.int32)}
        if count or tenant:
            inputs["COMMAND"] = json_text(KnnCommand(command="search", count=count, tenant=tenant))
        return self._json("knn", inputs, KnnResult, deadline)

    def remember(self, asked: KnnCommand, key: Floats, deadline: float) -> str | None:
        """Note a request, in `knn`."""
        return self._json("knn", {"KEY": key, "COMMAND": json_text(asked)}, KnnResult, deadline).experience_id

    def feedback(self, experience_id: str, answer: str, deadline: float, tenant: str) -> None:
        """Count a success, in `knn`."""
        command = KnnCommand(command="feedback", experience_id=experience_id, answer=answer, tenant=tenant)
        self._json("knn", {"COMMAND": json_text(command)}, KnnResult, deadline)

    def reward(self, request: RewardRequest, deadline: float) -> Reward:
        """The reward of a trajectory, by `reward`."""
        return self._json("reward", {"TRAJECTORY": json_text(request)}, Reward, deadline)

    def vote(self, ballot: Ballot, deadline: float) -> Verdict:
        """The verdict, by `vote`."""
        return self._json("vote", {"BALLOT": json_text(ballot)}, Verdict, deadline)

    def versions(self) -> dict[str, str]:
        """The versions that the repository serves."""
        return versions(self._repository, (self._policy, self._encoder, *NAMES))


def token_by_token(event: PolicyEvent) -> Iterator[PolicyEvent]:
    """A whole turn as a stream would have sent it; the last one says why it ended."""
    pairs = list(zip(event.tokens, event.logprobs, strict=True))
    for token, logprob in pairs[:-1]:
        yield PolicyEvent(tokens=[token], logprobs=[logprob])
    yield event.model_copy(update={"tokens": event.tokens[-1:], "logprobs": event.logprobs[-1:]})


def _parsed(model: type[M], array: NDArray[Any], sibling: str) -> M:
    try:
        return model.model_validate_json(array.reshape(-1)[0])
    except (ValidationError, IndexError) as error:
        raise ServingError(f"Model `{sibling}` answered something that is no {model.__name__}.") from error
