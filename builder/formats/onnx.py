"""The ONNX format: one `model.onnx`, weights inside, batch axis real.

PyTorch modules go through the `torch.onnx` dynamo exporter. Graphs are written without stack traces and
source paths, so that the same source gives the same bytes on every machine.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.candidate import Candidate
from builder.formats.base import Description, Format, TensorInfo
from builder.sources.base import Source
from pixelis.errors import BuildError

if TYPE_CHECKING:
    import onnx
    import torch

OPSET = 20
MODEL_FILE = "model.onnx"
SETTINGS_FILE = "engine.json"
"""What the engine must know when it loads, beside the graph."""
_PROTOBUF_LIMIT = 2**31 - 1


class OnnxFormat(Format):
    """Export to ONNX, constant folding, and a description of the graph."""

    name = "onnx"
    file = MODEL_FILE
    packages = ("onnx", "onnxruntime", "onnxscript")

    def __init__(self) -> None:
        self._converted: list[str] = []

    def _export(self, source: Source, directory: Path, candidate: Candidate) -> None:
        """The source's own graph in that precision, where it writes one; else its fp32 graph, folded and converted."""
        from builder.formats.onnx_convert import convert

        path = directory / MODEL_FILE
        if candidate.precision in source.native_precisions:
            self._converted = source.export_native(directory, candidate)
        else:
            source.export_onnx(directory)
            if candidate.precision != "fp32":
                self._converted = [*fold(path), *convert(source, path, candidate)]
                _drop_plain(directory)
        level = candidate.optimization.graph_level
        if level != "all":
            settings = directory / SETTINGS_FILE
            said = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
            settings.write_text(json.dumps({**said, "graph_level": level}) + "\n", encoding="utf-8")

    def optimise(self, directory: Path, candidate: Candidate) -> list[str]:
        """Fold constants and drop identities and dead nodes.

        Fusions are left to ONNX Runtime, which redoes them for its machine at every load. What is not fp32 was folded
        before it was converted.
        """
        done = self._converted or fold(directory / MODEL_FILE)
        return [
            *done,
            f"onnxruntime: fusions at load (level {candidate.optimization.graph_level}), not in the file",
        ]

    def describe(self, directory: Path) -> Description:
        """Names, types and dimensions, read from the graph."""
        import onnx

        path = directory / MODEL_FILE
        model = onnx.load(str(path), load_external_data=False)
        return Description(
            inputs=tuple(_tensor(value) for value in model.graph.input),
            outputs=tuple(_tensor(value) for value in model.graph.output),
            nodes=len(model.graph.node),
            parameters=sum(_count(weight.dims) for weight in model.graph.initializer),
            weight_bytes=sum(weight.ByteSize() + _outside(weight)[1] for weight in model.graph.initializer),
            size_bytes=path.stat().st_size + sum((directory / name).stat().st_size for name in _files(model)),
            opset=next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
        )


def fold(path: Path) -> list[str]:
    """Fold the constants of the graph at `path` and drop identities and dead nodes.

    Returns:
        what was done, in words for the manifest.
    """
    import onnx
    from onnxscript import optimizer

    # Without its weights: those of a large graph would not fit into memory.
    bare = onnx.load(str(path), load_external_data=False)
    if any(entry.domain == "com.microsoft" for entry in bare.opset_import):
        return ["fused by the model builder that wrote it; ONNX Runtime's own operators are left as they are"]
    if _files(bare):
        from builder.formats.onnx_large import fold_large

        return fold_large(path)
    model = onnx.load(str(path))
    before = len(model.graph.node)
    slim = optimizer.optimize(model, num_iterations=2, onnx_shape_inference=False)
    after = len(slim.graph.node)
    if after < before:
        save(slim, path)
    return [f"onnxscript.optimizer: constants folded, identities dropped ({before} -> {min(before, after)} nodes)"]


def export_module(
    module: torch.nn.Module,
    example_inputs: Sequence[torch.Tensor],
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_axes: Mapping[str, Mapping[int, str]],
    path: Path,
    opset: int = OPSET,
) -> None:
    """Write `module` as one ONNX file.

    Args:
        module: in eval mode.
        example_inputs: tensors to trace with; every dynamic axis must be longer than 1 there.
        input_names: in the order of `forward`.
        output_names: in the order of what `forward` returns.
        dynamic_axes: by input, axis -> name; axes of one name have one length. `28 height` is a multiple of 28.
        path: where the file goes.
        opset: operator set of the graph.

    Raises:
        BuildError: the module is in training mode, or an axis that should vary was fixed by the exporter.
    """
    import torch

    from builder.formats.onnx_large import MAPPED, OUTSIDE, leave_mapped, save_large, weight_bytes

    if module.training:
        raise BuildError("The module is in training mode.", mend="Call .eval() on the module that is exported.")
    names = {name for axes in dynamic_axes.values() for name in axes.values()}
    dims = {name: _dim(name) for name in sorted(names)}
    shapes = tuple({axis: dims[label] for axis, label in dynamic_axes.get(name, {}).items()} for name in input_names)
    with _quiet():
        program = torch.onnx.export(
            module,
            tuple(example_inputs),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=list(input_names),
            output_names=list(output_names),
            opset_version=opset,
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise BuildError("The exporter returned no program.", mend="Use torch 2.6 or newer.")
    size = weight_bytes(program.model)
    if size > OUTSIDE:
        save_large(program.model, path)
        if size > MAPPED:
            leave_mapped(path.parent / SETTINGS_FILE)
    else:
        save(program.model_proto, path)
    _check_axes(path, dynamic_axes)


def _drop_plain(directory: Path) -> None:
    """Remove what the fp32 graph had beside it and the graph that was made of it does not read."""
    import onnx

    kept = _files(onnx.load(str(directory / MODEL_FILE), load_external_data=False))
    for path in directory.glob("weights-*.bin"):
        if path.name not in kept:
            path.unlink()
    (directory / SETTINGS_FILE).unlink(missing_ok=True)


def _dim(label: str) -> Any:
    """The exporter's axis for `batch`, or for `28 height`."""
    import torch

    times, _, name = label.rpartition(" ")
    axis = torch.export.Dim(name, min=1)
    return int(times) * axis if times else axis


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on packages that are not installed and on its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a checked graph without stack traces, source paths and intermediate shapes."""
    import onnx

    if model.ByteSize() > _PROTOBUF_LIMIT:
        raise BuildError("The graph is larger than 2 GiB.", mend="Export it in a smaller precision.")
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    for weight in model.graph.initializer:
        del weight.metadata_props[:]
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    model.graph.doc_string = model.doc_string = ""
    model.producer_version = ""  # the model builder writes the commit of the folder it is started in
    if all(entry.domain != "com.microsoft" for entry in model.opset_import):
        # the checker has no schema for ONNX Runtime's own operators: there the engine's load is the check
        onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _check_axes(path: Path, dynamic_axes: Mapping[str, Mapping[int, str]]) -> None:
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    for value in graph.input:
        for axis in dynamic_axes.get(value.name, {}):
            if _tensor(value).dims[axis] != -1:
                raise BuildError(
                    f"Axis {axis} of `{value.name}` was fixed while exporting.",
                    mend="Trace with an example longer than 1 there and without Python branches on it.",
                )


def _tensor(value: Any) -> TensorInfo:
    import onnx

    kind = value.type.tensor_type
    dtype = onnx.TensorProto.DataType.Name(kind.elem_type)
    dims = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim)
    return TensorInfo(value.name, {"FLOAT": "FP32", "FLOAT16": "FP16", "BFLOAT16": "BF16"}.get(dtype, dtype), dims)


def _outside(weight: Any) -> tuple[str, int]:
    """File and bytes of a weight that lies beside the graph; an empty name and 0 of one that lies inside."""
    entries = {entry.key: entry.value for entry in weight.external_data}
    return entries.get("location", ""), int(entries.get("length", 0))


def _files(model: Any) -> set[str]:
    """Files beside the graph that hold weights of it."""
    return {_outside(weight)[0] for weight in model.graph.initializer} - {""}


def _count(dims: Sequence[int]) -> int:
    total = 1
    for dim in dims:
        total *= dim
    return total
