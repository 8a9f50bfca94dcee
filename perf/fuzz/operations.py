"""Operations as callers may write them: right, nearly right, and not at all."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from pixelis.rle import pack
from pixelis.schema import OperationName

Size = tuple[int, int]
Room = tuple[float, float]
"""Up to where coordinates go: the image's size, or 1 and 1."""

OVER_TIME = ("TRACK_OBJECT", "TEMPORAL_LOCALIZE")

ODD: tuple[Any, ...] = (
    None, True, False, "", " ", "x", "\u20ac\U0001f600", "\x00", "\ud800", "x" * 100_000, [], {}, [[]], [None] * 4,
    0, -1, 1, 2, 0.5, -0.0, 1e-320, 1e308, -1e308, float("nan"), float("inf"), -float("inf"), 2**31, 2**63, 2**64,
    10**30, 10**400, 10**4000, [0, 0, 0, 0], [1, 2, 3], [5, 5, 5, 5], [True, 0, 5, 5], ["0", "0", "5", "5"],
    {"bbox": [0, 0, 5, 5], "frame": 10**20}, {"size": [10**9, 10**9], "counts": [0, 10**18]},
    {"size": [1, 1], "counts": "o" * 5000}, {"size": [100, 100], "counts": [1] * 5000}, [10**400] * 4,
    [-1e308, -1e308, 1e308, 1e308], [0.1, 0.1, 0.2, 0.2], list(range(5000)), {str(i): i for i in range(2000)},
)  # fmt: skip
"""Values that are not what an argument is."""

WORDS = ("EXIT", "platform 3", "open", "42", "...", "a", "red circle", "x" * 200)
FPS = (1.0, 8.0, 240.0, 0.001)


def some_name(rng: Random) -> str:
    """Of an operation, or `group`."""
    return "group" if rng.random() < 0.08 else rng.choice(list(OperationName)).value


def operation(rng: Random, name: str, size: Size) -> bytes:
    """The JSON of an operation or group, or what stands in its place.

    Args:
        rng: draws it.
        name: of `some_name`.
        size: (width, height) of the first image, where it has one.
    """
    if name == "group":
        names = [rng.choice(list(OperationName)).value for _ in range(rng.choice((0, 1, 2, 3, 5, 70)))]
        group: dict[str, Any] = {"operations": [_one(rng, one, size) for one in names]}
        if rng.random() < 0.3:
            group["enough"] = rng.choice((0.5, 0.9, *ODD))
        return _json(group)
    text = _json(_one(rng, name, size))
    return _broken(text, rng) if rng.random() < 0.06 else text


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=True, default=str).encode()


def _one(rng: Random, name: str, size: Size) -> dict[str, Any]:
    arguments = _arguments(rng, name, size)
    drawn = rng.random()
    if drawn < 0.2:
        _spoil(arguments, rng)
    asked: dict[str, Any] = {"operation": name, "arguments": arguments}
    if rng.random() < 0.2:
        asked["image_index"] = rng.choice((0, 1, 2, 5))
    if rng.random() < 0.1:
        asked["resolution"] = rng.choice(("full", "adaptive"))
    if rng.random() < 0.05:
        asked[rng.choice(("operation", "arguments", "image_index", "resolution", "more"))] = rng.choice(ODD)
    return asked


def _spoil(arguments: dict[str, Any], rng: Random) -> None:
    names = [*arguments, "region", "bbox", "mask", "point", "normalized", "colour", "", "x" * 10_000]
    for _ in range(rng.randrange(1, 3)):
        name = rng.choice(names)
        if rng.random() < 0.2:
            arguments.pop(name, None)
        else:
            arguments[name] = rng.choice(ODD)


def _arguments(rng: Random, name: str, size: Size) -> dict[str, Any]:
    made: dict[str, Any] = {}
    room: tuple[float, float] = size
    if rng.random() < 0.3:
        made["normalized"], room = True, (1.0, 1.0)
    if name == "ZOOM_IN":
        if rng.random() < 0.5:
            made.update(center=_point(rng, room), zoom_factor=rng.choice((0.5, 1, 2, 7.5, 100)))
        else:
            made["region"] = _box(rng, room)
        if rng.random() < 0.3:
            made["target_size"] = [rng.choice((1, 64, 4096, 5000)), rng.choice((1, 64, 4096))]
    elif name == "SEGMENT_OBJECT_AT":
        made.update(point=_point(rng, room), threshold=rng.choice((0, 0.3, 0.5, 0.9, 1)))
    elif name == "READ_TEXT":
        if rng.random() < 0.6:
            made["region"] = _box(rng, room)
        if rng.random() < 0.3:
            made["return_boxes"] = rng.random() < 0.5
        if rng.random() < 0.3:
            made["return_words"] = rng.random() < 0.7
    elif name == "GET_PROPERTIES":
        _object(made, ("bbox", "mask"), rng, room, size)
    elif name == "TRACK_OBJECT":
        _object(made, ("init_bbox", "init_mask"), rng, room, size)
        made["fps"] = rng.choice(FPS)
    else:
        made["query"] = rng.choice(WORDS) if rng.random() < 0.5 else {"bbox": _box(rng, room)}
        if rng.random() < 0.3:
            made["threshold"] = rng.random()
        if rng.random() < 0.3:
            made["fps"] = rng.choice(FPS)
    return made


def _object(made: dict[str, Any], names: tuple[str, str], rng: Random, room: Room, size: Size) -> None:
    """A box, or a mask, which is of another size at times."""
    box, mask = names
    if rng.random() < 0.6:
        made[box] = _box(rng, room)
        return
    width, height = size if rng.random() < 0.8 else (rng.choice((1, 7, 31, 64, 100)), 50)
    runs, left = [], min(width * height, 10**6)
    while left > 0:
        runs.append(min(left, rng.randrange(3 * width)))
        left -= runs[-1]
    made[mask] = {"size": [height, width], "counts": pack(runs) if rng.random() < 0.5 else runs}


def _point(rng: Random, room: Room) -> list[float]:
    """Mostly inside."""
    digits = 4 if room == (1.0, 1.0) else rng.randrange(4)
    return [round(rng.uniform(-0.02, 1.02 if rng.random() < 0.3 else 0.98) * side, digits) for side in room]


def _box(rng: Random, room: Room) -> list[float]:
    x1, y1 = _point(rng, room)
    return [x1, y1, x1 + rng.random() * (room[0] - x1), y1 + rng.random() * (room[1] - y1)]


def _broken(text: bytes, rng: Random) -> bytes:
    made = bytearray(text)
    for _ in range(rng.randrange(1, 5)):
        made[rng.randrange(len(made))] = rng.randrange(256)
    return rng.choice(
        (
            bytes(made),
            text[: rng.randrange(len(text))],
            b"[" * rng.choice((10, 300, 100_000)),
            b'{"operations":' * 1000,
            b"null",
            b"1" * 5000,
            b'"operations"',
            b'["operations"]',
            b"",
            b"\xff\xfe\x00",
            text + text,
            b" " * 100 + text,
        )
    )
