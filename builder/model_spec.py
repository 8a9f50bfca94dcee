"""What the spec says of one model: its tensors, where it comes from, and how Triton runs it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from builder.candidate import Candidate, Exclusion, FormatName, Quantization
from builder.optimization import OptimizationConfig
from builder.tolerance import TOLERANCES, Precision, Tolerance
from pixelis.errors import BuildError

if TYPE_CHECKING:
    from builder.sources.base import Source

DType = Literal["BYTES", "BOOL", "UINT8", "UINT32", "INT32", "INT64", "FP16", "FP32"]
Kind = Literal["engine", "python", "policy", "knn", "ensemble", "vllm"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorSpec(_Frozen):
    """One input or output, without the batch axis.

    Attributes:
        dims: sizes; -1 varies from request to request.
        optional: a request may leave it out.
        ragged: requests whose sizes differ still share a batch.
    """

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    dtype: DType
    dims: tuple[int, ...] = Field(min_length=1)
    optional: bool = False
    ragged: bool = False


class Call(_Frozen):
    """A child that a model calls by BLS, at most `times` times one after the other in a request."""

    model: str
    times: int = Field(default=1, ge=1)


class Step(_Frozen):
    """One step of an ensemble. Tensors have the same name in the step and in the ensemble."""

    model: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class ModelSpec(_Frozen):
    """One model of the pipeline.

    Attributes:
        kind: `engine` runs an artifact and nothing else; `python`, `policy` and `knn` are classes of `python_backends`;
            an `ensemble` is wiring, `vllm` is what Triton's vLLM backend runs.
        source: `module:Class` of what is built, none for a model that has no artifact.
        arguments: keyword arguments of that class.
        required: without its source's files the build fails; else the model is left unbuilt, and the build says so.
        format, precision, quantization, optimization: what is built and published unless something else is asked for.
        candidates: every other form that is known to pass the gate; `pixelis build --formats all` builds them.
        exclusions: forms that the model is not built in, each with its reason.
        max_batch_size: 0 = Triton never batches it (the request has no batch axis).
        queue_delay_us: how long the dynamic batcher waits for company, idle or not.
        instances: processes.
        buckets: sizes to which callers pad the axes that vary, where the model is not ragged.
        channels: sizes of an input's last axis, fewest first, where that varies and is none of its buckets.
        batch_invariant: the gate holds one request's answer equal to its answer in a batch.
        tolerance, tolerances: what every output is held to, in every precision or in one, instead of the precision's.
        output_tolerances, precise_tolerances: the same for single outputs, in every precision or in one.
        allowed_drops: how much accuracy may fall, by task, in points of 1, instead of the task's own.
        parameters: text parameters for the model class.
        shim: `module:Class` that its model.py names; none = a model.py is committed, or it has none.
        texts: files of its folder besides, by path.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_-]*)?$")
    kind: Kind
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int = Field(default=0, ge=0)
    queue_delay_us: int = Field(default=0, ge=0)
    instances: int = Field(default=1, ge=1)
    decoupled: bool = False
    source: str | None = Field(default=None, pattern=r"^[\w.]+:\w+$")
    arguments: dict[str, str] = Field(default_factory=dict)
    required: bool = True
    format: FormatName = "onnx"
    precision: Precision = "fp32"
    quantization: Quantization = "none"
    optimization: OptimizationConfig = Field(default_factory=OptimizationConfig)
    candidates: tuple[Candidate, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    tolerance: Tolerance | None = None
    tolerances: dict[Precision, Tolerance] = Field(default_factory=dict)
    output_tolerances: dict[str, Tolerance] = Field(default_factory=dict)
    precise_tolerances: dict[Precision, dict[str, Tolerance]] = Field(default_factory=dict)
    allowed_drops: dict[str, float] = Field(default_factory=dict)
    batch_invariant: bool = True
    buckets: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    channels: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    parameters: dict[str, str] = Field(default_factory=dict)
    shim: str | None = Field(default=None, pattern=r"^[\w.]+:\w+$")
    texts: dict[str, str] = Field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    steps: tuple[Step, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        if (self.kind == "ensemble") != bool(self.steps):
            raise ValueError(f"{self.name}: an ensemble, and nothing else, has steps")
        if self.kind == "engine" and self.source is None:
            raise ValueError(f"{self.name}: an engine model needs a source")
        if self.kind == "knn" and self.instances != 1:
            raise ValueError(f"{self.name}: the process owns its index, so there is exactly one")
        if self.max_batch_size == 0 and (self.queue_delay_us or any(t.ragged for t in self.inputs)):
            raise ValueError(f"{self.name}: only a batchable model waits for company or is ragged")
        labels = [candidate.label for candidate in self.all_candidates]
        if len(set(labels)) != len(labels):
            raise ValueError(f"{self.name}: a candidate occurs twice: {sorted(labels)}")
        for candidate in self.candidates:
            if any(exclusion.covers(candidate) for exclusion in self.exclusions):
                raise ValueError(f"{self.name}: {candidate.label} is a candidate and excluded")
        return self

    @property
    def candidate(self) -> Candidate:
        """The form that is built by default."""
        return Candidate.of(self)

    @property
    def all_candidates(self) -> tuple[Candidate, ...]:
        """The default first, then the others; none for a model without an artifact."""
        return (self.candidate, *self.candidates) if self.built else ()

    def as_candidate(self, candidate: Candidate) -> ModelSpec:
        """This model with `candidate` for its default, and the default among the others."""
        form = {name: getattr(candidate, name) for name in type(candidate).model_fields}
        others = tuple(other for other in self.all_candidates if other.label != candidate.label)
        return self.model_copy(update={**form, "candidates": others})

    def find_candidate(self, label: str) -> Candidate:
        """The candidate called `label`.

        Raises:
            BuildError: it is excluded (with the reason), or unknown.
        """
        for candidate in self.all_candidates:
            if candidate.label == label:
                return candidate
        known = ", ".join(candidate.label for candidate in self.all_candidates) or "no form at all"
        raise BuildError(f"{self.name} is not built as {label}{self._why_not(label)}.", mend=f"It is built as {known}.")

    def _why_not(self, label: str) -> str:
        form, precision, how = (*label.split("-"), "", "")[:3]
        for exclusion in self.exclusions:
            asked = (exclusion.format, exclusion.precision or precision, exclusion.quantization or how)
            if asked == (form, precision, how):
                return f": {exclusion.reason}"
        return ""

    def shape(self, tensor: TensorSpec, size: int, *, most: bool = False) -> tuple[int, ...]:
        """`tensor` without its batch axis, every axis that varies at `size`, its channels at their fewest or most."""
        dims = tuple(size if dim == -1 else dim for dim in tensor.dims)
        channels = self.channels.get(tensor.name)
        return dims if channels is None else (*dims[:-1], channels[-1 if most else 0])

    @property
    def batchable(self) -> bool:
        """Whether Triton's dynamic batcher forms its batches."""
        return self.max_batch_size > 0 and self.kind != "ensemble"

    @property
    def built(self) -> bool:
        """Whether it has an artifact."""
        return self.source is not None

    def tolerance_of(self, output: str) -> Tolerance:
        """What the gate holds `output` to: its own, the model's, or the precision's; of two, the more particular."""
        return (
            self.precise_tolerances.get(self.precision, {}).get(output)
            or self.output_tolerances.get(output)
            or self.tolerances.get(self.precision)
            or self.tolerance
            or TOLERANCES[self.precision]
        )

    def open_source(self) -> Source:
        """The source, imported now.

        Raises:
            BuildError: the model has none, or its class is not there.
        """
        if self.source is None:
            raise BuildError(f"{self.name} is not built from anything.", mend="It is served from its model.py alone.")
        module, _, name = self.source.partition(":")
        try:
            found: type[Source] = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise BuildError(
                f"The source {self.source} of {self.name} cannot be imported: {error}.",
                mend="Install what building needs: pip install 'pixelis-serving[build]'.",
            ) from error
        return found(**self.arguments)


def tensor(name: str, dtype: DType, *dims: int, optional: bool = False, ragged: bool = False) -> TensorSpec:
    """A `TensorSpec` in one line."""
    return TensorSpec(name=name, dtype=dtype, dims=dims, optional=optional, ragged=ragged)
