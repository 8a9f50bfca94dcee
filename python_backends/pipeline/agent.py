"""The four steps as one stream of events; its final event carries what the ensemble would have answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pixelis.errors import PixelisError
from pixelis.schema import Action, Event, PreparedRequest
from pixelis.settings import Settings
from python_backends.deadlines import Job
from python_backends.images import DecodedImages
from python_backends.pipeline.finish import Finisher
from python_backends.pipeline.looks import KeptLooks
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.models import Models
from python_backends.pipeline.prepare import Prepared, Preparer
from python_backends.pipeline.reason import Reasoner, Reasoning, never
from python_backends.pipeline.recall import Recalled, recall
from python_backends.pipeline.replay import replay
from python_backends.pipeline.request_cache import RequestCache


@dataclass(frozen=True)
class Agent:
    """The steps, wired.

    Attributes:
        models: the sibling models.
        preparer: step one.
        reasoner: step three.
        finisher: step four.
        requests: what was answered before; none = nothing is kept.
    """

    models: Models
    preparer: Preparer
    reasoner: Reasoner
    finisher: Finisher
    requests: RequestCache | None = None

    @classmethod
    def wire(
        cls,
        models: Models,
        voice: Voice,
        config: Settings,
        decoded: DecodedImages | None = None,
        requests: RequestCache | None = None,
        lease: Callable[[PreparedRequest], AbstractContextManager[bool]] | None = None,
        *,
        ahead: bool = False,
    ) -> Agent:
        """The steps for a checkpoint.

        Args:
            models: the sibling models.
            voice: the checkpoint's tokenizer and profile.
            config: limits and retrieval weights.
            decoded: the process's decoded pictures; none = a cache of its own.
            requests: what was answered before; none = nothing is kept.
            lease: see `Reasoner`.
            ahead: see `Reasoner`.
        """
        pictures = decoded or DecodedImages()
        return cls(
            models=models,
            preparer=Preparer(voice.profile, config.limits, pictures, KeptLooks.of(config.cache)),
            reasoner=Reasoner(models, voice, pictures, lease, ahead=ahead),
            finisher=Finisher(models, voice.profile, pictures, config.retrieval),
            requests=requests,
        )

    def run(
        self,
        elements: Sequence[bytes],
        question: bytes,
        options: bytes | None,
        request_id: str = "",
        *,
        stream: bool = True,
        cancelled: Callable[[], bool] = never,
        arrived: float | None = None,
    ) -> Iterator[Event]:
        """One request, from encoded images to the `answer` event.

        Args:
            elements: the `IMAGE` tensor's elements.
            question: UTF-8.
            options: JSON, or nothing for the defaults.
            request_id: the client's; an empty one is made up.
            stream: whether `token` events are wanted.
            cancelled: asked at every event.
            arrived: when the request came, where it has waited since (seconds since the epoch).

        Raises:
            Cancelled: `cancelled` said so.
            PixelisError: preparing or reasoning failed.
        """
        prepared = self.preparer(elements, question, options, request_id, arrived)
        request = prepared.request
        beside = Job(lambda: self._recall(prepared), "recall")
        outcome = yield from self._reason(prepared, stream, cancelled)
        found = _recalled(beside, request.deadline)
        result = self.finisher(prepared.images, request, found.outcome, found.key, outcome)
        yield Event(event="answer", step=_steps(result.trajectory), text=result.answer, result=result)

    def _reason(self, prepared: Prepared, stream: bool, cancelled: Callable[[], bool]) -> Reasoning:
        """A stream is not joined to another one: each has its tokens as they come."""
        request = prepared.request
        found = self.requests.find(request) if self.requests else None
        if found is not None:
            yield from replay(found, stream)
            return found
        note = self.requests.noting(request) if self.requests else None
        reasoning = self.reasoner.run(prepared.images, request, prepared.views, stream=stream, cancelled=cancelled)
        outcome = yield from reasoning
        if note is not None:
            note(outcome)
        return outcome

    def _recall(self, prepared: Prepared) -> Recalled:
        (found,) = recall(self.models, [prepared.request], prepared.retrieval_view[None])
        return found


def _recalled(beside: Job[Recalled], deadline: float) -> Recalled:
    """What was found, or why nothing was: the agent has an answer of its own by now."""
    try:
        return beside.result(deadline)
    except PixelisError as error:
        return Recalled.without("recall", error)


def _steps(trajectory: Sequence[Action]) -> int:
    return sum(action.type == "VISUAL_OPERATION" for action in trajectory)
