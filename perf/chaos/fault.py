"""One thing that breaks, and what is expected of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from perf.chaos.fleet import Running
from perf.chaos.surroundings import Kind


class CannotBreak(Exception):
    """This machine does not let it be broken; the text says why."""


class Unexpected(Exception):
    """What was broken was answered otherwise than it may be; the text says how."""


Wound = Callable[[Running], AbstractContextManager[Callable[[], bool]]]
"""Breaks it on entry, gives what says whether that part is well again, and ends the cause on exit."""


@dataclass(frozen=True)
class Fault:
    """One thing that breaks.

    Attributes:
        name: for people.
        expected: what people see, and what mends it.
        wound: breaks it.
        within_s: from the end of the cause until all is well, at most. What dies has no other end than its death.
        lasts_s: how long the cause lasts.
        failing: share of requests that are asked once and may fail, at most.
        retried: the same of those that our client asks again.
        slow_s: a request may take so much longer.
        around: which surroundings the fleet has for it.
    """

    name: str
    expected: str
    wound: Wound
    within_s: float
    lasts_s: float = 0.0
    failing: float = 0.01
    retried: float = 0.0
    slow_s: float = 0.0
    around: Kind = "walled"
