"""A key builder for each cached thing. What is not in a key, its value does not depend on.

| thing | what the key holds |
|---|---|
| request | images, question, every option that reaches the agent, who asks; no epoch: no neighbour enters the prompt |
| reward | both states, the action's embedding, the weights |
| image, text, vision | the content |
| search | the key, rounded, k, who asks, the epoch of the experiences, and the process whose they are |
| operation | the images that it looks at, operation, arguments in one spelling, which image, how it looks |

All but `search` hold the origin too: versions and manifests of the models, and the settings that matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.schema import Operation, PreparedRequest
from python_backends.caching.key import Key
from python_backends.caching.origin import Origin

Floats = NDArray[np.float32]

OUTSIDE = frozenset({"k", "strategy", "use_cache", "read_only", "timeout_s", "reference_answer", "priority"})
"""Options that do not reach the agent's words: retrieval, vote, reward, learning, and how long and how urgently.
A result that time cut off is never kept."""


def request_key(origin: Origin, request: PreparedRequest) -> Key:
    """What the agent answers. See `OUTSIDE`."""
    options = request.options.model_dump(mode="json", exclude=set(OUTSIDE))
    sizes = [list(size) for size in request.sizes]
    return _of("request", origin, images=request.digest, sizes=sizes, question=request.question, options=options)


def reward_key(origin: Origin, before: Floats, action: Floats, after: Floats, weights: Any) -> Key:
    """A step's curiosity and similarity: states `[D]`, the action's embedding `[16]`, the weights as plain data."""
    return _of("reward", origin, before=before, action=action, after=after, weights=weights)


def image_key(origin: Origin, view: NDArray[np.uint8]) -> Key:
    """The embedding of a view `[height, width, 3]`."""
    return _of("image", origin, view=view)


def vision_key(origin: Origin, view: NDArray[np.uint8]) -> Key:
    """The visual tokens of a view `[height, width, 3]`."""
    return _of("vision", origin, view=view)


def text_key(origin: Origin, text: str) -> Key:
    """The embedding of a text."""
    return _of("text", origin, text=text)


def search_key(owner: bytes, epoch: int, rounded: NDArray[np.float64], k: int, tenant: str) -> Key:
    """The neighbours that a tenant finds of a key `[D]`, in whole steps (`search_cache.steps_per_unit`)."""
    return Key.of("search", {}, owner=owner, epoch=epoch, key=rounded, k=k, tenant=tenant)


def operation_key(origin: Origin, pictures: Sequence[str], operation: Operation, looks: Any) -> Key:
    """What an operation finds on pictures, by their digests, when it looks in this way (plain data)."""
    asked = operation.model_dump(mode="json")
    return _of("operation", origin, pictures=list(pictures), operation=asked, looks=looks)


def _of(prefix: str, origin: Origin, **parts: Any) -> Key:
    return Key.of(prefix, origin.versions, origin=origin.digest, **parts)
