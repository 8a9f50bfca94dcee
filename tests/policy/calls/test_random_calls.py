"""Whatever the logits say and however few tokens a turn may have: no call is cut, each parses and validates.

`PIXELIS_CALLS=10000 python -m pytest -s tests/policy/calls/test_random_calls.py` is the same with more turns.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pixelis.schema import Operation
from python_backends.pipeline.dialect import Answer, Call, operations, parse_turn
from python_backends.pipeline.dialects import default_dialect
from python_backends.pipeline.spaces import Frame, Space
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.grammar import CallGrammar
from python_backends.policy.tokenizer import PolicyTokenizer
from python_backends.visual_ops import arguments
from tests.operation_arguments import MODELS
from tests.policy import vocabularies

TURNS = int(os.environ.get("PIXELIS_CALLS", "500"))
MOST = 200
VIEWS: list[tuple[str, Space, tuple[int, int]]] = [
    ("nano", "view_pixels", (168, 168)),
    ("nano", "relative_1", (168, 168)),
    ("byte_level", "relative_1000", (448, 168)),
    ("large", "view_pixels", (1288, 56)),
]
NOISE = np.random.default_rng(1).standard_normal(1 << 20).astype(np.float32)


@dataclass
class Speaker:
    """A policy of noise that likes to call."""

    config: CheckpointConfig
    tokenizer: PolicyTokenizer
    grammar: CallGrammar
    space: Space
    view: tuple[int, int]
    seen: Counter[str] = field(default_factory=Counter)

    @classmethod
    def make(cls, directory: Path, kind: str, space: Space, view: tuple[int, int]) -> Speaker:
        getattr(vocabularies, kind)(directory)
        (directory / "pixelis.json").write_text(json.dumps({"coordinates": space, "view": view}))
        config = CheckpointConfig.load(directory)
        return cls(config, PolicyTokenizer(directory), CallGrammar(directory, config), space, view)

    def speak(self, rng: np.random.Generator, limit: int, images: int) -> list[int]:
        """A turn, by the likeliest token each time."""
        opening, ends = self.tokenizer.encode("<tool_call>"), list(self.config.end_ids)
        guide, size = self.grammar.guide(self.config.end_ids, limit, images), self.config.vocabulary
        scale, eager, opens = rng.choice([0.5, 3.0, 30.0]), int(rng.integers(0, 1 + limit // 2)), rng.random() < 0.9
        tokens: list[int] = []
        for step in range(limit):
            at = int(rng.integers(0, len(NOISE) - size))
            row: NDArray[np.float32] = scale * NOISE[at : at + size]
            if opens and step >= eager and not guide.inside:
                row[opening[(step - eager) % len(opening)]] += 8 * scale
            elif not opens:
                row[ends] += 2 * scale
            token, _ = guide.choose(row, int(row.argmax()), -1.0)
            tokens.append(token)
            if token in ends:
                break
        return tokens

    def check(self, tokens: list[int], limit: int, images: int, frames: list[Frame]) -> None:
        """What one turn says."""
        turn = parse_turn(self.tokenizer.decode(tokens))
        finished = "stop" if tokens[-1] in self.config.end_ids else "length"
        if isinstance(turn.act, Answer):
            self.seen[f"answer {finished}"] += 1
            return
        assert isinstance(turn.act, Call), (turn, limit)
        self.seen[f"call {finished}"] += 1
        self.seen[turn.act.name] += 1
        self._check_numbers(turn.act, images)
        planned = operations(turn.act, frames, self.space)
        assert planned
        for operation, frame in planned:
            self._check_operation(operation, frame)

    def _check_numbers(self, call: Call, images: int) -> None:
        written = call.arguments
        whole = written.get("normalized") is True or call.name == "crop_image_normalized"
        extent = frame_extent("relative_1" if whole else self.space, self.view)
        for name in ("region", "bbox", "init_bbox", "bbox_2d", "point", "center"):
            for i, value in enumerate(written.get(name, [])):
                most = extent[i % 2]
                assert 0 <= value <= most, (call, most)
                assert value < most or name not in ("point", "center"), call
        for target in (written.get("target_image", 1), *written.get("target_frames", [])):
            assert 1 <= target <= images, call

    def _check_operation(self, operation: Operation, frame: Frame) -> None:
        parsed = arguments.parse(MODELS[operation.operation], operation.arguments, operation.operation.value)
        x1, y1, x2, y2 = frame.region
        for name in ("point", "center"):
            at = getattr(parsed, name, None)
            if at is not None:
                assert x1 <= at[0] < x2, (operation, frame)
                assert y1 <= at[1] < y2, (operation, frame)


def frame_extent(space: Space, view: tuple[int, int]) -> tuple[float, float]:
    return Frame(0, (0, 0, 1, 1), view).units(space)


def frames_of(rng: np.random.Generator, images: int, view: tuple[int, int]) -> list[Frame]:
    """Originals and crops, some of one pixel."""
    corners = rng.integers(0, 50, (images, 2)).tolist()
    sizes = rng.choice([1, 2, 5, 90, 4000], (images, 2)).tolist()
    return [
        Frame(i, (x, y, x + w, y + h), view, whole=False)
        for i, ((x, y), (w, h)) in enumerate(zip(corners, sizes, strict=True))
    ]


@pytest.mark.parametrize(("kind", "space", "view"), VIEWS)
def test_no_call_is_cut_and_all_validate(kind: str, space: Space, view: tuple[int, int], tmp_path: Path) -> None:
    speaker = Speaker.make(tmp_path, kind, space, view)
    for seed in range(TURNS // len(VIEWS)):
        rng = np.random.default_rng([seed, len(kind)])
        limit, images = int(rng.integers(1, MOST + 1)), int(rng.choice([1, 1, 2, 3, 9, 10, 25]))
        tokens = speaker.speak(rng, limit, images)
        assert len(tokens) <= limit
        speaker.check(tokens, limit, images, frames_of(rng, images, view))
    print(kind, space, dict(sorted(speaker.seen.items())))
    assert speaker.seen["call stop"] > 0.3 * TURNS / len(VIEWS)
    assert speaker.seen["call length"] > 0  # closed by its very last token
    assert speaker.seen["answer length"] > 0
    assert len(set(default_dialect().tools) & set(speaker.seen)) >= (
        len(default_dialect().tools) if TURNS >= 5000 else 6
    )
