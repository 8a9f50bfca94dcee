"""How a full Triton image runs an engine model: in a backend of its own, chosen by the artifact's format.

    onnx         onnxruntime_onnx
    openvino     openvino
    torchscript  pytorch_libtorch
    tensorrt     tensorrt_plan, one plan for each compute capability

and a checkpoint that vLLM decodes in its backend, `vllm` (`builder/vllm`).

An AOTInductor package has a backend there too (`torch_aoti`), but that one names tensors after the call (`ARGS[0]`,
`RESULT[0]`), which no caller of ours does: it runs in the Python backend like on the embedded server. Core ML is not
served at all. What is written here was read in the backends' sources and documentation; no such image runs here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from builder.candidate import FormatName
from builder.model_spec import ModelSpec
from pixelis.errors import BuildError
from pixelis.settings import Settings

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

WARM_ELEMENTS = 4 * 2**20
"""Elements of the largest input of a warm-up request; a full batch of the larger pages would take seconds."""
ONNX_LEVELS = {"disabled": 2, "basic": -1, "extended": 1}
"""Triton's numbers for ONNX Runtime's graph optimisation; `all` is what it does unasked."""
PLAN = re.compile(r"sm_?(\d+)(\d)\D")
"""Compute capability in a plan's file name, for instance `model.sm86.plan`."""


def _onnx(made: ModelConfig, spec: ModelSpec, values: Settings, files: Iterable[str]) -> None:
    made.platform, made.backend = "onnxruntime_onnx", "onnxruntime"
    made.default_model_filename = "model.onnx"
    made.parameters["intra_op_thread_count"].string_value = str(values.threads.intra_op)
    if spec.optimization.graph_level in ONNX_LEVELS:
        made.optimization.graph.level = ONNX_LEVELS[spec.optimization.graph_level]
    made.instance_group.add(count=spec.instances)  # the kind stays automatic: a GPU where there is one
    accelerators = made.optimization.execution_accelerators
    if values.ngc.accelerator == "openvino":
        accelerators.cpu_execution_accelerator.add(name="openvino")
    elif values.ngc.accelerator == "tensorrt":
        accelerator = accelerators.gpu_execution_accelerator.add(name="tensorrt")
        accelerator.parameters.update(_tensorrt_provider(spec))


def _tensorrt_provider(spec: ModelSpec) -> dict[str, str]:
    """ONNX Runtime's TensorRT provider: engines and tactics are kept over a restart, shapes are the buckets'."""
    options = {
        "precision_mode": "FP16" if spec.precision == "fp16" else "FP32",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": f"/tmp/{spec.name}-engines",
        "trt_timing_cache_enable": "1",
    }
    for name, shapes in zip(("min", "opt", "max"), profile(spec), strict=True):
        text = ",".join(f"{tensor}:{'x'.join(str(size) for size in shape)}" for tensor, shape in shapes.items())
        options[f"trt_profile_{name}_shapes"] = text
    return options


def _openvino(made: ModelConfig, spec: ModelSpec, values: Settings, files: Iterable[str]) -> None:
    from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup

    made.backend, made.default_model_filename = "openvino", "model.xml"
    parameters = {
        "INFERENCE_NUM_THREADS": str(values.threads.intra_op),
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if spec.precision == "bf16":
        parameters["HINT_BF16"] = "YES"
    if spec.max_batch_size:
        parameters["ENABLE_BATCH_PADDING"] = "YES"  # else a batch that is not full is refused
    for name, value in parameters.items():
        made.parameters[name].string_value = value
    made.instance_group.add(count=spec.instances, kind=ModelInstanceGroup.KIND_CPU)  # it has no other kind


def _torchscript(made: ModelConfig, spec: ModelSpec, values: Settings, files: Iterable[str]) -> None:
    from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup

    made.platform, made.backend = "pytorch_libtorch", "pytorch"
    made.default_model_filename = "model.ts"
    # Our names are neither arguments of `forward` nor `NAME__0`, so the backend goes by the order of this file, which
    # `pixelis lint` holds against the artifact's.
    parameters = {"INTRA_OP_THREAD_COUNT": str(values.threads.intra_op), "INTER_OP_THREAD_COUNT": "1"}
    for name, value in parameters.items():
        made.parameters[name].string_value = value
    # It was traced on the CPU, and constants of a trace stay on the device of the trace.
    made.instance_group.add(count=spec.instances, kind=ModelInstanceGroup.KIND_CPU)


def _tensorrt(made: ModelConfig, spec: ModelSpec, values: Settings, files: Iterable[str]) -> None:
    from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup

    made.platform, made.backend = "tensorrt_plan", "tensorrt"
    plans = {f"{found[1]}.{found[2]}": name for name in sorted(files) if (found := PLAN.search(name))}
    if not plans:
        mend = f"Build it for the GPU at hand: `pixelis build {spec.name} --formats tensorrt --device cuda`."
        raise BuildError(f"{spec.name} has no TensorRT plan for any compute capability.", mend=mend)
    made.cc_model_filenames.update(plans)
    made.instance_group.add(count=spec.instances, kind=ModelInstanceGroup.KIND_GPU)


_WRITERS: dict[FormatName, Callable[[ModelConfig, ModelSpec, Settings, Iterable[str]], None]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "torchscript": _torchscript,
    "tensorrt": _tensorrt,
}
NATIVE = frozenset(_WRITERS)
"""Formats that a full image runs without Python in between."""


def vllm(made: ModelConfig) -> None:
    """Write into `made` that vLLM's backend runs it, and that the GPUs are vLLM's to choose."""
    from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup

    made.backend = "vllm"
    made.instance_group.add(count=1, kind=ModelInstanceGroup.KIND_MODEL)


def execute(made: ModelConfig, spec: ModelSpec, values: Settings, files: Iterable[str] = ()) -> None:
    """Write into `made` who runs `spec`, in the form that it is in, and what is run once upon loading.

    Args:
        made: the configuration, tensors included.
        spec: an engine model whose format is in `NATIVE`.
        values: settings that enter: the thread budget, the accelerator.
        files: names of the artifact's files; of them a TensorRT model's plans.

    Raises:
        BuildError: a TensorRT model without a plan.
    """
    _WRITERS[spec.format](made, spec, values, files)
    for shapes in _buckets(spec):
        for batch in sorted({1, spec.max_batch_size} - {0}):
            if batch == 1 or batch * max(_elements(shape) for shape in shapes.values()) <= WARM_ELEMENTS:
                _warm(made, spec, batch, shapes)


Shapes = dict[str, tuple[int, ...]]
"""Input -> its shape, without the batch axis."""


def _warm(made: ModelConfig, spec: ModelSpec, batch: int, shapes: Shapes) -> None:
    """One request of zeros: random token ids would lie outside the vocabulary."""
    varied = sorted({"x".join(map(str, shapes[tensor.name])) for tensor in spec.inputs if -1 in tensor.dims})
    # A TorchScript executor profiles the first run and specialises in the second.
    count = 2 if spec.format == "torchscript" else 1
    warm = made.model_warmup.add(name=" ".join(["batch", str(batch), *varied]), batch_size=batch, count=count)
    for tensor in spec.inputs:
        entry = warm.inputs[tensor.name]
        entry.data_type = next(given.data_type for given in made.input if given.name == tensor.name)
        entry.dims.extend(shapes[tensor.name])
        entry.zero_data = True


def _buckets(spec: ModelSpec) -> Iterator[Shapes]:
    """Shapes of the inputs, smallest first; axes that vary take sizes of their bucket together."""
    steps = max((len(sizes) for sizes in spec.buckets.values()), default=1)
    for step in range(steps):
        yield _shapes(spec, step)


def _shapes(spec: ModelSpec, step: int, most: bool = False) -> Shapes:
    sizes = {tensor.name: spec.buckets.get(tensor.name, (1,)) for tensor in spec.inputs}
    at = {name: known[min(step, len(known) - 1)] for name, known in sizes.items()}
    return {tensor.name: spec.shape(tensor, at[tensor.name], most=most) for tensor in spec.inputs}


def _elements(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def profile(spec: ModelSpec) -> tuple[Shapes, Shapes, Shapes]:
    """Smallest, usual and largest shape of every input, batch axis in front: one row and the smallest bucket, half a
    batch and the middle one, a full batch and the largest one.
    """
    shapes, batch = list(_buckets(spec)), max(spec.max_batch_size, 1)
    largest_shapes = _shapes(spec, len(shapes) - 1, most=True)
    chosen = ((1, shapes[0]), (max(batch // 2, 1), shapes[len(shapes) // 2]), (batch, largest_shapes))
    smallest, usual, largest = (
        {name: (rows, *shape) if spec.max_batch_size else shape for name, shape in at.items()} for rows, at in chosen
    )
    return smallest, usual, largest
