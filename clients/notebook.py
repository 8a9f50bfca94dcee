"""Results as HTML for notebooks: everything escaped, nothing loaded, no scripts."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape

from PIL import Image

from clients import draw
from clients.show import brief, origin
from pixelis.errors import InvalidImage
from pixelis.schema import Action, PipelineResult

SIDE = 640
"""Pixels of a picture's longer side."""
PICTURES = 4
"""So many of a request's are shown: of a video, frames that are spread evenly."""
_QUIET = "opacity:.7;font-size:90%"


def page(found: PipelineResult, pictures: Sequence[bytes]) -> str:
    """A result: the answer, its pictures with what was looked at, steps, and where it comes from."""
    return "".join(["<div>", *_parts(found, pictures), "</div>"])


def _parts(found: PipelineResult, pictures: Sequence[bytes]) -> Iterator[str]:
    yield f"<p><b>{escape(found.answer)}</b> <span style='{_QUIET}'>confidence {found.confidence:.3f}</span></p>"
    yield from (_picture(pictures[index], found, index) for index in _chosen(len(pictures)))
    steps = [action for action in found.trajectory if action.operation is not None]
    if steps:
        yield "<ol>" + "".join(map(_step, steps)) + "</ol>"
    yield f"<p style='{_QUIET}'>" + "<br>".join(map(escape, origin(found))) + "</p>"


def _chosen(count: int) -> list[int]:
    if count <= PICTURES:
        return list(range(count))
    return [round(i * (count - 1) / (PICTURES - 1)) for i in range(PICTURES)]


def _picture(data: bytes, found: PipelineResult, index: int) -> str:
    """A picture with its marks; nothing where it cannot be decoded here."""
    try:
        image = draw.answered(data, found, index)
    except InvalidImage:
        return ""
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    coded = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='image {index}' style='max-width:100%' src='data:image/jpeg;base64,{coded}'>"


def _step(action: Action) -> str:
    assert action.operation is not None
    said = brief(action.result) if action.error is None else action.error
    words = escape(f"{brief(action.arguments)}")
    return f"<li><b>{action.operation.value}</b> <code>{words}</code><br><code>{escape(said)}</code></li>"
