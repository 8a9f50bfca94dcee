"""What is published: whole, passed, and shaped as its config says."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from builder.formats.onnx import OnnxFormat
from builder.manifest import Manifest, TensorRecord
from builder.model_spec import ModelSpec
from builder.rules.base import Finding, Rule, Subject, dtype_name, error, warning
from pixelis.errors import BuildError

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig


def published(subject: Subject) -> Iterator[Finding]:
    """The version that Triton loads has a passing manifest and exactly its files."""
    for spec in subject.known.models:
        if not spec.built:
            continue
        version = subject.store.latest(spec.name)
        rebuild = f"Run `pixelis build {spec.name}`."
        if version is None and spec.required:
            yield error(spec.name, "published", "It has no built version.", rebuild)
        elif version is None:
            yield warning(spec.name, "published", "It has no built version and starts without one.", rebuild)
        else:
            for fault in subject.store.faults(spec.name, version):
                yield error(spec.name, "published", f"Version {version}: {fault}.", rebuild)


def graphs(subject: Subject) -> Iterator[Finding]:
    """An engine model's own inputs and outputs are those of its config, with a batch axis in front."""
    for spec in subject.known.models:
        version = subject.store.latest(spec.name)
        if spec.kind != "engine" or version is None or spec.name not in subject.configs:
            continue
        mend = f"Mend the source or builder/spec.py, then run `pixelis build {spec.name}`."
        for message in _graph(spec, subject.store.folder(spec.name, version), subject.configs[spec.name]):
            yield error(spec.name, "graph", f"Version {version}: {message}.", mend)


def _graph(spec: ModelSpec, folder: Path, given: ModelConfig) -> Iterator[str]:
    try:
        inputs, outputs = _tensors(folder)
    except BuildError:
        return  # `published` says so
    for side, have, wanted in (("input", inputs, given.input), ("output", outputs, given.output)):
        by_name = {tensor.name: tensor for tensor in have}
        for name in sorted(by_name.keys() - {entry.name for entry in wanted}):
            yield f"the graph's {side} {name} is not in config.pbtxt"
        for entry in wanted:
            tensor = by_name.get(entry.name)
            if tensor is None:
                yield f"the graph has no {side} {entry.name}"
                continue
            if tensor.dtype != dtype_name(entry.data_type):
                yield f"the {side} {entry.name} is {tensor.dtype}, config.pbtxt says {dtype_name(entry.data_type)}"
            yield from _dims(f"the {side} {entry.name}", tensor.dims, list(entry.dims), spec.max_batch_size)


def _tensors(folder: Path) -> tuple[list[TensorRecord], list[TensorRecord]]:
    """From the graph itself where onnx is installed, else from the manifest.

    Raises:
        BuildError: neither is readable.
    """
    if importlib.util.find_spec("onnx") is None or not (folder / OnnxFormat.file).is_file():
        manifest = Manifest.read(folder)
        return manifest.inputs, manifest.outputs
    from google.protobuf.message import DecodeError

    try:
        shape = OnnxFormat().describe(folder)
    except DecodeError:
        raise BuildError(f"{folder / OnnxFormat.file} is not an ONNX graph.", mend="Build it again.") from None
    return [TensorRecord.of(tensor) for tensor in shape.inputs], [TensorRecord.of(tensor) for tensor in shape.outputs]


def _dims(what: str, graph: list[int], config: list[int], batch: int) -> Iterator[str]:
    if batch:
        if not graph or graph[0] != -1:
            yield f"{what} has no batch axis that varies: {graph}"
            return
        graph = graph[1:]
    if len(graph) != len(config):
        yield f"{what} has {len(graph)} axes besides the batch, config.pbtxt says {config}"
        return
    for axis, (made, said) in enumerate(zip(graph, config, strict=True)):
        # A graph may take more than the config lets through, never less.
        if made not in (-1, said):
            yield f"{what} is fixed at {made} on axis {axis}, config.pbtxt says {said}"


RULES: tuple[Rule, ...] = (published, graphs)
