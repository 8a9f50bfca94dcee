"""What the steps of the ensemble hand to one another."""

from pydantic import Field

from pixelis.schema.base import Wire
from pixelis.schema.experiences import Action, Neighbour
from pixelis.schema.options import Options
from pixelis.schema.results import Finish

PROBE_ID = "watchdog"
"""Request id of whoever only looks whether a model lives: for that no checkpoint is loaded."""


class PreparedRequest(Wire):
    """What `prepare` hands to the other steps, as JSON in the tensor `REQUEST`."""

    request_id: str
    question: str
    options: Options
    digest: str = Field(description="sha-256 of the encoded images, in order")
    sizes: list[tuple[int, int]] = Field(description="(width, height) of each original image")
    started_at: float = Field(description="seconds since the epoch")
    deadline: float = Field(description="seconds since the epoch at which the request must have ended")
    elapsed_ms: float = 0.0


class RecallOutcome(Wire):
    """What `recall` hands to `finish`, as JSON in the tensor `NEIGHBOURS`; the key travels as `KEY`."""

    neighbours: list[Neighbour] = Field(default_factory=list)
    reason: str | None = None
    elapsed_ms: float = 0.0
    timings_ms: dict[str, float] = Field(default_factory=dict)


class StateRows(Wire):
    """Embeddings of a trajectory's states after the first one; base64 of float32, little-endian, row after row."""

    text: str = Field(description="[visual steps, 384]")
    visual: str = Field(description="[views that were not seen before, 1280]")


class AgentOutcome(Wire):
    """What `reason` hands to `finish`, as JSON in the tensor `OUTCOME`."""

    answer: str
    confidence: float = Field(ge=0, le=1)
    actions: list[Action]
    answer_logprob: float | None = Field(None, description="mean log-probability of the answer's tokens")
    call_logprob: float | None = Field(None, description="the same of the least likely tool call")
    finish: Finish = "answer"
    from_cache: bool = Field(False, description="the same was asked before; `elapsed_ms` is of the look-up")
    error: str | None = Field(None, description="with `timeout`: what was not done in time")
    states: StateRows | None = Field(None, description="what `reason` embedded beside the policy")
    tokens: int = Field(0, description="written by the policy, in all turns")
    prompt_tokens: int = Field(0, description="given to it, in all turns")
    elapsed_ms: float = 0.0
    timings_ms: dict[str, float] = Field(default_factory=dict)
