"""From the folded fp32 graph to the precision of a candidate."""

from __future__ import annotations

from pathlib import Path

from builder.candidate import Candidate
from builder.formats.onnx_fp16 import to_half
from builder.formats.onnx_int8 import quantise_dynamic, quantise_static
from builder.formats.onnx_rows import quantise_rows
from builder.formats.onnx_weights import quantise_weights
from builder.optimization import OptimizationConfig
from builder.sources.base import Source
from pixelis.errors import BuildError


def convert(source: Source, path: Path, candidate: Candidate) -> list[str]:
    """Rewrite the fp32 graph at `path` as `candidate` says.

    Returns:
        what was done, in words for the manifest.

    Raises:
        BuildError: there is no way to that precision, or see the one that is taken.
    """
    config = candidate.optimization
    if candidate.precision == "fp16":
        return to_half(path, nodes=config.exclude_nodes)
    if candidate.quantization == "dynamic":
        return quantise(path, config)
    if candidate.quantization == "static":
        return quantise_static(path, config, source.calibration())
    if candidate.quantization == "weights":
        return quantise_weights(path, 8 if candidate.precision == "int8" else 4, config)
    raise BuildError(
        f"`{source.name}` cannot be made {candidate.precision} in ONNX.",
        mend="ONNX is built as fp32, fp16, int8 and int4; ONNX Runtime's CPU provider has no bf16 arithmetic.",
    )


def quantise(path: Path, config: OptimizationConfig) -> list[str]:
    """Dynamic int8, with scales for whole activations or by row; returns what was done."""
    return quantise_rows(path, config) if config.activation_scales == "row" else quantise_dynamic(path, config)
