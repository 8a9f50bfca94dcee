"""Task of `embed_text`: a question in other words is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np

from builder.nano.palette import COLOURS, SHAPES
from builder.nano.questions import QUESTIONS, Family
from builder.sources.task import Asked, Task

BATCH = 8
BUCKET = 32
_THINGS: dict[Family, tuple[str, ...]] = {
    "label": tuple(COLOURS),
    "colour": tuple(SHAPES),
    "count": tuple(COLOURS),
    "where": (*SHAPES, *(f"{colour} label" for colour in COLOURS)),
    "size": ("largest", "smallest"),
    "leaves": tuple(SHAPES),
}


class Paraphrases(Task):
    """Every question that the nano can be asked, in each of its five forms: form i must find its meaning in form j."""

    name = "paraphrase-retrieval"
    metric = "the nearest question of another form has the same meaning (recall@1)"

    def __init__(self, tokens: Callable[[Sequence[str], int], Asked]) -> None:
        self.tokens = tokens

    def scores(self, ask: Callable[[Asked], Asked]) -> list[float]:
        """1 for every question that finds itself in the other form's words, for all ordered pairs of forms."""
        forms = len(QUESTIONS["label"])
        meanings = [(family, thing) for family, things in _THINGS.items() for thing in things]
        sentences = [QUESTIONS[family][form].format(thing) for form in range(forms) for family, thing in meanings]
        parts = [sentences[start : start + BATCH] for start in range(0, len(sentences), BATCH)]
        answers = [np.asarray(ask(self.tokens(part, BUCKET))["EMBEDDING"], np.float64) for part in parts]
        by_form = np.concatenate(answers).reshape(forms, len(meanings), -1)
        by_form /= np.linalg.norm(by_form, axis=-1, keepdims=True)
        right = np.arange(len(meanings))
        found = [(by_form[i] @ by_form[j].T).argmax(axis=1) == right for i, j in permutations(range(forms), 2)]
        return [float(hit) for hit in np.concatenate(found)]
