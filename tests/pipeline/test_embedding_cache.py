"""Visual tokens that are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from pixelis.cache_config import Cached
from pixelis.errors import DeadlineExceeded, Unavailable
from python_backends.caching import Cache
from python_backends.caching.codec import FloatsCodec
from python_backends.caching.entry import OVERHEAD
from python_backends.caching.keys import vision_key
from python_backends.caching.origin import Origin, Origins
from python_backends.pipeline.embedding_cache import EmbeddingCache, Encode
from python_backends.pipeline.models import Floats, Views

ROW = 6 * 4 * 4 + 9 + OVERHEAD
"""What the tokens of one view weigh."""


class Newest(Origins):
    """The origin of a version that lies there, whether it is loaded or not."""

    def __init__(self, newest: Callable[[], str | None]) -> None:
        self.newest = newest

    def of(self, models: Sequence[str], *configuration: object) -> Origin | None:
        version = self.newest()
        return None if version is None else Origin({"vision_encoder": version})


def behind(encoder: Encode, newest: Callable[[], str | None], rows: int = 10) -> EmbeddingCache:
    config = Cached(entries=max(rows, 1), bytes=rows * ROW, policy="lru")
    return EmbeddingCache(encoder, Cache("vision", FloatsCodec(), config), vision_key, "vision_encoder", Newest(newest))


def counted(cache: EmbeddingCache) -> tuple[int, int]:
    """Views that were found, and that were not."""
    counts = cache._cache.memory.counts.snapshot()
    return counts["hits"], counts["misses"]


def held(cache: EmbeddingCache) -> int:
    return cache._cache.memory.held()[1]


class Encoder:
    """Tokens that follow from a view's pixels and from the encoder's version; counts what it is asked."""

    def __init__(self) -> None:
        self.served = self.newest = "1"
        self.asked: list[int] = []
        self.down = False
        self.seed = 0

    def __call__(self, views: Views, deadline: float, version: str | None) -> Floats:
        if self.down or version not in (None, self.served):
            raise Unavailable("Model `vision_encoder` is not up.")
        self.asked.append(len(views))
        return np.stack([self.tokens(view) for view in views])

    def tokens(self, view: Views) -> Floats:
        seed = [int(self.served), self.seed, *np.ascontiguousarray(view).view(np.uint8).reshape(-1)[:64]]
        return np.random.default_rng(seed).standard_normal((6, 4)).astype(np.float32)

    def cache(self, rows: int = 10) -> EmbeddingCache:
        return behind(self, lambda: self.newest, rows)


def views(*numbers: int, shape: tuple[int, int] = (4, 4)) -> Views:
    return np.stack([np.full((*shape, 3), number, np.uint8) for number in numbers])


def test_what_was_seen_is_not_encoded_again_and_says_the_same() -> None:
    encoder = Encoder()
    cache = encoder.cache()
    first = cache(views(1, 2), 9e9)
    again = cache(views(2, 3, 1, 3), 9e9)
    assert encoder.asked == [2, 1]
    np.testing.assert_array_equal(again, np.stack([encoder.tokens(view) for view in views(2, 3, 1, 3)]))
    np.testing.assert_array_equal(again[[2, 0]], first)
    assert counted(cache) == (2, 3)  # of a batch each view is looked for once
    assert held(cache) == 3 * ROW


def test_a_caller_cannot_change_what_is_kept() -> None:
    encoder = Encoder()
    cache = encoder.cache()
    cache(views(1), 9e9)[:] = 0
    cache(views(1), 9e9)[:] = 0
    np.testing.assert_array_equal(cache(views(1), 9e9)[0], encoder.tokens(views(1)[0]))
    assert encoder.asked == [1]


def test_after_eviction_the_tokens_are_right() -> None:
    encoder = Encoder()
    cache = encoder.cache(rows=3)
    order = [1, 2, 3, 1, 4, 1, 2, 5, 1, 3, 3, 2, 4]
    for number in order:
        np.testing.assert_array_equal(cache(views(number), 9e9)[0], encoder.tokens(views(number)[0]))
        assert held(cache) <= 3 * ROW
    assert len(encoder.asked) == 9  # 1 was used again and again, and stayed
    five = cache(views(6, 7, 8, 9, 10), 9e9)  # more than fit
    np.testing.assert_array_equal(five, np.stack([encoder.tokens(view) for view in views(6, 7, 8, 9, 10)]))
    assert held(cache) <= 3 * ROW


def test_views_of_equal_bytes_and_other_shapes_are_other_views() -> None:
    encoder = Encoder()
    cache = encoder.cache()
    cache(views(1, shape=(4, 4)), 9e9)
    cache(views(1, shape=(2, 8)), 9e9)
    assert encoder.asked == [1, 1]


def test_another_version_is_asked_anew() -> None:
    encoder = Encoder()
    cache = encoder.cache()
    before = cache(views(1), 9e9)
    encoder.newest = encoder.served = "2"
    after = cache(views(1), 9e9)
    assert not np.array_equal(before, after)
    encoder.newest = encoder.served = "1"
    np.testing.assert_array_equal(cache(views(1), 9e9), before)
    assert encoder.asked == [1, 1]


def test_tokens_of_the_old_version_are_not_kept_as_the_new_ones() -> None:
    encoder = Encoder()
    cache = encoder.cache()
    before = cache(views(1), 9e9)
    encoder.newest = "2"  # it lies there, and is not loaded
    np.testing.assert_array_equal(cache(views(1), 9e9), before)
    encoder.served = "2"
    np.testing.assert_array_equal(cache(views(1), 9e9)[0], encoder.tokens(views(1)[0]))
    assert encoder.asked == [1, 1, 1]


def test_an_encoder_that_is_down_is_asked_once_and_is_an_error() -> None:
    encoder = Encoder()
    cache = encoder.cache()
    cache(views(1), 9e9)
    encoder.down = True
    with pytest.raises(Unavailable):
        cache(views(2), 9e9)
    assert cache(views(1), 9e9).shape == (1, 6, 4)  # what is known needs no encoder
    encoder.down = False
    cache(views(2), 9e9)
    assert encoder.asked == [1, 1]


def test_an_error_keeps_nothing() -> None:
    def late(views: Views, deadline: float, version: str | None) -> Floats:
        raise DeadlineExceeded("late")

    cache = behind(late, lambda: "1")
    with pytest.raises(DeadlineExceeded):
        cache(views(1), 9e9)
    assert held(cache) == 0


@pytest.mark.parametrize("newest", [None, "1"])
def test_without_a_version_or_a_budget_nothing_is_kept(newest: str | None) -> None:
    encoder = Encoder()
    cache = behind(encoder, lambda: newest, 0 if newest else 10)
    for _ in range(2):
        cache(views(1), 9e9)
    assert (encoder.asked, held(cache)) == ([1, 1], 0)


def test_many_threads() -> None:
    encoder = Encoder()
    cache = encoder.cache(rows=5)
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(100):
            numbers = rng.integers(0, 12, 3).tolist()
            want = np.stack([encoder.tokens(view) for view in views(*numbers)])
            if not np.array_equal(cache(views(*numbers), 9e9), want):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache._cache.usage.asked == 8 * 100 * 3
    assert counted(cache)[0] > 0
    assert held(cache) <= 5 * ROW
