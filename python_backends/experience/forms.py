"""What an entry of the log says, typed: a form for each kind. Entries may come from another replica, or from nobody."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from pixelis.schema import Experience
from python_backends.experience.asked import Asked


class Form(BaseModel):
    """What every kind has in common; what a newer version says beside is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Insert(Form):
    """A new experience."""

    experience: Experience
    capacity: int = Field(ge=0, description="of whoever wrote it")


class Noted(Form):
    """A request was answered; with an `experience_id` what it made is learned, or has come about once more."""

    asked: Asked
    again: bool
    capacity: int = Field(ge=0)


class Again(Form):
    """An experience has come about once more."""

    id: str
    created_at: FiniteFloat


class Judged(Form):
    """Feedback on a request."""

    asked: Asked
    experience: Experience | None
    credited: list[str]
    uncredited: list[str]
    removed: list[str]
    capacity: int = Field(ge=0)


class About(Form):
    """An experience is deleted, or was right."""

    id: str


class Retrieved(Form):
    """Experiences were found; one that was found twice is named twice."""

    ids: list[str]
