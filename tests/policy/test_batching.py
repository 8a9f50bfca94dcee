"""Which prompts are read together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from python_backends.policy.batching import prefill_groups


def _sequences(lengths: list[int]) -> list[Any]:
    return [SimpleNamespace(length=length) for length in lengths]


@given(st.lists(st.integers(1, 3000), max_size=24))
def test_everyone_is_in_one_group_and_no_group_wastes(lengths: list[int]) -> None:
    sequences = _sequences(lengths)
    groups = prefill_groups(sequences, max_padding=0.25, max_tokens=4096)
    assert sorted(map(id, sequences)) == sorted(id(s) for group in groups for s in group)
    for group in groups:
        sizes = [s.length for s in group]
        places = max(sizes) * len(sizes)
        assert places - sum(sizes) <= 0.25 * places
        assert places <= 4096 or len(group) == 1


def test_equal_lengths_go_together() -> None:
    assert [len(group) for group in prefill_groups(_sequences([60] * 8), 4096)] == [8]


def test_a_long_prompt_does_not_pad_short_ones() -> None:
    groups = prefill_groups(_sequences([60, 1000, 64, 62]), 4096)
    assert [[s.length for s in group] for group in groups] == [[60, 62, 64], [1000]]
