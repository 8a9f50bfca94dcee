"""`python -m perf.ops.segment_quality`: SEGMENT_OBJECT_AT and GET_PROPERTIES against what the generator drew."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perf.ops.labels.coloured import coloured_shapes
from perf.ops.labels.object_scenes import make_scene
from perf.ops.labels.quokka import MEND, clicks, quokka
from perf.ops.labels.surfaces import Mask, Split
from perf.ops.quality_command import parser_of
from perf.tables import row_table, wide_console
from pixelis.errors import InvalidOperation
from pixelis.operations_config import FULL, Ladder, Operations
from pixelis.settings import settings
from python_backends.artifacts import artifact
from python_backends.images import Pixels
from python_backends.visual_ops import rle
from python_backends.visual_ops.arguments import Rle
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.features import EngineFeatures, Features
from python_backends.visual_ops.get_properties import get_properties
from python_backends.visual_ops.segment_object_at import segment_object_at

SPLITS: tuple[Split, ...] = ("fixed", "held_out")
CLICKS = 12
Row = dict[str, Any]
Answer = tuple[float, str, list[str], float]
"""IoU, method, what was left out, CPU seconds."""


def answer(image: Pixels, truth: Mask, point: tuple[int, int], features: Features, ladder: Ladder) -> Answer:
    """One click; an IoU of 0 where nothing was found."""
    effort, began = Effort(ladder), time.process_time()
    try:
        found = segment_object_at(image, {"point": list(point)}, features, effort)
    except InvalidOperation:
        return 0.0, "none", effort.skipped, time.process_time() - began
    seconds = time.process_time() - began
    mask = rle.decode(Rle.model_validate(found["mask"]), (image.shape[1], image.shape[0]))
    return float((mask & truth).sum() / (mask | truth).sum()), found["method"], effort.skipped, seconds


def scene_rows(split: Split, seeds: Iterable[int], features: Features, ladder: Ladder) -> list[Row]:
    """Mean IoU at full resolution and with the ladder, of all scenes, by their kind and by the method that answered.

    Full and ladder take turns, scene by scene.
    """
    groups: dict[str, list[tuple[Answer, Answer]]] = {"all": []}
    for seed in seeds:
        scene = make_scene(split, seed)
        pair = (
            answer(scene.image, scene.mask, scene.point, features, FULL),
            answer(scene.image, scene.mask, scene.point, features, ladder),
        )
        for name in ("all", scene.kind, f"method {pair[0][1]}"):
            groups.setdefault(name, []).append(pair)
    return [_row(split, name, groups[name]) for name in sorted(groups)]


def _row(split: str, name: str, pairs: Sequence[tuple[Answer, Answer]]) -> Row:
    full, ladder = (np.array([pair[i][0] for pair in pairs]) for i in range(2))
    seconds = [sum(pair[i][3] for pair in pairs) for i in range(2)]
    return {
        "row": "scenes",
        "split": split,
        "scenes": name,
        "count": len(pairs),
        "mean_iou": round(float(full.mean()), 4),
        "under_0.5": round(float((full < 0.5).mean()), 4),
        "ladder_mean_iou": round(float(ladder.mean()), 4),
        "loss_points": round(100 * float(full.mean() - ladder.mean()), 2),
        "stopped_early": sum(bool(pair[1][2]) for pair in pairs),
        "ladder_cpu_share": round(seconds[1] / max(seconds[0], 1e-9), 3),
    }


def quokka_row(features: Features, ladder: Ladder) -> Row | None:
    """Clicks on the photographed animal; nothing where the photograph is not installed."""
    found = quokka()
    if found is None:
        return None
    image, truth = found
    pairs = [tuple(answer(image, truth, at, features, how) for how in (FULL, ladder)) for at in clicks(truth, CLICKS)]
    return {**_row("photograph", "quokka", [(one, other) for one, other in pairs]), "row": "quokka"}


def colour_row(count: int, seed: int = 0) -> Row:
    """Colours that GET_PROPERTIES names right, of shapes given by their mask and by their box."""
    right, wrong = {"mask": 0, "bbox": 0}, []
    for shape in coloured_shapes(count, seed):
        for how, arguments in (("mask", {"mask": rle.encode(shape.mask)}), ("bbox", {"bbox": list(shape.box)})):
            named = get_properties(shape.image, arguments)["color"]["name"]
            right[how] += named == shape.name
            wrong += [f"{shape.name} by its {how}: {named}"] if named != shape.name else []
    return {"row": "colours", "count": count, "by_mask": right["mask"], "by_bbox": right["bbox"], "wrong": wrong}


def measure(count: int, features: Features, ladder: Ladder) -> list[Row]:
    """All of it on `count` scenes of each split."""
    rows = [row for split in SPLITS for row in scene_rows(split, range(count), features, ladder)]
    animal = quokka_row(features, ladder)
    return [*rows, *([animal] if animal else []), colour_row(count), colour_row(count, 1)]


def main() -> None:
    """Read the command line, measure, print."""
    asked = parser_of("segment_quality", __doc__, 200, "scenes of each split, and coloured shapes").parse_args()
    cv2.setNumThreads(1)
    features = EngineFeatures(artifact(Path(settings().repository), "embed_image"))
    rows = measure(asked.count, features, Operations().segment_object_at)
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    console = wide_console()
    for kind in ("scenes", "quokka", "colours"):
        chosen = [row for row in rows if row["row"] == kind]
        if chosen:
            console.print(row_table(kind, chosen))
        elif kind == "quokka":
            console.print(f"The quokka's photograph is not installed: {MEND}")


if __name__ == "__main__":
    main()
