"""The experiences: one process owns the index; a batch's searches share one pass over it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from pixelis.errors import InvalidRequest, PixelisError
from pixelis.schema import KnnCommand
from pixelis.settings import settings
from python_backends.adapter import UnaryModel
from python_backends.caching.caches import Caches
from python_backends.experience.live import Recall
from python_backends.experience.search_cache import CODEC, SearchCache
from python_backends.experience.serve import KnnReply, KnnRequest, execute, open_store
from python_backends.rows import Row, Tensors, json_text, text
from python_backends.tracing import recorder

TELL_S = 1.0
"""Between two times that metrics are told, asked or not: a replica that nobody asks may be the one that lags."""


class Knn(UnaryModel):
    """`KEY` (and `K`) -> neighbours; or `COMMAND`."""

    def setup(self) -> None:
        """Open the store; the version folder's seeds fill it at its first start."""
        seeds = self.directory if (self.directory / "experiences.jsonl").exists() else None
        self._store = open_store(settings(), seeds)
        self._caches = Caches(settings(), self.instance)
        kept = self._caches.open("search", CODEC, settings().cache.search, alone=True)
        self._cache = SearchCache(self._store, kept)
        self._caches.start(self.metrics, lambda _: False)
        self._recall: Recall | None = None
        self._told: dict[str, float] = {}
        self._over = threading.Event()
        self._teller = threading.Thread(target=self._tells, name="knn-metrics", daemon=True)
        self._teller.start()

    def finalize(self) -> None:
        """Close the store."""
        self._over.set()
        self._teller.join(timeout=5)
        self._caches.close()
        self._store.close()

    def answer(self, rows: Sequence[Row]) -> Sequence[Tensors | BaseException]:
        """Replies in the order of the requests; a malformed one is an error in its place."""
        requests = [_request(row) for row in rows]
        good = [found for found in requests if isinstance(found, KnnRequest)]
        with recorder.span("search"):
            replies = iter(execute(self._store, good, self._cache))
        answers: list[Tensors | BaseException] = []
        for found in requests:
            reply = found if isinstance(found, PixelisError) else next(replies)
            answers.append(reply if isinstance(reply, PixelisError) else _outputs(reply))
        return answers

    def _tells(self) -> None:
        while not self._over.wait(TELL_S):
            self._report()

    def _report(self) -> None:
        """Metrics; what has not changed is left out, as each one costs a message to Triton."""
        self._tell("pixelis_experiences", len(self._store))
        replica = self._store.replica
        if replica is not None:
            self._tell("pixelis_experience_log_reached", replica.reached)
            self._tell("pixelis_experience_log_applied_timestamp_seconds", replica.written_s)
        if self._store.recall is not self._recall:
            self._recall = self._store.recall
            self.metrics.gauge("pixelis_index_recall_ratio", self._recall.value)

    def _tell(self, name: str, value: float) -> None:
        if self._told.get(name) != value:
            self._told[name] = value
            self.metrics.gauge(name, value)


def _request(row: Row) -> KnnRequest | PixelisError:
    try:
        k = None
        if "K" in row:
            if row.array("K").size != 1:
                raise InvalidRequest(f"Input K has {row.array('K').size} elements; it takes exactly 1.")
            k = int(row.array("K").reshape(-1)[0])
        command = row.parsed("COMMAND", KnnCommand) if "COMMAND" in row else None
        return KnnRequest(key=row.array("KEY") if "KEY" in row else None, k=k, command=command)
    except PixelisError as error:
        return error


def _outputs(reply: KnnReply) -> Tensors:
    return {"IDS": text(*reply.ids), "SCORES": reply.scores, "RESULT": json_text(reply.result)}
