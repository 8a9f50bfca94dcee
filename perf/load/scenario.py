"""Who comes, and what they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from perf.e2e.questions import families
from pixelis.errors import InvalidRequest
from pixelis.json_text import reason
from pixelis.schema import Options
from pixelis.yaml_text import loads

FOLDER = Path(__file__).parent / "scenarios"
Kind = Literal["ask", "stream", "rest", "leave", "broken"]
"""Asks over gRPC; the same as a stream; through the gateway; leaves a stream at its first event; sends what is no
picture, and wants to be told so."""


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Users(_Data):
    """One kind of users."""

    name: str = Field(min_length=1, description="in the report")
    kind: Kind
    weight: int = Field(1, ge=1, description="of all users")
    repeated: float = Field(0.0, ge=0, le=1, description="share of questions that were asked before")
    families: list[str] = Field(default_factory=list, description="of questions; none = all")
    options: dict[str, Any] = Field(default_factory=dict, description="of every request")

    @model_validator(mode="after")
    def _sound(self) -> Users:
        try:
            if self.families:
                families(",".join(self.families))
            Options.model_validate(self.options)
        except InvalidRequest as error:
            raise ValueError(error.message) from None
        return self


class Stage(_Data):
    """A part of the run."""

    users: float = Field(ge=0, le=1, description="share of all users")
    time: float = Field(gt=0, le=1, description="share of the run")


class Scenario(_Data):
    """Users of several kinds at once."""

    description: str
    users: list[Users] = Field(min_length=1)
    wait_s: tuple[float, float] = Field((0.0, 0.0), description="between a user's requests, from and to")
    stages: list[Stage] = Field(default_factory=list, description="none = all users, all the time")

    @property
    def through_the_gateway(self) -> bool:
        """Whether it needs one."""
        return any(one.kind == "rest" for one in self.users)

    def users_at(self, share: float, most: int) -> int | None:
        """How many users there are when `share` of the run is over; none at its end."""
        end = 0.0
        for stage in self.stages:
            end += stage.time
            if share < end:
                return max(1, round(stage.users * most))
        return None


def names() -> list[str]:
    """Scenarios that come along."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Scenario:
    """The scenario of a name, or in a file.

    Raises:
        InvalidRequest: there is none, or it is none.
    """
    path = FOLDER / f"{name}.yaml" if name in names() else Path(name)
    try:
        said = loads(path.read_bytes())
    except OSError:
        known = ", ".join(names())
        raise InvalidRequest(f"There is no scenario {name!r}.", mend=f"Known: {known}; or name a YAML file.") from None
    except ValueError as error:
        raise InvalidRequest(f"{path} is not YAML: {reason(error)}.", mend="Mend the file.") from None
    try:
        return Scenario.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "its beginning"
        raise InvalidRequest(f"{path} is wrong at {where}: {first['msg']}.", mend="Mend the file.") from None
