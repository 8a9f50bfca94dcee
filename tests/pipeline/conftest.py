"""Pictures, a checkpoint's voice, and prepared requests."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixelis.settings import Limits
from python_backends.images import DecodedImages
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.prepare import Prepared, Preparer
from tests.pipeline.scripted import write_voice


def png(width: int = 336, height: int = 168, seed: int = 0) -> bytes:
    """A noisy picture: every region of it looks different."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    """How the nano talks."""
    folder: Path = write_voice(tmp_path_factory.mktemp("voice"))
    return Voice.load(folder)


@pytest.fixture
def prepare(voice: Voice) -> Callable[..., Prepared]:
    """`prepare(images, question, **options)`."""
    preparer = Preparer(voice.profile, Limits(), DecodedImages())

    def run(images: list[bytes] | None = None, question: str = "What is it?", **options: Any) -> Prepared:
        return preparer(images or [png()], question.encode(), json.dumps(options).encode())

    return run
