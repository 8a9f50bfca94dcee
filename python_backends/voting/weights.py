"""What one vote weighs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pixelis.schema import Ballot, Neighbour
from python_backends.text import normalise

HOURS_PER_E_FOLD = 24.0
"""An experience loses a factor e of its weight a day."""

MOST_VOTES = 5
"""Of one neighbour: as many as a search brings by default, and so as many as there would be if each were stored."""


@dataclass(frozen=True)
class Vote:
    """One voice: the agent's, or a neighbour's.

    Attributes:
        answer: the answer as its author spelt it.
        group: the answer as it is compared.
        weight: what the voice weighs, >= 0.
        confidence: how sure its author was, 0..1.
        agent: whether the author is the agent.
    """

    answer: str
    group: str
    weight: float
    confidence: float
    agent: bool = False


def success_factor(neighbour: Neighbour) -> float:
    """`0.5 + 0.5 * success rate` once the experience has been retrieved, else 1."""
    if neighbour.retrieval_count == 0:
        return 1.0
    return 0.5 + 0.5 * min(neighbour.success_count / neighbour.retrieval_count, 1.0)


def neighbour_weight(neighbour: Neighbour) -> float:
    """`confidence * s * exp(-age / 24 h) * (0.5 + 0.25 * min(priority, 2)) * similarity`, every factor from 0 to 1.

    An age below zero (clocks that disagree) counts as zero: a vote never grows by being early.
    """
    age = math.exp(-max(neighbour.age_hours, 0.0) / HOURS_PER_E_FOLD)
    urgency = 0.5 + 0.25 * min(max(neighbour.priority, 0.0), 2.0)
    confidence = min(max(neighbour.confidence, 0.0), 1.0)
    return confidence * success_factor(neighbour) * age * urgency * min(max(neighbour.similarity, 0.0), 1.0)


def agent_vote(ballot: Ballot) -> Vote:
    """The agent is one vote of weight = its confidence."""
    return Vote(ballot.answer, normalise(ballot.answer), ballot.confidence, ballot.confidence, agent=True)


def neighbour_votes(ballot: Ballot, min_similarity: float) -> list[Vote]:
    """The votes of the neighbours that are similar enough to have one; one that was learned n times has n."""
    return [
        Vote(n.answer, normalise(n.answer), neighbour_weight(n), min(max(n.confidence, 0.0), 1.0))
        for n in ballot.neighbours
        if n.similarity >= min_similarity
        for _ in range(min(n.occurrences, MOST_VOTES))
    ]
