"""Bodies that callers send, the requests and conversations in them, and pictures as text."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any

from hypothesis import strategies as st

from clients.gateway import body, chat, pictures
from clients.gateway.addresses import Address
from clients.gateway.requests import BatchRequest, FeedbackRequest, InferRequest, named, validated
from clients.gateway.skeleton import LONG
from pixelis.errors import InvalidImage, InvalidRequest, LimitExceeded, RequestError
from pixelis.schema import Options
from pixelis.settings import Limits
from python_backends.pipeline.encoded import unwrap
from tests.fuzz import said
from tests.fuzz.odd import JSON, PIECES, damaged, how_often, json_bytes, randoms, tampered
from tests.fuzz.run import Fuzz, parsed

DEPTH = 8
PICTURE = base64.b64encode(bytes(range(256)) * 16).decode()
"""Longer than what the gateway takes out of a body before it reads it."""
LIMITS = Limits(image_bytes=5000, frames=4)
HOSTS = ["images.example.org", "*.example.com:8443"]


def infer(rng: Random) -> dict[str, Any]:
    """A body of `/infer` that is taken."""
    made = {
        "question": "What?",
        "image": rng.choice(("AAAA", PICTURE, "data:image/png;base64,AAAA")),
        **said.options(rng),
    }
    made.pop("tenant", None)
    if rng.random() < 0.3:
        made["images"] = [made.pop("image")] * rng.randrange(1, 3)
    return made


def conversation(rng: Random) -> dict[str, Any]:
    """A body of `/v1/chat/completions` that is taken."""
    image = {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{rng.choice(('AAAA', PICTURE))}", "detail": "low"},
    }
    messages: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": "What?"}, image]}]
    if rng.random() < 0.5:
        messages = [
            {"role": "system", "content": "é"},
            *messages,
            {"role": "assistant", "content": "red"},
            {"role": "user", "content": "So?"},
        ]
    made: dict[str, Any] = {"model": "pixelis", "messages": messages}
    more = {
        "stop": ["a"],
        "seed": 1,
        "max_tokens": 5,
        "temperature": 0.5,
        "stream": False,
        "pixelis": {"k": 3},
        "n": 1,
        "user": "u",
    }
    return made | dict(rng.sample(list(more.items()), rng.randrange(3)))


def sent(rng: Random, more: Any) -> bytes:
    """A body, often damaged."""
    kinds = (
        infer(rng),
        conversation(rng),
        {"requests": [infer(rng)]},
        {"request_id": "r", "correct": True},
        {"a": more},
    )
    made = tampered(rng, rng.choice(kinds), rng.choice((0, 0, 1, 2)), ["image", "images", "messages", "request_id"])
    data = json_bytes(rng, made)
    return damaged(rng, data, how_often(rng)) if rng.random() < 0.3 else data


def _depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max(map(_depth, inside), default=0) + isinstance(value, (dict, list))


def test_bodies(fuzz: Fuzz) -> None:
    def holds(data: bytes) -> bool:
        found = parsed(lambda: body.parse(data, DEPTH), InvalidRequest)
        if found is None:
            return False
        assert _depth(found) <= DEPTH
        assert found == json.loads(data)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
        return True

    assert len(PICTURE) > LONG
    fuzz.given(st.builds(sent, randoms(), JSON), holds)


def test_questions(fuzz: Fuzz) -> None:
    """What a body asks for."""

    def make(rng: Random) -> bytes:
        return json_bytes(rng, tampered(rng, infer(rng), rng.choice((0, 1, 1)), list(InferRequest.model_fields)))

    def holds(data: bytes) -> bool:
        fields = parsed(lambda: body.parse(data, DEPTH), InvalidRequest)
        if fields is None:
            return False
        parsed(lambda: validated(BatchRequest, {"requests": [fields]}, "The batch"), InvalidRequest)
        parsed(lambda: validated(FeedbackRequest, fields, "The feedback"), InvalidRequest)
        made = parsed(lambda: validated(InferRequest, fields, "The request"), InvalidRequest)
        if made is None:
            return False
        options = made.options()
        assert Options.parse(options.model_dump_json(exclude_unset=True)) == options
        images = parsed(lambda: pictures.decode(made.pictures(), LIMITS), InvalidRequest, InvalidImage, LimitExceeded)
        return images is not None

    fuzz.loop(make, holds)


def test_conversations(fuzz: Fuzz) -> None:
    def make(rng: Random) -> bytes:
        return json_bytes(
            rng, tampered(rng, conversation(rng), rng.choice((0, 1, 1)), list(chat.ChatRequest.model_fields))
        )

    def holds(data: bytes) -> bool:
        def read() -> Any:
            said = validated(chat.ChatRequest, body.parse(data, DEPTH), "The request")
            return chat.asked(said, LIMITS, "r", HOSTS)

        made = parsed(read, RequestError)
        if made is not None:
            assert made.options.model_dump_json()
        return made is not None

    fuzz.loop(make, holds)


_TEXTS = (
    "AAAA",
    PICTURE,
    "data:image/png;base64,AAAA",
    "DATA:;base64,/+8=",
    "AA\r\nAA==",
    "https://images.example.org/a.png?b=c#d",
    "http://a.example.com:8443/",
    "https://u:p@images.example.org/",
    "https://[::1]:443/",
    "file:///etc/passwd",
)
_MARKS = (*b"= == +/ -_ , ;base64, data: https:// @ : # %00 [ ] ..".split(), b"\\", b" ", *PIECES)


def test_pictures_as_text(fuzz: Fuzz) -> None:
    def make(rng: Random) -> str:
        text = damaged(rng, rng.choice(_TEXTS).encode(), rng.choice((0, 0, 1, 2)), _MARKS)
        return text.decode(errors=rng.choice(("replace", "surrogateescape")))

    def holds(text: str) -> bool:
        errors = InvalidRequest, InvalidImage, LimitExceeded
        found = parsed(lambda: pictures.decode([text], LIMITS, HOSTS), *errors)
        data = text.encode(errors="surrogateescape")
        given = parsed(lambda: unwrap([data], LIMITS), *errors)
        assert given is None or (len(given) == 1 and len(given[0]) <= LIMITS.image_bytes)
        if found is None:
            return False
        (image,) = found
        if isinstance(image, Address):
            assert image.url.host is not None
            assert image.url.host.lower().endswith(("images.example.org", ".example.com"))
        else:
            assert len(image) <= LIMITS.image_bytes
        return True

    fuzz.loop(make, holds)


def test_names_of_requests(fuzz: Fuzz) -> None:
    def holds(header: bytes) -> bool:
        found = parsed(lambda: named(header), InvalidRequest)
        assert found is None or found.encode() == header
        return found is not None

    fuzz.loop(lambda rng: damaged(rng, b"request-1:a_b.c", rng.choice((0, 1, 1, 2))), holds)
