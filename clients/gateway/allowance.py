"""What a caller may ask, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HEADER = "X-RateLimit"


@dataclass(frozen=True)
class Share:
    """What one caller may ask.

    Attributes:
        caller: whose it is.
        per_minute: requests; none = no limit.
        per_day: questions, of a UTC day; none = no limit.
    """

    caller: str
    per_minute: float | None = None
    per_day: int | None = None


@dataclass(frozen=True)
class Left:
    """What is left of one limit.

    Attributes:
        limit: of the whole minute or day.
        remaining: what may be asked now.
        reset_s: seconds until all of it may be asked again.
    """

    limit: float
    remaining: int
    reset_s: int


@dataclass(frozen=True)
class Allowance:
    """What is left of a caller's limits after a request was counted, or was not.

    Attributes:
        minute: none where there is no limit.
        day: none where there is none.
        refusal: why it was not counted, and what to do: two sentences.
    """

    minute: Left | None = None
    day: Left | None = None
    refusal: tuple[str, str] | None = None

    @classmethod
    def of(cls, said: dict[str, Any]) -> Allowance:
        """The same again, from its fields as JSON."""
        minute, day = (None if one is None else Left(**one) for one in (said["minute"], said["day"]))
        return cls(minute, day, None if said["refusal"] is None else tuple(said["refusal"]))

    def headers(self) -> dict[str, str]:
        """As headers of an answer: `X-RateLimit-Limit-Minute`, `-Remaining-Minute`, `-Reset-Minute`, and of the day."""
        said = {}
        for name, left in (("Minute", self.minute), ("Day", self.day)):
            if left is not None:
                said[f"{HEADER}-Limit-{name}"] = f"{left.limit:.15g}"
                said[f"{HEADER}-Remaining-{name}"] = str(left.remaining)
                said[f"{HEADER}-Reset-{name}"] = str(left.reset_s)
        return said


EXPOSED = [f"{HEADER}-{what}-{name}" for name in ("Minute", "Day") for what in ("Limit", "Remaining", "Reset")]
"""Those headers, which pages of other hosts may read too."""
