"""Settings of a format's own passes, typed; a value that a format does not know is refused, never ignored."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

CompileMode = Literal["default", "reduce-overhead", "max-autotune"]
Backend = Literal["inductor", "cudagraphs", "openvino"]
Autocast = Literal["none", "fp16", "bf16"]
Attention = Literal["auto", "eager", "math", "flash", "memory-efficient"]
Quantised = Literal["QInt8", "QUInt8"]
BlockScales = Literal["auto", "symmetric", "asymmetric", "k_quant"]
GraphLevel = Literal["disabled", "basic", "extended", "all"]
Computes = Literal["cpu", "cuda"]


class OptimizationConfig(BaseModel):
    """How one candidate is optimised. What is not set here is the format's default.

    Attributes:
        device: where TorchScript computes.
        compile_mode: of AOTInductor; `reduce-overhead`, of TorchScript on a GPU: CUDA graphs, one for every shape that
            comes.
        backend: of torch.compile.
        autocast: PyTorch and OpenVINO run eligible operators in this type and keep the weights as they are.
        attention: implementation of scaled dot-product attention; the kernel that really ran is in the manifest.
        weights: element type of int8 weights.
        activations: element type of int8 activations.
        activation_scales: of dynamic int8 in ONNX: one scale for a whole activation, or one for each of its rows, with
            which a request's answer does not depend on its company.
        per_channel: one scale for every output channel of a weight, instead of one for the tensor.
        exclude_nodes: names of graph nodes that are not quantised; ONNX also takes `Conv[:4]` and `Conv[depthwise]`.
        exclude_operators: operator types that are not quantised.
        calibration_samples: how many samples of the source calibrate static quantisation; 0 = all.
        group_size: weights that share one scale in int4.
        block_scales: of weights in blocks: zero in the middle of the range (symmetric), from the smallest to the
            largest with a zero point (asymmetric), or that with llama.cpp's search for the scale that errs least
            (k_quant); auto is k_quant for 4 bits of a decoder, else symmetric.
        graph_level: ONNX Runtime's level of graph optimisation at load.
        builder_level: TensorRT's, 0 to 5.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Computes = "cpu"
    compile_mode: CompileMode = "default"
    backend: Backend = "inductor"
    autocast: Autocast = "none"
    attention: Attention = "auto"
    weights: Quantised = "QInt8"
    activations: Quantised = "QUInt8"
    activation_scales: Literal["tensor", "row"] = "tensor"
    per_channel: bool = True
    exclude_nodes: tuple[str, ...] = ()
    exclude_operators: tuple[str, ...] = ()
    calibration_samples: int = Field(default=0, ge=0)
    group_size: Literal[16, 32, 64, 128, 256] = 32
    block_scales: BlockScales = "auto"
    graph_level: GraphLevel = "all"
    builder_level: int = Field(default=3, ge=0, le=5)

    def changed(self) -> dict[str, object]:
        """What differs from the defaults."""
        return self.model_dump(exclude_defaults=True)
