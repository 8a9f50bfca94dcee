"""Mixed work with labels: pages, lines, scenes and clips, and what is asked of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import numpy as np
from PIL import Image

from perf.ops.judges import boundaries, lines_read, mask_overlap, region_shown, track_overlap
from perf.ops.labels.localize_clips import shown_clip
from perf.ops.labels.object_scenes import make_scene
from perf.ops.labels.text_lines import lines
from perf.ops.labels.text_pages import Page, Written, pages
from perf.ops.labels.track_clips import track_clip
from perf.ops.task import Request, Task
from pixelis.schema import Operation, OperationName
from python_backends.images import Pixels

KINDS = {"page": 40, "line": 100, "scene": 160, "zoom": 40, "track": 20, "localize": 20}
"""Requests of each kind in a whole workload; a page is asked four things, so that there are 500 operations."""


def workload(scale: float, seed: int) -> list[Request]:
    """Requests, mixed; each has images of its own.

    Args:
        scale: 1 = 500 operations.
        seed: of all labels; 0 for the fixed set, anything else is held out.
    """
    made: list[Request] = []
    for kind, count in KINDS.items():
        made += MAKERS[kind](max(1, round(count * scale)), seed)
    Random(seed).shuffle(made)
    return made


def repeated(requests: list[Request], seed: int) -> list[Request]:
    """Half of `requests`, each asked twice, in any order: what is repeated comes after the first time."""
    once = requests[: len(requests) // 2]
    order = [*range(len(once))] * 2
    Random(seed).shuffle(order)
    seen: set[int] = set()
    out = []
    for i in order:
        out.append(replace(once[i], again=i in seen))
        seen.add(i)
    return out


def page_requests(count: int, seed: int) -> list[Request]:
    """The whole page, parts of it, and a look closer."""
    rng = Random(f"parts {seed}")
    return [Request((_png(page.pixels),), tuple(_page_tasks(page, rng))) for page in pages(count, 20261129 + seed)]


def line_requests(count: int, seed: int) -> list[Request]:
    """One line, as a label that was cut out."""
    return [Request((_png(line.pixels),), (_read(lines_read([line.text])),)) for line in lines(count, 20261129 + seed)]


def scene_requests(count: int, seed: int) -> list[Request]:
    """A click on an object."""
    made = []
    for i in range(count):
        scene = make_scene("held_out" if seed else "fixed", i)
        click = Operation(operation=OperationName.SEGMENT_OBJECT_AT, arguments={"point": list(scene.point)})
        made.append(
            Request((_jpeg(scene.image),), (Task(click, "overlap of segments (IoU)", mask_overlap(scene.mask)),))
        )
    return made


def zoom_requests(count: int, seed: int) -> list[Request]:
    """A closer look at a photograph."""
    rng = Random(f"zoom {seed}")
    made = []
    for i in range(count):
        scene = make_scene("held_out" if seed else "fixed", 1000 + i)
        height, width = scene.image.shape[:2]
        x1, y1 = rng.randrange(width // 2), rng.randrange(height // 2)
        region = [x1, y1, x1 + width // 4, y1 + height // 4]
        asked = Operation(operation=OperationName.ZOOM_IN, arguments={"region": region})
        made.append(Request((_jpeg(scene.image),), (Task(asked, "regions shown", region_shown(region)),)))
    return made


def track_requests(count: int, seed: int) -> list[Request]:
    """A moving thing, given in the first frame."""
    made = []
    for i in range(count):
        clip = track_clip(10_000 * bool(seed) + i)
        asked = Operation(operation=OperationName.TRACK_OBJECT, arguments={"init_bbox": list(clip.boxes[0])})
        images = tuple(_jpeg(frame) for frame in clip.frames)
        made.append(Request(images, (Task(asked, "overlap of tracks (IoU)", track_overlap(clip)),)))
    return made


def localize_requests(count: int, seed: int) -> list[Request]:
    """Words, or an example, looked for in time."""
    made = []
    for i in range(count):
        clip = shown_clip(10_000 * bool(seed) + i)
        asked = Operation(operation=OperationName.TEMPORAL_LOCALIZE, arguments={"query": clip.query})
        images = tuple(_jpeg(frame) for frame in clip.frames)
        made.append(Request(images, (Task(asked, "boundaries within 2 frames", boundaries(clip.spans)),)))
    return made


MAKERS: dict[str, Callable[[int, int], list[Request]]] = {
    "page": page_requests,
    "line": line_requests,
    "scene": scene_requests,
    "zoom": zoom_requests,
    "track": track_requests,
    "localize": localize_requests,
}


def _page_tasks(page: Page, rng: Random) -> Iterator[Task]:
    """The whole, two parts of it that whole lines lie in, and one of these spelled otherwise."""
    height, width = page.pixels.shape[:2]
    yield _read(lines_read([line.text for line in page.lines]))
    for _ in range(2):
        part, inside = _part(page, rng)
        yield _read(lines_read([line.text for line in inside]), region=part)
    x1, y1, x2, y2 = part
    shares = [x1 / width, y1 / height, x2 / width, y2 / height]
    yield _read(lines_read([line.text for line in inside]), region=shares, normalized=True)


def _part(page: Page, rng: Random) -> tuple[list[float], list[Written]]:
    """A region around some lines that follow each other, and all the lines that lie in it whole."""
    height, width = page.pixels.shape[:2]
    per_column = len(page.lines) // page.columns
    first = rng.randrange(page.columns) * per_column + rng.randrange(per_column)
    last = min(first + rng.randint(0, 3), first // per_column * per_column + per_column - 1)
    boxes = np.array([line.box for line in page.lines[first : last + 1]])
    air = page.setting.size * 0.3
    x1, y1 = (boxes[:, :2].min(0) - air).clip(0)
    x2, y2 = (boxes[:, 2:].max(0) + air).clip(max=(width, height))
    region = [float(x1), float(y1), float(x2), float(y2)]
    inside = [
        line
        for line in page.lines
        if line.box[0] >= x1 and line.box[1] >= y1 and line.box[2] <= x2 and line.box[3] <= y2
    ]
    return region, inside


def _read(judge: object, **arguments: object) -> Task:
    assert callable(judge)
    return Task(Operation(operation=OperationName.READ_TEXT, arguments=arguments), "lines read exactly", judge)


def _png(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _jpeg(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95)
    return out.getvalue()
