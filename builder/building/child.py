"""Runs `builder.build_one` for one model as a process of its own, and turns its end into an answer or an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from builder.spec import Pipeline
from pixelis.errors import BuildError, PixelisError, from_wire
from pixelis.settings import settings

GRACE_S = 5.0
_RUNNING: set[subprocess.Popen[str]] = set()
"""Builds at work, by whichever thread."""


def build_apart(
    pipeline: Pipeline, name: str, out: Path, log: Path, stage: Callable[[str], None], references: Path | None = None
) -> None:
    """Build `name` into the folder `out`; returns when its artifact and manifest are there.

    Args:
        pipeline: where `name` is described; handed over as JSON beside `out`.
        name: the model.
        out: a new folder.
        log: gets what the process prints.
        stage: is told each stage as it begins.
        references: where the reference's scores are remembered.

    Raises:
        BuildError: what the process said, or that it crashed; GateFailed among them.
    """
    spec = out.parent / f"{out.name}.spec.json"
    spec.write_text(pipeline.model_dump_json(), encoding="utf-8")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "builder.build_one", name, "--candidate", pipeline[name].candidate.label, "--out"]
    apart = [*command, str(out), "--spec", str(spec), "--parent", str(os.getpid())]
    apart += ["--references", str(references)] if references else []
    status = run_apart(apart, log, stage, environment())
    if status != 0:
        raise _crash(name, status, log, command)


def run_apart(command: list[str], log: Path, stage: Callable[[str], None], env: dict[str, str]) -> int:
    """Run a process that says its stages and its error line by line (see `build_one`); its exit status.

    Raises:
        PixelisError: what the process said.
    """
    with log.open("w", encoding="utf-8") as sink:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sink, text=True, env=env)
        _RUNNING.add(process)
        try:
            said = _listen(process, stage)
            status = process.wait()
        finally:
            _RUNNING.discard(process)
            _end(process)
    if said is not None:
        raise said
    return status


def end_running() -> None:
    """End every process that other threads of this one wait for: they find it ended, and go on."""
    for process in tuple(_RUNNING):
        process.terminate()


def environment() -> dict[str, str]:
    """This process's, with its import path, its thread budget, and no way to the network for model hubs."""
    defaults = {
        "OMP_NUM_THREADS": str(settings().threads.total),
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return {**defaults, **os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _listen(process: subprocess.Popen[str], stage: Callable[[str], None]) -> PixelisError | None:
    assert process.stdout is not None
    said = None
    for line in process.stdout:
        kind, _, text = line.strip().partition(": ")
        if kind == "stage":
            stage(text)
        elif kind == "error":
            said = from_wire(text)
    return said


def _end(process: subprocess.Popen[str]) -> None:
    """Nothing stays behind: on Ctrl-C or an error here the child ends first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()


def _crash(name: str, status: int, log: Path, command: list[str]) -> BuildError:
    how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    lines = log.read_text(errors="replace", encoding="utf-8").strip().splitlines()
    last = f": {lines[-1][:300]}" if lines else ""
    again = " ".join([*command, "/tmp/out"])
    return BuildError(f"Building {name} {how}{last}.", mend=f"Its output is in {log}; reproduce it with: {again}")
