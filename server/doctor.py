"""What `pixelis doctor` looks at: the start's own checks, and what is worth knowing beside them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from importlib import metadata
from pathlib import Path

from pixelis import integrity
from pixelis.errors import PixelisError
from pixelis.faiss_device import faiss_build, why_no_gpu
from pixelis.machine import this_machine, without_instructions
from pixelis.settings import TUNED, Settings
from server import checks, layout, remains, repository, running
from server.checks import Finding


def examine(config: Settings) -> list[Finding]:
    """Every finding about this machine under these settings. Nothing is changed."""
    findings = [_python(), *checks.triton(config.server.installed)]
    models, found = _repository(config)
    stubs = sum(model.stubs for model in models)
    findings += [found, *running.examine(config), *_leftovers(config), checks.shared_memory(stubs), *_ports(config)]
    findings.append(checks.exposure(config.server.host))
    return [
        *findings,
        _cpu(),
        _accelerator(),
        _onnxruntime(),
        _retrieval(),
        _threads(config, stubs),
        _state(config),
        _private(config),
        _tuned(config),
        _load(config),
    ]


def _python() -> Finding:
    return Finding("python", "ok", f"Python {layout.python_version()}, {os.uname().machine}")


def _repository(config: Settings) -> tuple[list[repository.Model], Finding]:
    where = config.repository.absolute()
    try:
        models = repository.scan(where)
    except PixelisError as error:
        return [], Finding("repository", "missing", error.message, error.mend)
    unbuilt = repository.unbuilt(models)
    if unbuilt is not None:
        return models, Finding("repository", "missing", f"{where} is not built: {unbuilt}.", "Run `pixelis build`.")
    writable = [path for model in models for path in _writable(model)]
    if writable:
        more = f" and {len(writable) - 1} more" if len(writable) > 1 else ""
        detail = f"Every user of this machine may change what is served: {writable[0]}{more}."
        return models, Finding("repository", "warning", detail, f"chmod -R o-w {where}.")
    versions = ", ".join(f"{model.name} {model.version or ''}".strip() for model in models)
    return models, Finding("repository", "ok", f"{where}: {versions}")


def _writable(model: repository.Model) -> list[str]:
    """What of a model everybody may write: its folder, its config, the version that is served."""
    here = [path for path in (model.folder, model.folder / "config.pbtxt") if path.stat().st_mode & stat.S_IWOTH]
    version = integrity.open_to_all(model.folder / str(model.version)) if model.version is not None else []
    return [*map(str, here), *version]


def _leftovers(config: Settings) -> list[Finding]:
    left = remains.left_behind(config.state.absolute() / "servers")
    if not left:
        return [Finding("leftovers", "ok", "nothing of an earlier server is left")]
    processes = sum(len(one.processes) for one in left)
    regions = sum(len(one.regions) for one in left)
    detail = f"{len(left)} killed server(s) left {processes} process(es) and {regions} shared-memory region(s)."
    return [Finding("leftovers", "warning", detail, "Run `pixelis doctor --clean` (the next start does it too).")]


def _ports(config: Settings) -> list[Finding]:
    server = config.server
    ours = {number for record in running.servers(config) for number in record.ports}
    named = (("http", server.http_port), ("grpc", server.grpc_port), ("metrics", server.metrics_port))
    return [
        Finding(f"{name} port", "ok", f"{server.host}:{number} is held by our own running server")
        if number in ours
        else checks.port(name, server.host, number)
        for name, number in named
    ]


def _cpu() -> Finding:
    """Which precisions have instructions here: what `pixelis build --device auto` goes by."""
    machine = this_machine()
    lacking = without_instructions(machine)
    kept = [precision for precision in ("bf16", "fp16", "int8") if precision not in lacking]
    said = [f"{', '.join(kept)} in hardware" if kept else "fp32 alone in hardware", *lacking.values()]
    return Finding("cpu", "ok", f"{machine.cpu} ({' '.join(machine.vector) or 'no vectors known'}): {'; '.join(said)}")


def _accelerator() -> Finding:
    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding("accelerator", "ok", "no NVIDIA driver here: everything runs on the CPU")
    query = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    gpus = "; ".join(line.strip() for line in listed.stdout.splitlines())
    if listed.returncode != 0 or not gpus:
        detail = (
            f"nvidia-smi finds no GPU ({(listed.stderr or listed.stdout).strip()[:120]}): everything runs on the CPU."
        )
        return Finding("accelerator", "warning", detail, "Check the driver, or the container's --gpus.")
    return Finding("accelerator", "ok", gpus)


def _onnxruntime() -> Finding:
    for package in ("onnxruntime-gpu", "onnxruntime"):
        try:
            kind = "CUDA and CPU" if package.endswith("gpu") else "CPU only"
            return Finding("executor", "ok", f"{package} {metadata.version(package)} ({kind})")
        except metadata.PackageNotFoundError:
            continue
    detail = "onnxruntime is not installed: the engine models cannot run."
    return Finding("executor", "missing", detail, "pip install 'pixelis-serving[embedded]'.")


def _retrieval() -> Finding:
    """Where indexes live."""
    reason = why_no_gpu()
    said = f"{faiss_build()}; " + ("indexes can be on a GPU" if reason is None else f"indexes are on the CPU: {reason}")
    return Finding("retrieval", "ok", said)


def _tuned(config: Settings) -> Finding:
    """Settings that nobody wrote by hand."""
    path = config.state.absolute() / TUNED
    if not path.is_file():
        return Finding("tuned", "ok", "nothing: `pixelis tune pipeline --apply` leaves here what it found")
    return Finding("tuned", "ok", f"{path} is in force below the environment and PIXELIS_CONFIG; remove it to go back")


def _load(config: Settings) -> Finding:
    """Which perf_analyzer `pixelis sweep` runs."""
    found = shutil.which("perf_analyzer")
    if found is not None:
        return Finding("perf_analyzer", "ok", f"{found}, on PATH")
    fetched = sorted((config.state / "tools").glob("perf_analyzer-*/perf_analyzer"))
    said = f"{fetched[-1]}" if fetched else "none is on PATH; the first `pixelis sweep` fetches one out of a wheel"
    return Finding("perf_analyzer", "ok", said)


def _threads(config: Settings, stubs: int) -> Finding:
    cores, threads = len(os.sched_getaffinity(0)), config.threads
    detail = f"{cores} cores; {threads.intra_op} thread(s) for each of {stubs} model processes, {threads.total} in all"
    if threads.intra_op > cores:
        mend = f"Set PIXELIS_THREADS__INTRA_OP to at most {cores}."
        return Finding("threads", "warning", f"{detail}: threads beyond the cores make everything slower.", mend)
    return Finding("threads", "ok", detail)


def _private(config: Settings) -> Finding:
    """Whether other users of this machine may read what was asked and answered."""
    state = config.state.absolute()
    kept = [state / name for name in ("experiences", "caches")]
    open_to = [str(path) for path in kept if path.is_dir() and _reachable(path)]
    if not open_to:
        return Finding("private", "ok", "experiences and caches can be read by this user alone")
    mend = f"chmod -R go-rwx {' '.join(open_to)} (a server makes new ones so)."
    return Finding("private", "warning", f"Other users of this machine may read {', '.join(open_to)}.", mend)


def _reachable(path: Path) -> bool:
    """Whether everybody gets into a folder, by all those above it."""
    return all(one.stat().st_mode & stat.S_IXOTH for one in (path, *path.parents))


def _state(config: Settings) -> Finding:
    state = config.state.absolute()
    nearest = next(folder for folder in (state, *state.parents) if folder.exists())
    if not os.access(nearest, os.W_OK):
        return Finding("state", "missing", f"The state folder {state} cannot be written.", "Set PIXELIS_STATE.")
    free = shutil.disk_usage(nearest).free / 2**30
    detail = f"{state}, {free:.1f} GiB free on its disk"
    if free < 2:
        return Finding("state", "warning", detail, "Free some space: a build needs about 2 GiB.")
    return Finding("state", "ok", detail)
