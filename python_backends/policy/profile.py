"""What the runtime must know of a checkpoint and its config.json does not say.

Read from `pixelis.json` beside the checkpoint; a checkpoint without one gets the defaults of its family.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from python_backends.pipeline.dialects import (
    OWN,
    Dialect,
    Space,
    default_dialect,
    dialect_of,
    load_dialect,
    read_dialect,
)


class Calibration(BaseModel):
    """Log-probabilities -> how often such an answer is right (Platt, 1999), fitted on held-out questions.

    The odds of being right are `exp(bias + answer * answer_logprob + call * call_logprob)`.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    bias: float
    answer: float = Field(ge=0, description="weight of the mean log-probability of the answer's tokens")
    call: float = Field(ge=0, description="weight of the same of the least likely call; no call counts 0")


class Profile(BaseModel):
    """How a checkpoint talks: its prompt, its coordinates, and what it is told of a result."""

    model_config = ConfigDict(extra="forbid")

    dialect: Dialect = Field(
        default_factory=default_dialect,
        description="how calls and answers are written: a name, or `dialect.yaml` beside; none = the family's",
    )
    coordinates: Space = Field(
        "view_pixels", description="space of the coordinates that the policy writes; none = the dialect's"
    )
    view: tuple[int, int] = Field((168, 168), description="(width, height) of the view that the policy sees")
    system: str | None = Field(None, description="system prompt; none = no system turn")
    crop_as_image: bool = Field(True, description="a ZOOM_IN result goes back as an image")
    calibration: Calibration | None = Field(
        None, description="makes a probability of the policy's log-probabilities; none = their exponential as it is"
    )
    video_frames: int = Field(8, ge=1, description="frames of a video that the policy is shown, the first among them")
    grammar: bool = Field(True, description="tool calls are decoded under a grammar: see docs/policy.md")
    observation_fields: dict[str, dict[str, str]] | None = Field(
        None,
        description="operation -> {name in the observation: dotted path in the result}; none = the whole result",
    )

    @model_validator(mode="before")
    @classmethod
    def _speaking(cls, said: Any) -> Any:
        """The dialect by its name, and its coordinates where nothing else is said."""
        if not isinstance(said, dict):
            return said
        dialect = said.get("dialect") or default_dialect()
        if isinstance(dialect, str):
            dialect = load_dialect(dialect)
        coordinates = dialect.coordinates if isinstance(dialect, Dialect) else "view_pixels"
        return {"coordinates": coordinates, **said, "dialect": dialect}

    @classmethod
    def load(cls, directory: Path) -> Profile:
        """The profile beside a checkpoint or artifact in `directory`.

        Raises:
            SetupError: its dialect is not there, or is none.
        """
        path = directory / "pixelis.json"
        said = json.loads(path.read_text()) if path.exists() else {}
        if isinstance(said, dict):
            named = said.get("dialect")
            if named is None:
                said["dialect"] = dialect_of(directory)
            elif named == OWN:
                said["dialect"] = read_dialect(directory / OWN)
        return cls.model_validate(said)
