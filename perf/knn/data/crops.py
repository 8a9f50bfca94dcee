"""Keys as this pipeline makes them, of crops and questions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from builder.nano.words import Split as Side
from perf.knn.data.kept import kept
from perf.knn.data.pictures import crops, questions
from pixelis.settings import settings
from python_backends.experience.key import TEXT_WIDTH, VISUAL_WIDTH
from python_backends.experience.tuning import Split

Watch = Callable[[str], None]

CROPS: tuple[tuple[str, Side, int], ...] = (("stored", "train", 20_000), ("queries", "held_out", 1000))
"""What is cut, of which pictures, and how many."""
BATCH = 256
SECONDS = 60.0
WEIGHT = 0.7


def crop_keys(state: Path, stored: int, queries: int, watch: Watch) -> Split:
    """`[n, 1664]` retrieval keys: crops of some photographs and clip frames, queries of other photographs.

    The pictures are embedded once and kept in `state`.

    Raises:
        SetupError, NotFound: the encoders are not built.
    """
    texts = questions()
    made = kept(state / "bench" / "keys.npz", _versions(), lambda: _embedded(texts, watch))
    rng = np.random.default_rng(1)
    return Split(_keys(made["stored"], made["texts"], stored, rng), _keys(made["queries"], made["texts"], queries, rng))


def _keys(
    visual: NDArray[np.float32], texts: NDArray[np.float32], count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """`count` pairs of a picture and a question, none twice, in random order; see `retrieval_key`."""
    each = -(-count // len(visual))
    asked = np.stack([rng.choice(len(texts), each, replace=False) for _ in range(len(visual))])
    pairs = np.stack([np.repeat(np.arange(len(visual)), each), asked.ravel()], axis=1)
    pairs = pairs[rng.permutation(len(pairs))[:count]]
    made = np.empty((count, VISUAL_WIDTH + TEXT_WIDTH), np.float32)
    made[:, :VISUAL_WIDTH] = np.sqrt(WEIGHT) * _unit(visual)[pairs[:, 0]]
    made[:, VISUAL_WIDTH:] = np.sqrt(1 - WEIGHT) * _unit(texts)[pairs[:, 1]]
    return made


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    made: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return made


def _embedded(texts: list[str], watch: Watch) -> dict[str, NDArray[np.float32]]:
    from python_backends.pipeline.local import LocalModels

    config = settings()
    with LocalModels(config) as models:
        watch(f"embedding {len(texts)} questions")
        words = models.embed_text(texts, time.time() + SECONDS)
        sides = {}
        for name, side, count in CROPS:
            parts: list[NDArray[np.float32]] = []
            for part in _batches(crops(side, count, 0)):
                watch(f"embedding crops: {BATCH * len(parts) + len(part)} of {count} ({name})")
                parts.append(models.embed_image(part, time.time() + SECONDS))
            sides[name] = np.concatenate(parts)
    return {**sides, "texts": words}


def _batches(pictures: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    from python_backends.pipeline.views import retrieval_view

    views = (retrieval_view([picture]) for picture in pictures)
    while part := list(islice(views, BATCH)):
        yield np.stack(part)


def _versions() -> str:
    """What the embeddings depend on: the artifacts of both encoders."""
    from python_backends.artifacts import artifact

    repository = settings().repository.absolute()
    return " ".join(
        (artifact(repository, name) / "manifest.json").read_text() for name in ("embed_image", "embed_text")
    )
