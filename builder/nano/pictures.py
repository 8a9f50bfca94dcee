"""A question's picture or clip as it is sent: encoded images, and the options that belong to them."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from builder.nano.clips import FPS
from builder.nano.questions import Question
from builder.nano.render import render


def encoded(question: Question) -> list[bytes]:
    """JPEG images at full size: one picture, or the frames of a clip in order."""
    frames = question.scene.motion.frames if question.scene.motion is not None else 1
    return [_jpeg(question, frame) for frame in range(frames)]


def media(question: Question) -> dict[str, Any]:
    """Options that say what the images are."""
    return {"media": "video", "fps": FPS} if question.scene.motion is not None else {}


def _jpeg(question: Question, frame: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(render(question.scene, frame=frame)).save(out, format="JPEG", quality=92)
    return out.getvalue()
