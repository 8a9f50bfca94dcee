"""Neighbours that are near and say something else: what a vote must not fall for.

Three kinds, each about what is not quite the asked picture and question: the same scene with another word or colour in
it (`edited`), another question of the family about the same scene (`sibling`), and the same question about another
scene (`stranger`). What they answer is right for them and wrong for the asked one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from builder.nano.palette import COLOURS
from builder.nano.pictures import encoded
from builder.nano.questions import QUESTIONS, Family, Question, ask
from builder.nano.scenes import Thing

if TYPE_CHECKING:
    from python_backends.pipeline.local import LocalModels

Kind = Literal["edited", "sibling", "stranger"]
KINDS: tuple[Kind, ...] = ("edited", "sibling", "stranger")
FAMILIES: tuple[Family, ...] = ("label", "colour")
"""Families of which every thing in a scene can be asked about."""
LETTERS = "ABCDEFGHKLMNPRSTUVWXYZ"


@dataclass(frozen=True)
class Adversary:
    """An encoded picture, a question about it, and an answer that is wrong for the asked question."""

    kind: Kind
    picture: bytes
    question: str
    answer: str


def adversaries(question: Question, strangers: int = 2) -> list[Adversary]:
    """All kinds for a question of one of `FAMILIES`."""
    return [*_edited(question), *_siblings(question), *_strangers(question, strangers)]


def _edited(question: Question, count: int = 3) -> list[Adversary]:
    rng = random.Random(f"{question.scene.seed}/edited")
    thing, found = question.things[0], []
    for _ in range(count):
        if question.family == "label":
            other = replace(thing, text="".join(rng.choice(LETTERS) for _ in thing.text))
            answer = other.text
        else:
            answer = rng.choice([name for name in COLOURS if name != question.answer])
            other = replace(thing, colour=answer, rgb=COLOURS[answer])
        found.append(Adversary("edited", _drawn(question, other), question.text, answer))
    return found


def _siblings(question: Question) -> list[Adversary]:
    picture, label = encoded(question)[0], question.family == "label"
    others = [
        (thing.colour, thing.text) if label else (thing.kind, thing.colour)
        for thing in (question.scene.labels if label else question.scene.shapes)
    ]
    return [
        Adversary("sibling", picture, form.format(word), answer)
        for word, answer in others
        for form in QUESTIONS[question.family]
        if answer != question.answer and word != question.word
    ]


def _strangers(question: Question, count: int) -> list[Adversary]:
    first = random.Random(f"{question.scene.seed}/strangers").randrange(10**6)
    scenes = [ask(question.family, question.scene.split, first + i) for i in range(count)]
    return [Adversary("stranger", encoded(other)[0], question.text, f"not {question.answer}") for other in scenes]


def _drawn(question: Question, other: Thing) -> bytes:
    """The scene with another thing in the place of the asked one, encoded as the question's own picture is."""
    things = tuple(other if thing == question.things[0] else thing for thing in question.scene.things)
    return encoded(replace(question, scene=replace(question.scene, things=things)))[0]


def keys(models: LocalModels, pairs: Sequence[tuple[bytes, str]]) -> NDArray[np.float32]:
    """Retrieval keys `[n, 1664]` of encoded pictures and questions, every distinct picture embedded once."""
    from python_backends.experience.key import retrieval_key
    from python_backends.images import decode
    from python_backends.pipeline.views import retrieval_view

    deadline = time.time() + 600
    pictures = list({picture: None for picture, _ in pairs})
    views = np.stack([retrieval_view([decode(picture)]) for picture in pictures])
    seen = dict(zip(pictures, models.embed_image(views, deadline), strict=True))
    texts = models.embed_text([text for _, text in pairs], deadline)
    return np.stack([retrieval_key(seen[picture], text) for (picture, _), text in zip(pairs, texts, strict=True)])
