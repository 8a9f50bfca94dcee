"""One way to build a model: format, precision, and how it is quantised and optimised."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from builder.optimization import OptimizationConfig
from builder.tolerance import Precision
from pixelis.errors import BuildError

FormatName = Literal["onnx", "openvino", "torchscript", "aotinductor", "tensorrt", "coreml", "files"]
Quantization = Literal["none", "dynamic", "static", "weights"]
FORMATS: tuple[FormatName, ...] = get_args(FormatName)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


class Candidate(BaseModel):
    """A model in one format and precision.

    Attributes:
        quantization: how int8 and int4 come about. `dynamic`: activations are quantised with scales found at run time;
            `static`: with scales from calibration; `weights`: only weights are small, arithmetic stays in floats.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: FormatName
    precision: Precision = "fp32"
    quantization: Quantization = "none"
    optimization: OptimizationConfig = Field(default_factory=OptimizationConfig)

    @model_validator(mode="after")
    def _consistent(self) -> Candidate:
        if (self.quantization != "none") != (self.precision in ("int8", "int4")):
            raise ValueError(f"{self.format} {self.precision}: int8 and int4, and nothing else, are quantised somehow")
        if self.precision == "int4" and self.quantization != "weights":
            raise ValueError("int4 is for weights only")
        return self

    @classmethod
    def of(cls, made: BaseModel) -> Candidate:
        """The form of a model of the spec, or of a manifest: both have its fields among their own."""
        return cls(**{name: getattr(made, name) for name in cls.model_fields})

    @property
    def label(self) -> str:
        """Its name in file names, tables and on the command line, for instance `onnx-int8-dynamic`."""
        parts: list[str] = [self.format, self.precision] if self.precision != "none" else [self.format]
        if self.precision == "int8":
            parts.append(self.quantization)
        if self.optimization.device != "cpu":
            parts.append(self.optimization.device)
        return "-".join(parts)


class Exclusion(BaseModel):
    """A format, or a format in one precision, that a model is not built in, and why. Forms for a GPU are not meant.

    Attributes:
        precision: none = every precision of the format.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: FormatName
    precision: Precision | None = None
    quantization: Quantization | None = None
    reason: str = Field(min_length=10)

    def covers(self, candidate: Candidate) -> bool:
        """Whether it speaks of `candidate`."""
        return (
            candidate.optimization.device == "cpu"
            and self.format == candidate.format
            and self.precision in (None, candidate.precision)
            and self.quantization in (None, candidate.quantization)
        )


def parse_choice(text: str, allowed: tuple[str, ...], what: str) -> tuple[str, ...]:
    """The comma-separated names in `text`, `all` for all of them.

    Raises:
        BuildError: a name that is not among `allowed`.
    """
    if text == "all":
        return allowed
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in allowed]
    if unknown or not names:
        raise BuildError(f"There is no {what} {', '.join(unknown) or text!r}.", mend=f"There are {', '.join(allowed)}.")
    return names
