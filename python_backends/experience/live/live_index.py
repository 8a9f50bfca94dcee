"""An index that takes, loses and finds vectors while it is built again in the background."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest
from pixelis.faiss_device import why_no_gpu
from pixelis.index_config import IndexConfig, Live
from python_backends.experience.live.recall import Recall
from python_backends.experience.live.state import ESTIMATE_EVERY, State
from python_backends.experience.live.worker import Tuner, Worker

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]


class LiveIndex:
    """See `Index`. What is added is found by the very next search, what is removed by none.

    New vectors go into a flat tail. A thread of lower priority moves them into the trained base, a few at a time under
    the lock, which searches hold too. Where the base is full or too much of it is dead, or the index has grown, it
    builds another one beside it, which takes its place under the lock; until then the old one and the tail answer.

    Args:
        config: of the base; of an exact one nothing is ever merged, unless a tuner finds something better.
        width: D.
        threads: for batches, and for building.
        live: when to merge.
        tuner: chooses another configuration whenever the index has grown; none = it stays what it is.

    Raises:
        SetupError: `config` keeps codes only: similarities would be estimates, and nothing could be built again.
    """

    def __init__(
        self, config: IndexConfig, width: int, threads: int = 1, live: Live | None = None, tuner: Tuner | None = None
    ) -> None:
        self._state = State(config, width, threads, live or Live(), tuner is not None)
        self._worker = Worker(self._state, tuner)

    def __len__(self) -> int:
        return len(self._state.segments)

    @property
    def recall(self) -> Recall:
        """As estimated last."""
        return self._state.recall

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """See `Index.add`."""
        with self._state.lock:
            self._state.segments.add(ids, vectors)
            self._worker.start_if_due()

    def remove(self, ids: Ids) -> int:
        """See `Index.remove`."""
        with self._state.lock:
            removed = self._state.segments.remove(ids)
            self._worker.start_if_due()
            return removed

    def search(self, queries: Vectors, k: int, noted: bool = True) -> tuple[Vectors, Ids]:
        """See `Index.search`; with `noted`, recall is estimated on these queries too."""
        with self._state.lock:
            found = self._state.segments.search(queries, k)
            if noted:
                self._state.queries.note(queries)
                self._state.searches += len(queries)
                self._worker.start_if_due()
            return found

    def exact(self, queries: Vectors, k: int) -> tuple[Vectors, Ids]:
        """As `search`, by comparing with every vector."""
        with self._state.lock:
            return self._state.segments.exact(queries, k)

    def vectors(self, ids: Ids) -> Vectors:
        """See `Index.vectors`."""
        with self._state.lock:
            return self._state.segments.vectors(np.ascontiguousarray(ids, np.int64))

    def parameters(self) -> dict[str, Any]:
        """See `Index.parameters`; and what lies where, and how good it is."""
        state, device = self._state, f"cpu: {why_no_gpu() or 'an index that changes stays there'}"
        with state.lock:
            base = state.segments.base
            chosen = base.config if base is not None else IndexConfig()
            return {
                "kind": chosen.index.kind,
                "label": chosen.label,
                "metric": "inner_product",
                "width": state.width,
                "threads": state.threads,
                "device": device,
                "wanted": state.config.label,
                "base": len(base) if base is not None else 0,
                "dead": round(base.dead_share, 4) if base is not None else 0.0,
                "tail": state.segments.waiting,
                "learned_from": state.learned_from,
                "merges": state.merges,
                "fault": state.fault,
                "died": self._worker.died,
                "recall": vars(state.recall),
            }

    def rebuild(self, config: IndexConfig | None = None) -> None:
        """Learn everything again in the background, as `config` says where there is one.

        Raises:
            SetupError: `config` keeps codes only.
        """
        with self._state.lock:
            if config is not None:
                self._state.use(config)
            self._state.forced = True
            self._worker.start_if_due()

    def retune(self) -> None:
        """Let the tuner choose in the background, and build what it chooses.

        Raises:
            InvalidRequest: there is no tuner, or so few vectors that they are compared one by one.
        """
        with self._state.lock:
            if not self._worker.tunes:
                raise InvalidRequest("The index is configured.", mend="Unset PIXELIS_RETRIEVAL__INDEX to tune it.")
            if self._state.few:
                raise InvalidRequest(
                    f"{len(self)} vectors are compared one by one: there is nothing to tune.",
                    mend=f"Collect more than {self._state.live.flat_below}.",
                )
            self._state.forced = self._state.untuned = True
            self._worker.start_if_due()

    def estimate_recall(self) -> Recall:
        """Measure recall now, and wait for it; see `estimate`."""
        with self._state.lock:
            self._state.searches, self._state.estimate_from = ESTIMATE_EVERY, 0.0
            self._worker.start_if_due()
        self.settle()
        return self._state.recall

    def settle(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing is being merged; whether that came to pass."""
        return self._worker.settle(timeout_s)

    def close(self, wait: bool = True) -> None:
        """Give up what is being built, and `wait` until that has ended; what is in the index can still be searched."""
        self._state.closed = True
        if wait:
            self.settle()
