"""The TensorRT format, through Polygraphy.

Classic TensorRT builds `model.smXY.plan` for the GPU at hand, with a timing cache. TensorRT-RTX builds `model.rtx`
for several compute capabilities without any GPU; its engines are never run here, nor published as Triton's
`tensorrt_plan`. Networks are strongly typed, so the graph is brought into its precision before.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from builder.candidate import Candidate
from builder.formats.base import Description, Format, TensorInfo
from builder.formats.tensorrt_bfloat16 import to_bfloat16
from builder.formats.tensorrt_check import graph_faults
from builder.formats.tensorrt_graph import slim, weights, widen_biases, widen_bytes
from builder.formats.tensorrt_library import RTX_TARGETS, Flavour, Library, flavour, library
from builder.formats.tensorrt_network import Parsed, build, parse, timing_cache
from builder.formats.tensorrt_plan import rtx_faults
from builder.sources.base import Source
from pixelis.errors import BuildError, SetupError
from pixelis.machine import Gpu, this_machine
from pixelis.settings import settings

FACTS = "engine.json"
RTX_FILE = "model.rtx"
_NOT_RUN: dict[Flavour, str] = {
    "rtx": f"built for {', '.join(RTX_TARGETS)}, never executed here: TensorRT-RTX engines load on an NVIDIA GPU only",
    "classic": "built on the GPU at hand for Triton's tensorrt backend; the gate has no executor for plans",
}
_KNOWN_INT8 = {"exclude_nodes", "exclude_operators", "calibration_samples"}
_TRITON = {"FLOAT": "FP32", "HALF": "FP16", "BF16": "BF16"}


class TensorRtFormat(Format):
    """ONNX -> the candidate's precision -> a TensorRT engine."""

    name = "tensorrt"
    file = ""
    extra = "tensorrt"
    packages = ("polygraphy", "onnxslim", "onnx", "onnxruntime")

    def __init__(self) -> None:
        self.not_executed = _NOT_RUN["classic" if flavour() == "classic" else "rtx"]

    def require(self) -> None:
        """See that Polygraphy and one of the two TensorRTs are there, and a GPU for the classic one."""
        super().require()
        found = flavour()
        if found is None:
            library()
        if found == "classic" and not this_machine().gpus:
            raise SetupError(
                "Classic TensorRT builds on the GPU that will run the plan, and there is none here.",
                mend="Build on that machine, or install TensorRT-RTX instead, which builds without a GPU.",
            )

    def _export(self, source: Source, directory: Path, candidate: Candidate) -> None:
        """The engine, and what its network said of itself."""
        found = library()
        self._check(candidate, found)
        with tempfile.TemporaryDirectory(prefix="pixelis-tensorrt-") as scratch:
            graph = Path(scratch) / "model.onnx"
            done = self._prepare(source, graph, candidate)
            faults, measured = graph_faults(graph, source, candidate.precision, self.tolerances)
            parsed = parse(found, graph, source.name)
            gpu = this_machine().gpus[0] if found.flavour == "classic" else None
            cache = timing_cache(settings().state, gpu, found) if gpu else None
            parameters, weight_bytes = weights(graph)
            engine = build(found, parsed, self.profiles, candidate.optimization, cache)
            for path in Path(scratch).iterdir():
                if path.is_file() and not path.name.startswith("model."):
                    shutil.copyfile(path, directory / path.name)
        (directory / _file(gpu)).write_bytes(engine)
        facts = {
            **_network_facts(parsed),
            "parameters": parameters,
            "weight_bytes": weight_bytes,
            **_machine_facts(found, gpu),
            "profiles": [profile.as_dict() for profile in self.profiles],
            "graph": measured,
            "faults": faults,
            "done": [*done, self._built(found, candidate)],
        }
        (directory / FACTS).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def _check(self, candidate: Candidate, found: Library) -> None:
        """What the format or the library cannot do is refused.

        Raises:
            BuildError: it lists what there is.
        """
        if candidate.label not in {f"tensorrt-{p}" for p in _MAKE}:
            raise BuildError(
                f"TensorRT engines are not made as {candidate.label}.", mend=f"There are {', '.join(_MAKE)}."
            )
        known = {"builder_level"} if found.flavour == "classic" else set()
        known |= _KNOWN_INT8 if candidate.precision == "int8" else set()
        unknown = sorted(candidate.optimization.changed().keys() - known)
        if unknown:
            why = " (TensorRT-RTX writes the same engine at every builder level)" if "builder_level" in unknown else ""
            raise BuildError(
                f"{', '.join(unknown)} mean nothing to {found.version}{why}.",
                mend=f"For {candidate.label} it knows {', '.join(sorted(known)) or 'no setting'}.",
            )
        if not self.profiles:
            raise BuildError(
                "No shapes are stated, and TensorRT builds for given ones.",
                mend="Set `profiles` of the format, for instance to builder.shapes.profiles(spec).",
            )

    @staticmethod
    def _prepare(source: Source, graph: Path, candidate: Candidate) -> list[str]:
        """The graph in its precision; what was done, in words."""
        source.export_onnx(graph.parent)
        done = _MAKE[candidate.label.removeprefix("tensorrt-")](graph, source, candidate)
        changed = widen_bytes(graph)
        if changed:
            done.append(f"{changed} uint8 inputs cast to fp32 first: TensorRT takes uint8 at its edge only")
        return [*done, slim(graph)]

    def _built(self, found: Library, candidate: Candidate) -> str:
        level = f"builder level {candidate.optimization.builder_level}, timing cache, " * (found.flavour == "classic")
        return f"{found.version}: strongly typed, {level}no TF32, {len(self.profiles)} profiles"

    def optimise(self, directory: Path, candidate: Candidate) -> list[str]:
        """What was done while exporting: an engine cannot be changed afterwards."""
        return [str(line) for line in _facts(directory)["done"]]

    def describe(self, directory: Path) -> Description:
        """What the network said of itself when the engine was built of it."""
        facts = _facts(directory)
        size = sum(path.stat().st_size for path in _engines(directory))
        return Description(
            inputs=tuple(TensorInfo(t["name"], t["dtype"], tuple(t["dims"])) for t in facts["inputs"]),
            outputs=tuple(TensorInfo(t["name"], t["dtype"], tuple(t["dims"])) for t in facts["outputs"]),
            nodes=facts["layers"],
            weight_bytes=facts["weight_bytes"],
            parameters=facts["parameters"],
            size_bytes=size,
            notes={name: facts[name] for name in ("library", "compute_capabilities", "driver", "graph")},
        )

    def inspect(self, directory: Path) -> list[str]:
        """Faults of the graph against the source, and of the engine's bytes against what was asked for."""
        facts, engines = _facts(directory), _engines(directory)
        if not engines:
            return ["there is no engine"]
        names = [tensor["name"] for tensor in (*facts["inputs"], *facts["outputs"])]
        version = facts["library"].split()[1]
        targets = len(facts["compute_capabilities"].split(", "))
        found = [str(fault) for fault in facts["faults"]]
        for path in engines:
            if path.name == RTX_FILE:
                found += rtx_faults(path, names, targets, len(facts["profiles"]), version)
        return found


def _half(graph: Path, source: Source, candidate: Candidate) -> list[str]:
    from builder.formats.onnx_fp16 import to_half

    return to_half(graph)


def _bfloat16(graph: Path, source: Source, candidate: Candidate) -> list[str]:
    """Folded before: onnxslim computes constants of bf16 in fp32, and leaves them so. Older casts know no bf16."""
    from builder.formats.onnx_int8 import raise_opset

    return [*raise_opset(graph), slim(graph), *to_bfloat16(graph)]


def _int8(graph: Path, source: Source, candidate: Candidate) -> list[str]:
    """QDQ with signed, symmetric activations: TensorRT reads no zero points."""
    from builder.formats.onnx_int8 import quantise_static

    config = candidate.optimization.model_copy(update={"activations": "QInt8"})
    done = quantise_static(graph, config, source.calibration(), tables=False)
    return [*done, widen_biases(graph)]


_MAKE: dict[str, Callable[[Path, Source, Candidate], list[str]]] = {
    "fp32": lambda graph, source, candidate: [],
    "fp16": _half,
    "bf16": _bfloat16,
    "int8-static": _int8,
}
"""How a graph comes into its precision."""


def _file(gpu: Gpu | None) -> str:
    return f"model.sm{gpu.capability.replace('.', '')}.plan" if gpu else RTX_FILE


def _engines(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.iterdir()) if path.suffix == ".plan" or path.name == RTX_FILE]


def _facts(directory: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((directory / FACTS).read_text(encoding="utf-8"))
    return facts


def _machine_facts(found: Library, gpu: Gpu | None) -> dict[str, str]:
    """What a plan depends on (see `tensorrt_plan.stale`)."""
    targets = [gpu.capability] if gpu else [f"{name[2:-1]}.{name[-1]}" for name in RTX_TARGETS]
    return {
        "library": found.version,
        "compute_capabilities": ", ".join(targets),
        "driver": gpu.driver if gpu else "none",
    }


def _network_facts(parsed: Parsed) -> dict[str, Any]:
    _, network, _ = parsed

    def told(tensor: Any) -> dict[str, Any]:
        kind = tensor.dtype.name
        return {"name": tensor.name, "dtype": _TRITON.get(kind, kind), "dims": list(tensor.shape)}

    return {
        "inputs": [told(network.get_input(i)) for i in range(network.num_inputs)],
        "outputs": [told(network.get_output(i)) for i in range(network.num_outputs)],
        "layers": network.num_layers,
    }
