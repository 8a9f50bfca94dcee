"""An index that takes, loses and finds vectors while it is built again in the background."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import PixelisError, SetupError
from pixelis.index_config import IndexConfig, Live
from python_backends.experience.indexes import FaissIndex, open_index
from python_backends.experience.live.building import SLICE, Plan, Stopped, build
from python_backends.experience.live.recall import Recall, RecentQueries, hits
from python_backends.experience.live.segments import Segments

log = logging.getLogger(__name__)

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]

RECENT = 64
RECALL_K = 10
ESTIMATE_EVERY = 1000
"""Searches after which recall is estimated again."""
NICE = 5
"""Of the merging thread. Not 19: it holds the lock and the interpreter for moments, and must get through them."""


class LiveIndex:
    """See `Index`. What is added is found by the very next search, what is removed by none.

    New vectors go into a flat tail. A thread of low priority merges it into a copy of the trained base, or trains
    anew where the index has grown or too much of it is dead, and the copy takes the base's place under the lock, which
    searches hold too. Until then the old base and the frozen tail answer.

    Args:
        config: of the base; of a flat one nothing is ever merged.
        width: D.
        threads: for batches, and for building.
        live: when to merge.

    Raises:
        SetupError: `config` keeps codes only: similarities would be estimates, and nothing could be built again.
    """

    def __init__(self, config: IndexConfig, width: int, threads: int = 1, live: Live | None = None) -> None:
        self._width, self._threads, self._live = width, threads, live or Live()
        self._use(config)
        self._lock = threading.Lock()
        self._segments = Segments(self._flat())
        self._queries = RecentQueries(RECENT, width)
        self._thread: threading.Thread | None = None
        self._gone: list[Ids] = []
        self._learned_from, self._retry_at = 0, 0
        self._closed = self._forced = False
        self._fault: str | None = None
        self._merges = self._searches = 0
        self.recall = Recall(1.0, RECALL_K, 0, "exact", 0)

    def __len__(self) -> int:
        return len(self._segments)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """See `Index.add`."""
        with self._lock:
            self._segments.add(ids, vectors)
            self._work_if_due()

    def remove(self, ids: Ids) -> int:
        """See `Index.remove`."""
        with self._lock:
            removed = self._segments.remove(ids)
            if self._segments.frozen is not None:
                self._gone.append(np.array(ids, np.int64))
            self._work_if_due()
            return removed

    def search(self, queries: Vectors, k: int, noted: bool = True) -> tuple[Vectors, Ids]:
        """See `Index.search`; with `noted`, recall is estimated on these queries too."""
        with self._lock:
            found = self._segments.search(queries, k)
            if noted:
                self._queries.note(queries)
                self._searches += len(queries)
                self._work_if_due()
            return found

    def exact(self, queries: Vectors, k: int) -> tuple[Vectors, Ids]:
        """As `search`, by comparing with every vector."""
        while True:
            base = self._segments.base
            near = base.exact(queries, k) if base is not None else None  # beside whatever else goes on
            with self._lock:
                if self._segments.base is not base:
                    continue
                if near is None:
                    return self._segments.search(queries, k)
                return self._segments.exact_besides(near, queries, k)

    def vectors(self, ids: Ids) -> Vectors:
        """See `Index.vectors`."""
        with self._lock:
            return self._segments.vectors(np.ascontiguousarray(ids, np.int64))

    def parameters(self) -> dict[str, Any]:
        """See `Index.parameters`; and what lies where, and how good it is."""
        with self._lock:
            base, frozen = self._segments.base, self._segments.frozen
            chosen = base.config if base is not None else IndexConfig()
            return {
                "kind": chosen.index.kind,
                "label": chosen.label,
                "metric": "inner_product",
                "width": self._width,
                "threads": self._threads,
                "wanted": self._config.label,
                "base": len(base) if base is not None else 0,
                "dead": round(base.dead_share, 4) if base is not None else 0.0,
                "frozen": len(frozen) if frozen is not None else 0,
                "tail": len(self._segments.tail),
                "merges": self._merges,
                "fault": self._fault,
                "recall": vars(self.recall),
            }

    def rebuild(self, config: IndexConfig | None = None) -> None:
        """Learn everything again in the background, as `config` says where there is one.

        Raises:
            SetupError: `config` keeps codes only.
        """
        with self._lock:
            if config is not None:
                self._use(config)
            self._forced = True
            self._work_if_due()

    def settle(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing is being merged; whether that came to pass."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return self._thread is None

    def close(self) -> None:
        """Give up a merge that is running; what is in the index can still be searched."""
        self._closed = True
        self.settle()

    def estimate_recall(self, k: int = RECALL_K) -> Recall:
        """Measure recall@k on the last queries, or on stored vectors where none was asked; kept in `recall`.

        The exact side is found beside searches and changes; the lock is held for one query at a time.
        """
        with self._lock:
            base, count, queries = self._segments.base, len(self._segments), self._queries.all()
            self._searches = 0
        if base is None or not len(base):
            self.recall = Recall(1.0, k, 0, "exact", count)
            return self.recall
        source = "asked"
        if not len(queries):
            source, (_, queries) = "stored", next(base.slices(RECENT, RECENT))
        own = 1 if source == "stored" else 0  # a stored vector finds itself: that is no achievement
        truth = base.exact(queries, 2 * k + own)
        found, best = [], []
        for i, query in enumerate(queries):
            asked = query[np.newaxis]
            with self._lock:
                if self._segments.base is not base:
                    break
                found.append(self._segments.search(asked, k + own)[0][0, own:])
                near = self._segments.exact_besides((truth[0][i : i + 1], truth[1][i : i + 1]), asked, k + own)
                best.append(near[0][0, own:])
        if found:
            self.recall = Recall(hits(np.stack(found), np.stack(best)), k, len(found), source, count)
        return self.recall

    def _use(self, config: IndexConfig) -> None:
        if not config.verbatim:
            raise SetupError(
                f"An index that changes must keep whole vectors, {config.label} keeps codes.",
                mend="Add `refine` with storage float32.",
            )
        self._config, self._needed = config, open_index(config, self._width).needed
        self._enough = max(self._live.flat_below, self._needed, self._live.tail - 1)

    def _flat(self) -> FaissIndex:
        return open_index(IndexConfig(), self._width, self._threads)

    def _work_if_due(self) -> None:
        """Start the thread where there is reason to and it does not run; the lock is held."""
        if self._thread is None and not self._closed and (self._due() or self._stale()):
            self._thread = threading.Thread(target=self._run, name="index-merge", daemon=True)
            self._thread.start()

    def _due(self) -> bool:
        """Whether there is something to merge."""
        base, tail = self._segments.base, len(self._segments.tail)
        if self._forced and (base is not None or tail > self._enough):
            return True
        if self._config.exact or tail < self._retry_at:
            return False
        if base is None:
            return tail > self._enough
        return tail >= self._live.tail or base.dead_share >= self._live.dead_share

    def _stale(self) -> bool:
        """Whether recall should be estimated anew."""
        return self._segments.base is not None and self._searches >= ESTIMATE_EVERY

    def _run(self) -> None:
        """Merge and estimate as long as there is reason to, in a thread of its own."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)  # of this thread alone, on Linux
        while True:
            with self._lock:
                plan = self._next() if self._due() else None
                if self._closed or (plan is None and not self._stale()):
                    self._thread = None
                    return
            try:
                if plan is not None:
                    self._swap(build(plan, lambda: self._closed), plan)
                self.estimate_recall()
            except Stopped:
                self._put_back(None)
            except (PixelisError, RuntimeError, MemoryError) as error:
                log.exception("the index was not merged, it goes on with a longer tail")
                self._put_back(f"{type(error).__name__}: {error}")

    def _next(self) -> Plan:
        """Freeze the tail and say what to build; the lock is held."""
        base, frozen, count = self._segments.base, self._segments.tail, len(self)
        frozen.freeze()
        self._segments.frozen, self._segments.tail, self._gone = frozen, self._flat(), []
        sources = [source for source in (base, frozen) if source is not None and len(source)]
        few = self._config.exact or count <= max(self._enough // 2, self._needed)
        forced, self._forced = self._forced, False
        extended = (
            not few
            and not forced
            and base is not None
            and len(base) > 0
            and base.dead_share < self._live.dead_share
            and count < self._live.growth * self._learned_from
        )
        return Plan(IndexConfig() if few else self._config, self._width, self._threads, sources, extended)

    def _swap(self, made: FaissIndex, plan: Plan) -> None:
        """Put the new base in the place of the old one and the frozen tail."""
        with self._lock:
            if self._gone:
                made.remove(np.concatenate(self._gone))
            segments = self._segments
            if made.config.exact:
                for ids, vectors in segments.tail.slices(max(len(segments.tail), 1)):
                    made.add(ids, vectors)
                self._segments = Segments(made)
            else:
                made.freeze()
                self._segments = Segments(segments.tail, None, made)
            if not plan.extended:
                self._learned_from = len(made)
            self._gone, self._retry_at, self._fault = [], 0, None
            self._merges += 1

    def _put_back(self, fault: str | None) -> None:
        """Nothing was built: what was to be merged is in the tail again, until that is twice as long."""
        with self._lock:
            self._searches = 0
            tail, parts = self._flat(), (self._segments.frozen, self._segments.tail)
            for part in filter(None, parts):
                for ids, vectors in part.slices(SLICE):
                    tail.add(ids, vectors)
            self._segments = Segments(tail, None, self._segments.base)
            self._gone, self._fault = [], fault
            self._retry_at = max(2 * len(tail), self._live.tail)
