"""Core ML: one `model.mlpackage`, an ML program for Apple's devices. An edge artifact: it is never served here.

Core ML predicts on macOS alone, so a package is held against its source's names, shapes and weights.
"""

from __future__ import annotations

from pathlib import Path

from builder.candidate import Candidate
from builder.formats import coreml_package, torch_module
from builder.formats.base import Description, Format
from builder.formats.coreml_module import OPERATOR, converted, weights
from builder.sources.base import Source, TorchSource
from pixelis.errors import BuildError

PACKAGE = "model.mlpackage"
_INPUTS = (
    "Core ML takes no UINT8 and no INT64 tensors: such inputs are FP32 (0 to 255, not scaled) and INT32; "
    "casts, scaling and normalisation are inside"
)


class CoreMlFormat(Format):
    """Trace, convert, hold against the source."""

    name = "coreml"
    file = ""  # a folder
    extra = "coreml"
    packages = ("coremltools",)
    not_executed = "Core ML's predict exists on macOS only"

    def __init__(self) -> None:
        self._source: TorchSource | None = None
        self._candidate: Candidate | None = None

    def _export(self, source: Source, directory: Path, candidate: Candidate) -> None:
        made = candidate.precision, candidate.quantization
        if made not in (("fp32", "none"), ("fp16", "none"), ("int8", "weights")):
            raise BuildError(f"There is no {candidate.label}.", mend="coreml is built as fp32, fp16 and int8-weights.")
        self._source, self._candidate = torch_module.torch_source(source, candidate), candidate
        model = converted(self._source, candidate)
        coreml_package.save(model, directory / PACKAGE)
        source.write_beside(directory)

    def failure(self, source: Source, candidate: Candidate, error: Exception) -> BuildError:
        """Names the operator that the converter lacks, where that is the cause."""
        lacking = OPERATOR.search(str(error))
        if lacking is None:
            return super().failure(source, candidate, error)
        return BuildError(
            f"Exporting `{source.name}` as {candidate.label} failed: coremltools has no operator {lacking[1]}.",
            mend="Write that step of the source with other operators, or build it as onnx.",
        )

    def optimise(self, directory: Path, candidate: Candidate) -> list[str]:
        """Int8 weights, a scale for each row; the converter's own passes ran during the export."""
        done = ["coremltools' default passes of ML programs"]
        if candidate.quantization == "weights":
            count = coreml_package.quantise(directory / PACKAGE)
            if not count:
                raise BuildError(
                    "No weight is large enough to be quantised: this would be its fp32 under another name.",
                    mend="Build it in another precision.",
                )
            done.append(f"linear_quantize_weights: {count} weights in int8, symmetric, one scale a row")
        return done

    def describe(self, directory: Path) -> Description:
        """Names, types and dimensions as the package declares them; the weights that were compared."""
        package = coreml_package.Package(directory / PACKAGE)
        inputs, outputs = package.tensors()
        notes = {"inputs": _INPUTS, "executed": f"no: {self.not_executed}; outputs were not compared"}
        if self._source is not None:
            compared, _ = package.compare(weights(self._source))
            notes["weights"] = f"{compared} of {len(package.stored)} stored arrays compared with the source's"
        return Description(
            inputs=inputs,
            outputs=outputs,
            nodes=package.nodes,
            parameters=sum(array.size for array in package.stored.values()),
            weight_bytes=package.weight_bytes,
            size_bytes=sum(path.stat().st_size for path in (directory / PACKAGE).rglob("*") if path.is_file()),
            notes=notes,
        )

    def inspect(self, directory: Path) -> list[str]:
        """Whether the package loads, and has its source's names, dimensions and weights."""
        if self._source is None:
            return ["there is no source to compare with: a package is inspected by the format that exported it"]
        try:
            package = coreml_package.Package(directory / PACKAGE)
        except Exception as error:  # protobuf's, the archive's, the converter's: whatever a broken package raises
            return [f"the package does not load: {type(error).__name__}: {str(error)[:200]}"]
        faults = self._wrong_tensors(package)
        compared, wrong = package.compare(weights(self._source))
        if not compared:
            faults.append("no weight of the package is one of the source's: nothing was compared")
        return faults + wrong

    def _wrong_tensors(self, package: coreml_package.Package) -> list[str]:
        assert self._source is not None
        source, faults = self._source, []
        inputs, outputs = package.tensors()
        for what, found, wanted in (("inputs", inputs, source.inputs), ("outputs", outputs, source.outputs)):
            names = tuple(tensor.name for tensor in found)
            if sorted(names) != sorted(wanted):
                faults.append(f"the {what} are {', '.join(names)} instead of {', '.join(wanted)}")
        example, axes = source.example(), source.dynamic_axes()
        for tensor in inputs:
            if tensor.name not in example:
                continue
            free = axes.get(tensor.name, {})
            right = tuple(-1 if axis in free else size for axis, size in enumerate(example[tensor.name].shape))
            if tensor.dims != right:
                faults.append(f"{tensor.name} is {list(tensor.dims)} instead of {list(right)}")
        answers = source.reference(example)
        for tensor in outputs:
            if tensor.name in answers and not _fits(tensor.dims, answers[tensor.name].shape):
                faults.append(
                    f"{tensor.name} is {list(tensor.dims)}, and answers are {list(answers[tensor.name].shape)}"
                )
        return faults


def _fits(dims: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a declared output can have `shape`; its batch axis must be free."""
    same = len(dims) == len(shape) and all(one in (-1, two) for one, two in zip(dims, shape, strict=True))
    return same and dims[:1] == (-1,)
