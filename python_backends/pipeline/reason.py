"""Step three, the agent loop: the policy writes, visual operations run, what they found goes back, until an answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import DeadlineExceeded, InvalidOperation, InvalidRequest, PixelisError, ServingError
from pixelis.schema import Action, AgentOutcome, Event, Operation, OperationResult, PreparedRequest, Sampling
from python_backends.images import DecodedImages
from python_backends.pipeline.dialect import Answer, Call, Malformed, operations, parse_turn
from python_backends.pipeline.memory import Memory, Voice
from python_backends.pipeline.models import Floats, Models
from python_backends.pipeline.shares import Stopwatch
from python_backends.pipeline.spaces import Frame, result_to_view
from python_backends.pipeline.turn import TurnText
from python_backends.pipeline.views import crop, view
from python_backends.policy import conversation

Reasoning = Generator[Event, None, AgentOutcome]
"""Yields events as they happen; its return value is the outcome."""


class Cancelled(Exception):
    """The client has gone; nobody waits for the rest."""


def never() -> bool:
    """The `cancelled` of a request that cannot be."""
    return False


def outcome_of(reasoning: Reasoning) -> AgentOutcome:
    """Run to the end and drop the events."""
    while True:
        try:
            next(reasoning)
        except StopIteration as end:
            outcome: AgentOutcome = end.value
            return outcome


class Reasoner:
    """Runs the agent loop for one checkpoint.

    Args:
        models: the sibling models.
        voice: the checkpoint's tokenizer and profile.
        decoded: the process's decoded pictures, for crops.
    """

    def __init__(self, models: Models, voice: Voice, decoded: DecodedImages) -> None:
        self._models = models
        self._voice = voice
        self._decoded = decoded

    def run(
        self,
        images: Sequence[bytes],
        request: PreparedRequest,
        views: NDArray[np.uint8],
        *,
        stream: bool = False,
        cancelled: Callable[[], bool] = never,
    ) -> Reasoning:
        """The loop as a generator of events.

        Args:
            images: encoded, unwrapped.
            request: as `prepare` made it.
            views: `[n, H, W, 3]`, the policy's view of each image.
            stream: whether `token` events are wanted; without them a turn is one event of the policy.
            cancelled: asked at every event.

        Raises:
            DeadlineExceeded: the request's time ran out.
            Cancelled: `cancelled` said so.
            PixelisError: the policy or the vision encoder failed.
        """
        episode = _Episode(self._models, self._voice, self._decoded, images, request, stream, cancelled)
        return episode.run(views)


@dataclass
class _Episode:
    models: Models
    voice: Voice
    decoded: DecodedImages
    images: Sequence[bytes]
    request: PreparedRequest
    stream: bool
    cancelled: Callable[[], bool]
    watch: Stopwatch = field(default_factory=Stopwatch)
    actions: list[Action] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0

    def run(self, views: NDArray[np.uint8]) -> Reasoning:
        size = self.voice.profile.view
        frames = [Frame(i, (0, 0, w, h), size) for i, (w, h) in enumerate(self.request.sizes)]
        memory = Memory(self.voice)
        memory.open(self.request.question, self._see(views), frames)
        while True:
            turn = yield from self._speak(memory)
            parsed = parse_turn(turn.text)
            if parsed.thought:
                self.actions.append(Action(type="REASONING", text=parsed.thought))
            if isinstance(parsed.act, Answer):
                return self._answered(turn, parsed.act)
            if turn.finish == "stop_text" or self.steps >= self.request.options.max_operations:
                return self._stopped("stop" if turn.finish == "stop_text" else "max_operations", parsed.thought)
            memory.said(turn.ids)
            yield from self._act(memory, parsed.act)

    def _see(self, views: NDArray[np.uint8]) -> Floats:
        started = time.perf_counter()
        tokens = self.models.vision_tokens(views, self.request.deadline)
        self.watch.add("vision_encoder", started)
        return tokens

    def _speak(self, memory: Memory) -> Generator[Event, None, TurnText]:
        """One turn of the policy; its tokens are events as they come."""
        started = time.perf_counter()
        turn = TurnText(self.voice.tokenizer, self.request.options.stop)
        sampling = self._sampling()
        try:
            for event in self.models.generate(memory.ids, memory.visual_tokens, memory.grids, sampling):
                added = turn.push(event)
                self._check_cancelled()
                if added and self.stream:
                    yield Event(event="token", step=self.steps, text=added)
                if turn.finish is not None:
                    break
        finally:
            # However the turn was left: what the policy still computes for it would be for nobody.
            if turn.finish in (None, "stop_text"):
                self.models.cancel(sampling.request_id)
        self.watch.add("policy", started)
        self.tokens += turn.tokens
        if turn.finish == "cancelled":
            raise Cancelled
        if turn.finish is None:
            raise ServingError("The policy's turn has no end.")
        return turn

    def _sampling(self) -> Sampling:
        options = self.request.options
        if options.repetition_penalty != 1.0:
            raise InvalidRequest("`repetition_penalty` is not there yet.", mend="Leave it at 1.")
        return Sampling(
            # Its own id for every turn: a client may use one request id twice, and a cancel must hit one turn.
            request_id=uuid.uuid4().hex,
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            stream=self.stream or bool(options.stop),
            deadline=self.request.deadline,
        )

    def _act(self, memory: Memory, call: Call | Malformed) -> Generator[Event, None, None]:
        """Run a call's operations and tell the policy what they found."""
        try:
            if isinstance(call, Malformed):
                raise InvalidOperation(call.reason)
            todo = operations(call, memory.frames, self.voice.profile.coordinates)
        except InvalidOperation as error:
            self.steps += 1
            self.actions.append(Action(type="VISUAL_OPERATION", error=str(error), text=call.text))
            yield Event(event="observation", step=self.steps, text=str(error), code=error.code)
            told = conversation.observation(self.voice.profile, "", {}, str(error))
            return memory.told(told, np.zeros((0, 0, 0), np.float32), [])
        texts: list[str] = []
        frames: list[Frame] = []
        for operation, frame in todo[: self.request.options.max_operations - self.steps]:
            self.steps += 1
            yield Event(event="tool_call", step=self.steps, text=call.text, operation=operation)
            result = self._operate(operation, call.text)
            yield Event(event="observation", step=self.steps, operation=operation, observation=result)
            self._check_cancelled()
            texts.append(self._observation(result, frame))
            frames += self._new_frames(operation, result)
        memory.told("\n".join(text for text in texts if text), self._crops(frames), frames)

    def _operate(self, operation: Operation, text: str) -> OperationResult:
        """Run one operation. Where `visual_ops` is down, the policy is told, and may still answer."""
        started = time.perf_counter()
        try:
            result = self.models.operate(self.images, operation, self.request.deadline)
        except DeadlineExceeded:
            raise
        except PixelisError as error:
            result = OperationResult(operation=operation.operation, error=error.wire())
        self.watch.add("visual_ops", started)
        arguments = dict(operation.arguments)
        if operation.image_index:
            arguments["image_index"] = operation.image_index
        self.actions.append(
            Action(
                type="VISUAL_OPERATION",
                operation=operation.operation,
                arguments=arguments,
                result=result.result,
                error=result.error,
                text=text,
                elapsed_ms=result.elapsed_ms,
            )
        )
        return result

    def _observation(self, result: OperationResult, frame: Frame) -> str:
        profile = self.voice.profile
        shown = result_to_view(result.result, frame, profile.coordinates)
        return conversation.observation(profile, result.operation.value, shown, result.error)

    def _new_frames(self, operation: Operation, result: OperationResult) -> list[Frame]:
        """The crop that a ZOOM_IN shows, where the checkpoint takes it as an image."""
        region = result.result.get("region")
        if operation.operation.value != "ZOOM_IN" or result.error or not region or not self.voice.profile.crop_as_image:
            return []
        x1, y1, x2, y2 = (float(value) for value in region)
        return [Frame(operation.image_index, (x1, y1, x2, y2), self.voice.profile.view, whole=False)]

    def _crops(self, frames: Sequence[Frame]) -> Floats:
        if not frames:
            return np.zeros((0, 0, 0), np.float32)
        crops = [crop(self.decoded.get(self.images[frame.image_index]), frame.region) for frame in frames]
        return self._see(np.stack([view(pixels, self.voice.profile.view) for pixels in crops]))

    def _check_cancelled(self) -> None:
        if self.cancelled():
            raise Cancelled
        if time.time() > self.request.deadline:
            raise DeadlineExceeded("The request ran out of time.", mend="Raise `timeout_s`.")

    def _answered(self, turn: TurnText, answer: Answer) -> AgentOutcome:
        finish = {"length": "max_tokens", "stop_text": "stop"}.get(turn.finish or "", "answer")
        return self._outcome(answer.text, turn.confidence(answer.start, answer.end), finish)

    def _stopped(self, finish: str, said: str) -> AgentOutcome:
        return self._outcome(said, 0.0, finish)

    def _outcome(self, answer: str, confidence: float, finish: str) -> AgentOutcome:
        self.actions.append(Action(type="ANSWER", text=answer))
        return AgentOutcome.model_validate(
            {
                "answer": answer,
                "confidence": confidence,
                "actions": self.actions,
                "finish": finish,
                "tokens": self.tokens,
                "elapsed_ms": self.watch.elapsed_ms,
                "timings_ms": self.watch.ms,
            }
        )
