"""One case: what is sent, as its seed and number say."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

from pydantic import TypeAdapter

from perf.fuzz.images import Image, images
from perf.fuzz.operations import ODD, OVER_TIME, Size, operation, some_name
from pixelis.errors import InvalidRequest, RequestError
from pixelis.json_text import loads, reason
from pixelis.settings import Limits
from python_backends.images import size_of

Way = Literal["grpc", "http", "json"]
WAYS: tuple[Way, ...] = ("grpc", "http", "json")
JSON_BYTES = 2**20
"""Largest request that goes as JSON, its pictures as URLs."""
WHOLE = 0.04
"""Share of whole requests, to `pixelis`; the others go to `visual_ops`."""

QUESTIONS = (b"What is written on the label?", b"What colour is the circle?", b"Which side does it leave by?")


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        seed: of the run.
        number: of the case.
        model: `visual_ops` or `pixelis`.
        way: gRPC, HTTP with binary tensors, or HTTP with JSON.
        about: what it is, in words.
        images: elements of `IMAGE`.
        text: `OPERATION`, or `QUESTION`.
        options: `OPTIONS` of a whole request.
    """

    seed: int
    number: int
    model: str
    way: Way
    about: str
    images: list[bytes]
    text: bytes
    options: bytes = b""

    def saved(self, folder: Path, why: str) -> Path:
        """The file that it was written to, to be sent again; the first reason stays."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"fuzz-{self.seed}-{self.number}.json"
        fields: dict[str, Any] = {**asdict(self), "why": why, "images": [_text(image) for image in self.images]}
        fields.update(text=_text(self.text), options=_text(self.options))
        if not path.exists():
            path.write_text(json.dumps(fields, indent=1))
        return path


_CASE = TypeAdapter(Case)


def load(path: Path) -> Case:
    """The case of a file.

    Raises:
        InvalidRequest: it is none that `Case.saved` wrote.
    """
    try:
        fields = loads(path.read_bytes())
        del fields["why"]
        fields["images"] = [base64.b64decode(image) for image in fields["images"]]
        fields.update(text=base64.b64decode(fields["text"]), options=base64.b64decode(fields["options"]))
        Case(**fields)  # which knows no other fields
        return _CASE.validate_python(fields)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f"{path} is no case of a fuzz run ({reason(error)}).") from None


def case(seed: int, number: int) -> Case:
    """A case; equal numbers give equal ones, in whatever order they are made."""
    rng = Random(f"{seed}/{number}")
    if rng.random() < WHOLE:
        return _whole(rng, seed, number)
    name = some_name(rng)
    sent = images(rng, name in OVER_TIME)
    text = operation(rng, name, _size(sent))
    about = f"{name} on {', '.join(kind for kind, _ in sent[:4]) or 'nothing'}"
    data = [image for _, image in sent]
    return Case(seed, number, "visual_ops", _way(rng, data, text), about, data, text)


def _size(sent: list[Image]) -> Size:
    """Of the first image, where it has one that can be read."""
    try:
        return size_of(sent[0][1], Limits())
    except (RequestError, IndexError):
        return 100, 100


def _whole(rng: Random, seed: int, number: int) -> Case:
    options: dict[str, Any] = {"timeout_s": rng.choice((1, 2, 3)), "max_operations": rng.randrange(1, 4)}
    options.update(max_tokens=rng.choice((1, 16, 64)), media=rng.choice(("images", "images", "video")))
    if rng.random() < 0.3:
        options[rng.choice(("k", "fps", "strategy", "stop", "seed", "temperature", "more"))] = rng.choice(ODD)
    sent = images(rng, options["media"] == "video")
    question = rng.choice(QUESTIONS) if rng.random() < 0.8 else rng.randbytes(rng.randrange(20))
    about = f"whole request on {', '.join(kind for kind, _ in sent[:4]) or 'nothing'}"
    text = json.dumps(options).encode()
    data = [image for _, image in sent]
    return Case(seed, number, "pixelis", _way(rng, data, question), about, data, question, text)


def _way(rng: Random, data: list[bytes], text: bytes) -> Way:
    way = rng.choice(WAYS)
    return "grpc" if way == "json" and sum(map(len, data)) + len(text) > JSON_BYTES * 3 // 4 else way


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
