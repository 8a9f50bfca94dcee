"""What processes use: processor time, and memory as the proportional set size.

Shared pages are counted once in the sum, divided among the processes that share them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixelis.errors import SetupError

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """Of one process, since it began.

    Attributes:
        pid: its id.
        name: the model of a Triton stub, else the program's.
        cpu_s: processor seconds, in user and kernel mode, of all its threads.
        pss_bytes: proportional set size.
        private_bytes: what belongs to it alone.
    """

    pid: int
    name: str
    cpu_s: float
    pss_bytes: int
    private_bytes: int


def usage(pids: Sequence[int]) -> list[Usage]:
    """What each of `pids` has used until now; one that has just ended is left out.

    Raises:
        SetupError: this kernel does not tell, or none of them lives.
    """
    found = [one for one in map(_read, pids) if one is not None]
    if not found:
        raise SetupError("No process can be read from /proc/PID/smaps_rollup.", mend="It takes Linux 4.14.")
    return found


def spent(before: Iterable[Usage], after: Iterable[Usage]) -> dict[str, float]:
    """Processor seconds between two readings, by name."""
    known = {one.pid: one.cpu_s for one in before}
    sums: dict[str, float] = {}
    for one in after:
        sums[one.name] = sums.get(one.name, 0.0) + one.cpu_s - known.get(one.pid, 0.0)
    return sums


def _read(pid: int) -> Usage | None:
    folder = Path(f"/proc/{pid}")
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()[1:]
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return None
    kib = {line.split()[0].rstrip(":"): int(line.split()[1]) for line in lines}
    private = kib["Private_Clean"] + kib["Private_Dirty"]
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    return Usage(pid, _name(arguments), cpu_s, 1024 * kib["Pss"], 1024 * private)


def _name(arguments: Sequence[str]) -> str:
    """A stub is told which model it runs by the path of its `model.py`: `.../<model>/<version>/model.py`."""
    scripts = [Path(argument) for argument in arguments if argument.endswith("/model.py")]
    return scripts[0].parents[1].name if scripts else Path(arguments[0]).name
