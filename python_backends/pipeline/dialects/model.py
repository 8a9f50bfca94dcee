"""A dialect as typed data."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pixelis.schema import OperationName
from python_backends.pipeline.dialects.answers import AnswerMark

Space = Literal["view_pixels", "relative_1000", "relative_1"]
"""What coordinates are written in: pixels of the view, thousandths of its sides, or shares of them."""

_NAME = r"^[A-Za-z0-9_.-]{1,64}$"


class Target(BaseModel):
    """How a call says which image of the conversation it is about; one that does not say means the first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    argument: str = Field("target_image", pattern=_NAME)
    base: Literal[0, 1] = Field(1, description="number of the first image")


class Tool(BaseModel):
    """A name that calls are written by, and what it stands for.

    With `arguments` only those are read, by the names that the dialect gives them; without, all of the operation's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: OperationName = Field(description="what runs")
    arguments: dict[str, str] | None = Field(None, description="argument as it is written -> the operation's")
    needed: tuple[str, ...] = Field((), description="written arguments without which it cannot run")
    ignored: tuple[str, ...] = Field((), description="written arguments of text that nothing depends on")
    coordinates: Space | None = Field(None, description="space of this tool's coordinates; none = the checkpoint's")
    target: Target | None = Field(None, description="none = the dialect's")
    frames: str | None = Field(None, description="argument that lists images, each of which is shown whole")

    @model_validator(mode="after")
    def _fits(self) -> Tool:
        unknown = [name for name in self.needed if name not in (self.arguments or {})]
        if unknown:
            raise ValueError(f"`needed` has {unknown[0]!r}, which is none of `arguments`")
        if self.frames and self.operation is not OperationName.ZOOM_IN:
            raise ValueError("`frames` shows images, which ZOOM_IN does")
        if self.frames and self.arguments:
            raise ValueError("a tool has `frames` or `arguments`, not both")
        return self


class Dialect(BaseModel):
    """How a checkpoint writes its calls and answers.

    What holds a call is the chat form's: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=_NAME)
    coordinates: Space = Field(description="space of coordinates, unless pixelis.json or a tool says another one")
    target: Target = Target()
    most_frames: int = Field(8, ge=1, le=64, description="images that one call may list")
    tools: dict[str, Tool] = Field(min_length=1)
    answers: tuple[AnswerMark, ...] = Field((), description="in the order that they are looked for; none = plain text")

    @model_validator(mode="after")
    def _names(self) -> Dialect:
        if any('"' in name or "\\" in name or "<" in name or not name.isprintable() for name in self.tools):
            raise ValueError("a tool's name has no quotes, backslashes or `<`")
        return self

    def target_of(self, tool: Tool) -> Target:
        """How a call of `tool` says which image it is about."""
        return tool.target or self.target
