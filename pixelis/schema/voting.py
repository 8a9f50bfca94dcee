"""An answer and its neighbours, and what they agree on."""

from enum import Enum

from pydantic import Field

from pixelis.schema.base import Wire
from pixelis.schema.experiences import Neighbour


class Strategy(str, Enum):
    """How votes are combined."""

    WEIGHTED = "weighted"
    MAJORITY = "majority"
    CONFIDENCE = "confidence"
    ENSEMBLE = "ensemble"


class Ballot(Wire):
    """Input of `vote`."""

    answer: str
    confidence: float = Field(ge=0, le=1)
    neighbours: list[Neighbour] = Field(default_factory=list)
    strategy: Strategy = Strategy.WEIGHTED


class Verdict(Wire):
    """Output of `vote`."""

    answer: str
    confidence: float
    strategy: Strategy
    reason: str | None = None
    votes: int = 1
    share: float = 1.0
    agreement: float = 1.0
    decided_by: str | None = Field(None, description="id of the confirmed experience that decided without a count")
