"""What a rule gets and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from builder.model_spec import ModelSpec
from builder.spec import Pipeline
from builder.store import Store
from builder.storing.layout import as_served
from builder.triton_config import Target, native

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig


class Finding(BaseModel):
    """One thing that is wrong, and how to mend it."""

    model_config = ConfigDict(extra="forbid")

    model: str
    severity: Literal["error", "warning"]
    rule: str
    message: str
    mend: str


@dataclass(frozen=True)
class Subject:
    """A repository under the pipeline's promises.

    Attributes:
        configs: the parsed config.pbtxt of every model that has a readable one.
        printed: their text.
    """

    known: Pipeline
    store: Store
    target: Target
    configs: dict[str, ModelConfig]
    printed: dict[str, str]

    def native(self, spec: ModelSpec) -> bool:
        """Whether Triton runs the model, in the form that is published, without a model.py."""
        return native(self.served(spec), self.target)

    def served(self, spec: ModelSpec) -> ModelSpec:
        """`spec` in the form of its newest version."""
        return as_served(self.store, spec)[0]


Rule = Callable[[Subject], Iterator[Finding]]


def error(model: str, rule: str, message: str, mend: str) -> Finding:
    """A finding that must be mended before serving."""
    return Finding(model=model, severity="error", rule=rule, message=message, mend=mend)


def warning(model: str, rule: str, message: str, mend: str) -> Finding:
    """A finding that can be served with."""
    return Finding(model=model, severity="warning", rule=rule, message=message, mend=mend)


def dtype_name(value: int) -> str:
    """The spec's name of a protobuf data type: `BYTES`, `FP32`."""
    from tritonclient.grpc import model_config_pb2

    name: str = model_config_pb2.DataType.Name(value)
    return "BYTES" if name == "TYPE_STRING" else name.removeprefix("TYPE_")
