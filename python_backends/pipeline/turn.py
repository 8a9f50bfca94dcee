"""One turn of the policy: its tokens as they come, its text, and how sure it was of a part of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pixelis.errors import ServingError
from pixelis.schema import PolicyEvent
from python_backends.policy.sampling_stop import StopSearch
from python_backends.policy.tokenizer import PolicyTokenizer


class TurnText:
    """Collects a turn's events.

    Args:
        tokenizer: the policy's.
        stops: texts at which the turn ends; they are not part of it.

    Attributes:
        ids: tokens of the turn, without the token that ended it.
        text: what they say.
        finish: why it ended; `stop_text` where one of `stops` came up.
        over: whether the policy has ended it.
    """

    def __init__(self, tokenizer: PolicyTokenizer, stops: Sequence[str] = ()) -> None:
        self._end_ids = tokenizer.end_ids
        self._stream = tokenizer.stream()
        self._search = StopSearch(stops)
        self._shown = 0
        self._ends: list[int] = []
        self._logprobs: list[float] = []
        self.ids: list[int] = []
        self.text = ""
        self.tokens = 0
        self.finish: str | None = None
        self.over = False

    def push(self, event: PolicyEvent) -> str:
        """Take an event; the text that is certain now, which no stop text will take back."""
        for token, logprob in zip(event.tokens, event.logprobs, strict=True):
            self.tokens += 1
            if token in self._end_ids:
                continue
            self.ids.append(token)
            self._add(self._stream.push(token))
            self._ends.append(len(self.text))
            self._logprobs.append(logprob)
        if event.finish is not None:
            self._finish(event.finish)
        if self._search.found is not None:
            self.finish = "stop_text"
        certain = len(self.text) if self.over else self._search.settled_length
        added, self._shown = self.text[self._shown : certain], certain
        return added

    def _add(self, piece: str) -> None:
        """More text, up to the first stop text."""
        if self._search.found is not None:
            return
        self.text += piece
        if self._search.push(piece.encode()):
            self.text = self.text[: self._search.settled_length]

    def _finish(self, finish: str) -> None:
        self.over = True
        self._add(self._stream.flush())
        if self._ends:
            self._ends[-1] = len(self.text)
        self.finish = finish

    def mean_logprob(self, start: int, end: int) -> float | None:
        """Mean log-probability, before the grammar's mask, of the tokens that wrote `text[start:end]`, if any.

        Raises:
            ServingError: a log-probability that is not a number.
        """
        chosen = []
        begins = 0
        for ends, logprob in zip(self._ends, self._logprobs, strict=True):
            if ends > start and begins < end:
                chosen.append(logprob)
            begins = ends
        if not chosen:
            return None
        value = math.fsum(chosen) / len(chosen)
        if math.isnan(value):
            raise ServingError("The policy answered with a log-probability that is not a number.")
        return min(value, 0.0)
