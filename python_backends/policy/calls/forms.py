r"""What may follow `<tool_call>`: one call.

    \n{"name": NAME, "arguments": {KEY: VALUE, ...}}\n</tool_call>

Every argument has its type, and what is written of an image is inside it: coordinates are in the space of the
checkpoint or, with `"normalized": true`, from 0 to 1; images and frames are those of the conversation. Keys come in any
order and once each. The line breaks and the space after `:` and `,` may be missing, other white space may not be
there. Everything is bounded. Whether a box is *right* (not empty, on the object) is for the operation to say: its words
go back to the policy as the observation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from python_backends.policy.calls.numbers import Counted, below, positive, upto, whole
from python_backends.policy.calls.pattern import Chars, Maybe, NotAscii, Pattern, Times, any_of, text
from python_backends.policy.profile import Profile

OPEN, CLOSE = "<tool_call>", "</tool_call>"

LONGEST_QUERY = 200
"""Characters, as in `visual_ops.arguments.LocalizeArguments`."""
LARGEST_TARGET = 4096
"""As in `visual_ops.arguments.MAX_TARGET`."""
_MOST_FRAMES = 8
"""As in `pipeline.dialect`."""

# No `<`: the text of a call ends at the first `</tool_call>`.
PLAIN = any_of([Chars(frozenset(range(0x20, 0x7F)) - frozenset(b'"\\<')), NotAscii()])
"""A character that is written as it is."""
_RUN = Chars.of("0[", "]o") | text("\\\\")
"""A character of COCO's compressed run-length text (48 to 111), its backslash escaped."""
_HEX = Chars.of("09", "af", "AF")
# Escaped surrogates come in pairs, or JSON's reader makes half characters of them that no UTF-8 can carry.
_UNICODE = (Chars.of("09", "ac", "AC", "e", "f", "E", "F") + Times(_HEX, 3, 3)) | (
    Chars.of("d", "D") + Chars.of("07") + Times(_HEX, 2, 2)
)
_PAIR = (
    Chars.of("d", "D")
    + Chars.of("8", "9", "a", "b", "A", "B")
    + Times(_HEX, 2, 2)
    + text("\\u")
    + (Chars.of("d", "D") + Chars.of("cf", "CF") + Times(_HEX, 2, 2))
)
_CHARACTER = any_of([PLAIN, text("\\") + Chars(frozenset(b'"\\/bfnrt')), text("\\u") + (_UNICODE | _PAIR)])
_SPACE = Maybe(text(" "))
_BOOLEAN = text("true") | text("false")


@dataclass(frozen=True)
class Bounds:
    """What coordinates and numbers of images must lie within.

    Attributes:
        width: of a view, in the units that the checkpoint writes.
        height: the same.
        images: of the conversation, frames and crops included.
    """

    width: int
    height: int
    images: int

    @classmethod
    def of(cls, profile: Profile, images: int) -> Bounds:
        """Those of a checkpoint that has been shown `images`."""
        sides = {"view_pixels": profile.view, "relative_1000": (1000, 1000), "relative_1": (1, 1)}
        return cls(*sides[profile.coordinates], images)


@dataclass(frozen=True, eq=False)
class Pair:
    """A key and its value."""

    key: str
    value: Pattern

    @property
    def pattern(self) -> Pattern:
        """As it is written."""
        return text(f'"{self.key}":') + _SPACE + self.value


@dataclass(frozen=True)
class Form:
    """A tool, and one way to call it.

    Attributes:
        name: as the policy writes it.
        needed: arguments that must be there.
        optional: arguments that may be there.
    """

    name: str
    needed: frozenset[Pair]
    optional: frozenset[Pair]


def forms(bounds: Bounds) -> list[Form]:
    """The six operations, and the forms of checkpoints that were trained elsewhere (see `pipeline/dialect.py`)."""
    target = Pair("target_image", Counted(bounds.images))
    threshold = Pair("threshold", upto(1))
    found = [form for style in _styles(bounds) for form in _placed(*style, target, threshold)]
    query = Pair("query", text('"') + Times(_CHARACTER, 1, LONGEST_QUERY) + text('"'))
    found.append(Form("TEMPORAL_LOCALIZE", frozenset({query}), frozenset({threshold, target})))
    crop, share = (Pair("bbox_2d", _box(width, height)) for width, height in ((bounds.width, bounds.height), (1, 1)))
    found.append(Form("crop_image", frozenset({crop}), frozenset({target})))
    found.append(Form("crop_image_normalized", frozenset({share}), frozenset({target})))
    frames = Pair("target_frames", _list(Counted(bounds.images), 1, _MOST_FRAMES))
    found.append(Form("select_frames", frozenset({frames}), frozenset()))
    return found


def _styles(bounds: Bounds) -> Iterator[tuple[int, int, frozenset[Pair], frozenset[Pair]]]:
    """Width and height that coordinates may have, and the pair `normalized` with which they do: needed, optional."""
    if (bounds.width, bounds.height) == (1, 1):
        yield 1, 1, frozenset(), frozenset({Pair("normalized", _BOOLEAN)})
        return
    yield bounds.width, bounds.height, frozenset(), frozenset({Pair("normalized", text("false"))})
    yield 1, 1, frozenset({Pair("normalized", text("true"))}), frozenset()


def _placed(
    width: int, height: int, needed: frozenset[Pair], optional: frozenset[Pair], target: Pair, threshold: Pair
) -> Iterator[Form]:
    """Operations at a place of an image."""
    box, point = _box(width, height), _list_of(below(width), below(height))
    extra = optional | {target}
    region = Pair("region", box)
    size = Pair("target_size", _list(whole(1, LARGEST_TARGET), 2, 2))
    around = {Pair("center", point), Pair("zoom_factor", positive())}
    yield Form("ZOOM_IN", needed | {region}, extra | {size})
    yield Form("ZOOM_IN", needed | around, extra | {size})
    yield Form("SEGMENT_OBJECT_AT", needed | {Pair("point", point)}, extra | {threshold})
    shown = {Pair(name, _BOOLEAN) for name in ("return_boxes", "return_words")}
    yield Form("READ_TEXT", needed, extra | {region} | shown)
    for name, prefix in (("GET_PROPERTIES", ""), ("TRACK_OBJECT", "init_")):
        yield Form(name, needed | {Pair(f"{prefix}bbox", box)}, extra)
        yield Form(name, needed | {Pair(f"{prefix}mask", _mask())}, extra)


def _box(width: int, height: int) -> Pattern:
    return _list_of(*(upto(width), upto(height)) * 2)


def _list_of(*items: Pattern) -> Pattern:
    inside = items[0]
    for item in items[1:]:
        inside = inside + text(",") + _SPACE + item
    return text("[") + inside + text("]")


def _list(item: Pattern, least: int, most: int) -> Pattern:
    return text("[") + item + Times(text(",") + _SPACE + item, least - 1, most - 1) + text("]")


def _mask() -> Pattern:
    size = _list(whole(1, 99999), 2, 2)
    counts = text('"') + Times(_RUN, 1, 8192) + text('"')
    return text('{"size":') + _SPACE + size + text(",") + _SPACE + text('"counts":') + _SPACE + counts + text("}")
