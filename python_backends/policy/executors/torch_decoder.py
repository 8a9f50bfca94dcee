"""The scripted decoder (`builder/sources/decoder_module.py`) and its cache in PyTorch, on a GPU where there is one.

The artifact carries its code; nothing of transformers runs here. On a GPU decode steps are captured CUDA graphs
(`torch_step.py`); all else is the same code as on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelis.errors import SetupError
from python_backends.engine.torch_engine import first_line
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.embeddings import EmbeddingTable
from python_backends.policy.executors.huge_pages import use_huge_pages
from python_backends.policy.executors.ragged import padded
from python_backends.policy.executors.torch_step import Step, Tensor, empty_cache, step_sizes
from python_backends.policy.graph import Cells, DecoderGraph, Floats, Ints

ARGUMENTS = ["self", "embeds", "positions", "starts", "at", "cache", "width"]
LEAST_WIDTH = 256
"""Places of the cache that a captured step looks at, at least."""
REBUILD = "Build it again with `pixelis build policy --formats torchscript`."


class TorchDecoder(DecoderGraph):
    """`model.ts` of a policy artifact, its embedding table and its cache; see `DecoderGraph`.

    The first GPU that CUDA shows is used; with `CUDA_VISIBLE_DEVICES` empty it is the CPU.

    Args:
        directory: version folder.
        slots: rows of the cache, hence sequences at once.
        max_len: tokens of one row; at most what the checkpoint's positions are.
        threads: threads of one step, on the CPU.
    """

    def __init__(self, directory: Path, slots: int, max_len: int, threads: int) -> None:
        self.config = config = CheckpointConfig.load(directory)
        self.slots, self._threads = slots, threads
        self.max_len = min(max_len, config.max_positions)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.executor = f"TorchScript (PyTorch {torch.__version__}) on {_name(self._device)}"
        self._script = _load(directory / "model.ts", self._device)
        self._dtype = self._script.head.weight.dtype
        if self._device.type == "cpu":
            use_huge_pages()  # before the cache is there, whose rows take memory when they are written
        self.embeddings = EmbeddingTable.load(directory, config)
        # One place more than a row has, and then whole vectors of the GPU's attention.
        places = -(-(self.max_len + 1) // 8) * 8
        shape = (2 * config.layers, slots, config.kv_heads, places, config.head_dim)
        self._cache = empty_cache(shape, self._dtype, self._device)
        self.token_bytes = 2 * config.layers * config.kv_heads * config.head_dim * self._cache.element_size()
        self._steps: dict[int, Step] = {}
        self._pool = None
        if self._device.type == "cuda":
            self._capture()

    def prefill(self, row: int, embeds: Sequence[Floats], positions: Sequence[Ints]) -> Floats:
        """See `DecoderGraph.prefill`."""
        together, places, lengths = padded(embeds, positions)
        return self._read(row, together, places, np.zeros_like(lengths), lengths[:, None] - 1)[:, 0]

    def extend(self, row: int, past: int, embeds: Floats, positions: Ints, logits: int = 1) -> Floats:
        """See `DecoderGraph.extend`."""
        at = np.arange(len(embeds) - logits, len(embeds), dtype=np.int64)[None]
        answer: Floats = self._read(row, embeds[None], positions[:, None], np.array([past]), at)[0]
        return answer

    def decode(self, tokens: Ints, positions: Ints, lengths: Ints) -> Floats:
        """See `DecoderGraph.decode`."""
        rows, width = self._sizes(len(tokens), int(lengths.max()) + 1)
        with torch.inference_mode():
            return self._step(rows)(self.embeddings, tokens, positions, lengths, width)

    def move(self, source: int, target: int, length: int) -> None:
        """See `DecoderGraph.move`."""
        self._cache[:, target, :, :length] = self._cache[:, source, :, :length]

    def swap(self, one: int, other: int, length: int) -> None:
        """See `DecoderGraph.swap`."""
        held = self._cache[:, one, :, :length].clone()
        self._cache[:, one, :, :length] = self._cache[:, other, :, :length]
        self._cache[:, other, :, :length] = held

    def read(self, row: int, start: int, stop: int) -> Cells:
        """See `DecoderGraph.read`. numpy knows no bf16: its bits come as INT16."""
        cells = self._cache[:, row, :, start:stop].to("cpu", copy=True).contiguous()
        read: Cells = (cells.view(torch.int16) if self._dtype == torch.bfloat16 else cells).numpy()
        return read

    def write(self, row: int, start: int, cells: Cells) -> None:
        """See `DecoderGraph.write`."""
        self._cache[:, row, :, start : start + cells.shape[2]] = torch.from_numpy(cells).view(self._dtype)

    def _read(self, row: int, embeds: Floats, positions: Ints, starts: Ints, at: Ints) -> Floats:
        """Several tokens behind what rows from `row` on hold; logits `[n, k, vocabulary]`."""
        arrays = (np.ascontiguousarray(array) for array in (embeds, positions, starts, at))
        width = int(starts.max()) + embeds.shape[1]
        with torch.inference_mode():
            given = [torch.from_numpy(array).to(self._device) for array in arrays]
            logits: Floats = self._run(*given, self._cache[:, row : row + len(embeds)], width).cpu().numpy()
        return logits

    def _run(self, *given: Any) -> Tensor:
        """The script as it is: what PyTorch makes of one after runs of other lengths is no faster, and comes late."""
        if torch.get_num_threads() != self._threads:  # of this thread's own pool
            torch.set_num_threads(self._threads)
        with torch.jit.optimized_execution(False):
            return self._script(*given)

    def _step(self, rows: int) -> Step:
        step = self._steps.get(rows)
        if step is None:
            cache = self._cache[:, :rows]
            step = self._steps[rows] = Step(self._run, cache, self.config.hidden, self.max_len, self._pool)
        return step

    def _captured(self) -> tuple[list[int], list[int]]:
        """Numbers of rows, and widths, for which steps are captured."""
        return step_sizes(1, self.slots), step_sizes(LEAST_WIDTH, self._cache.shape[3])

    def _capture(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        with torch.inference_mode():
            # The largest first: the others find room in its memory.
            for rows, width in product(*(reversed(sizes) for sizes in self._captured())):
                self._step(rows).capture(width)

    def _sizes(self, rows: int, width: int) -> tuple[int, int]:
        """Rows and places of the step that computes so many: the next that was captured."""
        if self._device.type == "cpu":
            return rows, width
        counts, widths = self._captured()
        return next(size for size in counts if size >= rows), next(size for size in widths if size >= width)


def _load(path: Path, device: Any) -> Any:
    try:
        script = torch.jit.load(str(path), map_location=device)
    except Exception as error:  # PyTorch raises RuntimeError, OSError, and what its native code throws
        raise SetupError(f"PyTorch cannot load {path.name}: {first_line(error)}.", mend=REBUILD) from error
    arguments = [argument.name for argument in script.forward.schema.arguments]
    if arguments != ARGUMENTS:
        raise SetupError(f"The script takes {', '.join(arguments[1:])}, and is not a decoder's.", mend=REBUILD)
    return script.eval()


def _name(device: Any) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
