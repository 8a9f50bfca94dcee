"""Several client processes that begin together."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from perf.workers import end_worker, start_worker
from pixelis.errors import SetupError

Said = dict[str, Any]


@contextmanager
def crowd(kind: str, url: str, seconds: float, count: int, folder: Path, **options: float) -> Iterator[Crowd]:
    """`count` processes of `perf.scale.clients`, connected and waiting to be told to begin.

    Args:
        kind: of client.
        url: what they ask.
        seconds: how long.
        count: how many.
        folder: for what they print to stderr.
        options: of their command line.

    Raises:
        SetupError: one did not start.
    """
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    made: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(count):
            log = folder / f"{kind}-{number}.log"
            made.append(start_worker("perf.scale.clients", [kind, url, str(seconds), *words], log, 1, {}))
        for number, process in enumerate(made):
            if _line(process) != "ready":
                log = folder / f"{kind}-{number}.log"
                raise SetupError(f"A client did not start: {log.read_text(encoding='utf-8').strip()[-300:]}")
        yield Crowd(made)
    finally:
        for process in made:
            end_worker(process)


class Crowd:
    """Processes that wait."""

    def __init__(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        self._processes = processes

    def begin(self) -> Callable[[], list[Said]]:
        """Tell them to begin; what is returned waits for them, and gives what each did."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        return lambda: [_answer(process) for process in self._processes]


def together(*crowds: Crowd) -> list[list[Said]]:
    """Let all begin at once, and wait for them."""
    waiting = [one.begin() for one in crowds]
    return [ended() for ended in waiting]


def _line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def _answer(process: subprocess.Popen[bytes]) -> Said:
    line = _line(process)
    if not line:
        raise SetupError(f"A client ended by itself, with status {process.wait()}.")
    return cast(Said, json.loads(line))


def settle() -> None:
    """A moment in which what has just started becomes quiet."""
    time.sleep(0.2)
