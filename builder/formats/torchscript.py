"""TorchScript: one `model.ts`, a traced and frozen graph, for `pytorch_libtorch` and for PyTorch's interpreter.

A source with state of its own to write, the decoder with its cache, comes as a script that it makes itself.

Upstream calls TorchScript deprecated, and so does the manifest.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from builder.candidate import Candidate
from builder.formats import torch_attention, torch_module
from builder.formats.base import Description, Format
from builder.formats.torch_archive import without_sources
from builder.formats.torch_decoder import describe_decoder
from builder.sources.base import Source
from pixelis.errors import BuildError
from python_backends.engine.torch_settings import SETTINGS, TorchSettings

MODEL_FILE = "model.ts"


class TorchScriptFormat(Format):
    """Trace, freeze, describe."""

    name = "torchscript"
    file = MODEL_FILE
    packages = ("torch",)

    def __init__(self) -> None:
        self._scripted: list[str] = []

    def _export(self, source: Source, directory: Path, candidate: Candidate) -> None:
        import torch

        if candidate.precision in source.native_scripts:
            self._scripted = source.export_native(directory, candidate)
            return
        traced = torch_module.prepare(source, candidate)
        with torch_module.quiet(), torch.inference_mode():
            with torch_attention.attention_as(candidate.optimization.attention, source.name):
                graph = torch.jit.trace(traced.module, traced.example, check_trace=False)
            settings = torch_module.check_axes(traced, graph)
            graphs = candidate.optimization.compile_mode == "reduce-overhead"
            replace(settings, graphs=graphs).write(directory)
            torch.jit.save(graph, str(directory / MODEL_FILE))
        source.write_beside(directory)

    def optimise(self, directory: Path, candidate: Candidate) -> list[str]:
        """Freeze: weights become constants, and the passes that need constants run (batch norms fold).

        What a source has scripted itself stays as it is: frozen weights could not go to another device.

        `optimize_for_inference` on top was no faster for any model here, and its graphs with convolutions cannot be
        saved.

        Raises:
            BuildError: int8 was asked for, and no layer of it runs.
        """
        import torch

        if self._scripted:
            return self._scripted
        path = directory / MODEL_FILE
        with torch_module.quiet():
            graph = torch.jit.load(str(path), map_location=candidate.optimization.device).eval()
            before = len(list(graph.inlined_graph.nodes()))
            frozen = torch.jit.freeze(graph)
            torch.jit.save(frozen, str(path))
        without_sources(path)
        after = len(list(frozen.inlined_graph.nodes()))
        if candidate.quantization == "dynamic" and not frozen.inlined_graph.findNode("quantized::linear_dynamic"):
            raise BuildError(
                "No quantised layer runs in this model, which would be its fp32 under another name.",
                mend="Dynamic quantisation is for Linear layers: build it in another precision.",
            )
        return [f"torch.jit.freeze: weights are constants, batch norms folded ({before} -> {after} nodes)"]

    def describe(self, directory: Path) -> Description:
        """The graph's size and weights; names and types from `engine.json`, as the graph has none."""
        import torch

        path = directory / MODEL_FILE
        if not (directory / SETTINGS).is_file():
            return describe_decoder(path)
        settings = TorchSettings.read(directory)
        inputs, outputs = torch_module.tensors(settings)
        with torch_module.quiet():
            module = torch.jit.load(str(path), map_location=settings.device).eval()
        nodes = [node for node in module.inlined_graph.nodes() if node.kind() != "prim::Constant"]
        parameters, weight_bytes = _weights(module)
        return Description(
            inputs=inputs,
            outputs=outputs,
            nodes=len(nodes),
            parameters=parameters,
            weight_bytes=weight_bytes,
            size_bytes=path.stat().st_size,
            notes={
                "upstream": "TorchScript is deprecated upstream",
                "attention": torch_attention.kernels(module, torch_module.made_up(settings)),
            },
        )


def _weights(module: Any) -> tuple[int, int]:
    """How many numbers the frozen graph's constants hold, and their bytes; each tensor once."""
    import torch

    tensors: dict[int, Any] = {}
    packed: list[Any] = []
    for node in module.inlined_graph.nodes():
        if node.kind() != "prim::Constant" or not node.hasAttribute("value"):
            continue
        if node.kindOf("value") == "t":
            tensor = node.t("value")
            tensors[tensor.data_ptr()] = tensor
        elif "LinearPackedParams" in str(node.output().type()):
            packed += [part for part in torch.ops.quantized.linear_unpack(node.ival("value")) if part is not None]
    found = [*tensors.values(), *packed]
    return sum(part.numel() for part in found), sum(part.numel() * part.element_size() for part in found)
