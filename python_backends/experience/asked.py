"""What requests were asked and answered, so that feedback on a request id means something, after a restart too.

Only requests with `read_only: false` are noted, and of those the newest (`feedback_requests`). A note holds the whole
experience, learned or not: an answer that the agent was not sure of is not learned, yet a human may say later that it
was right, or what would have been.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pixelis.schema import Experience

Key = NDArray[np.float32]
Remembered = dict[str, tuple["Asked", Key]]


class Asked(BaseModel):
    """One request.

    Attributes:
        experience: as the request made it, with the agent's answer; feedback never changes it.
        answer: what the caller was given (the vote may differ from the agent).
        retrieved: neighbours that it found and that nothing else has judged.
        experience_id: the experience that it lives in; none as long as it lives in none.
        correct: the last feedback, if any.
        right: the right answer, where that feedback knew it.
        credited: neighbours that this feedback counted a success for.
    """

    model_config = ConfigDict(extra="forbid")

    request_id: str
    experience: Experience
    answer: str
    retrieved: list[str] = Field(default_factory=list)
    experience_id: str | None = None
    correct: bool | None = None
    right: str | None = None
    credited: list[str] = Field(default_factory=list)


class AskedRequests:
    """The newest requests and their keys, oldest first. No disk, no lock.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._found: dict[str, tuple[Asked, Key]] = {}

    def __len__(self) -> int:
        return len(self._found)

    def get(self, request_id: str) -> tuple[Asked, Key] | None:
        """A request and its key `[D]`."""
        return self._found.get(request_id)

    def note(self, asked: Asked, key: Key) -> None:
        """Keep a request; one of the same id is forgotten, and the oldest where there are too many."""
        self._found.pop(asked.request_id, None)
        self._found[asked.request_id] = (asked, key)
        while len(self._found) > self.most:
            del self._found[next(iter(self._found))]

    def judged(self, asked: Asked) -> None:
        """Put feedback in; the request stays as old as it was. One that was forgotten meanwhile stays so."""
        found = self._found.get(asked.request_id)
        if found is not None:
            self._found[asked.request_id] = (asked, found[1])

    def forgotten_by(self, request_id: str) -> list[str]:
        """Who is forgotten when a request of this id is noted: an older one of the same id, and the oldest."""
        same = [request_id] if request_id in self._found else []
        over = len(self._found) - len(same) + 1 - self.most
        oldest = (one for one in self._found if one != request_id)
        return same + [next(oldest) for _ in range(min(over, len(self._found) - len(same)))]

    def remembered(self) -> Remembered:
        """All of them, for `restore`."""
        return dict(self._found)

    def restore(self, remembered: Remembered) -> None:
        """Back to what there was."""
        self._found = dict(remembered)

    def everything(self) -> list[tuple[Asked, Key]]:
        """All of them, oldest first, with their keys `[D]`."""
        return list(self._found.values())
