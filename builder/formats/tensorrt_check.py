"""The graph that TensorRT is given, run in ONNX Runtime: right or wrong before any GPU sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from builder.formats.tensorrt_bfloat16 import emulate
from builder.gating.compare import Difference, difference, worst
from builder.sources.base import Source
from builder.tolerance import TOLERANCES, Precision, Tolerance
from pixelis.errors import PixelisError


def graph_faults(
    graph: Path, source: Source, precision: Precision, tolerances: Mapping[str, Tolerance]
) -> tuple[list[str], str]:
    """Faults of the prepared graph against its source, and what was measured, in words.

    The kernels of TensorRT are not judged by this; casts, folding, quantisation and the wiring are. ONNX Runtime's CPU
    kernels know no bf16: that is emulated. Quantised operators are computed in floats, between the roundings that
    the graph holds: some CPUs cut sums of products of int8 to 16 bits, which no GPU does.

    Args:
        graph: what the parser will read.
        source: the truth.
        precision: of the candidate.
        tolerances: by output, instead of the precision's.

    Returns:
        faults, and a line for the manifest.
    """
    from python_backends.engine.onnxruntime_engine import OnnxRuntimeEngine

    samples, found = source.samples(), dict[str, list[Difference]]()

    def allowed(name: str) -> Tolerance:
        return tolerances.get(name, TOLERANCES[precision])

    how = ", quantised operators in floats between their roundings" if precision == "int8" else ""
    try:
        if precision == "bf16":
            how = f", {emulate(graph, graph.with_name('model.emulated.onnx'))} tensors rounded to bf16"
            graph = graph.with_name("model.emulated.onnx")
        with OnnxRuntimeEngine(graph, threads=1, integers=precision != "int8") as engine:
            for sample in samples:
                answers = engine.run(sample)
                for name, reference in source.reference(sample).items():
                    found.setdefault(name, []).append(difference(answers[name], reference, allowed(name)))
    except PixelisError as error:
        return [f"the prepared graph does not run: {error}"], "not run"
    together = {name: worst(differences) for name, differences in found.items()}
    faults = [f"{name}: {fault} (prepared graph)" for name, d in together.items() for fault in d.faults(allowed(name))]
    measured = "; ".join(
        f"{name} mean absolute error {d.mean_abs:.2g}, cosine {d.cosine:.6f}"
        if d.mean_abs is not None and d.cosine is not None
        else f"{name} {d.equal:.4f} equal"
        if d.equal is not None
        else f"{name} not finite"
        for name, d in together.items()
    )
    return faults, f"{len(samples)} samples in ONNX Runtime{how}: {measured}"
