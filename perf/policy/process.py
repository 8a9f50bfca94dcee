"""A system's process, from the bench's side."""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from perf.plain.frames import read_frame, write_frame
from perf.policy.load import Load, Run
from perf.workers import end_worker, start_worker
from pixelis.errors import SetupError, Unavailable, from_wire


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
        arguments = [spec.system, str(spec.model), "--precision", spec.precision, "--device", spec.device]
        arguments += ["--slots", str(spec.slots), "--threads", str(spec.threads), "--limits", json.dumps(spec.limits)]
        arguments += ["--calling"] if spec.calling else []
        variables = {"TOKENIZERS_PARALLELISM": "false"}
        if spec.device == "cpu":
            variables["CUDA_VISIBLE_DEVICES"] = ""
        self._process = start_worker("perf.policy.worker", arguments, spec.log, spec.threads, variables)
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
        if process is not None:
            end_worker(process)

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
