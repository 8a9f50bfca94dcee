"""What all kinds have in common: a FAISS index behind the contract of `Index`.

    IndexRefine( IndexPreTransform( the kind's own index ), original vectors )      each of the first two is optional

FAISS knows rows, counted from 0; `RowTable` says which number lies in which. Where the kind keeps one code after the
other (flat, LSH), a removal puts the last row in the place of the one that goes. Elsewhere the row stays, dead, and a
selector keeps it out of every result until `compact` builds the index again without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import faiss
import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, NotFound, SetupError
from pixelis.index_config import IndexConfig, Opq, Storage
from python_backends.experience.indexes import archive, checks, codes
from python_backends.experience.indexes.rows import Rows, RowTable
from python_backends.experience.indexes.transform import transform

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]

_IP = faiss.METRIC_INNER_PRODUCT

COMPACT_AT = 0.5
"""Share of dead rows from which `remove` compacts on its own."""

COMPACT_SLICE = 4096


class FaissIndex(ABC):
    """See `Index` and `TrainedIndex`.

    Args:
        config: how it is built and searched.
        width: D.
        threads: for batches; a single query always takes one, because waking others costs more than the scan.

    Attributes:
        compacts: whether `remove` builds the index again once half of it is dead. Whoever does that elsewhere says no.
    """

    movable: ClassVar[bool] = False
    """Whether a removal may move the last row; otherwise rows die."""

    def __init__(self, config: IndexConfig, width: int, threads: int = 1) -> None:
        self._config, self._width, self._threads = config, width, threads
        self._table = RowTable()
        self._faiss: Any = None
        self._asked: dict[int, Any] = {}
        self._moves, self.compacts, self._room = self.movable, True, 0
        if self.needed == 0:
            self._faiss = self._assembled(None, width)

    def __len__(self) -> int:
        return len(self._table) - self._table.dead

    @property
    def config(self) -> IndexConfig:
        """See `TrainedIndex.config`."""
        return self._config

    @property
    def trained(self) -> bool:
        """See `TrainedIndex.trained`."""
        return self._faiss is not None

    @property
    def needed(self) -> int:
        """How many vectors `train` needs; 0 = none, the index takes vectors as it is."""
        parts = [self._needed()]
        if self._config.transform is not None:
            parts.append(256 if isinstance(self._config.transform, Opq) else 1)
        if self._config.refine is not None and self._config.refine.storage is Storage.INT8:
            parts.append(1)
        return max(parts)

    @property
    def dead_share(self) -> float:
        """Share of the rows that are dead."""
        return self._table.dead / max(len(self._table), 1)

    def train(self, vectors: Vectors) -> None:
        """See `TrainedIndex.train`. What was in the index is gone."""
        sample = checks.vectors(vectors, self._width)
        if len(sample) < self.needed:
            raise InvalidRequest(
                f"{self._config.label} learns from at least {self.needed} vectors, not {len(sample)}.",
                mend="Take a flat index until there are so many.",
            )
        faiss.omp_set_num_threads(self._threads)
        made = transform(self._config, sample)
        index = self._assembled(made, made.d_out if made is not None else self._width)
        if not index.is_trained:
            index.train(sample)
        self._put(index, RowTable())

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """See `Index.add`; what is not trained yet is trained on these."""
        made = checks.vectors(vectors, self._width)
        if len(ids) != len(made):
            raise InvalidRequest(f"{len(ids)} numbers for {len(made)} vectors.")
        if not self.trained:
            self.train(made)
        numbers = np.ascontiguousarray(ids, np.int64)
        self._table.check(numbers)
        faiss.omp_set_num_threads(self._threads)
        self._faiss.add(made)
        self._table.append(numbers)
        self._asked = {}

    def remove(self, ids: Ids) -> int:
        """See `Index.remove`."""
        rows = self._table.rows(np.unique(np.ascontiguousarray(ids, np.int64)))
        rows = rows[rows >= 0]
        if self._moves:
            for row in -np.sort(-rows):  # from the end, so that a row that is to go is never one that moved
                self._move_last_to(int(row))
        elif len(rows):
            self._table.kill(rows)
            self._asked = {}
            if self.compacts and self.dead_share >= COMPACT_AT and (self._config.verbatim or not len(self)):
                self.compact()
        return len(rows)

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Ids]:
        """See `Index.search`."""
        checks.k(k)
        asked = checks.vectors(queries, self._width)
        most = min(k, len(self))
        if not most or not len(asked):
            return np.full((len(asked), k), -np.inf, np.float32), np.full((len(asked), k), -1, np.int64)
        faiss.omp_set_num_threads(1 if len(asked) == 1 else self._threads)
        scores, rows = self._faiss.search(asked, most, params=self._parameters(most))
        return self._named(self._scores(scores, asked), rows, k)

    def exact(self, queries: Vectors, k: int) -> tuple[Vectors, Ids]:
        """As `search`, by comparing with every living vector, bit for bit; may run beside searches and removals.

        Raises:
            InvalidRequest: what `search` raises, or the index keeps codes only.
        """
        checks.k(k)
        asked = checks.vectors(queries, self._width)
        self._need_vectors()
        alive = self._table.alive.copy()
        most = min(k, int(alive.sum()))
        if not most or not len(asked):
            return np.full((len(asked), k), -np.inf, np.float32), np.full((len(asked), k), -1, np.int64)
        faiss.omp_set_num_threads(self._threads)
        selector = None if alive.all() else faiss.IDSelectorBitmap(np.packbits(alive, bitorder="little"))
        own, _, refine = self._parts()
        source = own if refine is None else faiss.downcast_index(refine.refine_index)
        scores, rows = self._scanned(source, refine is None, asked, most, selector)
        return self._named(scores, rows, k)

    def holds(self, ids: Ids) -> NDArray[np.bool_]:
        """`[n]` whether each number can be found."""
        found: NDArray[np.bool_] = self._table.rows(np.ascontiguousarray(ids, np.int64)) >= 0
        return found

    def freeze(self, room: int = 0) -> None:
        """From now on no row moves, so that `slices` and `exact` may run beside searches and removals.

        Args:
            room: vectors that can be added before the memory of the originals has to be copied.
        """
        self._moves = self.compacts = False
        own, _, refine = self._parts()
        rows = len(self._table) + room
        for index in filter(None, (self._whole(own), faiss.downcast_index(refine.refine_index) if refine else None)):
            codes.reserve(index, rows)
        self._room = rows

    @property
    def room(self) -> int:
        """How many more can be added before memory has to be copied, as `freeze` was told."""
        return self._room - len(self._table)

    def numbers(self, chosen: NDArray[np.bool_] | None = None) -> Ids:
        """`[rows]` the number of each row, dead ones too; of the `chosen` `[rows]` only."""
        return self._table.numbers.copy() if chosen is None else self._table.numbers[chosen]

    def slices(
        self, size: int, most: int | None = None, without: FaissIndex | None = None
    ) -> Iterator[tuple[Ids, Vectors]]:
        """Numbers `[n]` and vectors `[n, D]` of all that live now, `size` at a time.

        Args:
            size: vectors of a slice.
            most: so many at most, evenly spaced.
            without: an index whose rows are left out, dead ones too.

        Raises:
            InvalidRequest: the index keeps codes only.
        """
        self._need_vectors()
        rows = np.flatnonzero(self._table.alive)
        if without is not None:
            rows = rows[~np.isin(self._table.numbers[rows], without.numbers())]
        if most is not None and len(rows) > most:
            rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            yield self._table.numbers[part], self._read(part)

    def vectors(self, ids: Ids) -> Vectors:
        """See `Index.vectors`."""
        self._need_vectors()
        rows = self._table.rows(np.ascontiguousarray(ids, np.int64))
        if (rows < 0).any():
            raise NotFound(f"There is no vector {int(ids[int(np.argmin(rows))])} in the index.")
        return self._read(rows)

    def compact(self) -> None:
        """Build the index again without its dead rows, with what it has learned.

        Raises:
            InvalidRequest: it keeps codes only, from which nothing is built.
        """
        kept = list(self.slices(COMPACT_SLICE)) if len(self) else []
        empty = faiss.clone_index(self._faiss)
        empty.reset()
        self._put(empty, RowTable())
        for ids, vectors in kept:
            self.add(ids, vectors)

    def clone(self) -> FaissIndex:
        """A copy that shares nothing with this index."""
        made = type(self)(self._config, self._width, self._threads)
        if self._faiss is not None:
            table = RowTable(self._table.numbers.copy(), self._table.alive.copy())
            made._put(faiss.clone_index(self._faiss), table)
        return made

    def limit(self, threads: int) -> None:
        """Threads for batches, and for what is added, from now on."""
        self._threads = threads

    def adjust(self, config: IndexConfig) -> None:
        """See `TrainedIndex.adjust`."""
        if config.built() != self._config.built():
            raise InvalidRequest(
                f"The index was built as {self._config.label}, not as {config.label}.", mend="Build it again."
            )
        self._config, self._asked = config, {}

    def save(self, path: Path) -> None:
        """See `Index.save`."""
        meta = archive.Meta(format=archive.FORMAT, metric=archive.METRIC, width=self._width, config=self._config)
        archive.write(path, archive.Archive(meta, self._table.numbers, self._table.alive, self._faiss))

    def load(self, path: Path) -> None:
        """See `Index.load`; search parameters stay as they are."""
        found = archive.read(path)
        if found.meta.width != self._width:
            raise SetupError(f"{path.name} is an index of width {found.meta.width}, not {self._width}.")
        if found.meta.config.built() != self._config.built():
            raise SetupError(f"{path.name} was built as {found.meta.config.label}, not as {self._config.label}.")
        self.take(found)

    def take(self, found: archive.Archive) -> None:
        """Become what an archive of the same configuration holds. Raises `SetupError` where its parts do not fit."""
        rows = found.index.ntotal if found.index is not None else 0
        fits = found.index is None or (found.index.d, found.index.metric_type) == (self._width, _IP)
        if (len(found.rows), len(found.alive)) != (rows, rows) or not fits:
            raise SetupError("The parts of an index file do not fit each other.", mend="Build the index again.")
        self._put(found.index, RowTable(found.rows.astype(np.int64), found.alive.astype(np.bool_)))

    @property
    def learned(self) -> Any:
        """The FAISS index itself, to be written and adopted elsewhere."""
        return self._faiss

    def adopt(self, learned: Any, ids: Ids, originals: Iterable[Vectors], room: int) -> None:
        """Become an index of `ids` `[n]` by what another, of this configuration without `refine`, has learned.

        Args:
            learned: of that one, see `learned`; its rows are those of `ids`.
            ids: the numbers.
            originals: all vectors in that order, `[m, D]` each; read only where they are kept beside the codes.
            room: see `freeze`; so nothing is copied there again.
        """
        index = learned
        if self._config.refine is not None:
            store = codes.storing(self._width, self._config.refine.storage)
            codes.reserve(store, len(ids) + room)
            for vectors in originals:
                store.add(vectors)
            index = faiss.IndexRefine(learned, store)
            index.ntotal = store.ntotal
        table = RowTable()
        table.append(np.ascontiguousarray(ids, np.int64))
        self._put(index, table)

    def parameters(self) -> dict[str, Any]:
        """See `Index.parameters`."""
        return {
            "kind": self._config.index.kind,
            "label": self._config.label,
            "metric": archive.METRIC,
            "width": self._width,
            "threads": self._threads,
            "dead": self._table.dead,
            **self._config.model_dump(mode="json", exclude_none=True),
        }

    def size_bytes(self) -> int:
        """Bytes that the index takes, its numbers included."""
        return (archive.size(self._faiss) if self._faiss is not None else 0) + 9 * len(self._table)

    @abstractmethod
    def _empty(self, width: int) -> Any:
        """The kind's own FAISS index, empty, for vectors of `width`, the transform done."""

    def _needed(self) -> int:
        """How many vectors the kind's own index learns from, at least."""
        return 0

    def _own(self, selector: Any, candidates: int) -> Any:
        """The kind's own search parameters, none where it needs none."""
        return _selecting(selector)

    def _whole(self, own: Any) -> Any:
        """The part of the kind's own index that keeps one code after the other, if any."""
        return own if self.movable else None

    def _scores(self, scores: Vectors, queries: Vectors) -> Vectors:
        """What FAISS found, as inner products."""
        return scores

    def _need_vectors(self) -> None:
        if not self._config.verbatim:
            raise InvalidRequest(f"{self._config.label} keeps codes, no vectors.", mend="Add `refine` with float32.")

    def _scanned(self, source: Any, own: bool, queries: Vectors, k: int, selector: Any) -> tuple[Vectors, Rows]:
        """Scores and rows by comparing with every vector of `source`, which is the kind's own index where `own`."""
        found: tuple[Vectors, Rows] = source.search(queries, k, params=_selecting(selector))
        return found

    def _named(self, scores: Vectors, rows: Rows, k: int) -> tuple[Vectors, Ids]:
        """Numbers for rows; what is missing at the end, so that there are k."""
        if rows.shape[1] == k and (rows[:, -1] >= 0).all():
            return scores, self._table.numbers[rows]
        missing = rows < 0
        found, ranked = np.where(missing, -1, self._table.numbers[rows]), np.where(missing, -np.inf, scores)
        return _padded(ranked, k, -np.inf), _padded(found, k, -1)

    def _assembled(self, made: Any, width: int) -> Any:
        """The kind's index with transform and originals around it."""
        index = self._empty(width)
        if made is not None:
            index = faiss.IndexPreTransform(made, index)
        if self._config.refine is not None:
            index = faiss.IndexRefine(index, codes.storing(self._width, self._config.refine.storage))
        return index

    def _put(self, index: Any, table: RowTable) -> None:
        self._faiss, self._table, self._asked = index, table, {}

    def _parameters(self, k: int) -> Any:
        """FAISS's search parameters, made once for each k after a change; they keep what they point to alive."""
        if k not in self._asked:
            refine = self._config.refine
            candidates = k if refine is None else max(min(int(k * refine.factor), len(self)), k)
            selector = None
            if self._table.dead:
                selector = faiss.IDSelectorBitmap(np.packbits(self._table.alive, bitorder="little"))
            self._asked[k] = self._around(self._own(selector, candidates), candidates / k)
        return self._asked[k]

    def _around(self, own: Any, factor: float) -> Any:
        """The kind's own parameters inside those of what stands around it."""
        if self._config.transform is not None and own is not None:
            own = faiss.SearchParametersPreTransform(index_params=own)
        if self._config.refine is None:
            return own
        base = {"base_index_params": own} if own is not None else {}
        return faiss.IndexRefineSearchParameters(k_factor=factor, **base)

    def _parts(self) -> tuple[Any, Any, Any]:
        """The kind's own FAISS index, and the transform's and the originals' around it where they are."""
        refine = self._faiss if self._config.refine is not None else None
        index = faiss.downcast_index(refine.base_index) if refine is not None else self._faiss
        before = index if self._config.transform is not None else None
        return (faiss.downcast_index(before.index) if before is not None else index), before, refine

    def _read(self, rows: Rows) -> Vectors:
        """`[n, D]` vectors of `rows`, from where they are kept bit for bit."""
        own, _, refine = self._parts()
        source = faiss.downcast_index(refine.refine_index) if refine is not None else own
        out: Vectors = source.reconstruct_batch(rows)
        return out

    def _move_last_to(self, row: int) -> None:
        own, before, refine = self._parts()
        codes.move_last_to(own, row)
        for around in filter(None, (before, refine)):
            around.ntotal -= 1
        if refine is not None:
            codes.move_last_to(faiss.downcast_index(refine.refine_index), row)
        self._table.move_last_to(row)


def _selecting(selector: Any) -> Any:
    return faiss.SearchParameters(sel=selector) if selector is not None else None


def _padded(found: NDArray[Any], k: int, filler: float) -> NDArray[Any]:
    """`[n, most]` -> `[n, k]`."""
    if found.shape[1] == k:
        return found
    return np.pad(found, ((0, 0), (0, k - found.shape[1])), constant_values=filler)
