"""What the runtime must know of a checkpoint and its config.json does not say.

Read from `pixelis.json` beside the checkpoint; a checkpoint without one gets the defaults of its family.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Profile(BaseModel):
    """How a checkpoint talks: its prompt, its coordinates, and what it is told of a result."""

    model_config = ConfigDict(extra="forbid")

    coordinates: Literal["view_pixels", "relative_1000", "relative_1"] = Field(
        "view_pixels", description="space of the coordinates that the policy writes"
    )
    view: tuple[int, int] = Field((168, 168), description="(width, height) of the view that the policy sees")
    system: str | None = Field(None, description="system prompt; none = no system turn")
    crop_as_image: bool = Field(True, description="a ZOOM_IN result goes back as an image")
    observation_fields: dict[str, dict[str, str]] | None = Field(
        None,
        description="operation -> {name in the observation: dotted path in the result}; none = the whole result",
    )

    @classmethod
    def load(cls, directory: Path) -> Profile:
        """The profile beside a checkpoint or artifact in `directory`."""
        path = directory / "pixelis.json"
        return cls.model_validate_json(path.read_text()) if path.exists() else cls()
