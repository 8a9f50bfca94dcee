"""What is done to a vector before the index sees it; inner products stay what they are up to what is dropped."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest
from pixelis.index_config import IndexConfig, IvfPq, Opq, Pca

ENOUGH = 10_000
"""Vectors, evenly spaced, that PCA looks at: six to each of 1664 dimensions."""


def transform(config: IndexConfig, sample: NDArray[np.float32]) -> Any:
    """The FAISS `VectorTransform` of `config`, PCA trained on `sample` `[n, D]`; OPQ is trained with the index.

    Raises:
        InvalidRequest: it would widen the vectors.
    """
    chosen, width = config.transform, sample.shape[1]
    if chosen is not None and chosen.width > width:
        raise InvalidRequest(f"A transform to {chosen.width} dimensions of {width}.", mend="It must not be wider.")
    if isinstance(chosen, Pca):
        return _pca(sample, chosen.width)
    if isinstance(chosen, Opq) and isinstance(config.index, IvfPq):
        made = faiss.OPQMatrix(width, config.index.subquantizers, chosen.width)
        made.niter = chosen.iterations
        return made
    return None


def _pca(sample: NDArray[np.float32], width: int) -> Any:
    """`x -> A x`, the rows of A being the `width` leading eigenvectors of `E[x x']`.

    FAISS's own `PCAMatrix` subtracts the mean, and `(q - m)(x - m)` ranks otherwise than `q x`.
    """
    some = sample[:: max(len(sample) // ENOUGH, 1)]
    moments = (some.T @ some).astype(np.float64) / len(some)
    leading = np.linalg.eigh(moments)[1][:, ::-1][:, :width]
    made = faiss.LinearTransform(sample.shape[1], width, False)
    faiss.copy_array_to_vector(np.ascontiguousarray(leading.T, np.float32).ravel(), made.A)
    made.is_trained = True
    made.set_is_orthonormal()
    return made
