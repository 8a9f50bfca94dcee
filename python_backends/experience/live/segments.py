"""What is searched together. No lock, no thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, NotFound
from python_backends.experience.indexes import FaissIndex

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
Found = tuple[Vectors, Ids]


@dataclass
class Segments:
    """Every number is in one of them at most; all give exact similarities, so that their results can be merged.

    Attributes:
        tail: what came last, flat.
        base: the trained index; none until there is enough to train one.
        draining: the tail that is being moved into the base, flat; none between two merges.
    """

    tail: FaissIndex
    base: FaissIndex | None = None
    draining: FaissIndex | None = None

    def __len__(self) -> int:
        return sum(map(len, self.all()))

    def all(self) -> list[FaissIndex]:
        """Those that are there, the base first."""
        return [segment for segment in (self.base, self.draining, self.tail) if segment is not None]

    @property
    def waiting(self) -> int:
        """How many are not in the base yet."""
        return len(self.tail) + (len(self.draining) if self.draining is not None else 0)

    def search(self, queries: Vectors, k: int) -> Found:
        """The k best of all."""
        filled = self._filled()
        if len(filled) == 1:
            return filled[0].search(queries, k)
        return best([segment.search(queries, k) for segment in filled], k)

    def exact(self, queries: Vectors, k: int) -> Found:
        """The k best of all, by comparing with every vector."""
        if self.base is None:
            return self.tail.search(queries, k)
        return self.exact_besides(self.base.exact(queries, k), queries, k)

    def exact_besides(self, base: Found, queries: Vectors, k: int) -> Found:
        """The k best of what was found in the base, as far as it still lives, and of the others."""
        scores, ids = base
        gone = ~self.base.holds(ids.ravel()).reshape(ids.shape) if self.base is not None else np.ones_like(ids, bool)
        living = (np.where(gone, -np.inf, scores), np.where(gone, -1, ids))
        flat = [segment.search(queries, k) for segment in self._filled() if segment is not self.base]
        return best([living, *flat], k)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Into the tail. Raises `InvalidRequest` as `Index.add` does."""
        if any(segment.holds(ids).any() for segment in self.all()):
            raise InvalidRequest("A number is negative or was given out before.", mend="Count upwards from 0.")
        self.tail.add(ids, vectors)

    def remove(self, ids: Ids) -> int:
        """From wherever they are; how many were there."""
        return sum(segment.remove(ids) for segment in self.all())

    def vectors(self, ids: Ids) -> Vectors:
        """`[n, D]`, bit for bit. Raises `NotFound`."""
        width = int(self.tail.parameters()["width"])
        out, found = np.empty((len(ids), width), np.float32), np.zeros(len(ids), bool)
        for segment in self.all():
            here = segment.holds(ids)
            if here.any():
                out[here] = segment.vectors(ids[here])
                found |= here
        if not found.all():
            raise NotFound(f"There is no vector {int(ids[int(np.argmin(found))])} in the index.")
        return out

    def _filled(self) -> list[FaissIndex]:
        return [segment for segment in self.all() if len(segment)] or [self.tail]


def best(found: Sequence[Found], k: int) -> Found:
    """Merge results `[n, each]` to the k best, best first."""
    if len(found) == 1 and found[0][0].shape[1] == k:
        return found[0]
    scores, ids = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
