"""What can be read of a serialised engine without a GPU, and when a plan is too old for a machine."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from pixelis.machine import Machine

RTX_MAGIC, HEADER = b"vtrt", struct.Struct("<4sIQQ4B")
"""Magic, format, sections, size of the whole file, version of the library: seen in engines of TensorRT-RTX 1.7."""


def rtx_faults(path: Path, names: Sequence[str], targets: int, profiles: int, version: str) -> list[str]:
    """What is wrong with the file of a TensorRT-RTX engine, as far as its bytes tell; empty = nothing.

    Args:
        path: the engine.
        names: inputs and outputs, which every profile of every target names.
        targets: compute capabilities that it should be built for.
        profiles: how many it should have.
        version: of the library, `1.7.1.116`.
    """
    data = path.read_bytes()
    if len(data) < HEADER.size:
        return [f"{path.name} is {len(data)} bytes long, less than a header"]
    magic, _, _, size, *told = HEADER.unpack_from(data)
    if magic != RTX_MAGIC:
        return [f"{path.name} does not begin as a TensorRT-RTX engine"]
    found = []
    if size != len(data):
        found.append(f"{path.name} is {len(data)} bytes long, its header says {size}")
    if ".".join(map(str, told)) != version:
        found.append(f"{path.name} was built by {'.'.join(map(str, told))}, not by {version}")
    for name in names:
        count = data.count(name.encode())
        if count < targets * profiles:
            found.append(f"{path.name} names {name} {count} times: {targets} targets of {profiles} profiles need more")
    return found


def stale(model: str, notes: Mapping[str, str], machine: Machine) -> str:
    """Why a plan must not be run on `machine`, with the command that rebuilds it; empty = it may.

    A classic plan is for the GPU it was tuned on, its driver's major version or a newer one, and one library version.

    Args:
        model: its name.
        notes: of the plan's manifest.
        machine: where it should run.
    """
    reason = _reason(notes, machine)
    return f"{reason}. Rebuild it: `pixelis build {model} --formats tensorrt --force`." if reason else ""


def _reason(notes: Mapping[str, str], machine: Machine) -> str:
    capabilities = notes.get("compute_capabilities", "").split(", ")
    here = {gpu.capability: gpu for gpu in machine.gpus}
    matching = [here[capability] for capability in capabilities if capability in here]
    if not matching:
        there = ", ".join(map(str, machine.gpus)) or "no GPU"
        return f"The plan is for compute capability {', '.join(capabilities)}, here is {there}"
    name, _, version = notes.get("library", "").partition(" ")
    package = "tensorrt-rtx-cu13" if name == "tensorrt-rtx" else name
    installed = dict(machine.packages).get(package, "absent")
    if installed != version:
        return f"The plan was built by {name} {version}, here is {installed}"
    built_with = notes.get("driver", "none")
    if built_with != "none" and all(_older(gpu.driver, built_with) for gpu in matching):
        return f"The plan was built under driver {built_with}, here is the older {matching[0].driver}"
    return ""


def _older(driver: str, than: str) -> bool:
    def major(text: str) -> int:
        return int(text.split(".")[0]) if text.split(".")[0].isdigit() else 0

    return major(driver) < major(than)
