"""Which checkpoints are in memory, and who has them on lease."""

from typing import Literal

from pydantic import Field

from pixelis.schema.base import Wire


class ResidencyCommand(Wire):
    """`COMMAND` of `residency`: a lease of a checkpoint, its end, or what there is."""

    command: Literal["lease", "release", "stats"]
    model: str | None = Field(None, description="for `lease`: a checkpoint's name; `default` = the one without")
    deadline: float | None = Field(None, description="for `lease`: of the request, in seconds since the epoch")
    load: bool = Field(True, description="for `lease`: false = only if it is in memory, and without counting as use")
    lease: str | None = Field(None, description="for `release`")


class Resident(Wire):
    """A checkpoint, and where it is."""

    name: str
    state: Literal["absent", "loading", "resident", "leaving"]
    bytes: int = Field(description="what it takes in memory, or would")
    source: str = Field(description="how that is known")
    leases: int = Field(description="requests that use it now")
    idle_s: float | None = Field(None, description="since it was last used; absent where it never was")


class ResidencyResult(Wire):
    """`RESULT` of `residency`."""

    lease: str | None = None
    waited_s: float | None = None
    loaded: bool | None = Field(None, description="whether it had to be loaded")
    budget_bytes: int | None = Field(None, description="of all checkpoints together; absent = no limit")
    checkpoints: list[Resident] = Field(default_factory=list)
