"""What was read before is found again, whole, and never anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from python_backends.policy.content import Content
from python_backends.policy.prefix_cache import BLOCK, PrefixCache

TOKEN_BYTES = 2 * 1 * 3 * 4
"""Of `_cells`: two arrays, one head, three numbers in fp32."""


def _content(words: list[int]) -> Content:
    return np.stack([np.array(words, np.uint64), np.arange(len(words), dtype=np.uint64)], axis=1)


def _cells(content: Content) -> np.ndarray:
    """A cache as a model would make it: a token's cells follow from all tokens up to it."""
    sums = np.cumsum(content[:, 0].astype(np.float64) * np.arange(1, len(content) + 1)).astype(np.float32)
    return np.broadcast_to(sums[None, None, :, None], (2, 1, len(content), 3)).copy()


def _keep(cache: PrefixCache, content: Content) -> None:
    cells = _cells(content)
    cache.keep(content, lambda start, stop: cells[:, :, start:stop].copy())


def _found(cache: PrefixCache, content: Content) -> int:
    pieces = cache.find(content)
    if not pieces:
        return 0
    found = np.concatenate(pieces, axis=2)
    np.testing.assert_array_equal(found, _cells(content)[:, :, : found.shape[2]])
    return found.shape[2]


def _agree(one: Content, other: Content) -> int:
    size = min(len(one), len(other))
    differs = np.flatnonzero((one[:size] != other[:size]).any(axis=1))
    return int(differs[0]) if len(differs) else size


words = st.lists(st.integers(0, 1), min_size=1, max_size=4 * BLOCK)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3 * BLOCK), words), min_size=1, max_size=12), words)
def test_the_longest_known_beginning_is_found(kept: list[tuple[int, list[int]]], asked: list[int]) -> None:
    cache, known = PrefixCache(1 << 30), []
    for shared, tail in kept:
        content = _content([*asked[:shared], *tail])
        _keep(cache, content)
        known.append(content)
    wanted = _content(asked)
    assert _found(cache, wanted) == max(_agree(wanted, content) for content in known)


@settings(max_examples=40, deadline=None)
@given(st.lists(words, min_size=1, max_size=30), st.integers(0, 6 * BLOCK))
def test_the_budget_holds_and_what_is_found_is_right(asked: list[list[int]], tokens: int) -> None:
    cache = PrefixCache(tokens * TOKEN_BYTES)
    for one in asked:
        _found(cache, _content(one))
        _keep(cache, _content(one))
        assert 0 <= cache.held <= cache.budget
    assert sum(block.cells.nbytes for block in cache._used.values()) == cache.held


def test_what_was_used_last_stays() -> None:
    def prompt(first: int) -> Content:
        return _content([first] * 2 * BLOCK)

    cache = PrefixCache(6 * BLOCK * TOKEN_BYTES)
    for first in (1, 2, 3):
        _keep(cache, prompt(first))
    assert _found(cache, prompt(1)) == 2 * BLOCK
    _keep(cache, prompt(4))
    left = [_found(cache, prompt(first)) for first in (1, 2, 3, 4)]
    assert left == [2 * BLOCK, 0, 2 * BLOCK, 2 * BLOCK]
    assert cache.counts.evicted == 2


def test_a_beginning_outlives_what_follows_it() -> None:
    cache = PrefixCache(3 * BLOCK * TOKEN_BYTES)
    _keep(cache, _content([1] * 3 * BLOCK))
    _keep(cache, _content([2] * BLOCK))
    assert _found(cache, _content([1] * 3 * BLOCK)) == 2 * BLOCK


def test_nothing_is_read_twice() -> None:
    cache, reads = PrefixCache(1 << 20), []

    def read(start: int, stop: int) -> Any:
        reads.append((start, stop))
        return np.zeros((2, 1, stop - start, 3), np.float32)

    content = _content(list(range(3 * BLOCK + 5)))
    cache.keep(content[: 2 * BLOCK + 3], read)
    cache.keep(content, read)
    cache.keep(content[: 2 * BLOCK + 3], read)
    assert reads == [
        (0, BLOCK),
        (BLOCK, 2 * BLOCK),
        (2 * BLOCK, 2 * BLOCK + 3),
        (2 * BLOCK, 3 * BLOCK),
        (3 * BLOCK, 3 * BLOCK + 5),
    ]
    assert cache.held == len(content) * TOKEN_BYTES


def test_without_a_budget_nothing_is_kept() -> None:
    cache = PrefixCache(0)
    _keep(cache, _content([1, 2, 3]))
    assert not cache.knows(_content([1, 2, 3]))
    assert cache.held == 0


def test_clear() -> None:
    cache = PrefixCache(1 << 20)
    _keep(cache, _content([1, 2, 3]))
    assert cache.knows(_content([1, 2, 3]))
    cache.clear()
    assert _found(cache, _content([1, 2, 3])) == 0
    assert cache.held == 0
