"""What a question is answered, and how it came about."""

from typing import Literal

from pydantic import Field

from pixelis.schema.base import Wire
from pixelis.schema.experiences import Action, Neighbour
from pixelis.schema.operations import Operation, OperationResult
from pixelis.schema.rewards import Reward
from pixelis.schema.voting import Strategy


class Provenance(Wire):
    """Where an answer comes from."""

    agent_answer: str
    agent_confidence: float
    neighbours: list[Neighbour] = Field(default_factory=list)
    strategy: Strategy = Strategy.WEIGHTED
    reason: str | None = None
    learned: str | None = Field(None, description="id of the experience that this request inserted")
    decided_by: str | None = Field(None, description="id of the neighbour that decided: `confirmed_by_feedback`")
    reasons: list[str] = Field(default_factory=list, description="stages that failed and were done without")


Finish = Literal["answer", "max_operations", "max_tokens", "stop", "timeout"]
"""How an agent's reasoning ends: with an answer, or where an option or the time that it had cut it off."""


class Usage(Wire):
    """What a request took of the policy."""

    prompt_tokens: int = Field(description="given to it: conversation, visual tokens, observations")
    completion_tokens: int = Field(description="written by it, in all turns")


class PipelineResult(Wire):
    """`RESULT` of the ensemble `pixelis`, and the final event of `agent`."""

    request_id: str
    answer: str
    confidence: float
    trajectory: list[Action]
    reward: Reward | None
    provenance: Provenance
    timings_ms: dict[str, float]
    versions: dict[str, str]
    from_cache: bool = False
    usage: Usage | None = Field(None, description="of the reasoning that made the answer, even where a cache had it")
    finish: Finish = Field("answer", description="how the agent's reasoning ended")


class Event(Wire):
    """One event of `agent`."""

    event: Literal["token", "tool_call", "observation", "answer", "error"]
    step: int = 0
    text: str = ""
    operation: Operation | None = None
    observation: OperationResult | None = None
    result: PipelineResult | None = None
    code: str | None = None
