"""Text tokens in buckets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from python_backends.pipeline.words import BUCKETS, TextTokens


@pytest.fixture
def tokens(tmp_path: Path) -> TextTokens:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"<unk>": 0, "a": 1, "b": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_padding(length=7)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return TextTokens(tmp_path)


def test_a_text_is_in_the_bucket_of_its_own_length(tokens: TextTokens) -> None:
    texts = ["a " * 33, "b", "a " * 1000, "a b"]
    batches = list(tokens.batches(texts, most=8))
    assert [(members, inputs["INPUT_IDS"].shape) for members, inputs in batches] == [
        ([1, 3], (2, 16)),
        ([0], (1, 64)),
        ([2], (1, 256)),
    ]
    assert batches[0][1]["ATTENTION_MASK"].sum(axis=1).tolist() == [1, 2]
    assert batches[2][1]["ATTENTION_MASK"].sum() == BUCKETS[-1]


def test_no_batch_is_larger_than_most(tokens: TextTokens) -> None:
    batches = list(tokens.batches(["a"] * 5, most=2))
    assert [members for members, _ in batches] == [[0, 1], [2, 3], [4]]
    assert all(np.array_equal(inputs["INPUT_IDS"][:, 0], [1] * len(members)) for members, inputs in batches)
