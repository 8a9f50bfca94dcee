"""Answers that locate: Qwen's grounding form, with its coordinates in pixels of the original.

`{"point_2d": [x, y]}` or `{"bbox_2d": [x1, y1, x2, y2]}`, alone or in a list, other keys kept (as `label`),
with or without a Markdown fence. The policy writes coordinates of its view; whoever asked knows only the original.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pixelis.json_text import finite
from python_backends.pipeline.spaces import Frame, Space, numbers

_FENCED = re.compile(r"\A```(?:json)?\s*(.*?)\s*```\Z", re.DOTALL)
_COORDINATES = {"point_2d": 2, "bbox_2d": 4}


def located(answer: str, frames: Sequence[Frame], space: Space) -> str:
    """An answer in grounding form with whole pixels of the original; any other answer as it is.

    Args:
        answer: the policy's.
        frames: the images of the conversation; the first one is meant, or the one of `target_image` (from 1).
        space: what the policy writes its coordinates in.
    """
    fenced = _FENCED.match(answer)
    try:  # what is read here can be written again: no lone surrogates, no endless nesting, no 1e999
        said = finite(fenced[1] if fenced else answer)
    except ValueError:
        return answer
    places = said if isinstance(said, list) else [said]
    if not places or not all(_is_place(place) for place in places):
        return answer
    mapped = [_mapped(place, frames, space) for place in places]
    return json.dumps(mapped if isinstance(said, list) else mapped[0], ensure_ascii=False)


def _is_place(place: Any) -> bool:
    if not isinstance(place, dict):
        return False
    named = [name for name in _COORDINATES if name in place]
    return bool(named) and all(
        isinstance(place[name], list) and numbers(place[name]) and len(place[name]) == _COORDINATES[name]
        for name in named
    )


def _mapped(place: dict[str, Any], frames: Sequence[Frame], space: Space) -> dict[str, Any]:
    target = place.get("target_image", 1)
    known = isinstance(target, int) and not isinstance(target, bool) and 1 <= target <= len(frames)
    frame = frames[target - 1 if known else 0]
    out = dict(place)
    for name in _COORDINATES:
        if name in place:
            value = place[name]
            points = [frame.to_original((value[i], value[i + 1]), space) for i in range(0, len(value), 2)]
            out[name] = [round(v) for point in points for v in point]
    return out
