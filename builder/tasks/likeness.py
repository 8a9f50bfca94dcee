"""Tasks of `embed_image`: a changed part of a picture finds the picture; a point finds the object that it lies on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.nano.render import photograph, render
from builder.nano.scenes import PHOTOS, make_scene
from builder.sources.task import Asked, Task
from python_backends.visual_ops.features import GRID, likeness

Pixels = NDArray[np.uint8]

SIDE = 224
PICTURES, CROPS = 100, 4
OBJECTS = 400
TEXTURES = ("brick", "gravel", "grass", "coins", "immunohistochemistry", "retina", "text", "hubble_deep_field")
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
    """Ellipses of one photographed texture on another, found by the likeness of FEATURES to their middle.

    Flat shapes are found by their colour and never reach the features. The serving code looks at several windows and
    refines what it finds; here one view is given and nothing refined, so that the score is the model's own. Features
    that mean nothing still grow a region around the point: they score 0.57, these 0.76.
    """

    name = "object-regions"
    metric = "IoU of the region found from the middle of a textured object, on a grid of 28 x 28"

    def scores(self, ask: Callable[[Asked], Asked]) -> list[float]:
        """The IoU of every object; 0 where nothing was found."""
        rng = np.random.default_rng(FIRST_SEED)
        scores: list[float] = []
        for start in range(0, OBJECTS, BATCH):
            cases = [_textured(rng) for _ in range(min(BATCH, OBJECTS - start))]
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


def _textured(rng: np.random.Generator) -> tuple[Pixels, tuple[float, float], NDArray[np.bool_]]:
    """A view `[SIDE, SIDE, 3]` with an object in it, the object's middle, and the cells that it covers."""
    back, front = (_texture(TEXTURES[i], rng) for i in rng.choice(len(TEXTURES), 2, replace=False))
    radius = rng.uniform(36, 60)
    x, y = rng.uniform(radius, SIDE - radius, 2)
    axes = (int(radius), int(radius * rng.uniform(0.7, 1)))
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(canvas, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, 255, -1)
    view = np.where(canvas[..., None] > 0, front, back).astype(np.uint8)
    truth = cv2.resize(canvas, (GRID, GRID), interpolation=cv2.INTER_AREA) > 127
    return view, (x / SIDE, y / SIDE), np.asarray(truth, np.bool_)


def _texture(name: str, rng: np.random.Generator) -> Pixels:
    """A square of a photograph, relit."""
    picture = photograph(name)
    side = int(min(picture.shape[:2]) * rng.uniform(0.5, 0.9))
    top, left = rng.integers(picture.shape[0] - side + 1), rng.integers(picture.shape[1] - side + 1)
    part = _square(picture[top : top + side, left : left + side])
    return np.clip(part * rng.uniform(0.8, 1.2, 3), 0, 255).astype(np.uint8)


def _overlap(cells: NDArray[np.float32], at: tuple[float, float], truth: NDArray[np.bool_]) -> float:
    found = likeness(cells, at)
    return 0.0 if found is None else float((found.mask & truth).sum() / max((found.mask | truth).sum(), 1))
