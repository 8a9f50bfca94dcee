"""What a system is asked and what it answered: JSON between the bench and a system's process."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Picture(_Plain):
    """Visual tokens that stand for one image: random, and the same for the same seed."""

    seed: int
    grid: tuple[int, int, int] = Field(description="patches (frames, rows, columns)")


class Job(_Plain):
    """One request.

    Attributes:
        prompt: token ids, the image token repeated once a visual token.
        tokens: tokens to generate; the checkpoint's own end tokens do not end it.
        at: seconds after the start at which it arrives, in an open loop.
        after: an earlier job of a closed loop, whose prompt and answer this one's prompt goes on from; it takes the
            place of that one when that is over.
        lane: in a closed loop, jobs of lane 0 share `Load.concurrency` places; every other lane is a place of its own.
        picture: of the prompt's image, if it has one.
        sampling: more fields of `Sampling`, for the runtime alone.
    """

    prompt: list[int]
    tokens: int
    at: float = 0.0
    after: int | None = None
    lane: int = 0
    picture: Picture | None = None
    sampling: dict[str, Any] = Field(default_factory=dict)


class Load(_Plain):
    """Requests and how they come.

    Attributes:
        concurrency: requests at once (closed loop: the next one comes when one is over); none = they come at `Job.at`.
        limit_s: what is not over by then has failed.
    """

    jobs: list[Job]
    concurrency: int | None = None
    limit_s: float = 300.0


class Answer(_Plain):
    """What became of one job.

    Attributes:
        due: when it arrived, seconds after the start; where it had to wait to be taken, that is part of its latency.
        tokens: generated ids.
        times: when each of them was there.
        finish: as in `PolicyEvent`; the baselines say `length`.
        error: as it crosses the wire; none = it was answered.
    """

    due: float
    tokens: list[int] = Field(default_factory=list)
    times: list[float] = Field(default_factory=list)
    finish: str | None = None
    error: str | None = None

    @property
    def first_s(self) -> float:
        """Seconds to the first token."""
        return self.times[0] - self.due

    @property
    def latency_s(self) -> float:
        """Seconds to the last token."""
        return self.times[-1] - self.due

    @property
    def gaps_s(self) -> list[float]:
        """Seconds between its tokens."""
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]


class Run(_Plain):
    """Answers in the order of the jobs, and the system's own counters before and after.

    Attributes:
        cpu_s: processor time of the system's process meanwhile, all threads together.
    """

    answers: list[Answer]
    cpu_s: float = 0.0
    before: dict[str, Any] = Field(default_factory=dict)
    after: dict[str, Any] = Field(default_factory=dict)

    @property
    def answered(self) -> list[Answer]:
        """Those that got all their tokens."""
        return [answer for answer in self.answers if answer.error is None and answer.times]

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens a second, from the first arrival to the last token."""
        done = self.answered
        if not done:
            return 0.0
        span = max(answer.times[-1] for answer in done) - min(answer.due for answer in self.answers)
        return sum(len(answer.tokens) for answer in done) / max(span, 1e-9)

    @property
    def tokens_per_cpu_s(self) -> float:
        """Generated tokens a second of processor time: hardly depends on what else the machine does."""
        return sum(len(answer.tokens) for answer in self.answered) / max(self.cpu_s, 1e-9)

    def counted(self, name: str) -> float | None:
        """By how much a counter grew; none where the system has no such counter."""
        if name not in self.after:
            return None
        return float(self.after[name]) - float(self.before.get(name, 0.0))
