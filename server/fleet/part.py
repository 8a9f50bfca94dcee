"""One process of a fleet: started, watched, started again, stopped."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pixelis.errors import Unavailable

State = Literal["stopped", "starting", "ready", "waiting"]
_PR_SET_PDEATHSIG = 1
FIRST_PAUSE_S, LONGEST_PAUSE_S, CALM_S = 0.2, 30.0, 60.0
"""Before a part that died is started again: twice as long each time, from anew after it has lived for a minute."""
KILL_AFTER_S = 20.0
"""Beyond the time that a part is given to end."""
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Part:
    """One process.

    Attributes:
        name: for people, logs and status.
        command: with its arguments.
        environment: the whole.
        log: takes what it prints.
        answers: whether it does its work; asked until it does.
        ends_by: the signal that asks it to end.
        grace_s: how long it then has.
        processors: that it and its children may run on; none = all of ours.
        state: what it is now; `waiting` is: it died, and is started again in a moment.
        restarts: how often it was started again after it had died.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    answers: Callable[[], bool]
    ends_by: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0
    processors: frozenset[int] | None = None
    state: State = "stopped"
    restarts: int = 0
    since: float = field(default_factory=time.monotonic)
    process: subprocess.Popen[bytes] | None = None
    _pause_s: float = 0.0
    _again_at: float = 0.0

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def start(self) -> None:
        """Starts it; must be called by the thread that lives as long as the fleet, as the kernel ends it with that."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C on a terminal is for us to hand on, in order
                preexec_fn=self._of_ours,
            )
        self._becomes("starting")

    def look(self) -> str | None:
        """Notices what became of it; starts it again when it is time to. A line, where there is something to say."""
        if self.state in ("starting", "ready") and self.process is not None and self.process.poll() is not None:
            return self._died(self.process.returncode)
        if self.state == "waiting" and time.monotonic() >= self._again_at:
            self.restarts += 1
            self.start()
        elif self.state == "starting" and self.answers():
            self._becomes("ready")
            if self.restarts:
                return f"{self.name} is ready again"
        elif self.state == "ready" and time.monotonic() - self.since > CALM_S:
            self._pause_s = 0.0
        return None

    def ask_to_end(self) -> None:
        """Asks it; it is not started again."""
        self._becomes("stopped")
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.ends_by)

    def await_end(self) -> None:
        """Until it has ended, or its time is over: then it is killed."""
        if self.process is None:
            return
        try:
            self.process.wait(self.grace_s + KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def require_alive(self) -> None:
        """Raises `Unavailable` where it died while it started."""
        if self.state == "waiting":
            code = self.process.returncode if self.process is not None else None
            raise Unavailable(f"{self.name} ended while it started (exit code {code}).", mend=f"See {self.log}.")

    def _died(self, code: int) -> str:
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s or FIRST_PAUSE_S)
        self._again_at = time.monotonic() + self._pause_s
        self._becomes("waiting")
        return f"{self.name} ended by itself (exit code {code}); started again in {self._pause_s:.1f} s, log {self.log}"

    def _becomes(self, state: State) -> None:
        self.state, self.since = state, time.monotonic()

    def _of_ours(self) -> None:
        """In the child: the kernel asks it to end when we do, however that comes about."""
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() == 1:
            os._exit(1)
        if self.processors is not None:
            os.sched_setaffinity(0, self.processors)
