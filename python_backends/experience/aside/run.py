"""Starts the child, waits for it, and starts another one where it died."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from pixelis.errors import ServingError
from python_backends.experience.aside.block import Block
from python_backends.experience.aside.duty import Duty

log = logging.getLogger(__name__)

TRIES = 3
IDLE_S = 600.0
"""After so long the first child, which works only when nobody else wants the core, is taken to get none."""
POLL_S = 0.02
PROGRAM = "python_backends.experience.aside.child"


class Aside:
    """Jobs in children of this process, one thread each.

    Attributes:
        died: children that ended before their job did, so far.
        pid: of the child at work; none between two.
    """

    def __init__(self) -> None:
        self.died = 0
        self.pid: int | None = None

    def run(
        self,
        job: dict[str, Any],
        blocks: Sequence[Block],
        between: Callable[[], None],
        result: int | None = None,
        share: float = 1.0,
    ) -> dict[str, Any]:
        """What the child answers.

        Args:
            job: `task` and what it needs, as JSON.
            blocks: vectors that it reads.
            between: called while it works; what it raises ends the child.
            result: a descriptor that it may write to.
            share: of the time, in which it works; see `Duty`.

        Raises:
            ServingError: three children died one after the other, or said what is wrong.
        """
        handed = [{"descriptor": b.descriptor, "count": b.count, "width": b.width} for b in blocks]
        said = {**job, "parent": os.getpid(), "blocks": handed, "result": result}
        shared = [block.descriptor for block in blocks] + ([result] if result is not None else [])
        how = ""
        for number in range(TRIES):
            if result is not None:
                os.ftruncate(result, 0)
            answer, how = self._child({**said, "idle": number == 0}, shared, between, share)
            if answer is not None:
                return answer
            self.died += 1
            log.warning("a process that worked on the index %s; try %d of %d", how, number + 1, TRIES)
        raise ServingError(f"A process that worked on the index {how}, {TRIES} times.", mend="Look for memory limits.")

    def _child(
        self, job: dict[str, Any], shared: Sequence[int], between: Callable[[], None], share: float
    ) -> tuple[dict[str, Any] | None, str]:
        """One child: its answer, or how it ended without one."""
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable or shutil.which("python3") or "python3", "-m", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=shared,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the parent, which ends it
        )
        self.pid = process.pid
        duty = Duty(process.pid, share)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps(job).encode())
                process.stdin.close()
            except BrokenPipeError:
                pass  # it is dead already
            while True:
                try:
                    process.wait(min(POLL_S, duty.left_s()) if share < 1 else POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    duty.turn()
                    between()
                    if job["idle"] and time.monotonic() - started > IDLE_S / share:
                        return None, f"got no time of the processor in {IDLE_S / share:.0f} s"
            said = process.stdout.read()
            if process.returncode == 0 and said.startswith(b"{"):
                answer: dict[str, Any] = json.loads(said)
                return answer, ""
            return None, _how(process.returncode)
        finally:
            self.pid = None
            process.kill()
            process.wait()
            for pipe in filter(None, (process.stdin, process.stdout)):
                pipe.close()


def _environment() -> dict[str, str]:
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _how(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
