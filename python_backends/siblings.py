"""Whether the process of a sibling model still lives.

Triton never ends the stream of a decoupled model whose process has died: who reads it would wait until its own
deadline. The processes of all models are children of the same server, so a reader can look for itself.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

_FRESH_SECONDS = 1.0
"""How old a look at the processes may be. A model that is loaded again starts its process long before it serves."""

Process = tuple[int, str]
"""Id and start time, which tells a process from a later one of the same id."""


class Siblings:
    """The processes of the models beside this one.

    Args:
        parent: the server's process id; that of this process's parent by default.
        proc: where processes are described.
    """

    def __init__(self, parent: int | None = None, proc: Path = Path("/proc")) -> None:
        self._parent = os.getppid() if parent is None else parent
        self._proc = proc
        self._lock = threading.Lock()
        self._looked = -_FRESH_SECONDS
        self._found: dict[str, list[Process]] = {}

    def watch(self, model: str) -> Callable[[], bool]:
        """A question that is to be asked later: have all the processes gone that may be serving `model` now?

        It is never answered with yes where none was found.
        """
        with self._lock:
            if time.monotonic() - self._looked > _FRESH_SECONDS:
                self._found, self._looked = self._look(), time.monotonic()
            seen = self._found.get(model, [])
        return lambda: bool(seen) and not any(self._state(pid) == (self._parent, born) for pid, born in seen)

    def pids(self, model: str) -> list[int]:
        """The processes that serve `model`, looked for now."""
        return [pid for pid, _ in self._look().get(model, [])]

    def _look(self) -> dict[str, list[Process]]:
        found: dict[str, list[Process]] = {}
        for folder in self._proc.iterdir():
            state = self._state(int(folder.name)) if folder.name.isdigit() else None
            if state is None or state[0] != self._parent:
                continue
            model = self._model(folder)
            if model is not None:
                found.setdefault(model, []).append((int(folder.name), state[1]))
        return found

    def _state(self, pid: int) -> tuple[int, str] | None:
        """Parent and start time of a live process; nothing where it has ended (a zombie has)."""
        try:
            fields = (self._proc / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else (int(fields[1]), fields[19])

    def _model(self, folder: Path) -> str | None:
        """The model that a stub serves: its command line names `<model>/<version>/model.py`."""
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return None
        scripts = [Path(word) for word in words if word.endswith("/model.py")]
        return scripts[0].parent.parent.name if scripts else None
