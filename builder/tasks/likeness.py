"""Tasks of `embed_image`: a changed part of a picture finds the picture; a point finds the object that it lies on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.nano.render import outline, photograph, render
from builder.nano.scenes import PHOTOS, Scene, make_scene
from builder.sources.task import Asked, Task
from python_backends.visual_ops.features import GRID, likeness

Pixels = NDArray[np.uint8]

SIDE = 224
PICTURES, CROPS = 100, 4
OBJECTS = 400
BATCH = 8
FIRST_SEED = 610_000
"""Of the held-out scenes of these tasks; the evaluation's and the calibration's are others."""


class CropRetrieval(Task):
    """Held-out scenes and photographs; each is looked for by crops that are mirrored, relit and compressed."""

    name = "crop-retrieval"
    metric = "the nearest picture is the one that the changed crop was cut from (recall@1)"

    def scores(self, ask: Callable[[Asked], Asked]) -> list[float]:
        """1 for every crop that finds its picture."""
        rng = np.random.default_rng(0)
        gallery = _pictures()
        crops = [_changed(picture, rng) for picture in gallery for _ in range(CROPS)]
        known, asked = _embedded(gallery, ask), _embedded(crops, ask)
        nearest = (asked @ known.T).argmax(axis=1)
        return [float(hit) for hit in nearest == np.repeat(np.arange(len(gallery)), CROPS)]


class ObjectRegions(Task):
    """Shapes of held-out scenes, each in a window of twice its size, found by the likeness of FEATURES to its middle.

    The serving code looks at several windows and refines what it finds; here one window is given and nothing refined,
    so that the score is the model's own.
    """

    name = "object-regions"
    metric = "IoU of the region found from the middle of a shape, on a grid of 28 x 28"

    def scores(self, ask: Callable[[Asked], Asked]) -> list[float]:
        """The IoU of every object; 0 where nothing was found."""
        scenes = [make_scene("held_out", FIRST_SEED + i) for i in range(OBJECTS)]
        scores: list[float] = []
        for start in range(0, OBJECTS, BATCH):
            cases = [_window(scene) for scene in scenes[start : start + BATCH]]
            cells = np.asarray(ask({"IMAGE": np.stack([view for view, _, _ in cases])})["FEATURES"], np.float32)
            scores += [_overlap(seen, at, truth) for seen, (_, at, truth) in zip(cells, cases, strict=True)]
        return scores


def _pictures() -> list[Pixels]:
    """Photographs whole, and held-out scenes."""
    photos = [photograph(name) for name in (*PHOTOS["train"], *PHOTOS["held_out"])]
    scenes = [render(make_scene("held_out", FIRST_SEED + i)) for i in range(PICTURES - len(photos))]
    return [*photos, *scenes]


def _changed(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """60 to 90 % of each side, perhaps mirrored, other light, JPEG."""
    height, width = (round(side * rng.uniform(0.6, 0.9)) for side in picture.shape[:2])
    top, left = rng.integers(picture.shape[0] - height + 1), rng.integers(picture.shape[1] - width + 1)
    part = _square(picture[top : top + height, left : left + width])
    part = part[:, ::-1] if rng.random() < 0.5 else part
    relit = np.clip(part * rng.uniform(0.7, 1.3, 3) + rng.uniform(-15, 15), 0, 255).astype(np.uint8)
    _, packed = cv2.imencode(".jpg", relit, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 90))])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def _square(picture: Pixels) -> Pixels:
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _embedded(pictures: Sequence[Pixels], ask: Callable[[Asked], Asked]) -> NDArray[np.float64]:
    """Embeddings of length 1 `[n, width]`."""
    parts = []
    for start in range(0, len(pictures), BATCH):
        views = np.stack([_square(picture) for picture in pictures[start : start + BATCH]])
        parts.append(np.asarray(ask({"IMAGE": views})["EMBEDDING"], np.float64))
    vectors = np.concatenate(parts)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _window(scene: Scene) -> tuple[Pixels, tuple[float, float], NDArray[np.bool_]]:
    """A window around the first shape `[SIDE, SIDE, 3]`, the shape's middle in it, and the cells that it covers."""
    x1, y1, x2, y2 = scene.shapes[0].box
    side = min(2 * (x2 - x1), *scene.size)
    left = min(max((x1 + x2 - side) // 2, 0), scene.size[0] - side)
    top = min(max((y1 + y2 - side) // 2, 0), scene.size[1] - side)
    view = _square(render(scene)[top : top + side, left : left + side])
    at = ((x1 + x2) / 2 - left) / side, ((y1 + y2) / 2 - top) / side
    fine = 8 * GRID
    points = np.round((outline(scene.shapes[0]) - (left, top)) * fine / side * 16).astype(np.int32)
    canvas = cv2.fillPoly(np.zeros((fine, fine), np.uint8), [points], 255, cv2.LINE_AA, shift=4)
    return view, at, np.asarray(cv2.resize(canvas, (GRID, GRID), interpolation=cv2.INTER_AREA) > 127, np.bool_)


def _overlap(cells: NDArray[np.float32], at: tuple[float, float], truth: NDArray[np.bool_]) -> float:
    found = likeness(cells, at)
    return 0.0 if found is None else float((found.mask & truth).sum() / max((found.mask | truth).sum(), 1))
