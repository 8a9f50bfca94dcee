"""What the policy is asked to write, and what it writes."""

from typing import Literal

from pydantic import Field

from pixelis.schema.base import Wire
from pixelis.schema.token_choice import TokenChoice


class Sampling(TokenChoice):
    """`SAMPLING` of `policy`."""

    request_id: str
    max_tokens: int = Field(512, ge=1)
    stop_ids: list[int] = Field(default_factory=list, description="beside the checkpoint's own end tokens")
    ignore_end: bool = Field(False, description="the checkpoint's own end tokens do not end it: equal work for a bench")
    stream: bool = Field(True, description="one event a token; else a single event with all of them")
    deadline: float | None = Field(None, description="seconds since the epoch")
    grammar: bool = Field(False, description="decode tool calls under the grammar; the checkpoint's profile allows it")
    patch_seconds: float | None = Field(
        None,
        gt=0,
        le=86_400,
        description="seconds from one temporal patch to the next, of images whose grid has several (Qwen2.5-VL's "
        "videos); none = one position",
    )
    channel: str | None = Field(
        None,
        pattern="^[a-z0-9]{16,64}$",
        description="socket in the server's own folder that takes tokens as they come; the answer is a single event",
    )


class PolicyEvent(Wire):
    """One event of `policy`: token ids, their log-probabilities, and why it ended.

    The log-probabilities are those of the policy's own distribution: before penalty, temperature, filters and grammar.
    A token that may be part of a stop text is held back until it is known not to be. Those that complete one are among
    the tokens; `text_length` says how much of the text of all the turn's tokens counts, the stop text left out.
    """

    tokens: list[int] = Field(default_factory=list)
    logprobs: list[float] = Field(default_factory=list)
    finish: Literal["stop", "length", "cancelled", "deadline"] | None = None
    stop: str | None = Field(None, description="the stop text that ended it")
    text_length: int | None = Field(None, ge=0, description="with `stop`: characters before it, control tokens aside")
