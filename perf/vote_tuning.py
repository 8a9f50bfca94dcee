"""From which similarity on may a neighbour vote? Held-out plays, voted again at every threshold.

A play is what the served pipeline answered and whom it found; the vote is the served one, run here on the same ballot.
The threshold that is chosen is the lowest from which on, at it and everywhere above, the vote is right at least as
often as the agent, in every family of plays and against every kind of adversary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from builder.nano.pictures import encoded
from builder.nano.questions import Question
from perf.adversaries import FAMILIES, KINDS, Adversary, adversaries, keys
from perf.nano_evaluation import Answered
from pixelis.errors import ServingError
from pixelis.schema import Ballot, Claim, Neighbour
from pixelis.settings import Retrieval
from python_backends.voting.vote import vote

if TYPE_CHECKING:
    from python_backends.pipeline.local import LocalModels

THRESHOLDS = (
    *(round(0.5 + 0.05 * i, 2) for i in range(8)),
    *(round(0.9 + 0.01 * i, 2) for i in range(10)),
    *(round(0.991 + 0.001 * i, 3) for i in range(9)),
    0.9995, 0.9998, 0.9999, 1.0,
)  # fmt: skip
COPIES = 4
"""How often an adversary was learned: one alone has too few votes to be counted."""


@dataclass(frozen=True)
class Play:
    """A question, what the agent answered, and the neighbours that may vote."""

    family: str
    question: Question
    answer: str
    confidence: float
    neighbours: tuple[Neighbour, ...]


def plays(answered: Sequence[Answered]) -> list[Play]:
    """The questions that were answered.

    Raises:
        ServingError: none was.
    """
    found = [
        Play(
            a.question.family,
            a.question,
            a.result.provenance.agent_answer,
            a.result.provenance.agent_confidence,
            tuple(a.result.provenance.neighbours),
        )
        for a in answered
        if a.result is not None
    ]
    if answered and not found:
        reasons = "; ".join(sorted({a.error for a in answered if a.error is not None})[:3])
        raise ServingError(f"No question was answered: {reasons}.", mend="Is the server up? `pixelis doctor`.")
    return found


def against(models: LocalModels, found: Sequence[Play], most: int, k: int) -> list[Play]:
    """The first `most` plays of each family that has adversaries, with those of each kind for neighbours.

    They are as sure as can be and were learned just now, `COPIES` times each; of all of them the `k` nearest.
    """
    made: list[Play] = []
    for family in FAMILIES:
        for play in [p for p in found if p.family == family][:most]:
            near = adversaries(play.question)
            pairs = [(encoded(play.question)[0], play.question.text), *((one.picture, one.question) for one in near)]
            own, *others = keys(models, pairs)
            for kind in KINDS:
                votes = [
                    _neighbour(one, float(own @ key)) for one, key in zip(near, others, strict=True) if one.kind == kind
                ]
                votes = sorted(votes * COPIES, key=lambda n: -n.similarity)[:k]
                made.append(replace(play, family=f"{family}, {kind}", neighbours=tuple(votes)))
    return made


def _neighbour(one: Adversary, similarity: float) -> Neighbour:
    return Neighbour(experience_id=one.kind, answer=one.answer, similarity=similarity, confidence=1.0, priority=2.0)


def curve(found: Sequence[Play], config: Retrieval, thresholds: Sequence[float] = THRESHOLDS) -> list[dict[str, Any]]:
    """One row for each threshold and family: how often agent and vote are right, and how many votes were cast."""
    families = list({play.family: None for play in found})
    return [
        _row(family, [p for p in found if p.family == family], config.model_copy(update={"min_vote_similarity": t}))
        for t in thresholds
        for family in families
    ]


def _row(family: str, found: Sequence[Play], config: Retrieval) -> dict[str, Any]:
    right = [play.question.right(play.answer) for play in found]
    verdicts = [
        vote(Ballot(answer=p.answer, confidence=p.confidence, neighbours=list(p.neighbours)), config) for p in found
    ]
    voted = [play.question.right(verdict.answer) for play, verdict in zip(found, verdicts, strict=True)]
    return {
        "threshold": config.min_vote_similarity,
        "family": family,
        "plays": len(found),
        "agent_accuracy": sum(right) / len(found),
        "voted_accuracy": sum(voted) / len(found),
        "gained": sum(v and not a for a, v in zip(right, voted, strict=True)),
        "lost": sum(a and not v for a, v in zip(right, voted, strict=True)),
        "votes_cast": sum(verdict.votes - 1 for verdict in verdicts) / len(found),
        "nearest": max((n.similarity for play in found for n in play.neighbours), default=None),
    }


def choose(rows: Sequence[dict[str, Any]]) -> float:
    """The threshold.

    Raises:
        ServingError: the vote loses even at the highest one.
    """
    losing = [row["threshold"] for row in rows if row["voted_accuracy"] < row["agent_accuracy"]]
    safe = [row["threshold"] for row in rows if not losing or row["threshold"] > max(losing)]
    if not safe:
        raise ServingError(
            f"The vote is wrong more often than the agent even at {max(losing)}.", mend="Ask with `k` 0, or vote less."
        )
    return float(min(safe))


def claims(rows: Sequence[dict[str, Any]], chosen: float, configured: float) -> list[Claim]:
    """What is claimed of the chosen threshold, and of the one in force."""
    at = [
        Claim(
            claim=f"voted accuracy at {chosen:g} against the agent's, {row['family']}",
            target=row["agent_accuracy"],
            measured=row["voted_accuracy"],
            unit="share",
            met=row["voted_accuracy"] >= row["agent_accuracy"],
        )
        for row in rows
        if row["threshold"] == chosen
    ]
    name = "the configured min_vote_similarity is not below the chosen one"
    return [*at, Claim(claim=name, target=chosen, measured=configured, unit="similarity", met=configured >= chosen)]
