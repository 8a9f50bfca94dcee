"""Step three, the agent loop: the policy writes, visual operations run, what they found goes back, until an answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import DeadlineExceeded, InvalidOperation, PixelisError, ServingError
from pixelis.schema import Action, AgentOutcome, Event, PreparedRequest, Sampling, TokenChoice
from python_backends.images import DecodedImages
from python_backends.pipeline.acting import NOTHING, Acting
from python_backends.pipeline.confidence import Evidence
from python_backends.pipeline.dialect import Answer, Call, Malformed, Turn, operations, parse_turn
from python_backends.pipeline.grounding import located
from python_backends.pipeline.memory import Memory, Voice
from python_backends.pipeline.models import Models
from python_backends.pipeline.showing import Showing
from python_backends.pipeline.spaces import Frame
from python_backends.pipeline.turn import TurnText
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
        lease: keeps the checkpoint in memory for a request, and gives whether that was asked for; none = it is there.
        ahead: embed a trajectory's states while the policy writes on; else whoever needs them does it at the end.
    """

    def __init__(
        self,
        models: Models,
        voice: Voice,
        decoded: DecodedImages,
        lease: Callable[[PreparedRequest], AbstractContextManager[bool]] | None = None,
        *,
        ahead: bool = False,
    ) -> None:
        self._models = models
        self._voice = voice
        self._decoded = decoded
        self._lease = lease or (lambda _: nullcontext(False))
        self._ahead = ahead

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
            views: `[n, H, W, 3]`, the policy's view of each image that it is shown.
            stream: whether `token` events are wanted; without them a turn is one event of the policy.
            cancelled: asked at every event.

        Time that runs out ends the loop with what it has: the outcome's `finish` is `timeout`, and its `error` says
        what was not done. The text of a turn that was cut off counts as an answer without confidence.

        Raises:
            DeadlineExceeded: the time ran out before there was anything.
            Cancelled: `cancelled` said so.
            PixelisError: the policy or the vision encoder failed.
        """
        acting = self._acting(images, request)
        asked = time.perf_counter()
        with self._lease(request) as leased:
            if leased:
                acting.watch.add("residency", asked)
            return (yield from _Episode(self._voice, acting, stream, cancelled).run(views))

    def embedded(self, images: Sequence[bytes], request: PreparedRequest, outcome: AgentOutcome) -> AgentOutcome:
        """An outcome that was kept, with the rows of its states, which are kept too."""
        acting = self._acting(images, request)
        acting.look_ahead(outcome.actions)
        return outcome.model_copy(update={"states": acting.states()})

    def _acting(self, images: Sequence[bytes], request: PreparedRequest) -> Acting:
        return Acting(self._models, self._voice.profile, self._decoded, images, request, self._ahead)


@dataclass
class _Episode:
    """One request's loop."""

    voice: Voice
    acting: Acting
    stream: bool
    cancelled: Callable[[], bool]
    steps: int = 0
    turns: int = 0
    tokens: int = 0
    given: int = 0
    said: int = 0
    patch_seconds: float | None = None
    unfinished: TurnText | None = None
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def request(self) -> PreparedRequest:
        return self.acting.request

    def run(self, views: NDArray[np.uint8]) -> Reasoning:
        memory = Memory(self.voice)
        try:
            return (yield from self._loop(memory, views))
        except DeadlineExceeded as error:
            said = parse_turn(self.unfinished.text if self.unfinished else "", self.voice.profile.dialect)
            if self.acting.actions or self._words(said, memory):
                return self._cut_off(said, memory, error)
            raise

    def _loop(self, memory: Memory, views: NDArray[np.uint8]) -> Reasoning:
        profile, sizes = self.voice.profile, self.request.sizes
        showing = Showing.of(len(sizes), self.request.options, profile)
        frames, self.patch_seconds = showing.frames(sizes, (views.shape[2], views.shape[1])), showing.patch_seconds
        self._check()
        tokens = self.acting.see(showing.seen(views))
        memory.open(self.request.question, tokens, frames, showing.times, self.request.options)
        while True:
            self.given = len(memory.ids) - self.said
            turn = yield from self._speak(memory)
            parsed = parse_turn(turn.text, profile.dialect)
            if not isinstance(parsed.act, Answer):
                self.evidence.called(turn.mean_logprob(0, len(turn.text)))
            if parsed.thought:
                self.acting.actions.append(Action(type="REASONING", text=parsed.thought))
            if isinstance(parsed.act, Answer):
                finish = {"length": "max_tokens", "stop_text": "stop"}.get(turn.finish or "", "answer")
                self.evidence.answered(turn.mean_logprob(parsed.act.start, parsed.act.end))
                return self._outcome(located(parsed.act.text, memory.frames, self.voice.profile.coordinates), finish)
            if turn.finish == "stop_text" or self.steps >= self.request.options.max_operations:
                finish = "stop" if turn.finish == "stop_text" else "max_operations"
                return self._outcome(parsed.thought, finish)
            if turn.finish == "length" and isinstance(parsed.act, Malformed):
                # A call that did not fit into `max_tokens` would not fit the next time either.
                return self._outcome(parsed.thought, "max_tokens")
            memory.said(turn.ids)
            self.said += len(turn.ids)
            yield from self._act(memory, parsed.act)
            self.acting.look_ahead(self.acting.actions)

    def _speak(self, memory: Memory) -> Generator[Event, None, TurnText]:
        """One turn of the policy; its tokens are events as they come."""
        started = time.perf_counter()
        turn, sampling = TurnText(self.voice.tokenizer, self.request.options.stop), self._sampling()
        models, left, self.unfinished = self.acting.models, True, turn
        try:
            for event in models.generate(memory.ids, memory.visual_tokens, memory.grids, sampling):
                added = turn.push(event)
                if added and self.stream:  # before time is looked at: what a cut-off answer says was told
                    yield Event(event="token", step=self.steps, text=added)
                self._check()
                if turn.finish is not None:
                    break
        except PixelisError:
            left = False  # the policy failed, or ends by itself at the same deadline: there is nothing to cancel
            raise
        finally:
            # A client that has gone, a reader that stopped: the policy would go on for nobody.
            if left and not turn.over:
                models.cancel(sampling.request_id)
            self.acting.watch.add("policy", started)
            self.tokens += turn.tokens
        if turn.finish == "cancelled":
            raise Cancelled
        if turn.finish == "deadline":
            raise DeadlineExceeded("The policy did not finish its turn in time.", mend="Raise `timeout_s`.")
        if turn.finish is None:
            raise ServingError("The policy's turn has no end.")
        self.unfinished = None
        return turn

    def _sampling(self) -> Sampling:
        options = self.request.options
        chosen = options.model_dump(include=set(TokenChoice.model_fields))
        if options.seed is not None:
            chosen["seed"] = _turn_seed(options.seed, self.turns)
        self.turns += 1
        return Sampling(
            # Its own id for every turn: a client may use one request id twice, and a cancel must hit one turn.
            request_id=uuid.uuid4().hex,
            max_tokens=options.max_tokens,
            stream=self.stream,
            deadline=self.acting.deadline,
            grammar=self.voice.profile.grammar,
            patch_seconds=self.patch_seconds,
            **chosen,
        )

    def _act(self, memory: Memory, call: Call | Malformed) -> Generator[Event, None, None]:
        """Run a call's operations and tell the policy what they found."""
        try:
            if isinstance(call, Malformed):
                raise InvalidOperation(call.reason)
            profile = self.voice.profile
            todo = operations(call, memory.frames, profile.coordinates, profile.dialect)
        except InvalidOperation as error:
            yield self._refused(memory, call, error)
            return
        texts: list[str] = []
        frames: list[Frame] = []
        todo = todo[: self.request.options.max_operations - self.steps]
        begun = self.acting.begin([operation for operation, _ in todo])
        for (operation, frame), job in zip(todo, begun, strict=True):
            self.steps += 1
            yield Event(event="tool_call", step=self.steps, text=call.text, operation=operation)
            result = self.acting.operate(operation, call.text, job)
            yield Event(event="observation", step=self.steps, operation=operation, observation=result)
            self._check()
            texts.append(self.acting.told(result, frame))
            frames += self.acting.frames(operation, result)
        frames = self.acting.sized(frames)
        memory.told("\n".join(text for text in texts if text), self.acting.crops(frames), frames)

    def _refused(self, memory: Memory, call: Call | Malformed, error: InvalidOperation) -> Event:
        """A call that names no operation counts as one, so that a policy that only writes such calls ends."""
        self.steps += 1
        self.acting.actions.append(Action(type="VISUAL_OPERATION", error=str(error), text=call.text))
        memory.told(conversation.observation(self.voice.profile, "", {}, str(error)), NOTHING, [])
        return Event(event="observation", step=self.steps, text=str(error), code=error.code)

    def _check(self) -> None:
        if self.cancelled():
            raise Cancelled
        if time.time() > self.request.deadline:
            raise DeadlineExceeded("The request ran out of time.", mend="Raise `timeout_s`.")

    def _cut_off(self, said: Turn, memory: Memory, error: DeadlineExceeded) -> AgentOutcome:
        """What there is, of which nothing is certain."""
        if said.thought:
            self.acting.actions.append(Action(type="REASONING", text=said.thought))
        return self._outcome(self._words(said, memory), "timeout", error.wire())

    def _words(self, said: Turn, memory: Memory) -> str:
        """What a turn that was cut off answers: nothing where it came no further than a tag that opens."""
        if isinstance(said.act, Answer) and said.act.text:
            return located(said.act.text, memory.frames, self.voice.profile.coordinates)
        return said.thought

    def _outcome(self, answer: str, finish: str, error: str | None = None) -> AgentOutcome:
        acting = self.acting
        acting.actions.append(Action(type="ANSWER", text=answer))
        return AgentOutcome.model_validate(
            {
                "answer": answer,
                "confidence": self.evidence.confidence(self.voice.profile.calibration),
                "answer_logprob": self.evidence.answer,
                "call_logprob": self.evidence.call,
                "actions": acting.actions,
                "finish": finish,
                "error": error,
                "states": None if error else acting.states(),
                "tokens": self.tokens,
                "prompt_tokens": self.given,
                "elapsed_ms": acting.watch.elapsed_ms,
                "timings_ms": acting.watch.ms,
            }
        )


def _turn_seed(seed: int, turn: int) -> int:
    """A seed for each turn of a request, or the turns would draw the same numbers again."""
    return int(np.random.SeedSequence([seed, turn]).generate_state(1, np.uint64)[0] >> np.uint64(1))
