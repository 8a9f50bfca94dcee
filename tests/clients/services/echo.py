"""What the test services answer: what they were asked, in the public models' own objects."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Sequence

from pixelis.errors import InvalidImage, PixelisError, Unavailable
from pixelis.schema import Action, Options, PipelineResult, Provenance, Reward, Usage

OPERATIONS = [("ZOOM_IN", {"region": [4, 4, 40, 30]}), ("READ_TEXT", {"region": [4, 4, 40, 30]})]


def answer(images: Sequence[bytes], question: str, options: Options, request_id: str) -> PipelineResult:
    """The question as the answer, and a digest of each image as proof that it arrived whole.

    Questions that begin with a word of their own behave badly: `refuse`, `fail`, `crash`, `sleep SECONDS`.
    """
    misbehave(question)
    return PipelineResult(
        request_id=request_id or "made-here",
        answer=question,
        confidence=0.75,
        trajectory=[
            Action(type="VISUAL_OPERATION", operation=name, arguments=arguments, result=dict(arguments))
            for name, arguments in OPERATIONS
        ],
        reward=Reward(total=0.1),
        provenance=Provenance(
            agent_answer=question,
            agent_confidence=0.5,
            reasons=[hashlib.sha256(plain(image)).hexdigest() for image in images],
        ),
        timings_ms={"prepare": 1.0, "reason": 2.5},
        versions={"options": options.model_dump_json()},
        usage=Usage(prompt_tokens=11, completion_tokens=2),
    )


def misbehave(question: str) -> None:
    """Raise or wait, where the question says so."""
    word, _, rest = question.partition(" ")
    if word == "refuse":
        raise InvalidImage("The bytes are not a picture.", mend="Send JPEG, PNG or WebP.")
    if word == "fail":
        raise Unavailable("Model `policy` is not up.")
    if word == "crash":
        raise ZeroDivisionError("secret")
    if word == "sleep":
        time.sleep(float(rest))


def plain(image: bytes) -> bytes:
    """The bytes of an element, out of its `data:` URL where it is one."""
    return base64.b64decode(image.split(b",", 1)[1]) if image.startswith(b"data:image/") else image


def wire(error: Exception) -> str:
    """An error as it crosses Triton."""
    return error.wire() if isinstance(error, PixelisError) else f"{type(error).__name__} in the service"
