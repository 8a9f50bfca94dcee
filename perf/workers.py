"""Processes of a bench's own: what is measured in one has its memory, its interpreter and its threads to itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STOP_S = 10.0


def start_worker(
    module: str, arguments: Sequence[str], log: Path, threads: int, variables: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """`python -m module arguments`, with pipes to it and from it, and no way to the network for model hubs.

    Args:
        module: of this project, wherever it is started from.
        arguments: of its command line.
        log: gets what it prints to stderr; begun anew.
        threads: its budget.
        variables: environment variables besides.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        **variables,
    }
    with log.open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which ends this one in order
        )


def end_worker(process: subprocess.Popen[bytes]) -> None:
    """End it at once: it holds nothing that must be put away."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
