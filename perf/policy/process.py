"""A system's process, from the bench's side."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from perf.plain.frames import read_frame, write_frame
from perf.policy.load import Load, Run
from pixelis.errors import SetupError, Unavailable, from_wire

ROOT = Path(__file__).resolve().parents[2]
STOP_S = 5.0


@dataclass(frozen=True)
class Spec:
    """What is started.

    Attributes:
        system: its name.
        model: folder that it reads.
        slots: requests at once, where the system has such a limit.
        limits: fields of `Decoding`, of the runtime; of another system what it takes (`prefix_caching`).
        calling: every turn of the runtime begins inside a tool call, if it is decoded under the grammar.
        log: gets what it prints.
        device: `cuda`: it decodes on a GPU, which must be there; `cpu`: it sees none.
    """

    system: str
    model: Path
    precision: str
    slots: int
    threads: int
    log: Path
    limits: dict[str, Any] = field(default_factory=dict)
    calling: bool = False
    device: str = "cpu"


class SystemProcess:
    """Starts it, gives it loads, ends it. For one thread."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> SystemProcess:
        """Returns when its model is loaded.

        Raises:
            SetupError: it cannot load.
        """
        spec = self.spec
        command = [sys.executable, "-m", "perf.policy.worker", spec.system, str(spec.model)]
        command += ["--precision", spec.precision, "--slots", str(spec.slots), "--threads", str(spec.threads)]
        command += [
            "--device",
            spec.device,
            "--limits",
            json.dumps(spec.limits),
            *(["--calling"] if spec.calling else []),
        ]
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        with spec.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(spec),
                start_new_session=True,  # Ctrl-C is for the parent, which ends this one in order
            )
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def run(self, load: Load) -> Run:
        """Send a load and wait until it is over.

        Raises:
            Unavailable: the process has ended.
        """
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise Unavailable(f"The process of {self.spec.system} does not run.", mend="Start it first.")
        frame = None
        with contextlib.suppress(BrokenPipeError):
            write_frame(process.stdin, {}, [load.model_dump_json().encode()])
            frame = read_frame(process.stdout)
        if frame is None:
            raise Unavailable(f"The process of {self.spec.system} has ended.", mend=f"Its log is {self.spec.log}.")
        return Run.model_validate_json(frame[1][0])

    def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.terminate()  # it holds nothing that must be put away
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> SystemProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _await_ready(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        frame = read_frame(process.stdout)
        if frame is None:
            raise SetupError(f"{self.spec.system} ended while it loaded.", mend=f"Its log is {self.spec.log}.")
        if "fatal" in frame[0]:
            raise from_wire(frame[0]["fatal"])


def _environment(spec: Spec) -> dict[str, str]:
    """This process's, with the thread budget and no way to the network for model hubs."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "OMP_NUM_THREADS": str(spec.threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **({"CUDA_VISIBLE_DEVICES": ""} if spec.device == "cpu" else {}),
    }
