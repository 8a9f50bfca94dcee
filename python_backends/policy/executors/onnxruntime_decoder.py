"""The decoder graph bound to its KV cache: prefill into rows, go on in a row, decode all rows, nothing copied.

The graph comes from the onnxruntime-genai model builder, or is emitted with the same nodes
(`builder/sources/decoder.py`). Past and present of a layer are
bound to the same preallocated buffer, in which one row belongs to one sequence; the fused attention appends in place.
Ragged batches are padded on the right: the attention mask carries each row's true length.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pixelis.errors import SetupError
from python_backends.engine.onnxruntime_engine import open_session
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.embeddings import EmbeddingTable
from python_backends.policy.executors.huge_pages import use_huge_pages
from python_backends.policy.executors.ragged import padded
from python_backends.policy.graph import Cells, DecoderGraph, Floats, Ints

MASK_STEP = 64
"""The mask's width grows in these steps, so that a decode step seldom has to bind a new one."""


class OnnxRuntimeDecoder(DecoderGraph):
    """`model.onnx` of a policy artifact, its embedding table and its cache; see `DecoderGraph`.

    Args:
        directory: version folder.
        slots: rows of the cache, hence sequences at once.
        max_len: tokens of one row; at most what the rotary tables cover.
        threads: threads of one step.
    """

    executor = f"ONNX Runtime {onnxruntime.__version__}"

    def __init__(self, directory: Path, slots: int, max_len: int, threads: int) -> None:
        self.config = config = CheckpointConfig.load(directory)
        self.slots = slots
        self.max_len = min(max_len, config.max_positions)
        self._session = open_session(directory / "model.onnx", threads)
        use_huge_pages()  # before the cache is there, whose rows take memory when they are written
        self.embeddings = EmbeddingTable.load(directory, config)
        types = {node.name: node.type for node in self._session.get_inputs()}
        dtype = np.dtype(np.float16 if types.get("past_key_values.0.key") == "tensor(float16)" else np.float32)
        # Memory is taken page by page as rows are written, so what no sequence reaches costs nothing.
        cells = (slots, config.kv_heads, self.max_len, config.head_dim)
        self._cache = {
            f"{layer}.{part}": np.zeros(cells, dtype) for layer in range(config.layers) for part in ("key", "value")
        }
        self.token_bytes = len(self._cache) * config.kv_heads * config.head_dim * dtype.itemsize
        wanted = {"inputs_embeds", "attention_mask", "position_ids", "logits_at"}
        wanted |= {f"past_key_values.{name}" for name in self._cache}
        self._features = [f"deepstack.{i}" for i in range(min(config.deepstack, config.layers))]
        self._no_feature = np.zeros((1, 1, config.hidden), np.float32)
        wanted |= set(self._features)
        if types.keys() != wanted:
            raise SetupError(
                f"The graph's inputs are not a decoder's: {sorted(types.keys() ^ wanted)}.",
                mend="Build it again with `pixelis build policy`.",
            )
        self._steps: dict[int, _Step] = {}

    def prefill(self, row: int, embeds: Sequence[Floats], positions: Sequence[Ints]) -> Floats:
        """See `DecoderGraph.prefill`."""
        together, places, lengths = padded(embeds, positions)
        mask = (np.arange(together.shape[1]) < lengths[:, None]).astype(np.int64)
        return self._run(row, together, places, mask, lengths[:, None] - 1)[:, 0]

    def extend(self, row: int, past: int, embeds: Floats, positions: Ints, logits: int = 1) -> Floats:
        """See `DecoderGraph.extend`. One row: the fused attention takes several tokens behind a past for one alone."""
        count = len(embeds)
        mask = np.ones((1, past + count), np.int64)
        at = np.arange(count - logits, count, dtype=np.int64)[None]
        answer: Floats = self._run(row, embeds[None], positions[:, None], mask, at)[0]
        return answer

    def decode(self, tokens: Ints, positions: Ints, lengths: Ints) -> Floats:
        """See `DecoderGraph.decode`."""
        count = len(tokens)
        step = self._steps.get(count)
        if step is None:
            step = self._steps[count] = _Step(self, count)
        step.set(tokens, positions, lengths)
        self._session.run_with_iobinding(step.binding)
        return step.logits[:, 0]

    def move(self, source: int, target: int, length: int) -> None:
        """See `DecoderGraph.move`."""
        for buffer in self._cache.values():
            buffer[target, :, :length] = buffer[source, :, :length]

    def swap(self, one: int, other: int, length: int) -> None:
        """See `DecoderGraph.swap`."""
        for buffer in self._cache.values():
            held = buffer[one, :, :length].copy()
            buffer[one, :, :length] = buffer[other, :, :length]
            buffer[other, :, :length] = held

    def read(self, row: int, start: int, stop: int) -> Cells:
        """See `DecoderGraph.read`."""
        cells: Cells = np.stack([buffer[row, :, start:stop] for buffer in self._cache.values()])
        return cells

    def write(self, row: int, start: int, cells: Cells) -> None:
        """See `DecoderGraph.write`."""
        stop = start + cells.shape[2]
        for buffer, part in zip(self._cache.values(), cells, strict=True):
            buffer[row, :, start:stop] = part

    def _run(self, row: int, embeds: Floats, positions: Ints, mask: Ints, at: Ints) -> Floats:
        logits = np.empty((*at.shape, self.config.vocabulary), np.float32)
        binding = self._bind(row, len(embeds), logits)
        # The binding holds addresses alone; these names hold what is there until the run is over.
        tokens, *features = self._parts(embeds)
        positions, at = np.ascontiguousarray(positions), np.ascontiguousarray(at)
        _bind_input(binding, "inputs_embeds", tokens)
        for name, feature in zip(self._features, features, strict=False):
            _bind_input(binding, name, feature)
        _bind_input(binding, "position_ids", positions)
        _bind_input(binding, "attention_mask", mask)
        _bind_input(binding, "logits_at", at)
        self._session.run_with_iobinding(binding)
        return logits

    def _parts(self, embeds: Floats) -> list[Floats]:
        """Embeddings `[n, S, hidden]`, and behind them the features for each of the first layers, where there are."""
        hidden = self.config.hidden
        return [np.ascontiguousarray(embeds[..., at : at + hidden]) for at in range(0, embeds.shape[-1], hidden)]

    def _bind(self, row: int, count: int, logits: Floats) -> onnxruntime.IOBinding:
        """A binding of `count` cache rows from `row` on, as past and as present, of the logits, and of no features."""
        binding = self._session.io_binding()
        for name, buffer in self._cache.items():
            rows = buffer[row : row + count]
            _bind_input(binding, f"past_key_values.{name}", rows)
            _bind_output(binding, f"present.{name}", rows)
        for name in self._features:
            _bind_input(binding, name, self._no_feature)
        _bind_output(binding, "logits", logits)
        return binding


class _Step:
    """Buffers and binding of a decode step over `count` rows; made once for each count."""

    def __init__(self, graph: OnnxRuntimeDecoder, count: int) -> None:
        config = graph.config
        self._table = graph.embeddings
        self._max_len = graph.max_len
        self._width = 0
        self._columns = np.arange(graph.max_len, dtype=np.int64)
        self._mask_memory = np.zeros(count * graph.max_len, np.int64)
        self._mask = self._mask_memory[:0].reshape(count, 0)
        self._embeds = np.zeros((count, 1, config.hidden), np.float32)
        self._positions = np.zeros((3, count, 1), np.int64)
        self._at = np.zeros((count, 1), np.int64)
        self.logits = np.empty((count, 1, config.vocabulary), np.float32)
        self.binding = graph._bind(0, count, self.logits)
        _bind_input(self.binding, "inputs_embeds", self._embeds)
        _bind_input(self.binding, "position_ids", self._positions)
        _bind_input(self.binding, "logits_at", self._at)

    def set(self, tokens: Ints, positions: Ints, lengths: Ints) -> None:
        """Fill the buffers for the next run."""
        self._table.take(tokens, self._embeds[:, 0])
        self._positions[:, :, 0] = positions
        needed = int(lengths.max()) + 1
        width = min(-(-needed // MASK_STEP) * MASK_STEP, self._max_len)
        if width != self._width:
            self._width = width
            self._mask = self._mask_memory[: len(tokens) * width].reshape(len(tokens), width)
            _bind_input(self.binding, "attention_mask", self._mask)
        np.less_equal(self._columns[:width], lengths[:, None], out=self._mask)


def _bind_input(binding: onnxruntime.IOBinding, name: str, array: NDArray[np.generic]) -> None:
    """Bind by address: the caller keeps `array` (C-contiguous) alive until the run is over."""
    binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


def _bind_output(binding: onnxruntime.IOBinding, name: str, array: NDArray[np.generic]) -> None:
    binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
