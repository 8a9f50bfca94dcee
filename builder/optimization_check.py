"""Options that a form, or this machine, cannot do: an error that lists what it can, never a silent no-op."""

from __future__ import annotations

from builder.candidate import Candidate, FormatName
from builder.optimization import CompileMode, OptimizationConfig
from builder.tolerance import Precision
from pixelis.errors import BuildError
from pixelis.machine import Machine, without_instructions

_PER_FORM: dict[FormatName, dict[str, frozenset[str]]] = {
    "onnx": {
        "fp32": frozenset({"graph_level"}),
        "fp16": frozenset({"graph_level", "exclude_nodes"}),
        "dynamic": frozenset(
            "graph_level weights activation_scales per_channel exclude_nodes exclude_operators".split()
        ),
        "static": frozenset(
            "graph_level weights activations per_channel exclude_nodes exclude_operators calibration_samples".split()
        ),
        "weights": frozenset({"graph_level", "exclude_nodes", "exclude_operators", "group_size", "block_scales"}),
    },
    "openvino": {
        "static": frozenset(
            {"activations", "per_channel", "exclude_nodes", "exclude_operators", "calibration_samples"}
        ),
        "weights": frozenset({"exclude_nodes", "exclude_operators", "autocast"}),
    },
    "torchscript": {
        "fp32": frozenset({"device", "attention", "autocast", "compile_mode"}),
        "fp16": frozenset({"device", "attention", "compile_mode"}),
        "bf16": frozenset({"device", "attention", "compile_mode"}),
        "dynamic": frozenset({"attention", "autocast", "per_channel", "exclude_nodes"}),
    },
    "aotinductor": {
        "fp32": frozenset({"attention", "autocast", "compile_mode", "backend"}),
        "fp16": frozenset({"attention", "compile_mode", "backend"}),
        "bf16": frozenset({"attention", "compile_mode", "backend"}),
    },
    "coreml": {},
    "files": {},
}
"""By format, and by precision or, where it is quantised, by how: the options that it looks at. Formats that are not
here look after their options themselves."""
_TORCH_FORMS: dict[FormatName, tuple[tuple[Precision, str], ...]] = {
    "torchscript": (("fp32", "none"), ("fp16", "none"), ("bf16", "none"), ("int8", "dynamic")),
    "aotinductor": (("fp32", "none"), ("fp16", "none"), ("bf16", "none")),
}


def impossible(candidate: Candidate, machine: Machine) -> BuildError | None:
    """What is wrong with the candidate's options here; none = nothing."""
    return _form(candidate) or _unused(candidate) or _value(candidate, machine)


def _form(candidate: Candidate) -> BuildError | None:
    """A precision that a PyTorch format does not have."""
    known = _TORCH_FORMS.get(candidate.format)
    if known is None or (candidate.precision, candidate.quantization) in known:
        return None
    names = [f"{precision}-{how}" if how != "none" else precision for precision, how in known]
    return BuildError(f"There is no {candidate.label}.", mend=f"{candidate.format} is built as {', '.join(names)}.")


def _unused(candidate: Candidate) -> BuildError | None:
    """An option that is set and that the form does not look at."""
    if candidate.format not in _PER_FORM:
        return None
    how = candidate.quantization if candidate.quantization != "none" else candidate.precision
    used = _PER_FORM[candidate.format].get(how, frozenset())
    idle = sorted(candidate.optimization.changed().keys() - used)
    if not idle:
        return None
    options = ", ".join(sorted(used)) or "no option"
    verb = "has" if len(idle) == 1 else "have"
    return BuildError(f"{', '.join(idle)} {verb} no meaning for {candidate.label}.", mend=f"It knows {options}.")


def _value(candidate: Candidate, machine: Machine) -> BuildError | None:
    """A value that artifacts of the format, or this CPU, cannot do."""
    if candidate.format in _TORCH_FORMS:
        return _device(candidate.optimization, machine) or _torch(candidate, machine)
    if (candidate.format, candidate.quantization) == ("onnx", "dynamic"):
        return _level(candidate.optimization, machine)
    return _cast(candidate.optimization, machine, ("bf16",)) if candidate.format == "openvino" else None


def _device(config: OptimizationConfig, machine: Machine) -> BuildError | None:
    """A GPU that is not there."""
    if config.device == "cpu" or machine.gpus:
        return None
    return _refusal(config, "device", "needs an NVIDIA GPU to trace, compile and judge on", ("cpu",))


def _torch(candidate: Candidate, machine: Machine) -> BuildError | None:
    """A value that artifacts of PyTorch cannot do."""
    config, modes = candidate.optimization, _modes(candidate)
    if config.device == "cpu" and config.attention == "memory-efficient":
        why = "has kernels for CUDA alone, and this artifact is for the CPU"
        return _refusal(config, "attention", why, ("auto", "eager", "math", "flash"))
    if config.device == "cuda" and config.attention in ("flash", "memory-efficient"):
        why = "is what `auto` takes there by itself, as types and masks allow"
        return _refusal(config, "attention", why, ("auto", "eager", "math"))
    if config.compile_mode not in modes:
        graphs = "means CUDA graphs, which a CPU does not have"
        tuned = "compiles, and TorchScript is interpreted"
        why = graphs if config.compile_mode == "reduce-overhead" else tuned
        return _refusal(config, "compile_mode", why, modes)
    if config.backend != "inductor":
        why = "compiles at run time and leaves no artifact; AOTInductor is torch.compile for serving"
        other = "; for OpenVINO build the format openvino" if config.backend == "openvino" else ""
        return _refusal(config, "backend", why + other, ("inductor",))
    return None if config.device != "cpu" else _cast(config, machine, ("bf16", "fp16"))


def _level(config: OptimizationConfig, machine: Machine) -> BuildError | None:
    """A level without the pass that keeps sums of products of integers whole (`onnxruntime_engine.WIDE`)."""
    if config.graph_level in ("extended", "all") or "int8" not in without_instructions(machine):
        return None
    return _refusal(config, "graph_level", "cuts sums of products of int8 on this CPU", ("extended", "all"))


def _modes(candidate: Candidate) -> tuple[CompileMode, ...]:
    """Compile modes that the form has."""
    if candidate.format == "aotinductor":
        return ("default", "max-autotune")
    return ("default", "reduce-overhead") if candidate.optimization.device == "cuda" else ("default",)


def _cast(config: OptimizationConfig, machine: Machine, types: tuple[str, ...]) -> BuildError | None:
    """A type to cast to that is not among those of the format, or that this CPU has no instructions for."""
    lacking = without_instructions(machine)
    can = ("none", *(name for name in types if name not in lacking))
    if config.autocast in can:
        return None
    why = f"is not for this machine: {lacking[config.autocast]}" if config.autocast in types else "is not of the format"
    return _refusal(config, "autocast", why, can)


def _refusal(config: OptimizationConfig, option: str, why: str, can: tuple[str, ...]) -> BuildError:
    return BuildError(f"{option}={getattr(config, option)} {why}.", mend=f"Here {option} is {', '.join(can)}.")
