"""The decoder graph with OpenVINO's paged attention: prompts, chunks and single tokens of any rows in one pass.

Tokens of all sequences of a pass lie one behind the other, so nothing is padded. A row is a list of blocks of the
cache, as many as `max_len` takes; rows that change places exchange their lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.embeddings import EmbeddingTable
from python_backends.policy.executors.huge_pages import use_huge_pages
from python_backends.policy.executors.openvino_paged import BLOCK, KEY, VALUE, VERSION, open_paged
from python_backends.policy.graph import Cells, DecoderGraph, Floats, Ints, Piece

Small = NDArray[np.int32]
Arrays = dict[str, NDArray[np.generic]]


class OpenVinoDecoder(DecoderGraph):
    """`model.xml` of a policy artifact, its embedding table and its cache; see `DecoderGraph`.

    Args:
        directory: version folder.
        slots: rows of the cache, hence sequences at once.
        max_len: tokens of one row; at most what the rotary tables cover.
        threads: threads of one step.
    """

    executor = f"OpenVINO {VERSION}"
    mixes = True

    def __init__(self, directory: Path, slots: int, max_len: int, threads: int) -> None:
        self.config = config = CheckpointConfig.load(directory)
        self.slots = slots
        self.max_len = min(max_len, config.max_positions)
        self.embeddings = EmbeddingTable.load(directory, config)
        paged = open_paged(directory / "model.xml", config, threads)
        self._pass = _Pass(paged.compiled)
        use_huge_pages()  # before the cache is there, whose blocks take memory when they are written
        each = -(-self.max_len // BLOCK)
        self._blocks = np.arange(slots * each, dtype=np.int32).reshape(slots, each)
        # Memory is taken page by page as blocks are written, so what no sequence reaches costs nothing.
        # NumPy has no bfloat16; cells are only ever copied, so any type of their size does.
        kind = np.float32 if paged.cell.size == 4 else np.uint16
        self._cache = np.zeros((2 * config.layers, slots * each, config.kv_heads, BLOCK, config.head_dim), kind)
        for index, buffer in enumerate(self._cache):
            tensor = openvino.Tensor(buffer, openvino.Shape(buffer.shape), paged.cell)
            self._pass.give(f"{(KEY, VALUE)[index % 2]}_cache.{index // 2}", tensor)
        self.token_bytes = 2 * config.layers * config.kv_heads * config.head_dim * paged.cell.size
        self._steps: dict[int, _Step] = {}

    def prefill(self, row: int, embeds: Sequence[Floats], positions: Sequence[Ints]) -> Floats:
        """See `DecoderGraph.prefill`."""
        lengths = np.array([len(part) for part in embeds], np.int32)
        at = np.cumsum(lengths, dtype=np.int64) - 1
        rows = np.arange(row, row + len(lengths))
        return self._read(rows, np.zeros_like(lengths), lengths, np.concatenate(embeds), np.hstack(positions), at)

    def extend(self, row: int, past: int, embeds: Floats, positions: Ints, logits: int = 1) -> Floats:
        """See `DecoderGraph.extend`."""
        count = len(embeds)
        at = np.arange(count - logits, count, dtype=np.int64)
        rows = np.array([row])
        return self._read(rows, np.array([past], np.int32), np.array([count], np.int32), embeds, positions, at)

    def mixed(self, tokens: Ints, positions: Ints, lengths: Ints, row: int, pieces: Sequence[Piece]) -> Floats:
        """See `DecoderGraph.mixed`."""
        count = len(tokens)
        read = np.array([len(piece.embeds) for piece in pieces])
        given = np.empty((count + int(read.sum()), self.config.hidden), np.float32)
        self.embeddings.take(tokens, given[:count])
        np.concatenate([piece.embeds for piece in pieces], out=given[count:])
        new = np.concatenate([np.ones(count, np.int32), read], dtype=np.int32)
        where = np.hstack([np.tile(positions, (3, 1)), *(piece.positions for piece in pieces)])
        before = np.concatenate([lengths, [piece.past for piece in pieces]], dtype=np.int32)
        rows = np.concatenate([np.arange(count), np.arange(row, row + len(pieces))])
        return self._read(rows, before, new, given, where, np.cumsum(new, dtype=np.int64) - 1)

    def decode(self, tokens: Ints, positions: Ints, lengths: Ints) -> Floats:
        """See `DecoderGraph.decode`."""
        count = len(tokens)
        step = self._steps.get(count)
        if step is None:
            step = self._steps[count] = _Step(count, self.config, self._blocks)
        self.embeddings.take(tokens, step.embeds)
        step.positions[:] = positions
        step.past[:] = lengths
        step.longest[()] = lengths.max() + 1
        self._pass.run(step.tensors, step.answer)
        return step.logits

    def move(self, source: int, target: int, length: int) -> None:
        """See `DecoderGraph.move`."""
        self._blocks[[source, target]] = self._blocks[[target, source]]

    def swap(self, one: int, other: int, length: int) -> None:
        """See `DecoderGraph.swap`."""
        self.move(one, other, length)

    def read(self, row: int, start: int, stop: int) -> Cells:
        """See `DecoderGraph.read`."""
        shape = (len(self._cache), self.config.kv_heads, stop - start, self.config.head_dim)
        cells: Cells = np.empty(shape, self._cache.dtype)
        for part, block, inside in self._pieces(row, start, stop):
            cells[:, :, part] = self._cache[:, block, :, inside]
        return cells

    def write(self, row: int, start: int, cells: Cells) -> None:
        """See `DecoderGraph.write`."""
        for part, block, inside in self._pieces(row, start, start + cells.shape[2]):
            self._cache[:, block, :, inside] = cells[:, :, part]

    def _pieces(self, row: int, start: int, stop: int) -> list[tuple[slice, int, slice]]:
        """Tokens `start` to `stop` of a row, block by block: which of them, the block, and where in it."""
        found = []
        for number in range(start // BLOCK, -(-stop // BLOCK)):
            first, last = max(start, number * BLOCK), min(stop, (number + 1) * BLOCK)
            inside = slice(first - number * BLOCK, last - number * BLOCK)
            found.append((slice(first - start, last - start), int(self._blocks[row, number]), inside))
        return found

    def _read(self, rows: Ints, past: Small, lengths: Small, embeds: Floats, positions: Ints, at: Ints) -> Floats:
        """Read `lengths` tokens behind `past` into `rows`; logits at the tokens `at`."""
        count, each = len(lengths), self._blocks.shape[1]
        logits = np.empty((len(at), self.config.vocabulary), np.float32)
        given: Arrays = {
            "inputs_embeds": embeds,
            "position_ids": positions,
            "logits_at": at,
            "past_lens": past,
            "subsequence_begins": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
            "block_indices": self._blocks[rows].reshape(-1),
            "block_indices_begins": np.arange(0, (count + 1) * each, each, dtype=np.int32),
            "max_context_len": np.array((past + lengths).max(), np.int32),
        }
        self._pass.run({name: _shared(array) for name, array in given.items()}, _shared(logits))
        return logits


class _Pass:
    """A pass of the compiled graph over arrays of ours, nothing copied."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._places = {port.any_name: index for index, port in enumerate(compiled.inputs)}

    def give(self, name: str, tensor: openvino.Tensor) -> None:
        """An input that stays."""
        self._request.set_input_tensor(self._places[name], tensor)

    def run(self, inputs: dict[str, openvino.Tensor], logits: openvino.Tensor) -> None:
        """Write what `inputs` make of the cache into it and into `logits`."""
        for name, tensor in inputs.items():
            self._request.set_input_tensor(self._places[name], tensor)
        self._request.set_output_tensor(0, logits)
        self._request.infer()


class _Step:
    """Arrays of a decode step over `count` rows, and their tensors; made once for each count."""

    def __init__(self, count: int, config: CheckpointConfig, blocks: Small) -> None:
        each = blocks.shape[1]
        self.embeds = np.zeros((count, config.hidden), np.float32)
        self.positions = np.zeros((3, count), np.int64)
        self.past = np.zeros(count, np.int32)
        self.longest = np.zeros((), np.int32)
        self.logits = np.empty((count, config.vocabulary), np.float32)
        self.answer = _shared(self.logits)
        given: Arrays = {
            "inputs_embeds": self.embeds,
            "position_ids": self.positions,
            "logits_at": np.arange(count),
            "past_lens": self.past,
            "subsequence_begins": np.arange(count + 1, dtype=np.int32),
            "block_indices": blocks[:count].reshape(-1),  # a view: it follows the rows
            "block_indices_begins": np.arange(0, (count + 1) * each, each, dtype=np.int32),
            "max_context_len": self.longest,
        }
        self.tensors = {name: _shared(array) for name, array in given.items()}


def _shared(array: NDArray[np.generic]) -> openvino.Tensor:
    """A tensor over the memory of `array`, or of a contiguous copy; it keeps the memory alive."""
    return openvino.Tensor(np.ascontiguousarray(array).reshape(array.shape), shared_memory=True)
