"""What was answered before, and the steps that led there."""

from typing import Any, Literal

from pydantic import Field

from pixelis.schema.base import MAX_COUNT, MAX_SEED, Count, Tenant, Wire
from pixelis.schema.operations import OperationName


class Action(Wire):
    """One step of a trajectory: a visual operation, a thought, or the answer."""

    type: Literal["VISUAL_OPERATION", "REASONING", "ANSWER"]
    operation: OperationName | None = None
    arguments: dict[str, Any] = Field(default_factory=dict, description="coordinates in the original image")
    result: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None
    text: str = ""
    elapsed_ms: float = 0.0
    resolution: float = Field(1.0, description="as the operation's result says")
    looks: int = 0
    skipped: list[str] = Field(default_factory=list)


class Experience(Wire):
    """A past episode. `experience_id` is never an index position; the key is kept beside, not in the JSON."""

    experience_id: str
    question: str
    answer: str
    trajectory: list[Action] = Field(default_factory=list)
    confidence: float = Field(ge=0, le=1)
    reward: float = 0.0
    priority: float = Field(0.01, ge=0)
    created_at: float = Field(description="seconds since the epoch")
    retrieval_count: Count = 0
    success_count: Count = 0
    occurrences: int = Field(
        1, ge=1, le=MAX_SEED, description="how often it was learned: what is so alike is stored once"
    )
    learning_rate: float | None = None
    confirmed: bool = Field(False, description="feedback said that its answer is right, or put the right one in")
    tenant: Tenant = Field("", description="whose it is; none = everybody finds it")


class Neighbour(Wire):
    """A retrieved experience, as it votes."""

    experience_id: str
    answer: str
    similarity: float
    confidence: float = Field(ge=0, le=1)
    priority: float = 1.0
    age_hours: float = 0.0
    retrieval_count: Count = 0
    success_count: Count = 0
    occurrences: int = Field(1, ge=1, le=MAX_COUNT, description="it casts so many votes, five at most")
    confirmed: bool = False
    tenant: Tenant = Field("", description="whose it is; none = a shared one")
