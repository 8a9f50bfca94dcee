"""One turn that vLLM writes: its messages become the policy's events."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixelis.errors import PixelisError, ServingError, Unavailable
from python_backends.policy.calls.vocabulary import Vocabulary
from python_backends.policy.request import PolicyRequest, spelt
from python_backends.policy.sampling_stop import StopTexts
from python_backends.policy.vllm.reply import Reply
from python_backends.policy.written import EventSink, Finish, Written

if TYPE_CHECKING:
    from python_backends.policy.vllm.carrier import Running

_ENDS: dict[str, Finish] = {"stop": "stop", "length": "length"}


@dataclass(eq=False, kw_only=True)
class VllmTurn(Written):
    """A turn on its way. Read by one thread; any may cancel it.

    Attributes:
        running: what is being read, once it has begun.
        cancelled: nobody wants it any more.
        closing_down: the runtime ends.
    """

    running: Running | None = None
    cancelled: bool = False
    closing_down: bool = False

    @classmethod
    def of(
        cls, request: PolicyRequest, sink: EventSink, ends: frozenset[int], longest: int, vocabulary: Vocabulary | None
    ) -> VllmTurn:
        """The turn that `request` asks for.

        Args:
            request: as it came.
            sink: of its events.
            ends: the checkpoint's own end tokens.
            longest: tokens of prompt and continuation.
            vocabulary: what tokens say.

        Raises:
            InvalidRequest: stop texts, and nobody knows what tokens say.
        """
        sampling = request.sampling
        return cls(
            sampling=sampling,
            sink=sink,
            limit=max(1, min(sampling.max_tokens, longest - request.prompt_ids.size)),
            stops=ends | frozenset(sampling.stop_ids),
            stopping=StopTexts(spelt(vocabulary), sampling.stop) if sampling.stop else None,
        )

    def cancel(self) -> None:
        """End it with finish `cancelled`."""
        self.cancelled = True
        self._wake()

    def shut(self) -> None:
        """End it with `Unavailable`."""
        self.closing_down = True
        self._wake()

    def _wake(self) -> None:
        if self.running is not None:
            self.running.wake()

    def late(self) -> bool:
        """Whether its deadline has passed."""
        return time.time() >= self.deadline

    def follow(self, running: Running) -> Finish:
        """Read it to its end, and tell its caller; the last event is told here.

        Raises:
            PixelisError: what `running` raises, or that vLLM ended it by itself.
        """
        for tensors in running:
            finish = self._looked() or (self._read(Reply.read(tensors)) if tensors else None)
            if finish is not None:
                return self.end(finish)
            news = self.news()
            if news is not None:
                self.sink(news)
        raise ServingError("vLLM's answer has no end.", mend="Try again.")

    def _looked(self) -> Finish | None:
        if self.closing_down:
            raise Unavailable("The policy is shutting down.", mend="Try again.")
        if self.cancelled:
            return "cancelled"
        return "deadline" if self.late() else None

    def _read(self, reply: Reply) -> Finish | None:
        """Take its tokens, up to the one that ends the turn; what comes behind that is nobody's."""
        now = time.monotonic()
        for token, logprob in zip(reply.tokens, reply.logprobs, strict=True):
            self.take(token, logprob, now)
            finish = self.ending(token)
            if finish is not None:
                return finish
        if reply.finish is None:
            return None
        if reply.finish not in _ENDS:
            raise Unavailable(f"vLLM ended a turn by itself ({reply.finish}).", mend="Try again.")
        return _ENDS[reply.finish]

    def end(self, finish: Finish) -> Finish:
        """Tell its caller that it is over, and why."""
        self.sink(self.closing(finish))
        return finish

    def fail(self, error: PixelisError) -> None:
        """Tell its caller that it failed."""
        self.sink(error)
