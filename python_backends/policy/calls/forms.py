r"""What may follow `<tool_call>`: one call.

    \n{"name": NAME, "arguments": {KEY: VALUE, ...}}\n</tool_call>

Tools and the names of their arguments are the dialect's. Every argument has its type, and what is written of an image
is inside it: coordinates are in the space of the checkpoint or, with `"normalized": true`, from 0 to 1; images and
frames are those of the conversation. Keys come in any order and once each. The line breaks and the space after `:` and
`,` may be missing, other white space may not be there. Everything is bounded. Whether a box is *right* (not empty, on
the object) is for the operation to say: its words go back to the policy as the observation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pixelis.schema import OperationName
from python_backends.pipeline.dialects import Dialect, Space, Tool, default_dialect
from python_backends.policy.calls.numbers import Counted, below, positive, upto, whole
from python_backends.policy.calls.pattern import Chars, Maybe, NotAscii, Pattern, Times, any_of, text
from python_backends.policy.profile import Profile

OPEN, CLOSE = "<tool_call>", "</tool_call>"

LONGEST_QUERY = 200
"""Characters, as in `visual_ops.arguments.LocalizeArguments`."""
LARGEST_TARGET = 4096
"""As in `visual_ops.arguments.MAX_TARGET`."""

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
        view: its width and height in pixels; none = the two above.
    """

    width: int
    height: int
    images: int
    view: tuple[int, int] | None = None

    @classmethod
    def of(cls, profile: Profile, images: int) -> Bounds:
        """Those of a checkpoint that has been shown `images`."""
        widest, highest = (max(sides) for sides in zip(*profile.sizes, strict=True))
        return cls(widest, highest, images).inside(profile.coordinates)

    def inside(self, space: Space) -> Bounds:
        """The same of coordinates in another space."""
        view = self.view or (self.width, self.height)
        sides = {"view_pixels": view, "relative_1000": (1000, 1000), "relative_1": (1, 1)}
        return Bounds(*sides[space], self.images, view)


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


def forms(bounds: Bounds, dialect: Dialect | None = None) -> list[Form]:
    """Every way to call a tool of a dialect (none = the default one), and so the operations."""
    dialect = dialect or default_dialect()
    return [form for name, tool in dialect.tools.items() for form in _ways(name, tool, bounds, dialect)]


def _ways(name: str, tool: Tool, bounds: Bounds, dialect: Dialect) -> Iterator[Form]:
    """A tool, in the names that the dialect gives to the arguments of its operation."""
    target = dialect.target_of(tool)
    if tool.frames:
        frames = _list(Counted(bounds.images, target.base), 1, dialect.most_frames)
        yield Form(name, frozenset({Pair(tool.frames, frames)}), frozenset())
        return
    beside = {_target(target.argument, bounds.images, target.base)} | {Pair(one, _words()) for one in tool.ignored}
    inside = bounds if tool.coordinates is None else bounds.inside(tool.coordinates)
    for needed, optional in _own(tool.operation, inside):
        if tool.arguments is None:
            yield Form(name, needed, optional | beside)
            continue
        written = {own: key for key, own in tool.arguments.items()}
        if all(pair.key in written for pair in needed):
            named = [Pair(written[pair.key], pair.value) for pair in needed | optional if pair.key in written]
            must = {written[pair.key] for pair in needed} | set(tool.needed)
            yield Form(
                name,
                frozenset(pair for pair in named if pair.key in must),
                frozenset(pair for pair in named if pair.key not in must) | beside,
            )


def _own(operation: OperationName, bounds: Bounds) -> Iterator[tuple[frozenset[Pair], frozenset[Pair]]]:
    """Arguments of an operation by its own names: needed, optional."""
    if operation is OperationName.TEMPORAL_LOCALIZE:
        yield frozenset({Pair("query", _words())}), frozenset({_threshold()})
        return
    for style in _styles(bounds):
        yield from _placed(operation, *style)


def _styles(bounds: Bounds) -> Iterator[tuple[int, int, frozenset[Pair], frozenset[Pair]]]:
    """Width and height that coordinates may have, and the pair `normalized` with which they do: needed, optional."""
    if (bounds.width, bounds.height) == (1, 1):
        yield 1, 1, frozenset(), frozenset({Pair("normalized", _BOOLEAN)})
        return
    yield bounds.width, bounds.height, frozenset(), frozenset({Pair("normalized", text("false"))})
    yield 1, 1, frozenset({Pair("normalized", text("true"))}), frozenset()


def _placed(
    operation: OperationName, width: int, height: int, needed: frozenset[Pair], optional: frozenset[Pair]
) -> Iterator[tuple[frozenset[Pair], frozenset[Pair]]]:
    """The same of operations at a place of an image."""
    box, point = _box(width, height), _list_of(below(width), below(height))
    region = Pair("region", box)
    if operation is OperationName.ZOOM_IN:
        size = Pair("target_size", _list(whole(1, LARGEST_TARGET), 2, 2))
        yield needed | {region}, optional | {size}
        yield needed | {Pair("center", point), Pair("zoom_factor", positive())}, optional | {size}
    elif operation is OperationName.SEGMENT_OBJECT_AT:
        yield needed | {Pair("point", point)}, optional | {_threshold()}
    elif operation is OperationName.READ_TEXT:
        yield needed, optional | {region} | {Pair(name, _BOOLEAN) for name in ("return_boxes", "return_words")}
    else:
        prefix = "init_" if operation is OperationName.TRACK_OBJECT else ""
        yield needed | {Pair(f"{prefix}bbox", box)}, optional
        yield needed | {Pair(f"{prefix}mask", _mask())}, optional


# Made once: tools that go on alike have the same states from there.
@lru_cache
def _target(argument: str, images: int, base: int) -> Pair:
    return Pair(argument, Counted(images, base))


@lru_cache
def _threshold() -> Pair:
    return Pair("threshold", upto(1))


def _words() -> Pattern:
    return text('"') + Times(_CHARACTER, 1, LONGEST_QUERY) + text('"')


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
