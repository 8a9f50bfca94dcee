"""Step four: reward, vote, learning, and the result. Whatever fails here is left out, and the result says why."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from pixelis.errors import PixelisError
from pixelis.schema import (
    AgentOutcome,
    Ballot,
    Experience,
    KnnCommand,
    PipelineResult,
    PreparedRequest,
    Provenance,
    RecallOutcome,
    Reward,
    RewardRequest,
    Usage,
    Verdict,
)
from pixelis.settings import Retrieval
from python_backends.deadlines import Job
from python_backends.experience.key import VISUAL_WIDTH
from python_backends.experience.priority import learning_rate, priority
from python_backends.experience.store import COLD_START
from python_backends.images import DecodedImages
from python_backends.pipeline.ahead import unpacked
from python_backends.pipeline.faults import ours
from python_backends.pipeline.models import Floats, Models
from python_backends.pipeline.recall import NO_RETRIEVAL
from python_backends.pipeline.shares import LEARN, REWARD, STATES, VOTE, Stopwatch, share
from python_backends.pipeline.states import Rows, state_keys
from python_backends.policy.profile import Profile
from python_backends.text import normalise
from python_backends.voting.vote import CONFIRMED

T = TypeVar("T")

_EXPECTED = (COLD_START, NO_RETRIEVAL)
"""Reasons for having no neighbours that are no failure."""


class Finisher:
    """Composes the result of a request.

    Args:
        models: the sibling models.
        profile: the checkpoint's; it says what the policy was told of each operation.
        decoded: the process's decoded pictures.
        config: retrieval weights, and from which confidence an answer is learned.
    """

    def __init__(self, models: Models, profile: Profile, decoded: DecodedImages, config: Retrieval) -> None:
        self._models = models
        self._profile = profile
        self._decoded = decoded
        self._config = config

    def __call__(
        self,
        images: Sequence[bytes],
        request: PreparedRequest,
        recalled: RecallOutcome,
        key: Floats,
        outcome: AgentOutcome,
    ) -> PipelineResult:
        """The result of one request; never raises because retrieval, reward, vote or learning failed.

        Args:
            images: encoded, unwrapped.
            request: as `prepare` made it.
            recalled: as `recall` made it.
            key: `[1664]`; zeros where `recall` could not make one.
            outcome: as `reason` made it.
        """
        watch, reasons, unvoted = Stopwatch(), _failures(recalled, outcome), list[str]()

        def vote() -> Verdict | None:
            return self._attempt("vote", watch, unvoted, lambda: self._vote(request, recalled, outcome))

        voting = Job(vote, "vote")  # neither needs the other one
        reward = self._attempt("reward", watch, reasons, lambda: self._reward(images, request, key, outcome, reasons))
        if reward is not None and reward.reason:
            reasons.append(f"reward: {reward.reason}")
        voted = self._attempt("voting", Stopwatch(), unvoted, lambda: voting.result(request.deadline))
        reasons += unvoted
        verdict = voted or _unvoted(request, outcome, None)
        learned = None
        if not request.options.read_only and request.options.alone:
            learned = self._attempt(
                "learn", watch, reasons, lambda: self._learn(request, recalled, key, outcome, reward, verdict)
            )
        provenance = Provenance(
            agent_answer=outcome.answer,
            agent_confidence=outcome.confidence,
            neighbours=recalled.neighbours,
            strategy=verdict.strategy,
            reason=verdict.reason,
            learned=learned,
            decided_by=verdict.decided_by,
            reasons=reasons,
        )
        return PipelineResult(
            request_id=request.request_id,
            answer=verdict.answer,
            confidence=verdict.confidence,
            trajectory=outcome.actions,
            reward=reward,
            provenance=provenance,
            timings_ms=_timings(request, recalled, outcome, watch),
            versions=self._models.versions(),
            from_cache=outcome.from_cache,
            usage=Usage(prompt_tokens=outcome.prompt_tokens, completion_tokens=outcome.tokens),
            finish=outcome.finish,
        )

    def _attempt(self, stage: str, watch: Stopwatch, reasons: list[str], work: Callable[[], T]) -> T | None:
        started = time.perf_counter()
        try:
            return work()
        except PixelisError as error:
            reasons.append(f"{stage}: {error.wire()}")
            return None
        finally:
            watch.add(stage, started)

    def _reward(
        self,
        images: Sequence[bytes],
        request: PreparedRequest,
        key: Floats,
        outcome: AgentOutcome,
        reasons: list[str],
    ) -> Reward:
        states: list[list[float]] = []
        try:
            states = self._states(images, request, key, outcome)
        except PixelisError as error:
            reasons.append(f"state keys: {error.wire()}")
        asked = RewardRequest(
            actions=outcome.actions,
            states=states,
            image_sizes=request.sizes,
            answer=outcome.answer,
            reference_answer=request.options.reference_answer,
        )
        return self._models.reward(asked, share(request.deadline, REWARD))

    def _states(
        self, images: Sequence[bytes], request: PreparedRequest, key: Floats, outcome: AgentOutcome
    ) -> list[list[float]]:
        pictures = self._decoded.lazily(images)
        states = state_keys(
            self._models,
            self._profile,
            pictures,
            request.question,
            outcome.actions,
            share(request.deadline, STATES),
            self._config.visual_weight,
            first=key if _whole(key) else None,
            later=_ahead(outcome),
        )
        found: list[list[float]] = states.tolist()
        return found

    def _vote(self, request: PreparedRequest, recalled: RecallOutcome, outcome: AgentOutcome) -> Verdict:
        if not recalled.neighbours and recalled.reason:
            return _unvoted(request, outcome, recalled.reason)
        ballot = Ballot(
            answer=outcome.answer,
            confidence=outcome.confidence,
            neighbours=recalled.neighbours,
            strategy=request.options.strategy,
        )
        return self._models.vote(ballot, share(request.deadline, VOTE))

    def _learn(
        self,
        request: PreparedRequest,
        recalled: RecallOutcome,
        key: Floats,
        outcome: AgentOutcome,
        reward: Reward | None,
        verdict: Verdict,
    ) -> str | None:
        """What `read_only: false` asks for; the id of the experience that was learned, if any.

        Successes of one's own are counted where the right answer is given; the request is noted, so that feedback on
        its id finds it; and a confident answer is learned, unless a human's word had decided: what contradicts that is
        known to be wrong, and what agrees is known already.
        """
        deadline, tenant = share(request.deadline, LEARN), request.options.tenant
        right = request.options.reference_answer
        if right is not None:
            for neighbour in recalled.neighbours:
                if neighbour.tenant == tenant and normalise(neighbour.answer) == normalise(right):
                    self._models.feedback(neighbour.experience_id, right, deadline, tenant)
        sure = outcome.finish == "answer" and bool(outcome.answer)
        asked = KnnCommand(
            command="asked",
            request_id=request.request_id,
            experience=_experience(request, outcome, reward),
            answer=verdict.answer,
            retrieved=[] if right is not None else [n.experience_id for n in recalled.neighbours],
            learn=sure and outcome.confidence >= self._config.learn_confidence and verdict.reason != CONFIRMED,
            tenant=tenant,
        )
        return self._models.remember(asked, key, deadline)


def _experience(request: PreparedRequest, outcome: AgentOutcome, reward: Reward | None) -> Experience:
    total = reward.total if reward else 0.0
    return Experience(
        experience_id=request.request_id,
        question=request.question,
        answer=outcome.answer,
        trajectory=outcome.actions,
        confidence=outcome.confidence,
        reward=total,
        priority=priority(outcome.confidence, total),
        created_at=time.time(),
        learning_rate=learning_rate(outcome.confidence),
    )


def _failures(recalled: RecallOutcome, outcome: AgentOutcome) -> list[str]:
    """What failed before this step and was done without."""
    told = [] if recalled.reason in (None, *_EXPECTED) else [str(recalled.reason)]
    told += [f"reason: {outcome.error}"] if outcome.error else []
    failed = {f"visual_ops: {action.error}" for action in outcome.actions if ours(action)}
    return [*told, *sorted(failed)]


def _ahead(outcome: AgentOutcome) -> Rows | None:
    """What `reason` embedded already; whatever else stands there is passed over."""
    try:
        return unpacked(outcome.states) if outcome.states is not None else None
    except ValueError:
        return None


def _whole(key: Floats) -> bool:
    """Whether a key has both its sides."""
    return bool(key[:VISUAL_WIDTH].any() and key[VISUAL_WIDTH:].any())


def _unvoted(request: PreparedRequest, outcome: AgentOutcome, reason: str | None) -> Verdict:
    """The agent's answer and confidence, unchanged."""
    return Verdict(
        answer=outcome.answer, confidence=outcome.confidence, strategy=request.options.strategy, reason=reason
    )


def _timings(
    request: PreparedRequest, recalled: RecallOutcome, outcome: AgentOutcome, watch: Stopwatch
) -> dict[str, float]:
    """Milliseconds per stage, the parts of a stage as `stage.part`, and `total` since the request arrived."""
    timings = {
        "prepare": request.elapsed_ms,
        "recall": recalled.elapsed_ms,
        "reason": outcome.elapsed_ms,
        "finish": watch.elapsed_ms,
        "total": round(1000 * (time.time() - request.started_at), 3),
    }
    for stage, parts in (("recall", recalled.timings_ms), ("reason", outcome.timings_ms), ("finish", watch.ms)):
        timings.update({f"{stage}.{part}": value for part, value in parts.items()})
    return timings
