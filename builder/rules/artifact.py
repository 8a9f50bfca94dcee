"""What is published: whole, passed, and shaped as its config says."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from builder.formats import open_format
from builder.model_spec import ModelSpec
from builder.rules.base import Finding, Rule, Subject, dtype_name, error, warning
from builder.storing.manifest import MANIFEST, Manifest, TensorRecord
from pixelis.errors import BuildError, PixelisError

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
    except BuildError as problem:
        if (folder / MANIFEST).is_file():
            yield problem.message.rstrip(".")
        return  # where the manifest is missing `published` says so
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
    """From the artifact itself where its format's packages are installed, else from the manifest.

    Raises:
        BuildError: neither is readable.
    """
    manifest = Manifest.read(folder)
    form = open_format(manifest.format)
    needed = ("onnx",) if manifest.format == "onnx" else form.packages
    if not (folder / form.file).is_file() or any(importlib.util.find_spec(name) is None for name in needed):
        return manifest.inputs, manifest.outputs
    try:
        shape = form.describe(folder)
    except PixelisError:
        raise
    except Exception as error:  # whatever a library says of a file that is not its own
        what = f"{folder.parent.name}/{folder.name}/{form.file}"
        raise BuildError(f"{what} cannot be read: {type(error).__name__}.", mend="Build it again.") from None
    return [TensorRecord.of(tensor) for tensor in shape.inputs], [TensorRecord.of(tensor) for tensor in shape.outputs]


def forms(subject: Subject) -> Iterator[Finding]:
    """What is published ran where it was judged, is of a form that the spec knows, and lies as its engine wants it."""
    for spec in subject.known.models:
        version = subject.store.latest(spec.name)
        if not spec.built or version is None:
            continue
        try:
            manifest = subject.store.manifest(spec.name, version)
        except BuildError:
            continue  # `published` says so
        rebuild = f"Run `pixelis build --default {spec.name}`, or name another form with --publish."
        label, known = manifest.candidate.label, [candidate.label for candidate in spec.all_candidates]
        if not manifest.served:
            message = f"Version {version} is {label}, which never ran here: {manifest.gate.not_executed}."
            yield error(spec.name, "form", message, rebuild)
        if label not in known:
            message = f"Version {version} is {label}, which the spec no longer builds; it builds {', '.join(known)}."
            yield warning(spec.name, "form", message, rebuild)
        file = open_format(manifest.format).file
        if file and file not in manifest.files:
            yield error(spec.name, "form", f"Version {version} is {label} and holds no {file}.", rebuild)


def order(subject: Subject) -> Iterator[Finding]:
    """LibTorch goes by the order of the config, so that is the artifact's own."""
    for spec in subject.known.models:
        served, given = subject.served(spec), subject.configs.get(spec.name)
        if subject.target != "ngc" or served.format != "torchscript" or spec.kind != "engine" or given is None:
            continue
        manifest = subject.store.manifest(spec.name)
        for side, have, wanted in (("in", manifest.inputs, given.input), ("out", manifest.outputs, given.output)):
            made, said = [tensor.name for tensor in have], [entry.name for entry in wanted]
            if made != said:
                message = f"The artifact's {side}puts are {', '.join(made)}; config.pbtxt says {', '.join(said)}."
                mend = "Put the tensors of the spec in the order of the source, then run `pixelis build`."
                yield error(spec.name, "order", message, mend)


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


RULES: tuple[Rule, ...] = (published, graphs, forms, order)
