"""What `knn` is told, and what it says."""

from typing import Any, Literal

from pydantic import Field

from pixelis.schema.base import Tenant, Wire
from pixelis.schema.experiences import Experience, Neighbour


class KnnCommand(Wire):
    """`COMMAND` of `knn`; `search`, `insert` and `asked` carry their key in the request's `KEY` tensor.

    `asked` notes what a request was answered, so that `feedback` on its id finds it; with `learn` it inserts
    `experience`.
    """

    command: Literal["search", "insert", "asked", "delete", "feedback", "stats", "tune", "snapshot", "verify"]
    experience: Experience | None = None
    experience_id: str | None = None
    request_id: str | None = Field(None, description="for `asked`; for `feedback`, instead of `experience_id`")
    correct: bool | None = None
    answer: str | None = Field(
        None, description="for `feedback`, instead of `correct`: the right answer; for `asked`: the one that was given"
    )
    retrieved: list[str] = Field(default_factory=list, description="for `asked`: the neighbours that were found")
    learn: bool = Field(False, description="for `asked`: insert the experience too")
    count: bool = Field(False, description="for `search`: what is found counts as retrieved")
    tenant: Tenant = Field(
        "", description="who asks: finds its own and the shared ones, changes its own; for `stats`, none = of all"
    )


class Judgement(Wire):
    """What feedback on a request changed."""

    request_id: str
    question: str
    answer: str = Field(description="that the request was given")
    correct: bool
    right_answer: str | None = Field(None, description="absent where it is only known that the answer was wrong")
    experience_id: str | None = Field(None, description="the experience that holds it now")
    credited: list[str] = Field(default_factory=list, description="neighbours that had said the right answer")
    replaced: list[str] = Field(default_factory=list, description="experiences of the same picture and question, gone")


class KnnResult(Wire):
    """`RESULT` of `knn`."""

    neighbours: list[Neighbour] = Field(default_factory=list)
    reason: str | None = None
    count: int = Field(0, description="live experiences")
    epoch: int = Field(0, description="grows by one with every change of the index")
    experience_id: str | None = None
    judgement: Judgement | None = None
    stats: dict[str, Any] = Field(default_factory=dict)
