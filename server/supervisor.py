"""The process between us and Triton: it outlives neither, and leaves nothing behind.

    pixelis serve ──pipe── supervisor ──── tritonserver ──── one stub a Python model instance
                  (EOF: stop)          (PR_SET_PDEATHSIG)

* The parent stops, crashes, or is killed (-9): the pipe ends, the supervisor stops Triton and sweeps.
* Triton dies: the supervisor sweeps its stubs and regions and exits with its code.
* The supervisor is killed (-9): the kernel kills Triton with it; the next start, or `pixelis doctor --clean`, sweeps.

It is started as `python -I -S`: only the standard library, one thread (so that the parent-death signal, which is
bound to the creating thread, is bound to the process). Its first line of input is a `Task` as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from server import remains
from server.hiding import hide

POLL_S = 0.1
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Task:
    """What to supervise.

    Attributes:
        server_id: mark of the processes and regions.
        command: Triton's command line.
        environment: Triton's whole environment.
        ports: for the record.
        log: file that takes Triton's output.
        records: folder of the record.
        grace_s: seconds between SIGTERM and SIGKILL.
        repository: for the record.
        secret: what others must not read on the command line.
    """

    server_id: str
    command: list[str]
    environment: dict[str, str]
    ports: list[int]
    log: str
    records: str
    grace_s: float
    repository: str = ""
    secret: str = ""


class Supervisor:
    """Runs one Triton until it ends, the parent ends, or a signal asks."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.parent = os.getppid()
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True

    def run(self) -> int:
        """Supervises to the end.

        Returns:
            0 when Triton was asked to stop, else its exit code (128 + signal when it was killed).
        """
        record = self._record()
        try:
            code = self._supervise()
        finally:
            remains.sweep(self.task.server_id)
            remains.forget(record)
        return 0 if self.asked else code if code >= 0 else 128 - code

    def _record(self, stopping: bool = False) -> Path:
        ports = (self.task.ports[0], self.task.ports[1], self.task.ports[2])
        birth = remains.born(os.getpid()) or 0
        task = self.task
        record = remains.Record(task.server_id, os.getpid(), birth, ports, task.log, stopping, task.repository)
        return record.write(Path(task.records))

    def _supervise(self) -> int:
        before = os.stat(self.task.log).st_size if os.path.exists(self.task.log) else 0
        # preexec_fn is safe here: this process has one thread.
        with open(self.task.log, "ab") as log:
            triton = subprocess.Popen(
                self.task.command,
                env=self.task.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
        private: set[str] = set()
        hidden = not self.task.secret
        while not _ended(triton.pid) and not self.asked:
            remains.make_private(self.task.server_id, private)
            if not hidden and os.stat(self.task.log).st_size > before:  # it says something: it has read its arguments
                hidden = True
                if not hide(triton.pid, self.task.secret):
                    print("The key of the model-repository API can be read on Triton's command line.", flush=True)
            if self._orphaned():  # never assign its result: a signal may set `asked` meanwhile
                self.asked = True
        end = time.monotonic() + self.task.grace_s
        if self.asked:
            self._record(stopping=True)
            triton.terminate()
        while not _ended(triton.pid) and time.monotonic() < end:
            time.sleep(POLL_S / 2)
        # The leader is not reaped yet, so its group id cannot be another's by now.
        os.killpg(triton.pid, signal.SIGKILL)
        return triton.wait()

    def _orphaned(self) -> bool:
        """Whether the parent closed the pipe or is gone; waits up to `POLL_S` for it."""
        readable, _, _ = select.select([0], [], [], POLL_S)
        if readable and not os.read(0, 4096):
            return True
        return os.getppid() != self.parent


def _ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _die_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)

    def bind() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return bind


def main() -> None:
    """Reads the task and supervises.

    What the server and its models create is this user's alone: requests in shared memory, experiences, caches.
    """
    os.umask(0o077)
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return
        line += byte
    sys.exit(Supervisor(Task(**json.loads(line))).run())
