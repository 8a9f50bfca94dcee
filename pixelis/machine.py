"""Facts about this machine, for whoever chooses what to build, serves what was built, or tells a user (`doctor`).

Standard library alone, nothing heavy: a serving process may ask too.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
_CODE = (
    "adx aes amx avx bmi clflushopt clwb f16c fma gfni lzcnt movbe pclmulqdq popcnt rdrnd rdseed sha_ni sse ssse3 "
    "vaes vpclmulqdq xsave asimd bf16 fphp i8mm sve"
).split()
"""What the names of CPU features begin with that a compiler's `-march=native` may use."""
_OPTIONAL = ("onnxruntime", "torch", "openvino", "nncf", "polygraphy", "tensorrt-rtx-cu13", "tensorrt", "coremltools")


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU.

    Attributes:
        capability: compute capability, for instance `8.9`.
        memory_mib: its whole memory.
    """

    name: str
    capability: str
    memory_mib: int
    driver: str

    def __str__(self) -> str:
        return f"{self.name} (SM{self.capability.replace('.', '')}, {self.memory_mib} MiB, driver {self.driver})"


@dataclass(frozen=True)
class Machine:
    """What runs here.

    Attributes:
        cpu: its model name.
        features: names of instruction sets, as Linux calls them.
        cores: those that this process may use.
        memory_mib: of the machine, or of the control group that this process is in where that is less.
        gpus: NVIDIA GPUs that the driver lists.
        packages: optional packages that are installed, with their versions.
    """

    cpu: str
    features: frozenset[str]
    cores: int
    memory_mib: int
    gpus: tuple[Gpu, ...]
    packages: tuple[tuple[str, str], ...]

    @property
    def vector(self) -> tuple[str, ...]:
        """The instruction sets that decide how fast a precision is, best first."""
        order = "amx_bf16 amx_int8 avx512_bf16 avx512_fp16 avx512_vnni avx_vnni avx512f avx2 bf16 i8mm asimd".split()
        return tuple(name for name in order if name in self.features)

    @property
    def code(self) -> frozenset[str]:
        """The features that natively compiled code may use."""
        return frozenset(name for name in self.features if name.startswith(tuple(_CODE)))

    def __str__(self) -> str:
        gpus = ", ".join(map(str, self.gpus)) or "no NVIDIA GPU"
        vector = " ".join(self.vector) or "no vector instructions known"
        return f"{self.cpu}, {self.cores} cores ({vector}), {self.memory_mib / 1024:.0f} GiB; {gpus}"


@lru_cache(maxsize=1)
def this_machine() -> Machine:
    """The facts, looked up once a process."""
    cpu, features = _cpu(CPUINFO.read_text(encoding="utf-8") if CPUINFO.is_file() else "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(cpu, features, cores, _memory(), _gpus(), _packages())


def _cpu(text: str) -> tuple[str, frozenset[str]]:
    """Model name and features, out of the text of /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name") or platform.processor() or platform.machine()
    return name, frozenset(fields.get("flags", fields.get("Features", "")).split())


def _memory() -> int:
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (ValueError, OSError):
        return 0
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="utf-8").strip() if limit.is_file() else "max"
    return min(whole, int(text) >> 20) if text.isdigit() else whole


def _gpus() -> tuple[Gpu, ...]:
    """What nvidia-smi lists; none without a driver, and none where it fails (`doctor` says why)."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=name,compute_cap,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return _parse_gpus(listed.stdout) if listed.returncode == 0 else ()


def _parse_gpus(text: str) -> tuple[Gpu, ...]:
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    return tuple(Gpu(row[0], row[1], int(row[2]), row[3]) for row in rows if len(row) == 4 and row[2].isdigit())


def _packages() -> tuple[tuple[str, str], ...]:
    found = []
    for name in _OPTIONAL:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def without_instructions(machine: Machine) -> dict[str, str]:
    """Why a precision is not for this CPU, by its name; those that are not in it have instructions of their own.

    A GPU is another matter: it brings both kinds of half precision.
    """
    wanted = {
        "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
        "fp16": ("avx512_fp16", "amx_fp16", "fphp"),
        "int8": ("avx512_vnni", "avx_vnni", "amx_int8", "i8mm", "asimddp"),
    }
    return {
        precision: f"this CPU has no {precision} arithmetic ({', '.join(names)})"
        for precision, names in wanted.items()
        if not machine.features & set(names)
    }
