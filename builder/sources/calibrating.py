"""Data from which static quantisation takes its ranges. None of it is in the gate's samples or tasks.

Pictures are scenes that the nano trains on (shapes, labels, parts of photographs behind a third of them), from seeds
that nothing else uses; text on them and in lines is of the training words.
"""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.sources.pictures import line, scene
from pixelis.schema import Experience

FIRST_SEED = 940_000_000
SEEDS = Path(__file__).parents[1] / "nano" / "seeds"
BATCH = 8
Pixels = NDArray[np.uint8]


def calibration_pictures(count: int, width: int, height: int) -> list[Pixels]:
    """`count` pictures `[height, width, 3]`, in turn a training scene and a generated one with more texture."""
    from builder.nano.render import render
    from builder.nano.scenes import make_scene

    found = []
    for i in range(count):
        if i % 2:
            found.append(scene(width, height, FIRST_SEED + i))
        else:
            drawn = render(make_scene("train", FIRST_SEED + i))
            found.append(np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA), np.uint8))
    return found


def calibration_lines(count: int, height: int) -> list[Pixels]:
    """`count` lines of text `[height, width, 3]` of one to three words."""
    from builder.nano.words import label_text

    rng = random.Random(FIRST_SEED)
    texts = (" ".join(label_text(rng, "train") for _ in range(1 + i % 3)) for i in range(count))
    return [line(text, FIRST_SEED + i, height) for i, text in enumerate(texts)]


def calibration_sentences(count: int) -> list[str]:
    """`count` questions that the nano was asked in training, each with its answer."""
    lines = (SEEDS / "experiences.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = lines[:: max(len(lines) // count, 1)][:count]
    lived = (Experience.model_validate_json(one) for one in chosen)
    return [f"{one.question} {one.answer}" for one in lived]


def batches(pictures: list[Pixels]) -> list[Pixels]:
    """Pictures of one size, stacked by `BATCH`."""
    return [np.stack(pictures[start : start + BATCH]) for start in range(0, len(pictures), BATCH)]
