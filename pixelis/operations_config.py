"""How hard visual operations look: at which resolutions, and when what they see is enough."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(gt=0, le=1)]


class Ladder(BaseModel):
    """Resolutions that are tried one after the other.

    The first look is at the lowest step; the next is taken while the confidence is under `enough`.
    `pixelis tune ops` chooses both on labelled samples.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: tuple[Share, ...] = Field((1.0,), min_length=1, description="shares of the full resolution's sides, rising")
    enough: float = Field(1.0, ge=0, le=1, description="confidence from which on no further look is taken")
    stop_early: bool = Field(True, description="leave out frames and models that would not change a certain answer")

    @model_validator(mode="after")
    def _rising(self) -> Ladder:
        if list(self.steps) != sorted(set(self.steps)) or self.steps[-1] != 1.0:
            raise ValueError("steps must rise and end at 1.0")
        return self


FULL = Ladder(stop_early=False)
"""One look at full resolution, nothing left out."""


class Operations(BaseModel):
    """A ladder for each operation that takes looks. ZOOM_IN and GET_PROPERTIES measure what is there."""

    model_config = ConfigDict(extra="forbid")

    segment_object_at: Ladder = Ladder(enough=0.65)
    read_text: Ladder = Ladder(steps=(0.5, 0.75, 1.0), enough=0.9)
    track_object: Ladder = Ladder()
    temporal_localize: Ladder = Ladder(steps=(0.5, 1.0), enough=0.9)

    @classmethod
    def full(cls) -> Operations:
        """Every operation one look at full resolution, nothing left out: what they are defined as."""
        return cls(**dict.fromkeys(cls.model_fields, FULL))
