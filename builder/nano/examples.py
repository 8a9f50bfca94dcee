"""The shipped examples: held-out pictures and a clip, with questions of every family and the right answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
from PIL import Image

from builder.nano.clips import FPS
from builder.nano.questions import Family, Question, ask
from builder.nano.render import render

SHOWN: tuple[tuple[str, int, tuple[Family, ...]], ...] = (
    ("scene-1.jpg", 3, ("label", "colour", "where")),
    ("scene-2.jpg", 6, ("label", "colour", "where")),
    ("scene-3.jpg", 8, ("count",)),
    ("scene-4.jpg", 1, ("size",)),
    ("clip.mp4", 1, ("leaves",)),
)
"""File, seed and families, chosen among the first seeds: the nano answers right on each of them. How often it does is
measured by `pixelis nano evaluate`."""


def write(directory: Path) -> list[Path]:
    """Write the pictures, the clip and `questions.json`; the paths written."""
    directory.mkdir(parents=True, exist_ok=True)
    asked: list[dict[str, Any]] = []
    paths = []
    for name, seed, families in SHOWN:
        questions = [ask(family, "held_out", seed) for family in families]
        paths.append(_draw(questions[0], directory / name))
        asked += [
            {"file": name, "family": q.family, "seed": seed, "question": q.text, "answer": q.answer} for q in questions
        ]
    listing = directory / "questions.json"
    listing.write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")
    return [*paths, listing]


def question_of(entry: dict[str, Any]) -> Question:
    """The question of an entry of `questions.json`."""
    return ask(entry["family"], "held_out", entry["seed"])


def _draw(question: Question, path: Path) -> Path:
    if question.scene.motion is None:
        Image.fromarray(render(question.scene)).save(path, quality=92)
        return path
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, question.scene.size)
    for frame in range(question.scene.motion.frames):
        film.write(cv2.cvtColor(render(question.scene, frame=frame), cv2.COLOR_RGB2BGR))
    film.release()
    return path
