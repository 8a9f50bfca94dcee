"""What a search returns."""

from __future__ import annotations

from dataclasses import dataclass

from pixelis.schema import Experience, Neighbour

COLD_START = "cold_start"


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        neighbours: one list a query, best first.
        reason: why nothing was searched, if so.
        count: living experiences that whoever asked finds.
        epoch: grows with every change of what a search can return.
    """

    neighbours: list[list[Neighbour]]
    reason: str | None
    count: int
    epoch: int


def neighbour(experience: Experience, similarity: float, now: float) -> Neighbour:
    """An experience as it votes, `similarity` from the query, at the time `now` (seconds since the epoch)."""
    return Neighbour(
        experience_id=experience.experience_id,
        answer=experience.answer,
        similarity=similarity,
        confidence=experience.confidence,
        priority=experience.priority,
        age_hours=(now - experience.created_at) / 3600,
        retrieval_count=experience.retrieval_count,
        success_count=experience.success_count,
        occurrences=experience.occurrences,
        confirmed=experience.confirmed,
        tenant=experience.tenant,
    )
