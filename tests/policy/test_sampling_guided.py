"""Draws under the real grammar of calls: every call that is drawn parses, however hot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelis.schema import Sampling
from python_backends.pipeline.dialect import Call, parse_turn
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.grammar import CallGrammar
from python_backends.policy.sampling import greedy, guided, sample
from python_backends.policy.sampling_plan import Plan
from python_backends.policy.tokenizer import PolicyTokenizer
from tests.policy import vocabularies

LONGEST = 9000


@pytest.mark.parametrize("kind", ["nano", "byte_level"])
@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 2.0},
        {"temperature": 1.0, "top_k": 3},
        {"temperature": 1.0, "top_p": 0.5, "repetition_penalty": 1.5},
        {"repetition_penalty": 2.0},
    ],
)
def test_drawn_calls_parse(tmp_path: Path, kind: str, settings: dict[str, Any]) -> None:
    directory = getattr(vocabularies, kind)(tmp_path)
    config, tokenizer = CheckpointConfig.load(directory), PolicyTokenizer(directory)
    grammar, redrawn, said = CallGrammar(directory, config), 0, set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        guide = grammar.guide(config.end_ids, LONGEST, images=9)
        tokens = tokenizer.encode("<tool_call>").tolist()
        assert all(guide.take(token) for token in tokens)
        plan = Plan(Sampling(request_id="a", seed=seed, **settings), np.array(tokens))
        while tokens[-1] not in config.end_ids:
            assert len(tokens) < LONGEST
            logits = rng.standard_normal((1, config.vocabulary)).astype(np.float32)
            drawn, logprobs = greedy(logits)
            sample(logits, [plan], drawn, logprobs)
            token, _ = guided(plan, guide, logits[0], int(drawn[0]), logprobs[0])
            redrawn += token != int(drawn[0])
            plan.took(token)
            tokens.append(token)
        text = tokenizer.decode(tokens)
        assert isinstance(parse_turn(text).act, Call), text
        said.add(text)
    assert redrawn > 100
    assert len(said) == 12
