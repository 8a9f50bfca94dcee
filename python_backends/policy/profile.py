"""What the runtime must know of a checkpoint and its config.json does not say.

Read from `pixelis.json` beside the checkpoint; a checkpoint without one gets the defaults of its family.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pixelis.errors import SetupError
from pixelis.json_text import read_object, reason
from python_backends.pipeline.dialects import (
    OWN,
    Dialect,
    Space,
    default_dialect,
    dialect_of,
    load_dialect,
    read_dialect,
)
from python_backends.policy.geometry import Size, nearest

_FAMILIES = ("qwen2_5_vl", "qwen3_vl")
_SHAPES = ((16, 16), (18, 14), (14, 18), (21, 12), (12, 21))
"""Views of a checkpoint that names none, in visual tokens: about 256 of them, square, 4:3 and 16:9."""


View = tuple[Annotated[int, Field(ge=1, le=2**14)], Annotated[int, Field(ge=1, le=2**14)]]
"""(width, height) of what the policy sees, in pixels."""


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
    view: View = Field(
        (168, 168),
        description="(width, height) of the view that the policy sees; in the file it may be a list of them, of which "
        "every picture gets the one that stretches it least",
    )
    views: tuple[View, ...] = Field((), description="all of them, where there are several; `view` is the first")
    resampling: Literal["area", "bicubic"] = Field(
        "area",
        description="how a picture becomes a view: by area, or bicubic with antialiasing as Qwen's own processors do",
    )
    system: str | None = Field(None, description="system prompt; none = no system turn")
    crop_as_image: bool = Field(True, description="a ZOOM_IN result goes back as an image")
    calibration: Calibration | None = Field(
        None, description="makes a probability of the policy's log-probabilities; none = their exponential as it is"
    )
    video: Literal["frames", "pairs"] = Field(
        "frames", description="what is seen of a video: each frame as an image, or two frames as one temporal patch"
    )
    video_frames: int = Field(8, ge=1, description="frames of a video that the policy is shown, the first among them")
    video_fps: float = Field(2.0, gt=0, le=240, description="frames a second that are read of a video, of `pairs`")
    times: Literal["positions", "text"] = Field(
        "positions",
        description="what says when a pair was: positions in time (Qwen2.5-VL), or text before it (Qwen3-VL); in the "
        "file none = the family's",
    )
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

    @model_validator(mode="before")
    @classmethod
    def _several(cls, said: Any) -> Any:
        """A list of views in place of one."""
        view = said.get("view") if isinstance(said, dict) else None
        if isinstance(view, (list, tuple)) and view and isinstance(view[0], (list, tuple)):
            return {**said, "view": view[0], "views": view}
        return said

    @model_validator(mode="after")
    def _whole_pairs(self) -> Profile:
        if self.video == "pairs" and self.video_frames % 2:
            raise ValueError(f"`video_frames` is {self.video_frames}; of a video in pairs it must be even")
        return self

    @property
    def sizes(self) -> tuple[Size, ...]:
        """(width, height) of every view, at least one."""
        return self.views or (self.view,)

    def fitting(self, pictures: Sequence[tuple[float, float]]) -> Size:
        """The view for pictures of these sizes, which one call looks at together."""
        return self.view if len(self.sizes) == 1 else nearest(self.sizes, pictures)

    @classmethod
    def load(cls, directory: Path) -> Profile:
        """The profile beside a checkpoint or artifact in `directory`.

        Raises:
            SetupError: it is none, or its dialect is not there, or is none.
        """
        path = directory / "pixelis.json"
        try:
            said = read_object(path) if path.exists() else {}
            family = _family(directory)
            said = said if "view" in said else {**_family_views(family), **said}
            if family.get("model_type") == "qwen3_vl":
                said = {"times": "text", **said}
            named = said.get("dialect")
            if named is None:
                said["dialect"] = dialect_of(directory)
            elif named == OWN:
                said["dialect"] = read_dialect(directory / OWN)
            return cls.model_validate(said)
        except (OSError, ValueError) as error:  # pydantic's is one
            raise SetupError(
                f"{path.name} is not understood: {reason(error)}.",
                mend="docs/policy.md names its fields; every one may be left out.",
            ) from None


def _family(directory: Path) -> dict[str, Any]:
    """config.json of a checkpoint of a known family; nothing of another."""
    try:
        config = read_object(directory / "config.json")
        return config if config.get("model_type") in _FAMILIES else {}
    except (OSError, ValueError):
        return {}


def _family_views(config: dict[str, Any]) -> dict[str, Any]:
    """Views of whole visual tokens, and videos in pairs, where the profile names no view."""
    try:
        unit = int(config["vision_config"]["patch_size"]) * int(config["vision_config"]["spatial_merge_size"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return {}
    views = [[columns * unit, rows * unit] for columns, rows in _SHAPES]
    return {"view": views, "resampling": "bicubic", "video": "pairs"}
