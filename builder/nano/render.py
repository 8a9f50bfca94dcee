"""Draw a `Scene` as RGB pixels, at any scale."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from builder.nano.scenes import Scene, Thing
from pixelis.errors import BuildError

Pixels = NDArray[np.uint8]

_HERSHEY = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX)


@lru_cache(maxsize=16)
def photograph(name: str) -> Pixels:
    """A photograph of scikit-image as RGB uint8 `[H, W, 3]`."""
    try:
        import skimage.data
    except ImportError as error:
        raise BuildError(
            "Photo backgrounds need scikit-image.",
            mend="Install what building needs: pip install 'pixelis-serving[build]'.",
        ) from error
    picture = getattr(skimage.data, name)()
    picture = picture[0] if isinstance(picture, tuple) else picture
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    return np.ascontiguousarray(picture[:, :, :3], dtype=np.uint8)


@lru_cache(maxsize=512)
def _font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=pixels)


def _varied(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """A photograph mirrored and with its colours exchanged: a dozen photographs are few."""
    picture = picture[:, :, rng.permutation(3)]
    flips = [np.s_[:, :], np.s_[:, ::-1], np.s_[::-1, :], np.s_[::-1, ::-1]]
    return np.ascontiguousarray(picture[flips[rng.integers(4)]])


def _backdrop(scene: Scene, w: int, h: int) -> Pixels:
    rng = np.random.default_rng([scene.seed % 2**32, 7])
    if scene.photo is not None:
        photo = photograph(scene.photo)
        side = int(min(photo.shape[:2]) * rng.uniform(0.55, 1.0))
        y, x = rng.integers(photo.shape[0] - side + 1), rng.integers(photo.shape[1] - side + 1)
        picture = cv2.resize(photo[y : y + side, x : x + side], (w, h), interpolation=cv2.INTER_LINEAR)
        if scene.split == "train":
            picture = _varied(picture, rng)
        gain = rng.uniform(0.55, 1.0)
        return np.asarray(np.clip(picture * gain + rng.uniform(0, 40), 0, 255), dtype=np.uint8)
    if scene.background is None:
        raise AssertionError("a scene has a photo or a background colour")
    canvas = np.empty((h, w, 3), np.float32)
    canvas[:] = scene.background
    if rng.random() < 0.5:
        ramp = np.linspace(-1, 1, w if rng.random() < 0.5 else h, dtype=np.float32) * rng.uniform(5, 25)
        canvas += ramp[None, :, None] if len(ramp) == w else ramp[:, None, None]
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _unit(kind: str) -> NDArray[np.float64]:
    def ring(n: int, radii: tuple[float, ...], start: float = -90) -> NDArray[np.float64]:
        angles = [math.radians(start + 360 * i / n) for i in range(n)]
        return np.array(
            [(radii[i % len(radii)] * math.cos(a), radii[i % len(radii)] * math.sin(a)) for i, a in enumerate(angles)]
        )

    if kind == "circle":
        return ring(48, (1.0,))
    if kind == "square":
        return np.array([(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)])
    if kind == "triangle":
        return np.array([(0.0, -0.95), (0.95, 0.85), (-0.95, 0.85)])
    if kind == "star":
        return ring(10, (1.0, 0.45))
    if kind == "diamond":
        return np.array([(0.0, -1.0), (0.7, 0.0), (0.0, 1.0), (-0.7, 0.0)])
    if kind == "hexagon":
        return ring(6, (1.0,), start=0)
    if kind == "plus":
        t = 0.33
        return np.array(
            [(-t, -1), (t, -1), (t, -t), (1, -t), (1, t), (t, t), (t, 1), (-t, 1), (-t, t), (-1, t), (-1, -t), (-t, -t)]
        )
    if kind == "heart":
        s = np.linspace(0, 2 * math.pi, 48, endpoint=False)
        x = 16 * np.sin(s) ** 3
        y = -(13 * np.cos(s) - 5 * np.cos(2 * s) - 2 * np.cos(3 * s) - np.cos(4 * s))
        return np.stack([x / 17, (y + 2.5) / 15.5], axis=1)
    raise AssertionError(f"no such shape: {kind}")


def outline(thing: Thing) -> NDArray[np.float64]:
    """A shape's corners `[n, 2]` in pixels of the original."""
    x1, y1, x2, y2 = thing.box
    a = math.radians(thing.angle)
    rotation = np.array([(math.cos(a), -math.sin(a)), (math.sin(a), math.cos(a))])
    points = _unit(thing.kind) @ rotation.T * (0.96 * np.array([x2 - x1, y2 - y1]) / 2)
    return np.asarray(points + np.array([(x1 + x2) / 2, (y1 + y2) / 2]), dtype=np.float64)


def _draw_shape(canvas: Pixels, thing: Thing, scale: tuple[float, float]) -> None:
    points = outline(thing) * np.array(scale)
    fixed = np.round(points * 16).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], thing.rgb, cv2.LINE_AA, shift=4)
    if thing.style:
        dark = sum(thing.rgb) > 480 or thing.style == 2
        rim = {1: tuple(int(c * 0.6) for c in thing.rgb)}.get(thing.style, (20, 20, 20) if dark else (250, 250, 250))
        cv2.polylines(canvas, [fixed], True, rim, max(1, round(7 * min(scale))), cv2.LINE_AA, shift=4)


def _write(canvas: Pixels, thing: Thing, box: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = box
    w, h = x2 - x1, y2 - y1
    if thing.style >= 4:
        face, weight = _HERSHEY[thing.style % 2], max(1, round(h / 16))
        (tw, th), _ = cv2.getTextSize(thing.text, face, 1.0, weight)
        size = min(0.86 * w / max(tw, 1), 0.52 * h / max(th, 1))
        (tw, th), _ = cv2.getTextSize(thing.text, face, size, weight)
        at = (x1 + (w - tw) // 2, y1 + (h + th) // 2)
        cv2.putText(canvas, thing.text, at, face, size, thing.ink, weight, cv2.LINE_AA)
        return
    pixels = max(4, int(0.66 * h))
    left, top, right, bottom = _font(pixels).getbbox(thing.text)
    if right - left > 0.88 * w:
        pixels = max(4, int(pixels * 0.88 * w / (right - left)))
        left, top, right, bottom = _font(pixels).getbbox(thing.text)
    picture = Image.fromarray(canvas[y1:y2, x1:x2])
    at = ((w - (right - left)) / 2 - left, (h - (bottom - top)) / 2 - top)
    ImageDraw.Draw(picture).text(at, thing.text, font=_font(pixels), fill=thing.ink)
    canvas[y1:y2, x1:x2] = np.asarray(picture)


def _draw_label(canvas: Pixels, thing: Thing, scale: tuple[float, float]) -> None:
    x1, y1, x2, y2 = thing.box
    box = (round(x1 * scale[0]), round(y1 * scale[1]), round(x2 * scale[0]), round(y2 * scale[1]))
    cv2.rectangle(canvas, box[:2], (box[2] - 1, box[3] - 1), thing.rgb, -1)
    if thing.style % 2:
        cv2.rectangle(canvas, box[:2], (box[2] - 1, box[3] - 1), thing.ink, max(1, round(5 * min(scale))), cv2.LINE_AA)
    _write(canvas, thing, box)


def placed(scene: Scene, frame: int) -> list[Thing]:
    """The things of a clip as they are in a frame, the moving one in front."""
    if scene.motion is None:
        return list(scene.things)
    mover, (dx, dy) = scene.motion.mover, (frame * s for s in scene.motion.step)
    x1, y1, x2, y2 = scene.things[mover].box
    left, top = round(x1 + dx), round(y1 + dy)
    moved = replace(scene.things[mover], box=(left, top, left + x2 - x1, top + y2 - y1))
    return [*(t for i, t in enumerate(scene.things) if i != mover), moved]


def render(scene: Scene, size: tuple[int, int] | None = None, frame: int = 0) -> Pixels:
    """RGB uint8 `[H, W, 3]` of a scene, at its own size or at `size` (width, height); of a clip, frame `frame`."""
    w, h = size or scene.size
    canvas = _backdrop(scene, w, h)
    scale = (w / scene.size[0], h / scene.size[1])
    for thing in placed(scene, frame):
        (_draw_label if thing.kind == "label" else _draw_shape)(canvas, thing, scale)
    return canvas
