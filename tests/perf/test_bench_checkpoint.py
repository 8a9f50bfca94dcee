"""`pixelis bench checkpoint`: its part `equality` on a few prompts of each kind, and that it sees a difference."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from builder.candidate import Candidate
from builder.formats import open_format
from builder.sources.checkpoint import NANO
from builder.sources.vision_encoder import VisionEncoder
from perf.bench_checkpoint import app
from perf.checkpoint.equality import CHUNK, WAYS, compared, decode, reading_pairs, visual
from perf.checkpoint.prompts import FRAMES, KINDS, Prompt, held_out_prompts
from perf.checkpoint.reference import Reference, Written
from pixelis.errors import InvalidRequest
from pixelis.schema import Measurement
from tests.policy.support import write_artifact

TOKENS = 24


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return held_out_prompts(NANO, 8)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(NANO, 1)


def test_the_prompts_are_of_all_kinds_and_have_a_token_for_each_place(prompts: list[Prompt]) -> None:
    assert Counter(prompt.kind for prompt in prompts) == dict.fromkeys(KINDS, 2)
    pictures = {"text": 0, "image": 1, "two images": 2, "video": FRAMES}
    for prompt in prompts:
        assert len(prompt.views) == pictures[prompt.kind]
        places = sum(t * h * w // 4 for t, h, w in prompt.grids)
        assert Counter(prompt.ids.tolist()).most_common(1)[0][1] >= places
        assert prompt.grid[0] == (FRAMES // 2 if prompt.clip else 1)
        assert len(prompt.ids) > CHUNK or prompt.kind == "text"
    assert len({prompt.ids.tobytes() + prompt.views.tobytes() for prompt in prompts}) == len(prompts)


@pytest.mark.long
def test_the_nano_writes_what_transformers_generates(
    prompts: list[Prompt], reference: Reference, tmp_path: Path
) -> None:
    encoder = tmp_path / "vision_encoder"
    policy = write_artifact("onnx", tmp_path / "policy", NANO)
    paired = reading_pairs(NANO, tmp_path / "checkpoint")
    open_format("onnx").export(VisionEncoder(paired), encoder, Candidate(format="onnx"))
    seen = visual(prompts, encoder, 1)
    wanted = [reference.generate(prompt, TOKENS) for prompt in prompts]
    found = compared(prompts, wanted, {way: decode(policy, prompts, seen, way, TOKENS, 1) for way in WAYS})
    assert len(found.rows) == len(WAYS) * len(KINDS)
    for row in found.rows:
        assert row["equal"] == row["prompts"], row
        assert row["equal tokens"] == row["tokens"], row
        assert row["distinct answers"] > 1, row
    assert all(claim.met for claim in found.claims)
    # what is seen counts: other pictures make other tokens
    blind = [None if tokens is None else np.roll(tokens, 7, axis=0) for tokens in seen]
    got = decode(policy, prompts, blind, "whole, alone", TOKENS, 1)
    turned = compared(prompts, wanted, {"whole, alone": got})
    assert not turned.claims[0].met
    assert {row["prompts of"]: row["equal"] for row in turned.rows}["text"] == 2


def test_a_difference_is_counted_from_where_it_begins(prompts: list[Prompt]) -> None:
    wanted = [Written([1, 2, 3], [0.5, 0.25, 4.0])] * 8
    found = compared(prompts, wanted, {"a way": [*[[1, 2, 3]] * 7, [1, 9, 3]]})
    assert [row["equal"] for row in found.rows] == [2, 2, 2, 1]
    assert found.rows[-1]["equal tokens"] == 4
    assert found.rows[-1]["least margin"] == 0.25
    assert (found.claims[0].measured, found.claims[0].target, found.claims[0].met) == (7, 8, False)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no part 'speed'"):
        CliRunner().invoke(app, ["--parts", "speed"], catch_exceptions=False)


@pytest.mark.long
def test_the_command_prints_one_measurement() -> None:
    done = CliRunner().invoke(app, ["--prompts", "2", "--tokens", "4", "--parts", "equality", "--json"])
    assert done.exit_code == 0, done.output
    measured = Measurement.model_validate(json.loads(done.stdout))
    assert measured.name == "checkpoint"
    assert [claim.met for claim in measured.claims] == [True, True]
