"""Right ones of what is sent as JSON: options, operations and their arguments, experiences."""

from __future__ import annotations

from random import Random
from typing import Any

from pixelis.schema import OperationName

OPTIONS: dict[str, tuple[Any, ...]] = {
    "max_operations": (1, 10, 50),
    "max_tokens": (1, 512, 8192),
    "temperature": (0, 0.5, 2),
    "top_p": (0.1, 1, 1.0),
    "top_k": (0, 1, 40),
    "min_p": (0, 0.1, 1),
    "repetition_penalty": (0.01, 1, 2),
    "stop": ([], ["a"], ["\n", "é"] * 4),
    "seed": (None, 0, 2**63 - 1),
    "priority": (0, 10),
    "k": (0, 5, 100),
    "strategy": ("weighted", "majority", "confidence", "ensemble"),
    "use_cache": (True, False),
    "read_only": (True, False),
    "timeout_s": (1, 30.0, 300),
    "reference_answer": (None, "", "é𝄞"),
    "media": ("images", "video"),
    "fps": (0.1, 1, 240),
    "model": (None, "", "qwen"),
    "system": (None, "", "be brief"),
    "history": ([], [{"question": "q", "answer": "", "images": 1}], [{"question": "q", "answer": "a"}] * 3),
    "tenant": ("", "a.b-c_1"),
}
"""Values that each may have."""

_BOX, _POINT = (([1, 2, 30, 40.5], [0, 0, 1, 1], [-5, 0, 1e9, 9]), ([3, 4.25], [0, 0]))
_MASK = (
    {"size": [4, 6], "counts": [3, 5, 16]},
    {"size": [4, 6], "counts": "35@"},
    {"size": [1, 2**31 - 1], "counts": []},
)
ARGUMENTS: dict[OperationName, dict[str, tuple[Any, ...]]] = {
    OperationName.ZOOM_IN: {
        "region": _BOX,
        "center": _POINT,
        "zoom_factor": (1, 2.5),
        "target_size": ([1, 4096], [64, 64]),
    },
    OperationName.SEGMENT_OBJECT_AT: {"point": _POINT, "threshold": (0, 0.5, 1)},
    OperationName.READ_TEXT: {"region": _BOX, "return_boxes": (True, False), "return_words": (True, False)},
    OperationName.GET_PROPERTIES: {"mask": _MASK, "bbox": _BOX},
    OperationName.TRACK_OBJECT: {"init_bbox": _BOX, "init_mask": _MASK, "fps": (0.5, 240)},
    OperationName.TEMPORAL_LOCALIZE: {
        "query": ("words", {"bbox": [1, 2, 3, 4], "frame": 0}, {"bbox": [1, 2, 3, 4]}),
        "threshold": (None, 0.5),
        "fps": (1, 9.5),
    },
}
"""The same of an operation's arguments; all take `normalized` too."""
_NEEDED = {"point", "query"}


def options(rng: Random) -> dict[str, Any]:
    """Options that are taken."""
    made = {name: rng.choice(OPTIONS[name]) for name in rng.sample(list(OPTIONS), rng.choice((0, 1, 2, 4, 9)))}
    if {"top_p", "top_k", "min_p"} & made.keys():
        made["temperature"] = rng.choice((0.5, 2))
    return made


def arguments(rng: Random, name: OperationName) -> dict[str, Any]:
    """Arguments that are taken."""
    known = ARGUMENTS[name]
    made = {one: rng.choice(values) for one, values in known.items() if one in _NEEDED or rng.random() < 0.5}
    return made | ({"normalized": rng.random() < 0.5} if rng.random() < 0.3 else {})


def operation(rng: Random) -> dict[str, Any]:
    """One operation that is taken."""
    name = rng.choice(list(OperationName))
    made: dict[str, Any] = {"operation": name.value, "arguments": arguments(rng, name)}
    if rng.random() < 0.3:
        made["image_index"] = rng.choice((0, 1, 2**31 - 1))
    if rng.random() < 0.3:
        made["resolution"] = rng.choice(("adaptive", "full"))
    return made


def group(rng: Random) -> dict[str, Any]:
    """A group that is taken."""
    return {"operations": [operation(rng) for _ in range(rng.randrange(1, 4))], "enough": rng.choice((None, 0.5, 1))}


def action(rng: Random) -> dict[str, Any]:
    """A step of a trajectory."""
    name = rng.choice((None, *(one.value for one in OperationName)))
    kind = rng.choice(("VISUAL_OPERATION", "REASONING", "ANSWER"))
    return {"type": kind, "operation": name, "arguments": {"region": [1, 2, 3, 4]}, "result": {"a": [0.5]}, "text": "é"}


def experience(rng: Random) -> dict[str, Any]:
    """An experience."""
    return {
        "experience_id": rng.choice(("a", "b", "c-1", "é\u2028")),
        "question": "What?",
        "answer": rng.choice(("red", "", "𝄞")),
        "trajectory": [action(rng) for _ in range(rng.randrange(3))],
        "confidence": rng.choice((0, 0.5, 1)),
        "priority": 0.25,
        "created_at": 1.75e9,
        "retrieval_count": rng.randrange(5),
        "occurrences": rng.choice((1, 2)),
        "confirmed": rng.random() < 0.5,
        "tenant": rng.choice(("", "t")),
    }


def asked(rng: Random) -> dict[str, Any]:
    """A request that takes feedback."""
    return {
        "request_id": rng.choice(("r1", "r2")),
        "experience": experience(rng),
        "answer": "red",
        "retrieved": rng.choice(([], ["a", "b"])),
        "experience_id": rng.choice((None, "a", "b")),
        "correct": rng.choice((None, True, False)),
    }
