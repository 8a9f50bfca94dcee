"""Triton's log: followed while it starts, for progress and for the reason when a model does not load.

In explicit mode Triton opens its ports only after the last model has loaded, so until then the log is all there is.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

_LOADING = re.compile(r"\"loading: ([^\s:]+):\d+\"")
_LOADED = re.compile(r"\"successfully loaded '([^']+)'")
_FAILED = (
    re.compile(r"^E.*\"failed to load '([^']+)' version \d+: (.*)\"$"),
    re.compile(r"^E.*\"failed to load model '([^']+)': (.*)\"$"),
    re.compile(r"^E.*\"failed to poll model '([^']+)': (.*)\"$"),
    re.compile(r"^E.*\"Poll failed for model directory '([^']+)': (.*)\"$"),
    re.compile(r"^E.*ensemble '([^']+)' (depends on .*)\"$"),
)
_FATAL = (
    re.compile(r"^E.*\"(failed to start .* service: .*)\"$"),
    re.compile(r"^error: (?:creating server: )?(.*)$"),
    re.compile(r"(error while loading shared libraries: .*)$"),
)
_TAKEN = re.compile(r"already in use|Address already|Failed to bind|failed to listen", re.IGNORECASE)


@dataclass
class StartLog:
    """What the log of a start has said so far.

    Attributes:
        path: the log file.
        loading: models whose loading began.
        loaded: models that are ready.
        failed: model -> reason, in the order in which they failed; a parent comes after the child it fails with.
        fatal: what ended the server, if it said so.
    """

    path: Path
    loading: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    fatal: str | None = None
    _offset: int = 0

    def read(self) -> None:
        """Takes in the whole lines that were written since."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            block = file.read()
        whole = block.rfind(b"\n") + 1
        self._offset += whole
        for line in block[:whole].decode(errors="replace").splitlines():
            self._take(line)

    def _take(self, line: str) -> None:
        if (found := _LOADING.search(line)) and found[1] not in self.loading:
            self.loading.append(found[1])
        if (found := _LOADED.search(line)) and found[1] not in self.loaded:
            self.loaded.append(found[1])
        for pattern in _FAILED:
            if found := pattern.search(line):
                self.failed.setdefault(found[1], _reason(found[2]))
        for pattern in _FATAL:
            if self.fatal is None and (found := pattern.search(line)):
                self.fatal = found[1].strip()

    @property
    def port_taken(self) -> bool:
        """Whether the server ended because another took its port after we had looked."""
        return self.fatal is not None and _TAKEN.search(self.fatal) is not None


def _reason(text: str) -> str:
    """The reason without Triton's prefix and the Python stack (which stays in the log)."""
    plain = text.replace("\\n", "\n").split("\n\nAt:")[0].strip().rstrip(";")
    return " ".join(plain.removeprefix("Internal: ").split())


def tail(path: Path, lines: int = 3) -> str:
    """The last lines of a log, on one line."""
    text = path.read_text(errors="replace", encoding="utf-8").splitlines() if path.exists() else []
    return " | ".join(line.strip() for line in text[-lines:] if line.strip()) or "nothing in its log"


def note(path: Path, line: str) -> None:
    """Adds a line of the watchdog's to Triton's log, in the form of its own."""
    now = time.time()
    stamp = time.strftime("%m%d %H:%M:%S", time.gmtime(now)) + f".{int(now * 1e6) % 10**6:06d}"
    with path.open("a", encoding="utf-8") as file:
        file.write(f'W{stamp} watchdog] "{line}"\n')
