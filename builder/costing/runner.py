"""A candidate ready to be timed: the engine, or the decoder graph, that will serve it and nothing else.

Imports what serves and numpy alone: its process is also the one whose memory is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from builder.costing.timing import Timed
from pixelis.machine import this_machine
from python_backends.engine.torch_settings import SETTINGS, TorchSettings

Inputs = dict[str, NDArray[np.generic]]
Opened = Callable[[Inputs], Timed]
"""Inputs of a case to what is timed."""
SLOTS, MAX_LEN = 8, 2048
"""As `python_backends.policy.runtime` serves."""
EXECUTORS = {"model.onnx": "onnxruntime", "model.xml": "openvino", "model.ts": "torch", "model.pt2": "torch"}


@contextmanager
def open_artifact(kind: str, directory: Path, threads: int) -> Iterator[Opened]:
    """The artifact of a model of `kind` (`engine` or `policy`), loaded once; it ends with the context.

    Raises:
        SetupError: its executor cannot load it.
        NotFound: there is no artifact that runs here.
    """
    if kind == "policy":
        yield _Decoder(directory, threads).timed
        return
    from python_backends.engine import load_engine

    with load_engine(directory, threads) as engine:
        yield lambda inputs: Timed(lambda: engine.run(inputs))


def device_of(kind: str, directory: Path) -> str:
    """`cuda` where the artifact of a model of `kind` computes on a GPU here, else `cpu`."""
    if kind == "policy":
        return "cuda" if (directory / "model.ts").is_file() and this_machine().gpus else "cpu"
    told = executor(directory) == "torch" and (directory / SETTINGS).is_file()  # OpenVINO has such a file too
    return TorchSettings.read(directory).device if told else "cpu"


def executor(directory: Path) -> str:
    """The package that runs the artifact in `directory`."""
    return next((package for file, package in EXECUTORS.items() if (directory / file).is_file()), "numpy")


class _Decoder:
    def __init__(self, directory: Path, threads: int) -> None:
        from python_backends.policy.executors import open_decoder

        self._graph = open_decoder(directory, SLOTS, MAX_LEN, threads)

    def timed(self, inputs: Inputs) -> Timed:
        """Prefill of the first row, or one token for the first rows, always at the same place."""
        if "PROMPT" in inputs:
            prompt = inputs["PROMPT"].astype(np.int64)
            return Timed(lambda: self._prefill(prompt))
        tokens, past = inputs["TOKENS"].astype(np.int64), int(inputs["PAST"][0])
        count = len(tokens)
        self._prefill(np.tile(tokens[:, None], (1, past)))
        lengths = np.full(count, past, np.int64)
        return Timed(lambda: self._graph.decode(tokens, lengths, lengths))

    def _prefill(self, prompts: NDArray[np.int64]) -> object:
        places = np.tile(np.arange(prompts.shape[1]), (3, 1))
        return self._graph.prefill(0, [self._graph.embeddings[row] for row in prompts], [places] * len(prompts))
