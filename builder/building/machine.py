"""`--device auto`: which forms are worth building for this machine, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from builder.candidate import Candidate, FormatName
from pixelis.machine import Machine, without_instructions

Device = Literal["auto", "cpu", "cuda"]
PACKAGES: dict[FormatName, tuple[tuple[str, ...], str]] = {
    "openvino": (("openvino", "nncf"), "openvino"),
    "torchscript": (("torch",), "build"),
    "aotinductor": (("torch",), "build"),
    "tensorrt": (("polygraphy",), "tensorrt"),
    "coreml": (("coremltools",), "coreml"),
}
"""Packages that a format needs, and the extra that installs them."""
NO_GPU = "there is no NVIDIA GPU, on which it is traced or compiled, and judged"
_EMULATED: dict[FormatName, str] = {
    "onnx": "ONNX Runtime computes fp16 in fp32 between casts on such a CPU, which is no faster",
    "torchscript": "PyTorch computes it through conversions, several times slower than fp32",
    "aotinductor": "PyTorch computes it through conversions, several times slower than fp32",
}


@dataclass(frozen=True)
class Choice:
    """One candidate, and what this machine makes of it.

    Attributes:
        kept: whether it is worth building here.
        reason: why not; what speaks for it where it is kept.
    """

    candidate: Candidate
    kept: bool
    reason: str


def narrow(machine: Machine, candidates: Iterable[Candidate]) -> list[Choice]:
    """Every candidate with a word on why it is kept or skipped on `machine`, in the same order."""
    choices = []
    for candidate in candidates:
        against = _against(machine, candidate)
        choices.append(Choice(candidate, not against, against or _for(machine, candidate)))
    return choices


def _against(machine: Machine, candidate: Candidate) -> str:
    """Why `candidate` is not for `machine`; empty = it is."""
    packages, extra = PACKAGES.get(candidate.format, ((), ""))
    missing = [name for name in packages if name not in dict(machine.packages)]
    if missing:
        return f"{', '.join(missing)} is not installed: pip install 'pixelis-serving[{extra}]'"
    if candidate.format == "tensorrt" and not machine.gpus:
        return "there is no NVIDIA GPU: an engine can be built here, and not run"
    if candidate.optimization.device == "cuda":
        return "" if machine.gpus else NO_GPU
    if candidate.format == "coreml":
        return "an artifact for Apple devices: it can be built here, and not run"
    without = without_instructions(machine)
    if candidate.optimization.autocast in without:
        return f"{without[candidate.optimization.autocast]}, in which it is to be computed"
    lacking = without.get(candidate.precision, "")
    if candidate.format == "tensorrt" or not lacking:
        return ""
    return _slow(candidate, lacking)


def _slow(candidate: Candidate, lacking: str) -> str:
    """Why a precision without instructions is not worth it; empty where the format has no need of them."""
    if candidate.precision == "fp16":
        emulated = _EMULATED.get(candidate.format)
        return f"{lacking}: {emulated}" if emulated else ""  # elsewhere only the file is small
    if candidate.precision == "int8" and candidate.quantization == "weights":
        return ""  # arithmetic stays in floats
    return f"{lacking}: it would be computed in another precision"


def _for(machine: Machine, candidate: Candidate) -> str:
    if candidate.format == "tensorrt" or candidate.optimization.device == "cuda":
        return f"runs on {machine.gpus[0].name}"
    with_it = {"bf16": "bf16", "int8": "vnni", "fp16": "fp16"}.get(candidate.precision)
    named = [name for name in machine.vector if with_it is not None and (with_it in name or name.endswith("int8"))]
    return f"this CPU has {named[0]}" if named and candidate.quantization != "weights" else "runs on any CPU"
