"""What requests were asked and answered, so that feedback on a request id means something, after a restart too.

Only requests with `read_only: false` are noted, and of those the newest (`feedback_requests`). A note holds the whole
experience, learned or not: an answer that the agent was not sure of is not learned, yet a human may say later that it
was right, or what would have been.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pixelis.schema import Experience

Key = NDArray[np.float32]
Name = tuple[str, str]
"""Tenant and request id: two tenants may call their requests alike."""
Remembered = dict[Name, tuple["Asked", Key]]


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

    @property
    def name(self) -> Name:
        """Whose request it is, and its id."""
        return self.experience.tenant, self.request_id


class AskedRequests:
    """The newest requests and their keys, oldest first. No disk, no lock.

    Where there are too many, the oldest of the tenant that has most goes.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._found: Remembered = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, name: Name) -> tuple[Asked, Key] | None:
        """A request and its key `[D]`."""
        return self._found.get(name)

    def note(self, asked: Asked, key: Key) -> None:
        """Keep a request; one of the same name is forgotten, and the oldest where there are too many."""
        for name in self.forgotten_by(asked.name):
            del self._found[name]
            self._counts[name[0]] -= 1
        if self.most:
            self._found[asked.name] = (asked, key)
            self._counts[asked.name[0]] += 1

    def judged(self, asked: Asked) -> None:
        """Put feedback in; the request stays as old as it was. One that was forgotten meanwhile stays so."""
        found = self._found.get(asked.name)
        if found is not None:
            self._found[asked.name] = (asked, found[1])

    def forgotten_by(self, name: Name) -> list[Name]:
        """Who is forgotten when a request of this name is noted: an older one of the same name, and the oldest."""
        gone = [name] if name in self._found else []
        left = self._counts - Counter(one[0] for one in gone)
        for _ in range(min(left.total() + 1 - self.most, left.total())):
            tenant = max(left, key=lambda one: (left[one] + (one == name[0]), one))
            gone.append(next(one for one in self._found if one[0] == tenant and one not in gone))
            left -= Counter([tenant])
        return gone

    def remembered(self) -> Remembered:
        """All of them, for `restore`."""
        return dict(self._found)

    def restore(self, remembered: Remembered) -> None:
        """Back to what there was."""
        self._found = dict(remembered)
        self._counts = Counter(tenant for tenant, _ in remembered)

    def everything(self) -> list[tuple[Asked, Key]]:
        """All of them, oldest first, with their keys `[D]`."""
        return list(self._found.values())

    def of(self, tenant: str) -> int:
        """How many are a tenant's."""
        return self._counts[tenant]
