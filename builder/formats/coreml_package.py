"""An ML package on disk: saved with fixed identifiers, its tensors and weights read back out of it."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from builder.formats.base import TensorInfo

_LARGE = 64
"""Arrays with fewer numbers than this stay floats when weights are quantised."""
_SMALLEST = 8
"""Constants with fewer numbers are shapes and scalars, not weights."""


def save(model: Any, path: Path) -> None:
    """Write it; the identifiers in the manifest, random ones, are derived from the names of what they stand for."""
    if path.exists():
        shutil.rmtree(path)
    model.save(str(path))
    manifest = path / "Manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    known = {old: _fixed(item["path"]) for old, item in content["itemInfoEntries"].items()}
    content["itemInfoEntries"] = {known[old]: item for old, item in content["itemInfoEntries"].items()}
    content["rootModelIdentifier"] = known[content["rootModelIdentifier"]]
    manifest.write_text(json.dumps(content, indent=4, sort_keys=True) + "\n", encoding="utf-8")


def _fixed(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def quantise(path: Path) -> int:
    """Weights in int8, in place; returns how many."""
    import coremltools as ct
    from coremltools.optimize import coreml as optimize

    model = ct.models.MLModel(str(path), skip_model_load=True)
    how = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=_LARGE)
    small = optimize.linear_quantize_weights(model, optimize.OptimizationConfig(global_config=how))
    save(small, path)
    return len(Package(path).steps)


class Package:
    """A package, read.

    Attributes:
        nodes: operators, without constants.
        stored: the weights as floats, by their name in the program; int8 ones as they are after their scale.
        steps: of each int8 weight, the scale of each row.
        weight_bytes: bytes of the weights as they are stored.
    """

    def __init__(self, path: Path) -> None:
        import coremltools as ct
        from coremltools.converters.mil.frontend.milproto.load import load

        self._model = ct.models.MLModel(str(path), skip_model_load=True)
        self._spec = self._model.get_spec()
        program = load(self._spec, self._spec.specificationVersion, self._model.weights_dir)
        self.nodes = 0
        self.stored: dict[str, NDArray[Any]] = {}
        self.steps: dict[str, NDArray[Any]] = {}
        main = program.functions["main"]
        dequantised = [op for op in main.operations if op.op_type == "constexpr_affine_dequantize"]
        scales = {op.scale.name for op in dequantised}
        for op in dequantised:
            array = np.asarray(op.materialized_val_inference(), np.float32)
            scale, axis = np.atleast_1d(op.scale.val), op.axis.val if op.axis is not None else 0
            self.stored[op.name] = array
            self.steps[op.name] = scale.reshape([-1 if at == axis else 1 for at in range(array.ndim)]).astype(
                np.float32
            )
        for op in main.operations:
            if op.op_type != "const":
                self.nodes += 1
                continue
            value = op.outputs[0].val
            weighty = isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size >= _SMALLEST
            if weighty and op.outputs[0].name not in scales:
                self.stored[op.name] = value
        self._shapes = {out.name: tuple(n if isinstance(n, int) else -1 for n in out.shape) for out in main.outputs}
        blob = path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
        self.weight_bytes = blob.stat().st_size if blob.is_file() else 0

    def tensors(self) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
        """Inputs and outputs; -1 where a dimension varies."""
        description = self._spec.description
        outputs = [replace(_tensor(out), dims=self._shapes.get(out.name, ())) for out in description.output]
        return tuple(map(_tensor, description.input)), tuple(outputs)

    def compare(self, source: dict[str, NDArray[Any]]) -> tuple[int, list[str]]:
        """The stored weights against the source's: how many were compared, and what is wrong.

        By name, or, where the converter folded or renamed them, with whichever of the same shape is the same.
        """
        known = {name.replace(".", "_"): array for name, array in source.items()}
        faults, compared = [], 0
        for name, array in self.stored.items():
            if not np.isfinite(array).all():
                faults.append(f"{name} holds NaN or infinity")
                continue
            wanted = known.get(name.removesuffix("_to_fp16").removesuffix("_quantized"))
            if wanted is None or wanted.shape != array.shape:
                wanted = next((w for w in known.values() if w.shape == array.shape and not self._off(name, w)), None)
            if wanted is None:
                faults.append(f"{name} {list(array.shape)} is none of the source's weights")
                continue
            compared += 1
            if off := self._off(name, wanted):
                faults.append(f"{name} is not the source's: largest difference {off:.3g}")
        return compared, faults

    def _off(self, name: str, wanted: NDArray[Any]) -> float:
        """The largest difference, where one exceeds rounding or, in int8, a step; 0 = none does."""
        array = self.stored[name]
        relative, absolute = (2**-10, 2**-24) if array.dtype == np.float16 else (1e-5, 1e-6)
        off = np.abs(array.astype(np.float32) - wanted)
        room = self.steps.get(name, 0.0) + np.abs(wanted) * relative + absolute
        return float(off.max()) if (off > room).any() else 0.0


def _tensor(feature: Any) -> TensorInfo:
    kind = feature.type.multiArrayType
    ranges = [(size.lowerBound, size.upperBound) for size in kind.shapeRange.sizeRanges]
    dims = tuple(kind.shape)
    if ranges:
        dims = tuple(-1 if low != high else int(low) for low, high in ranges)
    dtype = {65568: "FP32", 65552: "FP16", 131104: "INT32", 65600: "FP64"}[kind.dataType]
    return TensorInfo(feature.name, dtype, tuple(int(size) for size in dims))
