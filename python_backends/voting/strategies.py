"""Four ways to count votes; each is a function from votes to a count.

Every group is the votes of one answer after normalisation. Sums go through `math.fsum` over sorted values, so that
a count does not depend on the order in which votes arrive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pixelis.schema import Strategy
from python_backends.voting.weights import Vote

ENSEMBLE_BOOST = 1.2
LACK_OF_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Count:
    """What a strategy found: `confidence = min(share * agreement, 1)`.

    Attributes:
        group: the winning answer, normalised.
        share: of the weight, or of the votes, or of the strategies, as the strategy says.
        agreement: the factor that the share is multiplied with.
        reason: why the strategy could not count in its own way.
    """

    group: str
    share: float
    agreement: float
    reason: str | None = None

    @property
    def confidence(self) -> float:
        """0..1."""
        return min(self.share * self.agreement, 1.0)


def agreement(r: float) -> float:
    """`A(r) = 0.6 + 0.4 r`, r = the winner's share of votes by count; monotone, 1 at unanimity."""
    return 0.6 + 0.4 * r


def _groups(votes: Sequence[Vote]) -> dict[str, list[Vote]]:
    groups: dict[str, list[Vote]] = {}
    for vote in votes:
        groups.setdefault(vote.group, []).append(vote)
    return groups


def _weight(votes: Sequence[Vote]) -> float:
    return math.fsum(vote.weight for vote in votes)


def _standing(group: str, votes: Sequence[Vote]) -> tuple[float, bool, str]:
    """Order among equals: higher total weight, then the agent, then the text (so that any order of votes agrees)."""
    return _weight(votes), any(vote.agent for vote in votes), group


def weighted(votes: Sequence[Vote]) -> Count:
    """Share of the winner's weight x agreement. Without any weight at all: the agent's answer, confidence 0."""
    groups = _groups(votes)
    group = max(groups, key=lambda g: _standing(g, groups[g]))
    total = _weight(votes)
    share = min(_weight(groups[group]) / total, 1.0) if total > 0 else 0.0
    return Count(group, share, agreement(len(groups[group]) / len(votes)))


def majority(votes: Sequence[Vote]) -> Count:
    """The winner's count / votes."""
    groups = _groups(votes)
    group = max(groups, key=lambda g: (len(groups[g]), _standing(g, groups[g])))
    return Count(group, len(groups[group]) / len(votes), 1.0)


def confidence(votes: Sequence[Vote], threshold: float) -> Count:
    """Drop votes under `threshold`, weigh x confidence, then as `weighted`.

    None left: the most confident vote (then the heavier, then the agent's), its confidence x 0.5.
    """
    sure = [replace(vote, weight=vote.weight * vote.confidence) for vote in votes if vote.confidence >= threshold]
    if sure:
        return weighted(sure)
    best = max(votes, key=lambda v: (v.confidence, v.weight, v.agent, v.group))
    return Count(best.group, best.confidence, LACK_OF_CONFIDENCE, "no_confident_votes")


def ensemble(votes: Sequence[Vote], threshold: float) -> Count:
    """Mean of the winner's confidence over the three others, x 1.2 capped at 1 when all agree.

    A strategy that chose another answer gives the winner nothing. The winner has the highest mean;
    among equals, the order of `weighted`.
    """
    counts = [weighted(votes), majority(votes), confidence(votes, threshold)]
    groups = _groups(votes)

    def mean(group: str) -> float:
        return math.fsum(c.confidence for c in counts if c.group == group) / len(counts)

    chosen = {c.group for c in counts}
    group = max(chosen, key=lambda g: (mean(g), _standing(g, groups[g])))
    return Count(group, mean(group), ENSEMBLE_BOOST if len(chosen) == 1 else 1.0, counts[2].reason)


def strategy(name: Strategy, threshold: float) -> Callable[[Sequence[Vote]], Count]:
    """The counting function of `name`."""
    table: dict[Strategy, Callable[[Sequence[Vote]], Count]] = {
        Strategy.WEIGHTED: weighted,
        Strategy.MAJORITY: majority,
        Strategy.CONFIDENCE: lambda votes: confidence(votes, threshold),
        Strategy.ENSEMBLE: lambda votes: ensemble(votes, threshold),
    }
    return table[name]
