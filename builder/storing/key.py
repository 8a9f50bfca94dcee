"""The content address of a build: everything that the artifact depends on, and nothing else.

Two builds with one key make the same artifact, so one is enough; instances, batching and other settings of serving are
not in it.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from builder.candidate import FormatName
from builder.formats.openvino_saturation import saturates
from builder.model_spec import Kind, ModelSpec
from builder.shapes import profiles
from pixelis.machine import this_machine
from pixelis.model_name import base

LIBRARIES: dict[Kind, tuple[str, ...]] = {
    "engine": ("numpy", "onnx", "onnxruntime", "onnxscript", "torch", "transformers"),
    "policy": ("numpy", "onnx", "onnxruntime", "onnxruntime-genai", "onnxscript", "torch", "transformers"),
    "knn": ("numpy",),
}
"""Packages whose version changes what is made, by kind of model."""


FORMAT_LIBRARIES: dict[FormatName, tuple[str, ...]] = {
    "openvino": ("openvino", "nncf"),
    "tensorrt": ("polygraphy", "onnxslim", "tensorrt", "tensorrt-rtx-cu13"),
    "coreml": ("coremltools",),
}
"""Those that a format adds."""
JUDGE = (
    "gate.py",
    *(
        f"gating/{name}.py"
        for name in (
            "accuracy",
            "bisect",
            "bisect_onnx",
            "compare",
            "constants",
            "paired",
            "plain",
            "verdict",
            "weights",
        )
    ),
)
"""The code of the gate, beside that of its tasks."""
CODE = {"torchscript": ("torch_",), "aotinductor": ("torch_",)}
"""What the files of a format's code begin with, beside its own name."""


def libraries(kind: Kind, form: FormatName) -> dict[str, str]:
    """Versions of the packages that make a model of `kind` in `form`; one that is not installed is `absent`."""
    found = {}
    for name in (*LIBRARIES.get(kind, ()), *FORMAT_LIBRARIES.get(form, ())):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def builder_digest(format_name: str) -> str:
    """sha-256 of the code that exports, optimises and judges."""
    here = Path(__file__).parents[1]
    names = {"build_one.py", "formats/base.py", *JUDGE}
    names |= {f"tasks/{path.name}" for path in (here / "tasks").glob("*.py")}
    # Every source may use the ONNX helpers, whatever its format.
    for prefix in ("onnx", format_name, *CODE.get(format_name, ())):
        names |= {f"formats/{path.name}" for path in (here / "formats").glob(f"{prefix}*.py")}
    h = hashlib.sha256()
    for name in sorted(names):
        h.update(name.encode())
        h.update((here / name).read_bytes())
    return h.hexdigest()


def _lies(argument: str) -> bool:
    """Whether it is the path of something."""
    try:
        return Path(argument).exists()
    except (OSError, ValueError):  # longer than a path can be
        return False


def build_key(spec: ModelSpec, source_digest: str) -> str:
    """sha-256 over the source, format, precision, promises, tolerances, builder code and library versions."""
    outputs = [tensor.name for tensor in spec.outputs]
    facts: dict[str, object] = {
        "model": base(spec.name),  # of a named checkpoint it is the same artifact
        "kind": spec.kind,
        "source": spec.source,
        "source_digest": source_digest,
        # A path enters by what lies there (the source's digest), so that a checkpoint may move.
        "arguments": {name: value for name, value in spec.arguments.items() if not _lies(value)},
        "format": spec.format,
        "precision": spec.precision,
        "quantization": spec.quantization,
        "optimization": spec.optimization.model_dump(),
        "tensors": [tensor.model_dump() for tensor in (*spec.inputs, *spec.outputs)],
        "tolerance": {name: spec.tolerance_of(name).model_dump() for name in outputs},
        "output_tolerances": {name: t.model_dump() for name, t in spec.output_tolerances.items()},
        "allowed_drops": spec.allowed_drops,
        "batch_invariant": spec.batch_invariant,
        "builder": builder_digest(spec.format),
        "libraries": libraries(spec.kind, spec.format),
    }
    if spec.format == "aotinductor":
        facts["cpu"] = " ".join(sorted(this_machine().code))  # its machine code is for this kind of CPU alone
    if spec.optimization.device == "cuda":
        facts["gpus"] = [str(gpu) for gpu in this_machine().gpus]
    if (spec.format, spec.quantization) == ("openvino", "static") and saturates():
        facts["weights"] = "7 bits"  # on a CPU where 8 are right it is another artifact
    if spec.format == "tensorrt":  # engines are built for given shapes, and by the classic library for the GPU at hand
        facts["shapes"] = [profile.as_dict() for profile in profiles(spec)]
        facts["gpus"] = [str(gpu) for gpu in this_machine().gpus]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
