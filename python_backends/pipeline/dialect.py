"""What the policy wrote in one turn: a call, a call that cannot be read, or an answer.

The form is Qwen's, `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`. Which tools there are, what their
arguments are called, which images they count from and what marks an answer is the checkpoint's dialect: `dialects/`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pixelis.errors import InvalidOperation
from pixelis.json_text import finite
from pixelis.schema import Operation, OperationName
from python_backends.pipeline.dialects import Dialect, Tool, default_dialect
from python_backends.pipeline.spaces import Frame, Space, arguments_to_original

_CALL = re.compile(r"<tool_call>(.*?)(</tool_call>|$)", re.DOTALL)
_GIVE = dict.fromkeys(("region", "bbox", "init_bbox"), "Give [x1, y1, x2, y2].")
"""How to mend a call without an argument of the operation."""
MOST_DEPTH = 16
"""Objects and lists within each other in a call's arguments: they travel within events, results and experiences, of
which a reader takes 200 levels in all."""
_THINK = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL)


@dataclass(frozen=True)
class Call:
    """A call as written: its name and its arguments, in the policy's own space."""

    name: str
    arguments: dict[str, Any]
    text: str


@dataclass(frozen=True)
class Malformed:
    """A call that cannot be read, and why; the policy is told."""

    reason: str
    text: str


@dataclass(frozen=True)
class Answer:
    """An answer, and where in the turn's text it stands."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Turn:
    """One turn: what was said around the act, and the act."""

    thought: str
    act: Call | Malformed | Answer


def parse_turn(text: str, dialect: Dialect | None = None) -> Turn:
    """The turn in `text`. The first call counts; a turn without one is an answer (perhaps an empty one).

    Args:
        text: what the policy wrote.
        dialect: the checkpoint's; none = the default.
    """
    dialect = dialect or default_dialect()
    found = _CALL.search(text)
    if found is None:
        return _answer(text, dialect)
    thought = _plain(text[: found.start()])
    raw = found[0]
    if not found[2]:
        return Turn(thought, Malformed("The tool call has no `</tool_call>`.", raw))
    return Turn(thought, _call(found[1].strip(), raw, dialect))


def _call(body: str, raw: str, dialect: Dialect) -> Call | Malformed:
    try:
        call = finite(body)
    except ValueError as error:
        return Malformed(f"The tool call is not JSON: {str(error)[:120]}.", raw)
    name = call.get("name") if isinstance(call, dict) else None
    if not isinstance(name, str):
        return Malformed('A tool call is {"name": ..., "arguments": {...}}.', raw)
    if name not in dialect.tools:
        return Malformed(f"There is no tool `{name[:40]}`. Known: {', '.join(dialect.tools)}.", raw)
    arguments = call.get("arguments", {})
    if isinstance(arguments, str):  # OpenAI's form: the arguments as a JSON string
        try:
            arguments = finite(arguments)
        except ValueError:
            arguments = None
    if not isinstance(arguments, dict):
        return Malformed("`arguments` is not a JSON object.", raw)
    if _deep(arguments, MOST_DEPTH):
        return Malformed(f"`arguments` is more than {MOST_DEPTH} levels deep.", raw)
    return Call(name, arguments, raw)


def _deep(value: Any, left: int) -> bool:
    """Whether lists and objects lie more than `left` times within each other."""
    if not isinstance(value, (dict, list)):
        return False
    return not left or any(_deep(one, left - 1) for one in (value.values() if isinstance(value, dict) else value))


def _answer(text: str, dialect: Dialect) -> Turn:
    for mark in dialect.answers:
        span = mark.span(text)
        if span is not None:
            thought = _plain(text[: span[0] - len(mark.open)])
            break
    else:
        thinking = _THINK.match(text.lstrip())
        skipped = len(text) - len(text.lstrip()) + (thinking.end() if thinking else 0)
        span = (skipped, len(text))
        thought = _plain(text[:skipped])
    start, end = span
    inner = text[start:end]
    start += len(inner) - len(inner.lstrip())
    return Turn(thought, Answer(inner.strip(), start, start + len(inner.strip())))


def _plain(thought: str) -> str:
    return re.sub(r"</?think>", "", thought).strip()


Planned = tuple[Operation, Frame]
"""An operation, and the image of the conversation that it was written about."""


def operations(call: Call, frames: Sequence[Frame], space: Space, dialect: Dialect | None = None) -> list[Planned]:
    """The visual operations that a call asks for, in pixels of the originals.

    Args:
        call: as parsed.
        frames: the images of the conversation so far, crops included.
        space: the checkpoint's coordinate space.
        dialect: the one that the call was parsed in; none = the default.

    Raises:
        InvalidOperation: an image is named that is not there, or an argument is missing that the tool needs.
    """
    dialect = dialect or default_dialect()
    tool = dialect.tools[call.name]
    target = dialect.target_of(tool)
    if tool.frames:
        listed = call.arguments.get(tool.frames)
        chosen = _frames(tool.frames, listed, frames, target.base, dialect.most_frames)
        return [_whole(frame) for frame in chosen]
    arguments = dict(call.arguments)
    frame = _frame(arguments.pop(target.argument, target.base), frames, target.base)
    arguments = _named(call.name, tool, arguments)
    name = tool.operation
    if name is OperationName.READ_TEXT and "region" not in arguments and not frame.whole:
        arguments.pop("normalized", None)  # said of no coordinates; the region of the crop is in pixels
        return [_original(name, {**arguments, "region": list(frame.region)}, frame)]
    return [_original(name, arguments_to_original(arguments, frame, tool.coordinates or space), frame)]


def _named(name: str, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """A call's arguments by the operation's own names."""
    if tool.arguments is None:
        return {key: value for key, value in arguments.items() if key not in tool.ignored}
    for needed in tool.needed:
        if needed not in arguments:
            raise InvalidOperation(f"`{name}` needs `{needed}`.", mend=_GIVE.get(tool.arguments[needed]))
    return {own: arguments[written] for written, own in tool.arguments.items() if written in arguments}


def _whole(frame: Frame) -> Planned:
    return _original(OperationName.ZOOM_IN, {"region": list(frame.region)}, frame)


def _original(name: OperationName, arguments: dict[str, Any], frame: Frame) -> Planned:
    return Operation(operation=name, arguments=arguments, image_index=frame.image_index), frame


def _frame(target: Any, frames: Sequence[Frame], base: int) -> Frame:
    last = len(frames) - 1 + base
    if isinstance(target, bool) or not isinstance(target, int) or not base <= target <= last:
        raise InvalidOperation(f"There is no image {str(target)[:20]!r}.", mend=f"Images are {base} to {last}.")
    return frames[target - base]


def _frames(argument: str, targets: Any, frames: Sequence[Frame], base: int, most: int) -> list[Frame]:
    if not isinstance(targets, list) or not 1 <= len(targets) <= most:
        raise InvalidOperation(f"`{argument}` is not a list of frames.", mend=f"Give 1 to {most} numbers.")
    return [_frame(target, frames, base) for target in targets]
