"""Resident memory of one model in a fresh process: `python -m builder.costing.resident ...` prints one JSON object.

The kernel's own account of the process (`/proc/self/smaps_rollup`) is read three times: when the executor's packages
are imported, when the model is loaded, and when it has run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from builder.building import apart
from pixelis.errors import BuildError, SetupError

if TYPE_CHECKING:
    from builder.costing.cost import Memory
    from builder.costing.runner import Inputs, Opened

RUNS = 3
TIMEOUT_S = 300


def read_rollup() -> dict[str, int]:
    """Resident and proportional set size of this process, and the most that was resident, in bytes.

    Raises:
        SetupError: this kernel does not tell.
    """
    try:
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
        status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        mend = "Resident memory is measured on Linux 4.14 or newer."
        raise SetupError(f"This kernel does not tell the memory of a process: {error}.", mend=mend) from None
    values = {key: int(rest.split()[0]) * 1024 for key, _, rest in (line.partition(":") for line in lines)}
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    return {"rss": values["Rss"], "pss": values["Pss"], "peak": peak}


def memory_of(arguments: Sequence[str], inputs: Sequence[Inputs], environment: dict[str, str]) -> Memory:
    """Of a process of its own.

    Args:
        arguments: `--artifact DIR --kind KIND`, or `--reference MODEL --spec FILE`.
        inputs: of the cases that it runs one after the other.
        environment: of that process.

    Raises:
        BuildError: it could not be loaded or run, or its process crashed.
    """
    from builder.costing.cost import Memory

    with tempfile.TemporaryDirectory(prefix="pixelis-memory-") as scratch:
        files = []
        for number, arrays in enumerate(inputs):
            files.append(Path(scratch) / f"{number}.npz")
            np.savez(files[-1], **arrays)
        command = [sys.executable, "-m", "builder.costing.resident", *arguments, "--parent", str(os.getpid())]
        command += ["--inputs", *map(str, files)]
        try:
            run = subprocess.run(
                command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise BuildError(f"Reading its memory took longer than {TIMEOUT_S} s.") from None
    if run.returncode:
        last = (run.stderr.strip().splitlines() or [f"status {run.returncode}"])[-1]
        raise BuildError(f"Its process for reading memory ended: {last[:300]}.")
    return Memory.model_validate_json(run.stdout.strip().splitlines()[-1])


def main(argv: Sequence[str] | None = None) -> int:
    """Load one model, run it, print what it needed."""
    parser = argparse.ArgumentParser(prog="python -m builder.costing.resident")
    parser.add_argument("--artifact", type=Path, help="folder of an artifact")
    parser.add_argument("--kind", default="engine", help="engine or policy")
    parser.add_argument("--reference", help="a model whose original is loaded instead")
    parser.add_argument("--inputs", type=Path, nargs="+", required=True)
    parser.add_argument("--threads", type=int, default=1)
    apart.add_common(parser)
    arguments = parser.parse_args(argv)
    apart.die_with(arguments.parent)
    inputs = [dict(np.load(path)) for path in arguments.inputs]
    found = _artifact(arguments, inputs) if arguments.artifact else _reference(arguments, inputs)
    print(found)
    return 0


def _artifact(arguments: argparse.Namespace, inputs: list[Inputs]) -> str:
    from builder.costing.runner import executor, open_artifact

    _import_executor(executor(arguments.artifact))
    import_module("python_backends.policy.graph" if arguments.kind == "policy" else "python_backends.engine")
    before = read_rollup()
    with open_artifact(arguments.kind, arguments.artifact, arguments.threads) as timed:
        return _run(timed, inputs, before)


def _import_executor(package: str) -> None:
    import_module(package)
    if package == "openvino":
        from python_backends.engine.openvino_core import openvino_core

        # What runs on a CPU is a plugin, loaded when it is asked.
        openvino_core().get_property("CPU", "FULL_DEVICE_NAME")


def _reference(arguments: argparse.Namespace, inputs: list[Inputs]) -> str:
    from builder.costing.reference import import_reference, open_reference

    spec = apart.open_pipeline(arguments.spec)[arguments.reference]
    import_reference(spec)
    before = read_rollup()
    return _run(open_reference(spec, arguments.threads).timed, inputs, before)


def _run(timed: Opened, inputs: list[Inputs], before: dict[str, int]) -> str:
    import json

    loaded = read_rollup()
    for arrays in inputs:
        once: Callable[[], float] = timed(arrays).once
        for _ in range(RUNS):
            once()
    after = read_rollup()
    facts = {"imported": before["rss"], "loaded": loaded["rss"], "ran": after["rss"], "peak": after["peak"]}
    return json.dumps({**facts, "pss_imported": before["pss"], "pss_ran": after["pss"]})


if __name__ == "__main__":
    sys.exit(main())
