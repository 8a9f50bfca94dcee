"""Whether what people saw is what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perf.chaos.crowd import Outcome, Way
from perf.chaos.fault import Fault
from pixelis.schema import PipelineResult

Right = dict[int, tuple[Any, ...]]
"""What each question is answered while nothing is broken."""
USUAL_S = 10.0
"""A request of a fleet that is well takes less, on a busy machine too."""


@dataclass(frozen=True)
class Seen:
    """One fault.

    Attributes:
        fault: which.
        outcomes: of all requests that ended after it began.
        recovery_s: from the end of the cause until all was well; none = it was not, in time.
        lost: experiences that were acknowledged and are not found.
        refused: changes that were refused meanwhile.
        alarms: alerts that there was reason for.
    """

    fault: Fault
    outcomes: Sequence[Outcome]
    recovery_s: float | None
    lost: Sequence[str]
    refused: int
    alarms: Sequence[str] = ()

    def of(self, *ways: Way) -> list[Outcome]:
        """Of some people."""
        return [one for one in self.outcomes if one.way in ways]

    def row(self, right: Right) -> dict[str, Any]:
        """For the table."""
        once, again, streamed = self.of("plain"), self.of("retrying"), self.of("streamed")
        return {
            "row": "fault",
            "fault": self.fault.name,
            "expected": self.fault.expected,
            "requests": len(self.outcomes),
            "failed": f"{failed(once)}/{len(once)}",
            "failed_retrying": f"{failed(again)}/{len(again)}",
            "failed_streams": f"{failed(streamed)}/{len(streamed)}",
            "done_without": sum(_degraded(one) for one in self.outcomes),
            "slowest_s": round(max((one.seconds for one in self.outcomes), default=0.0), 1),
            "recovery_s": None if self.recovery_s is None else round(self.recovery_s, 1),
            "changes_refused": self.refused,
            "lost": len(self.lost),
            "alerts": ", ".join(self.alarms),
            "held": not self.broken(right),
            "broken": self.broken(right),
        }

    def broken(self, right: Right) -> list[str]:
        """What was otherwise than expected; a line each."""
        fault, found = self.fault, list[str]()
        if self.recovery_s is None or self.recovery_s > fault.within_s:
            found.append(f"not well within {fault.within_s:.0f} s")
        for ways, share in ((("plain",), fault.failing), (("retrying",), fault.retried)):
            asked: list[Outcome] = self.of(*ways)  # type: ignore[arg-type]
            if failed(asked) > share * len(asked):
                found.append(f"{failed(asked)} of {len(asked)} {ways[0]} requests failed: {_first(asked)}")
        untyped = [one for one in self.of("plain", "retrying") if one.error is not None and not one.typed]
        if len(untyped) > fault.failing * len(self.of("plain", "retrying")):
            found.append(f"{len(untyped)} failed without a reason: {untyped[0].error}")
        wrong = [one for one in self.outcomes if one.result is not None and not _right(one, one.result, right)]
        if wrong:
            found.append(f"{len(wrong)} answers are wrong, of question {wrong[0].question} for one")
        slow = [one for one in self.outcomes if one.seconds > USUAL_S + fault.slow_s]
        if slow:
            found.append(f"{len(slow)} requests took longer than {USUAL_S + fault.slow_s:.0f} s")
        if self.lost:
            found.append(f"{len(self.lost)} acknowledged experiences are lost: {self.lost[0]}")
        return found


def failed(outcomes: Sequence[Outcome]) -> int:
    """How many were not answered."""
    return sum(one.error is not None for one in outcomes)


def told(result: PipelineResult) -> tuple[Any, ...]:
    """What must be the same whenever the same is asked and nothing was done without."""
    steps = [action.model_copy(update={"elapsed_ms": 0.0}).model_dump_json() for action in result.trajectory]
    return (result.provenance.agent_answer, *steps)


def _right(one: Outcome, result: PipelineResult, right: Right) -> bool:
    return _degraded(one) or told(result) == right[one.question]


def _degraded(one: Outcome) -> bool:
    return one.result is not None and one.troubled


def _first(outcomes: Sequence[Outcome]) -> str | None:
    return next((one.error for one in outcomes if one.error is not None), None)
