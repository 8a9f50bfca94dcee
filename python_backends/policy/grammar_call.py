r"""What may follow `<tool_call>`: one call, as a regular expression over its text.

    \n{"name": NAME, "arguments": {KEY: VALUE, ...}}\n</tool_call>

Every argument has its type: a box is four numbers and a point two, an image is counted from 1, a text cannot hold what
would end the call. Keys may come in any order; the one that an operation cannot do without comes once. The line breaks
and the space after `:` and `,` may be missing, other white space may not be there. Everything is bounded, so that a
policy that repeats itself gets to the end of its call. Whether a value is *right* (inside the image, not empty) is for
the operation to say: its words go back to the policy as the observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

OPEN, CLOSE = "<tool_call>", "</tool_call>"

_NUMBER = r"(?:0|[1-9][0-9]{0,4})(?:\.[0-9]{1,6})?"
_POSITIVE = r"(?:[1-9][0-9]{0,3}(?:\.[0-9]{1,6})?|0\.[0-9]{0,5}[1-9])"
_SHARE = r"(?:0(?:\.[0-9]{1,6})?|1(?:\.0)?)"
_WHOLE = r"[1-9][0-9]{0,3}"
_IMAGE = r"[1-9][0-9]?"
# No `<`: the text of a call ends at the first `</tool_call>`. Escaped surrogates come in pairs, or JSON's reader
# makes half characters of them that no UTF-8 can carry.
_CHARACTER = (
    r'(?:[^"\\<\x00-\x1F\x7F]|\\["\\/bfnrt]|\\u(?:[0-9a-cA-CefEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
_RUN = r"(?:[0-\[\]-o]|\\\\)"
"""A character of COCO's compressed run-length text (48 to 111), its backslash escaped."""


def _list(item: str, least: int, most: int) -> str:
    return rf"\[{item}(?:, ?{item}){{{least - 1},{most - 1}}}\]"


_BOX, _POINT, _SIZE = _list(_NUMBER, 4, 4), _list(_NUMBER, 2, 2), _list(_WHOLE, 2, 2)
_TEXT = f'"{_CHARACTER}{{1,400}}"'
_BOOLEAN = "(?:true|false)"
_MASK = rf'\{{"size": ?{_list("[1-9][0-9]{0,4}", 2, 2)}, ?"counts": ?"{_RUN}{{1,8192}}"\}}'


@dataclass(frozen=True)
class Tool:
    """A tool and what it takes.

    Attributes:
        name: as the policy writes it.
        needed: alternatives; of one of them, every key must be there.
        optional: keys that may be there.
    """

    name: str
    needed: tuple[dict[str, str], ...]
    optional: dict[str, str]


_PLACED = {"normalized": _BOOLEAN, "target_image": _IMAGE}
_FOREIGN = {"target_image": _IMAGE}

TOOLS = (
    Tool(
        "ZOOM_IN", ({"region": _BOX}, {"center": _POINT, "zoom_factor": _POSITIVE}), {"target_size": _SIZE, **_PLACED}
    ),
    Tool("SEGMENT_OBJECT_AT", ({"point": _POINT},), {"threshold": _SHARE, **_PLACED}),
    Tool("READ_TEXT", ({},), {"region": _BOX, "return_boxes": _BOOLEAN, **_PLACED}),
    Tool("GET_PROPERTIES", ({"bbox": _BOX}, {"mask": _MASK}), _PLACED),
    Tool("TRACK_OBJECT", ({"init_bbox": _BOX}, {"init_mask": _MASK}), _PLACED),
    Tool("TEMPORAL_LOCALIZE", ({"query": _TEXT},), {"threshold": _SHARE, **_FOREIGN}),
    Tool("crop_image", ({"bbox_2d": _BOX},), _FOREIGN),
    Tool("crop_image_normalized", ({"bbox_2d": _list(_SHARE, 4, 4)},), _FOREIGN),
    Tool("select_frames", ({"target_frames": _list(_IMAGE, 1, 8)},), {}),
)
"""The six operations, and the forms of checkpoints that were trained elsewhere (see `pipeline/dialect.py`)."""


def call_pattern(tools: Sequence[Tool] = TOOLS) -> str:
    """The regular expression (Rust's `regex` syntax) of what follows `<tool_call>`, `</tool_call>` included."""
    calls = "|".join(rf'"{tool.name}", ?"arguments": ?\{{{_arguments(tool)}\}}' for tool in tools)
    return rf'\n?\{{"name": ?(?:{calls})\}}\n?{CLOSE}'


def _arguments(tool: Tool) -> str:
    extra = "(?:" + "|".join(_pair(key, value) for key, value in tool.optional.items()) + ")" if tool.optional else ""
    most = len(tool.optional)
    orders = [
        _in_order([_pair(key, value) for key, value in order], extra, most)
        for needed in tool.needed
        for order in permutations(needed.items())
    ]
    return "(?:" + "|".join(orders) + ")"


def _pair(key: str, value: str) -> str:
    return f'"{key}": ?{value}'


def _in_order(needed: list[str], extra: str, most: int) -> str:
    """`needed` in this order, with at most `most` of `extra` before, between and after."""
    if not extra:
        return ", ?".join(needed)
    if not needed:
        return f"(?:{extra}(?:, ?{extra}){{0,{most - 1}}})?"
    before, after = f"(?:{extra}, ?){{0,{most}}}", f"(?:, ?{extra}){{0,{most}}}"
    return before + f"{after}, ?".join(needed) + after
