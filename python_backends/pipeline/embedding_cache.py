"""Embeddings of what was seen before: a second question on the same image does not run its encoders."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pixelis.errors import Unavailable
from pixelis.settings import Settings
from python_backends.caching.cache import Cache
from python_backends.caching.caches import Caches
from python_backends.caching.codec import FloatsCodec
from python_backends.caching.key import Key
from python_backends.caching.keys import image_key, text_key, vision_key
from python_backends.caching.origin import Origin, Origins
from python_backends.checkpoints import ENCODER
from python_backends.pipeline.models import Floats, Views
from python_backends.pipeline.neural import Neural

Encode = Callable[[Any, float, "str | None"], Floats]
"""Items, deadline, and the version of the encoder that must answer (none = whichever is served) -> a row for each."""


class EmbeddingCache:
    """An encoder behind a cache. For any number of threads.

    Args:
        encode: see `Encode`.
        cache: of its rows.
        key: the key of one item.
        model: the encoder's name.
        origins: of what it makes now.
    """

    def __init__(
        self,
        encode: Encode,
        cache: Cache[Floats],
        key: Callable[[Origin, Any], Key],
        model: str,
        origins: Origins,
    ) -> None:
        self._encode, self._cache, self._key, self._model, self._origins = encode, cache, key, model, origins
        self._answered: str | None = None

    def __call__(self, items: Any, deadline: float) -> Floats:
        """Items (views `[n, height, width, 3]`, or texts) -> a row for each, `[n, ...]`."""
        origin = self._origins.of([self._model]) if self._cache.on else None
        if origin is None or not len(items):
            return self._encode(items, deadline, None)
        version, certain = origin.versions[self._model], [True]

        def missing(places: Sequence[int]) -> list[Floats]:
            rows, certain[0] = self._encoded(_picked(items, places), deadline, version)
            return list(rows)

        keys = [self._key(origin, item) for item in items]
        wait = max(0.0, deadline - time.time())
        return np.stack(self._cache.get_many(keys, missing, keep=lambda _: certain[0], wait_s=wait))

    def _encoded(self, items: Any, deadline: float, version: str) -> tuple[Floats, bool]:
        """Rows, and whether they are certain to be of this version."""
        try:
            rows = self._encode(items, deadline, version)
        except Unavailable:
            if version == self._answered:
                raise
            # The newest version lies there and may not be loaded yet: the one before it answers.
            return self._encode(items, deadline, None), False
        self._answered = version
        return rows, True


def _picked(items: Any, places: Sequence[int]) -> Any:
    if isinstance(items, np.ndarray):
        return items if len(places) == len(items) else items[list(places)]
    return [items[i] for i in places]


@dataclass(frozen=True)
class EmbeddingCaches:
    """What a process keeps of the encoders' rows, and whose those are.

    Attributes:
        image: rows of `embed_image`.
        text: rows of `embed_text`.
        vision: rows of `vision_encoder`.
        origins: of what they make now.
    """

    image: Cache[Floats]
    text: Cache[Floats]
    vision: Cache[Floats]
    origins: Origins

    @classmethod
    def open(cls, caches: Caches, config: Settings, origins: Origins) -> EmbeddingCaches:
        """As the settings say."""
        image, text, vision = (
            caches.open(name, FloatsCodec(), getattr(config.cache, name)) for name in ("image", "text", "vision")
        )
        return cls(image, text, vision, origins)

    def around(self, encoders: Callable[[str | None], Neural], vision: str = ENCODER) -> Embedders:
        """The encoders behind their caches.

        Args:
            encoders: those of a version; none = of the one that is served.
            vision: the checkpoint's vision encoder.
        """

        def behind(
            encode: Encode, cache: Cache[Floats], key: Callable[[Origin, Any], Key], model: str
        ) -> EmbeddingCache:
            return EmbeddingCache(encode, cache, key, model, self.origins)

        return Embedders(
            behind(lambda i, t, v: encoders(v).embed_image(i, t), self.image, image_key, "embed_image"),
            behind(lambda i, t, v: encoders(v).embed_text(i, t), self.text, text_key, "embed_text"),
            behind(lambda i, t, v: encoders(v).vision_tokens(i, t), self.vision, vision_key, vision),
        )


class Embedders(NamedTuple):
    """See the methods of `models.Models` of these names."""

    embed_image: Callable[[Views, float], Floats]
    embed_text: Callable[[Sequence[str], float], Floats]
    vision_tokens: Callable[[Views, float], Floats]
