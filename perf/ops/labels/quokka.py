"""A photograph with the outline of what it shows: the quokka of imgaug (MIT), read without importing the package."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np

from perf.ops.labels.object_scenes import inner_point
from perf.ops.labels.surfaces import Mask
from python_backends.images import Pixels

MEND = "pip install --no-deps imgaug==0.4.0"


def quokka() -> tuple[Pixels, Mask] | None:
    """The photograph `[643, 960, 3]` RGB and the animal's mask; nothing where imgaug is not installed."""
    spec = importlib.util.find_spec("imgaug")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations)))
    decoded = cv2.imread(str(folder / "quokka.jpg"))
    noted = json.loads((folder / "quokka_annotations.json").read_text(encoding="utf-8"))
    corners = [(corner["x"], corner["y"]) for corner in noted["polygons"][0]["keypoints"]]
    mask = np.zeros(decoded.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    return np.ascontiguousarray(decoded[..., ::-1], np.uint8), np.asarray(mask > 0, np.bool_)


def clicks(mask: Mask, count: int) -> list[tuple[int, int]]:
    """Seeded points (x, y) well inside a mask."""
    rng: np.random.Generator = np.random.default_rng(0)
    return [inner_point(mask, rng) for _ in range(count)]
