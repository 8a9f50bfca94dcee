"""Memory of a server's processes while it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from perf.e2e.processes import Usage, usage
from perf.meanwhile import meanwhile
from pixelis.errors import SetupError
from server import remains

EVERY_S = 0.5


@dataclass
class Memory:
    """Proportional set sizes as time goes.

    Attributes:
        times: seconds of readings, of the machine's monotonic clock.
        readings: of each, all processes.
    """

    times: list[float] = field(default_factory=list)
    readings: list[list[Usage]] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """A row a process, the largest first: MiB at the end and at most."""
        return [
            {
                "row": "memory",
                "process": name,
                "pss_mib": round(sizes[-1], 1),
                "peak_mib": round(max(sizes), 1),
            }
            for name, sizes in sorted(self.sizes().items(), key=lambda item: -max(item[1]))
        ]

    def sizes(self) -> dict[str, list[float]]:
        """MiB of each process at each time; those of one name are summed, one that is not there has none."""
        names = list(dict.fromkeys(one.name for reading in self.readings for one in reading))
        return {
            name: [sum(one.pss_bytes for one in reading if one.name == name) / 2**20 for reading in self.readings]
            for name in names
        }


@contextmanager
def watched(server_id: str | None) -> Iterator[Memory]:
    """Read until the end; nothing where it is not known which processes they are.

    Reading takes the kernel some milliseconds a process, in a thread of its own.
    """
    memory = Memory()

    def read(over: threading.Event) -> None:
        while server_id is not None:
            try:
                found = usage(remains.of(server_id).processes)
            except SetupError:
                return
            memory.times.append(time.monotonic())
            memory.readings.append(found)
            if over.wait(EVERY_S):
                return

    with meanwhile(read, name="memory"):
        yield memory
