"""Questions about held-out scenes of the nano, as the runtime and transformers are asked them.

text           no picture
image          one
two images     the second one is of another scene
video          a clip: one visual token is two frames, a quarter of a second apart in time or by the text before each
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from builder.nano.clips import FPS
from builder.nano.questions import FAMILIES, Question, ask
from builder.nano.render import render
from python_backends.pipeline.views import view
from python_backends.policy import conversation
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.geometry import Geometry
from python_backends.policy.positions import Grid, visual_tokens
from python_backends.policy.profile import Profile
from python_backends.policy.tokenizer import PolicyTokenizer
from python_backends.policy.video import seconds_per_patch, timestamps

KINDS = ("text", "image", "two images", "video")
FRAMES = 8
"""Of a clip: the shortest has more."""
_NO_IDS = np.zeros(0, np.int64)
_STILL = tuple(family for family in FAMILIES if family != "leaves")


@dataclass(frozen=True)
class Prompt:
    """One of them.

    Attributes:
        kind: one of `KINDS`.
        ids: `[S]`, the image token repeated once a visual token (of a clip too).
        views: `[n, H, W, 3]` uint8, pictures or the frames of one clip; none of a text.
        grid: (frames, rows, columns) in patches of each picture, or of the clip.
        apart: whether each temporal patch of the clip is an image of its own, with its time before it (Qwen3-VL).
    """

    kind: str
    ids: NDArray[np.int64]
    views: NDArray[np.uint8]
    grid: Grid
    apart: bool = False

    @property
    def clip(self) -> bool:
        """Whether the views are frames of one clip."""
        return self.kind == "video"

    @property
    def grids(self) -> list[Grid]:
        """Of each picture or clip, as the runtime is told them."""
        if self.clip:
            return [(1, *self.grid[1:])] * self.grid[0] if self.apart else [self.grid]
        return [self.grid] * len(self.views)

    @property
    def seen(self) -> NDArray[np.uint8]:
        """What a tower that reads pairs is shown: pictures `[n, H, W, 3]`, or a clip's pairs `[n, H, W, 6]`."""
        return np.concatenate([self.views[::2], self.views[1::2]], axis=-1) if self.clip else self.views


def held_out_prompts(checkpoint: Path, count: int) -> list[Prompt]:
    """`count` prompts, the kinds in turn, no scene twice.

    Args:
        checkpoint: whose view, tokenizer and geometry count.
        count: how many.
    """
    profile, tokenizer = Profile.load(checkpoint), PolicyTokenizer(checkpoint)
    geometry, merge = Geometry.load(checkpoint), CheckpointConfig.load(checkpoint).merge
    made = []
    for seed in range(count):
        kind = KINDS[seed % len(KINDS)]
        family = "leaves" if kind == "video" else _STILL[seed // len(KINDS) % len(_STILL)]
        question = ask(family, "held_out", seed)
        views = _VIEWS[kind](question, seed, profile.view)
        grid = geometry.grid(profile.view, FRAMES if kind == "video" else 1)
        prompt = Prompt(kind, _NO_IDS, views, grid, apart=kind == "video" and profile.times == "text")
        times = timestamps(range(FRAMES), FPS, geometry.temporal) if prompt.apart else ()
        text = conversation.opening(profile, question.text, len(prompt.grids), times)
        ids = tokenizer.encode(text, [visual_tokens(one, merge) for one in prompt.grids])
        made.append(replace(prompt, ids=ids.astype(np.int64)))
    return made


def clip_seconds(temporal: int) -> float:
    """Seconds from one visual token of a clip to the one behind it."""
    return seconds_per_patch(FPS, temporal)


def _none(question: Question, seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.zeros((0, size[1], size[0], 3), np.uint8)


def _one(question: Question, seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.stack([view(render(question.scene), size)])


def _two(question: Question, seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    other = ask("colour", "held_out", 10_000 + seed).scene
    return np.stack([view(render(scene), size) for scene in (question.scene, other)])


def _clip(question: Question, seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.stack([view(render(question.scene, frame=i), size) for i in range(FRAMES)])


_VIEWS: dict[str, Callable[[Question, int, tuple[int, int]], NDArray[np.uint8]]] = {
    "text": _none,
    "image": _one,
    "two images": _two,
    "video": _clip,
}
