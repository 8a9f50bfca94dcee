"""What the policy wrote in one turn: a call, a call that cannot be read, or an answer.

The Qwen form is `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`. Accepted too, for checkpoints trained
elsewhere: `crop_image` and `crop_image_normalized` {bbox_2d, target_image}, `select_frames` {target_frames}; answers
in `<answer></answer>`, `\\boxed{}` or plain text. `target_image` and `target_frames` count from 1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pixelis.errors import InvalidOperation
from pixelis.schema import Operation, OperationName
from python_backends.pipeline.spaces import Frame, Space, arguments_to_original

_CALL = re.compile(r"<tool_call>(.*?)(</tool_call>|$)", re.DOTALL)
_THINK = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL)
_BOXED = "\\boxed{"
_CROPS = ("crop_image", "crop_image_normalized")
_KNOWN = (*(name.value for name in OperationName), *_CROPS, "select_frames")
_MOST_FRAMES = 8


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


def parse_turn(text: str) -> Turn:
    """The turn in `text`. The first call counts; a turn without one is an answer (perhaps an empty one)."""
    found = _CALL.search(text)
    if found is None:
        return _answer(text)
    thought = _plain(text[: found.start()])
    raw = found[0]
    if not found[2]:
        return Turn(thought, Malformed("The tool call has no `</tool_call>`.", raw))
    return Turn(thought, _call(found[1].strip(), raw))


def _call(body: str, raw: str) -> Call | Malformed:
    try:
        call = json.loads(body)
    except (ValueError, RecursionError) as error:
        return Malformed(f"The tool call is not JSON: {str(error)[:120]}.", raw)
    name = call.get("name") if isinstance(call, dict) else None
    if not isinstance(name, str):
        return Malformed('A tool call is {"name": ..., "arguments": {...}}.', raw)
    if name not in _KNOWN:
        return Malformed(f"There is no tool `{name[:40]}`. Known: {', '.join(_KNOWN)}.", raw)
    arguments = call.get("arguments", {})
    if isinstance(arguments, str):  # OpenAI's form: the arguments as a JSON string
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            arguments = None
    if not isinstance(arguments, dict):
        return Malformed("`arguments` is not a JSON object.", raw)
    return Call(name, arguments, raw)


def _answer(text: str) -> Turn:
    marked = _ANSWER.search(text)
    span = marked.span(1) if marked else _boxed(text)
    if span is None:
        thinking = _THINK.match(text.lstrip())
        skipped = len(text) - len(text.lstrip()) + (thinking.end() if thinking else 0)
        span = (skipped, len(text))
        thought = _plain(text[:skipped])
    else:
        thought = _plain(text[: span[0]].removesuffix("<answer>").removesuffix(_BOXED))
    start, end = span
    inner = text[start:end]
    start += len(inner) - len(inner.lstrip())
    return Turn(thought, Answer(inner.strip(), start, start + len(inner.strip())))


def _boxed(text: str) -> tuple[int, int] | None:
    """Span of what the last `\\boxed{...}` holds, with balanced braces; to the end where it is not closed."""
    at = text.rfind(_BOXED)
    if at < 0:
        return None
    start, depth = at + len(_BOXED), 1
    for i in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return start, i
    return start, len(text)


def _plain(thought: str) -> str:
    return re.sub(r"</?think>", "", thought).strip()


Planned = tuple[Operation, Frame]
"""An operation, and the image of the conversation that it was written about."""


def operations(call: Call, frames: Sequence[Frame], space: Space) -> list[Planned]:
    """The visual operations that a call asks for, in pixels of the originals.

    Args:
        call: as parsed.
        frames: the images of the conversation so far, crops included.
        space: the checkpoint's coordinate space.

    Raises:
        InvalidOperation: `target_image` or `target_frames` names an image that is not there, or `bbox_2d` is missing.
    """
    if call.name == "select_frames":
        return [_whole(frame) for frame in _frames(call.arguments.get("target_frames"), frames)]
    arguments = dict(call.arguments)
    frame = _frame(arguments.pop("target_image", 1), frames)
    if call.name in _CROPS:
        if "bbox_2d" not in arguments:
            raise InvalidOperation(f"`{call.name}` needs `bbox_2d`.", mend="Give [x1, y1, x2, y2].")
        box = arguments.pop("bbox_2d")
        relative: Space = "relative_1" if call.name == "crop_image_normalized" else space
        return [_operation(OperationName.ZOOM_IN, {"region": box}, frame, relative)]
    name = OperationName(call.name)
    if name is OperationName.READ_TEXT and "region" not in arguments and not frame.whole:
        arguments.pop("normalized", None)  # said of no coordinates; the region of the crop is in pixels
        return [_original(name, {**arguments, "region": list(frame.region)}, frame)]
    return [_operation(name, arguments, frame, space)]


def _operation(name: OperationName, arguments: dict[str, Any], frame: Frame, space: Space) -> Planned:
    return _original(name, arguments_to_original(arguments, frame, space), frame)


def _whole(frame: Frame) -> Planned:
    return _original(OperationName.ZOOM_IN, {"region": list(frame.region)}, frame)


def _original(name: OperationName, arguments: dict[str, Any], frame: Frame) -> Planned:
    return Operation(operation=name, arguments=arguments, image_index=frame.image_index), frame


def _frame(target: Any, frames: Sequence[Frame]) -> Frame:
    if isinstance(target, bool) or not isinstance(target, int) or not 1 <= target <= len(frames):
        raise InvalidOperation(f"There is no image {str(target)[:20]!r}.", mend=f"Images are 1 to {len(frames)}.")
    return frames[target - 1]


def _frames(targets: Any, frames: Sequence[Frame]) -> list[Frame]:
    if not isinstance(targets, list) or not 1 <= len(targets) <= _MOST_FRAMES:
        raise InvalidOperation("`target_frames` is not a list of frames.", mend=f"Give 1 to {_MOST_FRAMES} numbers.")
    return [_frame(target, frames) for target in targets]
