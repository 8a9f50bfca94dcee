"""config.pbtxt from the spec, typed all the way: a `ModelConfig` protobuf, printed as text.

Two targets. `embedded` is the tritonserver of the pytriton wheel: it has the Python backend and no other, so engine
models run there through `python_backends`, in whatever format. `ngc` is a full Triton image: engine models run in the
backend of their format (`builder/ngc.py`), with no Python in between.

No queue policy is ever written (priority levels, queue sizes, timeouts): any of them makes the dynamic batcher stall in
quanta of about half a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from builder import ngc
from builder.model_spec import ModelSpec, TensorSpec
from pixelis.errors import BuildError
from pixelis.json_text import reason
from pixelis.settings import Settings, settings

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

Target = Literal["embedded", "ngc"]
HEADER = "# Written by `pixelis build` from builder/spec.py; edit that instead.\n"
QUEUE_POLICIES = ("priority_levels", "default_priority_level", "default_queue_policy", "priority_queue_policy")


def config(
    spec: ModelSpec, target: Target = "embedded", values: Settings | None = None, files: Iterable[str] = ()
) -> ModelConfig:
    """The model's configuration for `target`.

    Args:
        spec: the model, in the form that is served.
        target: where it will be served.
        values: settings that enter (the thread budget, the accelerator); default: this process's.
        files: names of the artifact's files, where they enter (TensorRT plans).

    Raises:
        BuildError: what would be served has no file for it.
    """
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    made = ModelConfig(name=spec.name, max_batch_size=spec.max_batch_size)
    made.version_policy.latest.num_versions = 1
    for tensor in spec.inputs:
        entry = made.input.add(name=tensor.name, data_type=_dtype(tensor), dims=tensor.dims)
        entry.optional, entry.allow_ragged_batch = tensor.optional, tensor.ragged
    for tensor in spec.outputs:
        made.output.add(name=tensor.name, data_type=_dtype(tensor), dims=tensor.dims)
    if spec.kind == "ensemble":
        _wire(made, spec)
        return made
    if spec.kind == "vllm":
        ngc.vllm(made)
    elif native(spec, target):
        ngc.execute(made, spec, values or settings(), files)
    else:
        _python(made, spec, values or settings())
    if spec.batchable:
        made.dynamic_batching.max_queue_delay_microseconds = spec.queue_delay_us
    if spec.decoupled:
        made.model_transaction_policy.decoupled = True
    return made


def native(spec: ModelSpec, target: Target) -> bool:
    """Whether Triton runs `spec`, in the form that it is in, without a model.py."""
    return spec.kind in ("ensemble", "vllm") or (
        target == "ngc" and spec.kind == "engine" and spec.format in ngc.NATIVE
    )


def _dtype(tensor: TensorSpec) -> int:
    from tritonclient.grpc import model_config_pb2

    return int(model_config_pb2.DataType.Value("TYPE_STRING" if tensor.dtype == "BYTES" else f"TYPE_{tensor.dtype}"))


def _wire(made: ModelConfig, spec: ModelSpec) -> None:
    made.platform = "ensemble"
    for step in spec.steps:
        entry = made.ensemble_scheduling.step.add(model_name=step.model, model_version=-1)
        entry.input_map.update({name: name for name in step.inputs})
        entry.output_map.update({name: name for name in step.outputs})


def _python(made: ModelConfig, spec: ModelSpec, values: Settings) -> None:
    from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup

    threads = str(values.threads.intra_op)
    made.backend = "python"
    # Never automatic: that means one instance for every GPU, and several `knn` would be several indexes.
    made.instance_group.add(count=spec.instances, kind=ModelInstanceGroup.KIND_CPU)
    parameters = {"threads": threads} if spec.built else {}
    if spec.built and spec.required:
        parameters["artifact"] = "manifest.json"  # so that `serve` and `doctor` can say beforehand what is not built
    if spec.calls:  # so that the server knows what to load and whom to look at when a model's process has died
        parameters["calls"] = ",".join(sorted({call.model for call in spec.calls}))
    for name, value in {**parameters, **spec.parameters}.items():
        made.parameters[name].string_value = value


def text(made: ModelConfig) -> str:
    """`made` as Triton reads it. A queue delay of 0 is written out, where protobuf leaves the default away."""
    from google.protobuf import text_format

    printed = text_format.MessageToString(made)
    return HEADER + re.sub(
        r"^dynamic_batching \{\n\}",
        "dynamic_batching {\n  max_queue_delay_microseconds: 0\n}",
        printed,
        flags=re.MULTILINE,
    )


def parse(printed: str, name: str = "config.pbtxt") -> ModelConfig:
    """The configuration in `printed`.

    Raises:
        BuildError: it is not one.
    """
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    try:
        return text_format.Parse(printed, ModelConfig())
    except (text_format.ParseError, RecursionError) as error:
        raise BuildError(
            f"{name} is not a Triton configuration: {reason(error).rstrip('.')}.", mend="Run `pixelis build`."
        ) from None
