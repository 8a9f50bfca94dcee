"""Task of `dynamics`: which of two steps surprised more, on transitions that the nano has lived through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from builder.nano.questions import Family, scene_for
from builder.sources.checkpoint import NANO
from builder.sources.embed_text import EmbedText
from builder.sources.experience import EXPERIENCES, KEYS, SEEDS
from builder.sources.task import Asked, Task
from pixelis.schema import Experience, OperationName
from python_backends.experience.key import VISUAL_WIDTH
from python_backends.pipeline.states import state_texts
from python_backends.policy.profile import Profile
from python_backends.reward.action import action_embedding
from python_backends.reward.curiosity import surprise

TRANSITIONS = 240
PAIRS = 1000
APART = 0.01
"""Two surprises closer than this, relative to the larger, are a tie: their order means nothing."""
BATCH = 8
TEXT_SHARE = np.float32(np.sqrt(0.3))
"""Length of the text side of a key."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Transitions:
    """States `[n, 1664]`, action embeddings `[n, 16]`, and the states after them."""

    before: Floats
    actions: Floats
    after: Floats


class CuriosityOrder(Task):
    """The reward's curiosity is a ranking of steps; an artifact must rank as the fp32 network does."""

    name = "curiosity-order"
    metric = "of two real steps, the one that surprised more is the same as in fp32"

    def __init__(self, reference: Callable[[Asked], Asked]) -> None:
        self.reference = reference

    def scores(self, ask: Callable[[Asked], Asked]) -> list[float]:
        """1 for every pair that is in the reference's order."""
        truth, found = _surprises(self.reference), _surprises(ask)
        rng = np.random.default_rng(0)
        pairs = rng.integers(0, len(truth), (20 * PAIRS, 2))
        first, second = truth[pairs[:, 0]], truth[pairs[:, 1]]
        clear = np.abs(first - second) > APART * np.maximum(first, second)
        chosen = pairs[clear][:PAIRS]
        same = (truth[chosen[:, 0]] > truth[chosen[:, 1]]) == (found[chosen[:, 0]] > found[chosen[:, 1]])
        return [float(hit) for hit in same]


def _surprises(ask: Callable[[Asked], Asked]) -> NDArray[np.float64]:
    """Curiosity of each transition, in batches as the server sends them."""

    def network(states: Floats, actions: Floats) -> Floats:
        return np.asarray(ask({"STATE": states, "ACTION": actions})["NEXT_STATE"], np.float32)

    lived = transitions()
    values: list[float] = []
    for start in range(0, len(lived.before), BATCH):
        part = slice(start, start + BATCH)
        values += surprise(lived.before[part], lived.actions[part], lived.after[part], network)
    return np.array(values)


@lru_cache(maxsize=1)
def transitions(count: int = TRANSITIONS) -> Transitions:
    """Steps of the seeds' episodes that leave the view as it is: the visual side of their keys is stored, and the text
    side is what the served code makes of the episode's text."""
    profile, keys = Profile.load(NANO), np.load(SEEDS / KEYS).astype(np.float32)
    visual: list[Floats] = []
    texts: list[str] = []
    actions: list[Floats] = []
    for line, key in zip((SEEDS / EXPERIENCES).read_text(encoding="utf-8").splitlines(), keys, strict=True):
        lived = Experience.model_validate_json(line)
        steps = [action for action in lived.trajectory if action.type == "VISUAL_OPERATION"]
        if any(step.operation is OperationName.ZOOM_IN for step in steps) or len(actions) >= count:
            continue
        told = state_texts(lived.question, lived.trajectory, profile)
        for step, before, after in zip(steps, told, told[1:], strict=False):
            visual.append(key[:VISUAL_WIDTH])
            texts += [before, after]
            actions.append(action_embedding(step, _size(lived)))
    embedded = TEXT_SHARE * _embedded(texts)
    seen = np.stack(visual)
    before, after = (np.concatenate([seen, embedded[i::2]], axis=1).astype(np.float32) for i in (0, 1))
    return Transitions(before, np.stack(actions), after)


def _size(lived: Experience) -> tuple[int, int]:
    """Of the original: the experience's id says which scene it was."""
    _, family, seed = lived.experience_id.split("-")
    known: dict[str, Family] = {name: name for name in get_args(Family)}
    return scene_for(known[family], "train", int(seed)).size


def _embedded(texts: list[str]) -> Floats:
    """Text embeddings of length 1 `[n, 384]`, by the fp32 source; equal texts once."""
    source, unique = EmbedText(), sorted(set(texts), key=len)
    found: dict[str, Floats] = {}
    for start in range(0, len(unique), BATCH):
        part = unique[start : start + BATCH]
        bucket = 64 if len(part[-1]) < 160 else 256
        found.update(zip(part, source.reference(source.tokens(part, bucket))["EMBEDDING"], strict=True))
    return np.stack([found[text] for text in texts])
