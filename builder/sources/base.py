"""What a model is before it is exported."""

from __future__ import annotations

import hashlib
import inspect
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from builder.sources.code import code_files
from builder.sources.task import Task
from pixelis.errors import BuildError

if TYPE_CHECKING:
    import torch

    from builder.candidate import Candidate

Tensors = dict[str, NDArray[np.generic]]
"""Named, batched arrays, as they cross Triton."""
Answer = Callable[[Tensors], Tensors]
"""A model, loaded: inputs to outputs."""


class Source(ABC):
    """Weights and code of one model; knows its own right answers.

    Heavy packages are imported inside the methods, so that listing sources costs nothing.
    """

    name: ClassVar[str]
    native_precisions: ClassVar[tuple[str, ...]] = ()
    """Precisions in which the source writes its ONNX graph itself; the others are made from the fp32 graph."""
    native_scripts: ClassVar[tuple[str, ...]] = ()
    """Precisions in which the source writes its TorchScript itself."""

    @abstractmethod
    def files(self) -> Sequence[Path]:
        """The weight files that the model is made of."""

    def digest(self) -> str:
        """sha-256 over the weight files and the code of `builder.sources` that turns them into a model."""
        h = hashlib.sha256()
        for path in (*self.files(), *code_files(Path(inspect.getfile(type(self))))):
            h.update(path.name.encode())
            with path.open("rb") as file:
                while block := file.read(2**20):
                    h.update(block)
        return h.hexdigest()

    def missing(self) -> list[Path]:
        """Those of `files()` that are not there."""
        return [path for path in self.files() if not path.exists()]

    def check(self, directory: Path) -> list[str]:
        """Faults of the artifact in `directory` that comparing tensors cannot show; empty = none."""
        return []

    @abstractmethod
    def reference(self, inputs: Tensors) -> Tensors:
        """The source's own answer, which an artifact must reproduce."""

    @abstractmethod
    def samples(self) -> list[Tensors]:
        """Inputs for the gate: several batch sizes and shapes, real data where there is some."""

    @abstractmethod
    def export_onnx(self, directory: Path) -> None:
        """Write `model.onnx` and whatever files serving needs beside it into `directory`."""

    def export_native(self, directory: Path, candidate: Candidate) -> list[str]:
        """`export_onnx` in one of `native_precisions`, or TorchScript in one of `native_scripts`.

        Returns:
            what was done, in words for the manifest.

        Raises:
            BuildError: the source writes its graph in fp32 alone.
        """
        raise BuildError(f"`{self.name}` does not write its graph as {candidate.label}.")

    def openvino_model(self, directory: Path, candidate: Candidate) -> Any | None:
        """The model as an OpenVINO graph in fp32 that the source writes itself, and into `directory` whatever files
        serving needs beside it; none = it is converted from the ONNX graph."""
        return None

    def beside(self) -> dict[str, Path]:
        """Files that serving needs beside an artifact, whatever its format: name there, and where it lies now."""
        return {}

    def write_beside(self, directory: Path) -> None:
        """Copy them into `directory`."""
        for name, path in self.beside().items():
            shutil.copyfile(path, directory / name)

    def calibration(self) -> list[Tensors]:
        """Inputs from which static quantisation takes its ranges: real ones, none of them among `samples()`."""
        return self.samples()

    def tasks(self) -> list[Task]:
        """What the model is for, as tasks with a score; none where comparing tensors says it all."""
        return []

    @property
    def untasked(self) -> str:
        """Why there is no task, where there should be one; the verdict warns of it."""
        return ""

    @contextmanager
    def opened(self, directory: Path, threads: int = 1) -> Iterator[Answer]:
        """The artifact in the engine that will serve it, loaded once; it ends with the context."""
        from python_backends.engine import load_engine

        with load_engine(directory, threads) as engine:
            yield engine.run

    def feeds(self, directory: Path, inputs: Tensors) -> list[Tensors]:
        """A sample as the fp32 graph in `directory` takes it: itself, unless a runner stands between."""
        return [inputs]

    def answer(self, directory: Path, inputs: Tensors) -> Tensors:
        """The artifact's answer to one sample."""
        with self.opened(directory) as ask:
            return ask(inputs)


class TorchSource(Source):
    """A source that is a PyTorch module with named tensor inputs and outputs."""

    inputs: ClassVar[tuple[str, ...]]
    outputs: ClassVar[tuple[str, ...]]

    @abstractmethod
    def module(self) -> torch.nn.Module:
        """The model in eval mode; `forward(*inputs) -> tensor or tuple of tensors`, batch first."""

    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """Axes that vary, by input: batch alone unless overridden."""
        return {name: {0: "batch"} for name in self.inputs}

    def example(self) -> Tensors:
        """Inputs to trace with: the first sample whose batch is longer than 1."""
        return next(sample for sample in self.samples() if len(sample[self.inputs[0]]) > 1)

    @cached_property
    def loaded(self) -> torch.nn.Module:
        """`module()`, once."""
        return self.module()

    def reference(self, inputs: Tensors) -> Tensors:
        """What the PyTorch module answers."""
        import torch

        module = self.loaded  # before inference mode: weights that are made in it export as another graph
        with torch.inference_mode():
            answer = module(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self.inputs))
        answers = answer if isinstance(answer, tuple) else (answer,)
        return {name: tensor.numpy() for name, tensor in zip(self.outputs, answers, strict=True)}

    def export_onnx(self, directory: Path) -> None:
        """Write `model.onnx` through the `torch.onnx` dynamo exporter."""
        import torch

        from builder.formats.onnx import MODEL_FILE, export_module

        example = self.example()
        export_module(
            self.loaded,
            [torch.from_numpy(np.ascontiguousarray(example[name])) for name in self.inputs],
            self.inputs,
            self.outputs,
            self.dynamic_axes(),
            directory / MODEL_FILE,
        )
