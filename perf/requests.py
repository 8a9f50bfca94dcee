"""Real requests for `perf_analyzer`, in the form of its `--input-data`.

BYTES in base64 carry Triton's own framing (a little-endian length before each element); floating-point numbers must be
written with a decimal point. Several requests are sent in turn.
"""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixelis.errors import NotFound

KEY = 1664
"""Width of a retrieval key: image 1280, text 384."""

_EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
Request = dict[str, dict[str, Any]]


def input_data(model: str) -> dict[str, Any]:
    """The JSON object for `--input-data`.

    Raises:
        NotFound: no requests are known for this model.
    """
    if model not in _MAKERS:
        mend = f"Known: {', '.join(sorted(_MAKERS))}; or give your own with --input-data FILE."
        raise NotFound(f"There are no ready requests for `{model}`.", mend=mend)
    return {"data": _MAKERS[model]()}


def _pixelis() -> list[Request]:
    # The result cache would answer from the second request on: what is measured is the pipeline.
    options = json.dumps({"use_cache": False})
    # Pictures only: a clip is another amount of work.
    asked = [one for one in json.loads((_EXAMPLES / "questions.json").read_text()) if one["file"].endswith(".jpg")]
    return [
        {
            "IMAGE": _framed((_EXAMPLES / one["file"]).read_bytes()),
            "QUESTION": {"content": [one["question"]], "shape": [1]},
            "OPTIONS": {"content": [options], "shape": [1]},
        }
        for one in asked
    ]


def _knn() -> list[Request]:
    random = np.random.default_rng(0)
    keys = random.standard_normal((16, KEY))
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    return [
        {"KEY": {"content": [float(x) for x in key], "shape": [KEY]}, "K": {"content": [5], "shape": [1]}}
        for key in keys
    ]


def _embed_image() -> list[Request]:
    pictures = [_EXAMPLES / name for name in sorted({one.name for one in _EXAMPLES.glob("scene-*.jpg")})]
    return [{"IMAGE": _raw(np.asarray(_view(path.read_bytes())))} for path in pictures]


def _view(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded)).convert("RGB").resize((224, 224))


def _framed(value: bytes) -> dict[str, Any]:
    return {"b64": base64.b64encode(struct.pack("<I", len(value)) + value).decode(), "shape": [1]}


def _raw(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"b64": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(), "shape": list(array.shape)}


_MAKERS: dict[str, Callable[[], list[Request]]] = {
    "pixelis": _pixelis,
    "agent": _pixelis,
    "knn": _knn,
    "embed_image": _embed_image,
}
